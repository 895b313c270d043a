"""A step's own bookkeeping."""

from __future__ import annotations

from types import SimpleNamespace

from nbi_sampler.algorithm.records import Observer
from nbi_sampler.algorithm.state import FitInfo
from nbi_sampler.algorithm.step import Step
from nbi_sampler.networks.training.fit import TrainingInfo


def test_a_fit_takes_all_of_its_time_and_not_that_of_its_networks_alone(monkeypatch):
    """Mixtures and kernels take most of it where the likelihood is tempered."""
    now = [10.0]
    monkeypatch.setattr("nbi_sampler.algorithm.step.time.perf_counter", lambda: now[0])
    training = TrainingInfo(best=0.5, training=(1.0,), validation=(1.0,), n_steps=3, n_skipped=0, seconds=2.0)

    def fit():
        now[0] += 7.0
        return "proposal", FitInfo(training, exponent=0.25)

    problem = SimpleNamespace(networks=SimpleNamespace(n_threads=1))
    step = Step(SimpleNamespace(pending=None), problem, None, 1, Observer())
    proposal, info = step.fitted("refinement", fit)
    assert proposal == "proposal"
    assert info.training.seconds == 7.0
    assert (info.exponent, info.training.best, info.training.n_steps) == (0.25, 0.5, 3)
