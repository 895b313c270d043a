"""Proposals that a surrogate teaches: when they are due, what they are fitted to, and the evidence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import toys
from nbi_sampler.algorithm.surrogate import guided_proposal, surrogate_is_due, taught_target

from nbi_sampler.algorithm import surrogate as module
from nbi_sampler.algorithm.history import History
from nbi_sampler.algorithm.mixture import Fitting
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal
from nbi_sampler.algorithm.records import Observer
from nbi_sampler.algorithm.snpe import run
from nbi_sampler.algorithm.target import choose_target
from nbi_sampler.core.config import REFINEMENT_TRAINING, SURROGATE, SnpeConfig
from nbi_sampler.importance.weights import efficiency, log_evidence


def ridge(theta):
    """Log-likelihood of a narrow parabola under N(0, I), normalised so that log Z is about -2.5."""
    theta = np.atleast_2d(theta)
    bent = theta[:, 1] - 0.5 * theta[:, 0] ** 2 + 0.5
    return -0.5 * ((theta[:, 0] / 0.8) ** 2 + (bent / 0.1) ** 2 + ((theta[:, 2] - theta[:, 0]) / 0.2) ** 2)


def log_evidence_of_ridge():
    x = np.linspace(-6.0, 6.0, 601)
    a, b, c = np.meshgrid(x, np.linspace(-3.0, 6.0, 901), x, indexing="ij", sparse=True)
    log_l = -0.5 * ((a / 0.8) ** 2 + ((b - 0.5 * a**2 + 0.5) / 0.1) ** 2)
    first = np.exp(log_l - 0.5 * (a**2 + b**2)).sum(1)
    rest = np.exp(-0.5 * (((c - a) / 0.2) ** 2 + c**2))[:, 0]
    step = (x[1] - x[0]) ** 2 * 0.01
    return np.log((first * rest).sum() * step / (2 * np.pi) ** 1.5)


def fitting(seed=1):
    return Fitting(toys.networks(), REFINEMENT_TRAINING, np.random.default_rng(seed))


@pytest.fixture(scope="module")
def history():
    proposal, rng, made = toys.student([0.0, 0.0, 0.0], 0.9), np.random.default_rng(1), History()
    for _ in range(5):
        made = made.extended(toys.drawn(proposal, ridge, 3000, rng), MixtureProposal.single(proposal))
    return made


@pytest.mark.slow
def test_its_proposal_is_better_than_the_one_of_the_weighted_draws(history):
    target, periodic = choose_target(history, 3, located=False), np.zeros(3, bool)
    assert target.exponent == 1.0
    taught = taught_target(target, history, periodic, fitting())
    found = {}
    for name, proposal in {
        "weights": module.MixtureFit(target, periodic, fitting()).proposal()[0],
        "surrogate": guided_proposal(target, taught, periodic, fitting())[0],
    }.items():
        z = proposal.sample(4000, np.random.default_rng(3))
        log_weights = ridge(z) - proposal.log_ratio(z)
        found[name] = efficiency(log_weights)
        estimate = log_evidence(log_weights)
        assert estimate.log_evidence == pytest.approx(log_evidence_of_ridge(), abs=4.0 * estimate.error)
    assert found["surrogate"] > found["weights"]


def test_too_few_draws_teach_nothing(history):
    few = History().extended(
        toys.drawn(
            history.proposals[0], ridge, 2 * 3 * SURROGATE.draws_per_dimension - 1, np.random.default_rng(2)
        ),
        history.proposals[0],
    )
    target = choose_target(few, 3, located=False)
    assert taught_target(target, few, np.zeros(3, bool), fitting()) is None


@pytest.fixture(scope="module")
def finished():
    problem = toys.likelihood_only(lambda theta: float(ridge(theta)[0]), 3)
    config = SnpeConfig(seed=1, n_effective=300)
    return problem, config, run(problem, config, 1, Observer())


class TestWhenItIsDue:
    @pytest.mark.parametrize(
        ("efficiency", "exponent", "due"),
        [(0.1, 1.0, True), (0.6, 1.0, False), (0.1, 0.5, False)],
        ids=["inefficient", "efficient", "tempered from the prior"],
    )
    def test_by_efficiency_and_exponent(self, finished, efficiency, exponent, due):
        problem, config, done = finished
        record = replace(done.records[-1], efficiency=efficiency)
        best = done.best._replace(record=record)
        step = module.Step(replace(done, best=best), problem, config, 1, Observer())
        assert surrogate_is_due(step, exponent) is due

    def test_not_before_the_first_refinement(self, finished):
        problem, config, done = finished
        none = tuple(record for record in done.records if record.phase != "refinement")
        assert not surrogate_is_due(
            module.Step(replace(done, records=none), problem, config, 1, Observer()), 1.0
        )


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_evidence_of_runs_with_surrogates(seed, monkeypatch):
    """As if every efficiency were poor, so that each refinement has one."""
    monkeypatch.setattr(module, "SURROGATE", replace(SURROGATE, poor=1.0))
    problem = toys.likelihood_only(lambda theta: float(ridge(theta)[0]), 3)
    state = run(problem, SnpeConfig(seed=seed, n_effective=1000), seed, Observer())
    estimate = log_evidence(state.final_log_weights)
    assert estimate.log_evidence == pytest.approx(log_evidence_of_ridge(), abs=4.0 * estimate.error)
