"""TensorBoard shows the same of a run as its result, and a run without a log works."""

from __future__ import annotations

import functools
from importlib.metadata import requires

import bilby
import nbi_sampler_tensorboard
import numpy as np
import pytest
import torch
from nbi_sampler_tensorboard import folder_of
from packaging.requirements import Requirement
from scipy import stats
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import nbi_sampler
from nbi_sampler.plugins import installed
from nbi_sampler.reports.events import Run

X = np.linspace(0.0, 1.0, 20)
Y = 2.0 * X + 0.1 * np.random.default_rng(3).normal(size=20)
N_EPOCHS = 3


class Gaussian(bilby.core.likelihood.GaussianLikelihood):
    """Not recognised, so that every draw is a call; and it may fail."""

    n_left = np.inf

    def log_likelihood(self, parameters=None):
        self.n_left -= 1
        if self.n_left < 0:
            raise RuntimeError("the disk is full")
        return super().log_likelihood(parameters)


def fit(outdir, likelihood=None, **keywords):
    settings = dict(n_effective=50, n_sims=300, n_rounds=1, refine=False, training={"n_epochs": N_EPOCHS})
    settings |= dict(seed=1, print_method="none", save=False, outdir=str(outdir), label="watched")
    likelihood = likelihood or bilby.core.likelihood.GaussianLikelihood(X, Y, line, sigma=0.1)
    priors = {"m": bilby.core.prior.Uniform(0.0, 5.0)}
    return bilby.run_sampler(likelihood, priors, sampler="nbi", **(settings | keywords))


def line(x, m):
    return m * x


def read(folder):
    everything = {"scalars": 0, "histograms": 0, "tensors": 0}
    return EventAccumulator(str(folder), size_guidance=everything).Reload()


def text(events, tag):
    return events.Tensors(f"{tag}/text_summary")[-1].tensor_proto.string_val[0].decode()


@pytest.fixture(scope="module", autouse=True)
def surroundings():
    """Plugins as they are installed, bilby quiet and without the list of packages that it asks pip for."""
    bilby.core.utils.logger.setLevel("WARNING")
    installed.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        name = "bilby.core.sampler.env_package_list"
        patch.setattr(name, functools.cache(bilby.core.sampler.env_package_list))
        patch.delenv(nbi_sampler_tensorboard.VARIABLE, raising=False)
        yield
    installed.cache_clear()


@pytest.fixture(scope="module")
def run(tmp_path_factory, surroundings):
    """Result and event file of one run."""
    outdir = tmp_path_factory.mktemp("run")
    return fit(outdir), read(outdir / "nbi_watched" / "tensorboard")


def test_installed_plugin_is_found_and_whole():
    plugins = installed()
    (own,) = [plugin for plugin in plugins.loaded if plugin.name == "tensorboard"]
    assert (own.distribution, own.version) == ("nbi-sampler-tensorboard", nbi_sampler_tensorboard.__version__)
    assert len(plugins.hooks(own)) == 5


def test_it_is_bound_to_a_version_of_the_core_that_this_is():
    (bound,) = [each for each in map(Requirement, requires("nbi-sampler-tensorboard")) if "nbi" in each.name]
    assert bound.specifier.contains(nbi_sampler.__version__)
    assert not bound.specifier.contains("1.0"), "hooks may change with the next minor version"


def test_loss_curves_are_those_of_the_result(run):
    result, events = run
    records = list(result.meta_data["nbi"]["rounds"].values())
    for kind in ("training", "validation"):
        found = events.Scalars(f"{kind} loss/01 rounds")
        assert [point.step for point in found] == list(range(N_EPOCHS))
        assert np.allclose([point.value for point in found], records[1][f"{kind}_loss"], rtol=1e-6)


def test_points_by_step_are_those_of_the_result(run):
    result, events = run
    records = list(result.meta_data["nbi"]["rounds"].values())
    for tag, name in (("efficiency", "efficiency"), ("log evidence", "log_evidence")):
        found = events.Scalars(f"by step/{tag}")
        assert [point.step for point in found] == list(range(len(records)))
        assert np.allclose([point.value for point in found], [record[name] for record in records], rtol=1e-6)
    assert events.Scalars("by step/likelihood calls")[-1].value == result.num_likelihood_evaluations
    last = events.Scalars("by step/effective size of the result")[-1].value
    assert last == pytest.approx(result.meta_data["nbi"]["ess"], rel=1e-6)


def test_histograms_count_all_draws(run):
    result, events = run
    counts = [each.histogram_value.num for each in events.Histograms("draws/m")]
    assert counts == [record["n_draws"] for record in result.meta_data["nbi"]["rounds"].values()]


def test_text_names_settings_and_outcome(run):
    result, events = run
    assert "| n_sims | 300 |" in text(events, "settings")
    assert "| seed | 1 |" in text(events, "run") and "Gaussian, known sigma" in text(events, "run")
    assert f"| status | {result.meta_data['nbi']['status']} |" in text(events, "outcome")
    assert f"| log_evidence | {result.log_evidence} |" in text(events, "outcome")


def test_the_result_is_the_same_without_it(run, tmp_path, monkeypatch):
    monkeypatch.setenv(nbi_sampler_tensorboard.VARIABLE, "off")
    before = torch.get_rng_state()
    result = fit(tmp_path)
    assert torch.equal(before, torch.get_rng_state())
    assert result.log_evidence == run[0].log_evidence
    assert not list(tmp_path.rglob("events.*"))


def test_an_interrupted_run_goes_on_in_the_same_curves(tmp_path, monkeypatch):
    monkeypatch.setenv(nbi_sampler_tensorboard.VARIABLE, str(tmp_path / "logs"))
    likelihood = Gaussian(X, Y, line, sigma=0.1)
    likelihood.n_left = 1500
    keywords = dict(refine=True, n_sims=600, n_effective=100, max_likelihood_calls=4000)
    with pytest.raises(Exception, match="the disk is full"):
        fit(tmp_path, likelihood, **keywords)
    folder = tmp_path / "logs" / "watched"
    events = read(folder)
    assert "| status | interrupted |" in text(events, "outcome")
    assert len(events.Scalars("by step/efficiency")) == 1
    assert not nbi_sampler_tensorboard._logs, "the file of the run was left open"
    likelihood.n_left = np.inf
    result = fit(tmp_path, likelihood, **keywords)
    events = read(folder)
    n_steps = len(result.meta_data["nbi"]["rounds"])
    found = events.Scalars("by step/likelihood calls")
    assert [point.step for point in found] == list(range(n_steps))
    assert found[-1].value == result.num_likelihood_evaluations


def test_a_folder_that_cannot_be_written_is_reported_and_the_run_goes_on(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(nbi_sampler_tensorboard.VARIABLE, str(tmp_path / "file"))
    result = fit(tmp_path)
    assert result.meta_data["nbi"]["ess"] >= 50
    (record,) = [record for record in caplog.records if "tensorboard" in record.message]
    assert "tensorboard (nbi-sampler-tensorboard" in record.message and "run_started raised" in record.message


def test_the_folder_is_beside_the_checkpoint():
    run = Run(label="a", outdir="out", names=("m",), settings={}, seed=1)
    assert folder_of(run).parts == ("out", "nbi_a", "tensorboard")


def test_a_training_of_the_engine_is_logged_where_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    engine = nbi_sampler.NBI("maf", "mlp", lambda theta: theta[0] * X, 0.1, [stats.uniform(0, 1)], seed=1)
    engine.fit(n_sims=200, n_epochs=2)
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv(nbi_sampler_tensorboard.VARIABLE, str(tmp_path))
    engine.fit(n_sims=200, n_epochs=2)
    (folder,) = tmp_path.glob("training-*")
    found = read(folder).Scalars("training loss/00 amortised")
    assert np.allclose([point.value for point in found], engine.training_info_.training, rtol=1e-6)
