"""A script that sets numpy, torch or warnings otherwise: same answer, its own settings in its own code."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import ClassVar

import numpy as np
import pytest
import torch
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import Constraint, Gaussian, PriorDict, Uniform
from small_runs import run_nbi

from nbi_sampler import NBI
from nbi_sampler.amortised import NoiseLevels, TensorNoise
from nbi_sampler.amortised.engine import UnreliableWeightsWarning
from nbi_sampler.core import guarded
from nbi_sampler.priors.constraints import idle_constraints
from nbi_sampler.priors.space import ParameterSpace

T = np.linspace(0.0, 1.0, 12)


@contextmanager
def double_precision():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def errors_for_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "(?s).*bilby/parameters", FutureWarning)
        yield


SETTINGS = {
    "numpy raises": lambda: np.errstate(all="raise"),
    "double precision": double_precision,
    "another device": lambda: torch.device("meta"),
    "no gradients": torch.no_grad,
    "inference mode": torch.inference_mode,
    "warnings are errors": errors_for_warnings,
}


def settings_now():
    """Without numpy's defaults, which a run replaces by silence."""
    now = guarded._Settings.now()
    return str(now if "raise" in now.errors.values() else now._replace(errors={}))


def fitted(outdir):
    """Log evidence of a straight line, and the settings under which its model was called."""
    seen = set()

    def model(x, a, b):
        seen.add(settings_now())
        return a + b * x

    likelihood = GaussianLikelihood(T, 0.3 + 0.5 * T, model, sigma=0.1)
    priors = PriorDict({"a": Uniform(-1, 1), "b": Gaussian(0, 1)})
    settings = {"n_effective": 100, "n_sims": 200, "n_rounds": 1, "training": {"n_epochs": 3}}
    return run_nbi(likelihood, priors, outdir, **settings).log_evidence, seen


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return fitted(tmp_path_factory.mktemp("undisturbed"))[0]


@pytest.mark.takes_seconds
@pytest.mark.parametrize("name", SETTINGS)
def test_a_run_gives_the_same_whatever_the_script_has_set(name, undisturbed, tmp_path):
    with SETTINGS[name]():
        before, expected = guarded._Settings.now(), settings_now()
        log_evidence, seen = fitted(tmp_path)
        assert guarded._Settings.now() == before
    assert log_evidence == undisturbed
    assert seen == {expected}, "the model was called under settings that are not the script's"


@pytest.mark.parametrize("name", SETTINGS)
def test_an_engine_is_trained_asked_and_saved_whatever_the_script_has_set(name, tmp_path):
    drawn_under = []

    def noise(x, rng):
        drawn_under.append(guarded._Settings.now().dtype)
        return x + 0.1 * rng.normal(size=x.shape)

    def simulator(parameters):
        return parameters["a"] * T

    priors, path = PriorDict({"a": Uniform(-1, 1)}), tmp_path / "engine.npz"
    with SETTINGS[name]():
        before = guarded._Settings.now()
        engine = NBI("maf", "mlp", simulator, noise, priors, seed=1).fit(n_sims=200, n_epochs=1)
        engine.save(path)
        loaded = NBI.load(path, simulator=simulator)
        with warnings.catch_warnings():
            # It has learnt next to nothing.
            warnings.simplefilter("ignore", UnreliableWeightsWarning)
            samples, weights = loaded.predict(0.3 * T, 0.1 + 0 * T, n_samples=50)
        engine.sample(0.3 * T, n_samples=5)
        engine.score(0.3 * T[None], np.array([[0.3]]))
        assert guarded._Settings.now() == before
    assert samples.dtype == np.float64 and weights.sum() == pytest.approx(1.0)
    assert set(drawn_under) == {before.dtype}


class OwnTensors(TensorNoise):
    """Of a user, who relies on the defaults of his script."""

    drawn_under: ClassVar[list[torch.dtype]] = []

    def draw(self, x, generator):
        self.drawn_under.append(torch.get_default_dtype())
        return x + 0.1 * torch.randn(x.shape, generator=generator, device=x.device)


@pytest.mark.parametrize("noise", [0.1, NoiseLevels(0.1, 0.2)], ids=["number", "levels"])
def test_noise_of_known_laws_is_drawn_where_tensors_are_elsewhere_by_default(noise):
    priors = PriorDict({"a": Uniform(-1, 1)})
    with torch.device("meta"):
        engine = NBI("maf", "mlp", lambda p: p["a"] * T, noise, priors, seed=1).fit(n_sims=200, n_epochs=1)
        found = engine.infer(0.3 * T, 0.1 + 0 * T, n_samples=50)[0]
    assert found.weights.sum() == pytest.approx(1.0)


def test_tensors_of_a_users_noise_have_the_type_that_the_script_has_set():
    priors, noise = PriorDict({"a": Uniform(-1, 1)}), OwnTensors()
    with double_precision():
        NBI("maf", "mlp", lambda p: p["a"] * T, noise, priors, seed=1).fit(n_sims=200, n_epochs=1)
    assert set(noise.drawn_under) == {torch.float64}


def test_given_simulations_are_compared_with_a_simulator_that_relies_on_the_settings_of_the_script():
    def simulator(parameters):
        offset, slope = (torch.as_tensor(parameters[name], dtype=torch.float64) for name in "ab")
        # Refused where the type is not that of the script.
        return (offset + torch.stack([slope, offset]) @ torch.stack([torch.linspace(0, 1, 12)] * 2)).numpy()

    rng = np.random.default_rng(0)
    y = rng.uniform(-1, 1, (200, 2))
    x = y[:, :1] + y.sum(1, keepdims=True) * T
    priors = PriorDict({name: Uniform(-1, 1) for name in "ab"})
    with double_precision(), pytest.raises(ValueError, match="order b, a"):
        NBI("maf", "mlp", simulator, 0.1, priors, seed=1).fit(x=x, y=y[:, ::-1].copy(), n_epochs=1)


def test_a_conversion_function_that_divides_by_zero_ends_no_run_that_makes_errors_of_warnings():
    def ratio(parameters):
        return {**parameters, "ratio": np.float64(parameters["a"]) / np.float64(0.0 * parameters["b"])}

    priors = PriorDict({"a": Uniform(-1, 1), "b": Gaussian(0, 1)}, conversion_function=ratio)
    priors["ratio"] = Constraint(-np.inf, np.inf)
    space = ParameterSpace(priors)
    with errors_for_warnings(), np.errstate(all="raise"):
        assert idle_constraints(priors, space) == ()


def test_what_numpy_should_raise_is_raised_in_the_users_code_alone(tmp_path):
    def model(x, a, b):
        return a + np.exp(1e4 + b * x)

    likelihood = GaussianLikelihood(T, T, model, sigma=0.1)
    priors = PriorDict({"a": Uniform(-1, 1), "b": Gaussian(0, 1)})
    with np.errstate(all="raise"), pytest.raises(Exception, match="overflow"):
        run_nbi(likelihood, priors, tmp_path)


def test_own_warnings_are_hidden_and_those_of_the_users_code_are_not(monkeypatch):
    monkeypatch.setattr(guarded, "silence_own_warnings", True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with guarded.own_settings():
            warnings.warn_explicit(
                "ours", RuntimeWarning, "kernels.py", 1, "nbi_sampler.algorithm.proposals.kernels"
            )
            warnings.warn_explicit("theirs", RuntimeWarning, "script.py", 1, "script")
    assert [str(each.message) for each in caught] == ["theirs"]
