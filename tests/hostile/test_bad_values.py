"""Runs in which something goes wrong lose no draw, and their result is a status with a remedy."""

from __future__ import annotations

import os
import signal

import bilby
import numpy as np
import pytest
from bad_input_cases import Counted, raise_error
from bilby.core.likelihood import GaussianLikelihood, Likelihood

from nbi_sampler.evaluation.batch import LikelihoodError
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.storage.checkpoint import read_draws

SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGALRM") if hasattr(signal, name)]


def interrupt():
    raise KeyboardInterrupt


@pytest.mark.takes_seconds
def test_draws_paid_for_before_a_late_error_are_on_disk(run, tmp_path, priors):
    likelihood = Counted(at=900, then=raise_error)
    expected = r"no such model.*draws so far are in .*checkpoint\.npz"
    with pytest.raises(LikelihoodError, match=expected) as caught:
        run(likelihood, n_sims=150)
    saved = read_draws(tmp_path / "nbi_bad" / "checkpoint.npz")
    assert 0 < caught.value.partial.finished.sum() < len(saved["z"])
    assert saved["names"].tolist() == ["a", "b"]
    # All calls but bilby's 100 or so and the probe's.
    assert 770 < len(saved["z"]) < 900
    expected = -0.5 * np.sum(saved["theta"] ** 2, axis=1) / 0.3**2
    assert np.allclose(saved["log_likelihood"], expected)
    assert np.allclose(saved["theta"], ParameterSpace(priors).to_theta(saved["z"]))
    assert np.isfinite(saved["log_ratio"]).all()
    assert [path.name for path in (tmp_path / "nbi_bad").iterdir()] == ["checkpoint.npz"]


def test_draws_paid_for_before_an_interruption_are_on_disk(run, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(Counted(at=500, then=interrupt))
    assert len(read_draws(tmp_path / "nbi_bad" / "checkpoint.npz")["z"]) > 350


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.posix
def test_a_signal_saves_the_draws_and_leaves_with_the_exit_code(run, tmp_path, number):
    def kill():
        os.kill(os.getpid(), number)
        return -1.0

    with pytest.raises(SystemExit) as caught:
        run(Counted(at=500, then=kill), exit_code=77)
    assert caught.value.code == 77
    assert len(read_draws(tmp_path / "nbi_bad" / "checkpoint.npz")["z"]) > 350


def test_predictions_made_before_an_error_are_weighted_and_kept(priors, rng):
    x = np.linspace(0, 1, 10)
    calls = []

    def model(x, a, b):
        calls.append(a)
        if len(calls) > 40:
            raise ValueError("broken")
        return float(a) + float(b) * x

    likelihood = GaussianLikelihood(x, x, model, sigma=0.1)
    from nbi_sampler.forward import forward_model_for

    space = ParameterSpace(priors)
    function = likelihood.log_likelihood
    evaluator = Evaluator(space, lambda p: function(p), forward_model_for(likelihood), rng)
    z = rng.normal(size=(100, 2))
    with pytest.raises(LikelihoodError, match="broken") as caught:
        evaluator(z)
    partial = caught.value.partial
    done = partial.finished
    assert done.sum() == partial.n_calls > 15 and np.array_equal(done, np.arange(100) < done.sum())
    calls.clear()
    expected = [function(space.row(row)) for row in partial.theta[done]]
    assert np.allclose(partial.log_likelihood[done], expected)
    assert np.array_equal(partial.z, z)


def test_plus_infinity_is_an_error_that_names_the_parameters(run):
    with pytest.raises(ValueError, match=r"\+inf for 1 of .*at a="):
        run(Counted(at=300, then=lambda: np.inf))


def test_nan_is_minus_infinity_and_counted(run):
    result = run(Counted(at=300, then=lambda: np.nan))
    assert result.meta_data["nbi"]["n_nan"] == 1
    assert result.meta_data["nbi"]["status"] == "ok"


def test_nan_everywhere_is_not_paid_for_again(run):
    class Broken(Likelihood):
        def log_likelihood(self, parameters):
            return np.nan

    own = run(Broken()).meta_data["nbi"]
    assert own["status"] == "no finite likelihood"
    assert [each["phase"] for each in own["rounds"].values()] == ["prior"]


@pytest.mark.parametrize("value", [-np.inf, np.nan])
@pytest.mark.parametrize("extension", ["json", "hdf5"])
def test_no_finite_likelihood_is_a_status_and_an_empty_result(run, tmp_path, value, extension, bilby_log):
    class Nowhere(Likelihood):
        def log_likelihood(self, parameters):
            return value

    result = run(Nowhere(), save=extension)
    own = bilby.read_in_result(outdir=str(tmp_path), label="bad", extension=extension).meta_data["nbi"]
    assert own["status"] == "no finite likelihood"
    assert "narrow the priors" in own["message"]
    assert result.log_evidence == -np.inf
    assert len(result.posterior) == len(result.nested_samples) == 0
    assert any(
        "no finite likelihood" in r.getMessage() for r in bilby_log.records if r.levelname == "WARNING"
    )


def test_a_budget_too_small_is_a_status_and_what_was_paid_for(run):
    result = run(Counted(), n_effective=5000, max_likelihood_calls=1500)
    own = result.meta_data["nbi"]
    assert own["status"] == "n_effective not reached"
    assert "raise max_likelihood_calls" in own["message"]
    assert result.num_likelihood_evaluations <= 1500
    assert len(result.posterior) > 30
    exact = np.log(2 * np.pi * 0.3**2 / 36)
    assert result.log_evidence == pytest.approx(exact, abs=4 * result.log_evidence_err)


def test_a_budget_spent_on_the_prior_alone_still_gives_its_weighted_draws(run):
    result = run(Counted(), max_likelihood_calls=200)
    assert result.meta_data["nbi"]["status"] == "unreliable weights"
    assert "raise max_likelihood_calls" in result.meta_data["nbi"]["message"]
    assert len(result.nested_samples) == 200
    assert len(result.posterior) > 0
