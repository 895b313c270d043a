"""Complex data, such as visibilities and spectra: both parts count, in the engine and in the sampler."""

from __future__ import annotations

import bilby
import bilby.core.prior as bp
import numpy as np
import pytest
import torch
from engine_cases import LONGER, QUICK, SMALL
from scipy import stats
from small_runs import Exact, assert_agrees, run_nbi

import nbi_sampler
from nbi_sampler import NBI
from nbi_sampler.amortised import DataFormat, NoiseLevels, Observation
from nbi_sampler.storage.simulation_store import SimulationStore, StoreMismatch

T = np.linspace(0.1, 1.0, 12)
SIGMA = 0.5


def visibility(parameters):
    """The real part knows a alone, the imaginary part b."""
    return parameters["a"] * T + 1j * parameters["b"] * T


def circular(x, rng):
    sigma = rng.uniform(0.3, 0.8, size=(*x.shape[:-1], 1))
    noise = rng.normal(size=x.shape) + 1j * rng.normal(size=x.shape)
    return x + sigma * noise, sigma * np.ones(x.shape)


def with_gaps(x, rng):
    noisy, x_err = circular(x, rng)
    present = rng.random(x.shape) < 0.7
    return np.where(present, noisy, 0.0), x_err, present


def normal_priors():
    return bp.PriorDict({"a": bp.Gaussian(0.0, 1.0), "b": bp.Gaussian(0.0, 1.0)})


def an_engine(noise, **changes):
    given = {"simulator": visibility, "priors": normal_priors(), "seed": 2, "device": "cpu", **changes}
    return NBI({"flow_hidden": 32, "num_blocks": 1, "n_mog": 2}, SMALL, noise=noise, **given)


def observed(seed=5):
    rng = np.random.default_rng(seed)
    return visibility({"a": 0.9, "b": -0.7}) + SIGMA * (rng.normal(size=12) + 1j * rng.normal(size=12))


def exact(x, present=slice(None)):
    """Real and imaginary part are two straight lines through zero, each with a N(0, 1) slope."""
    t, parts = T[present], {"a": x.real[present], "b": x.imag[present]}
    sigma = 1.0 / np.sqrt(1.0 + t @ t / SIGMA**2)
    covariance = SIGMA**2 * np.eye(len(t)) + np.outer(t, t)
    return Exact(
        sum(stats.multivariate_normal(np.zeros(len(t)), covariance).logpdf(y) for y in parts.values()),
        {name: sigma**2 * (t @ y) / SIGMA**2 for name, y in parts.items()},
        dict.fromkeys(parts, sigma),
    )


def assert_found(found, answer):
    assert found.status == "ok" and found.efficiency > 0.2
    tolerance = 4.5 / np.sqrt(found.ess)
    for name, mean, deviation in zip(found.names, found.mean, found.standard_deviation, strict=True):
        assert abs(mean - answer.means[name]) < tolerance * answer.sigmas[name]
        assert abs(deviation / answer.sigmas[name] - 1.0) < tolerance
    assert abs(found.log_evidence - answer.log_evidence) < 4.5 * found.log_evidence_err


@pytest.fixture(scope="module")
def by_errors():
    return an_engine(circular).fit(1000, n_epochs=15, training=QUICK)


@pytest.mark.takes_seconds
@pytest.mark.parametrize("noise", [SIGMA, NoiseLevels(0.3, 0.8)])
def test_both_parts_of_complex_data_count_whatever_the_noise(noise):
    engine = an_engine(noise).fit(1000, n_epochs=15, training=QUICK)
    x_err = SIGMA if isinstance(noise, NoiseLevels) else None
    assert_found(engine.infer(observed(), x_err, n_samples=3000)[0], exact(observed()))


@pytest.mark.takes_seconds
def test_complex_data_with_uncertainties_from_a_function_and_from_a_file(by_errors, tmp_path):
    x = np.stack([observed(), observed(6)])
    for found, each in zip(by_errors.infer(x, SIGMA, n_samples=3000), x, strict=True):
        assert_found(found, exact(each))
    by_errors.save(tmp_path / "engine.nbi")
    again = NBI.load(tmp_path / "engine.nbi", simulator=visibility, noise=circular, device="cpu")
    np.testing.assert_array_equal(
        again.predict(x, SIGMA, n_samples=200)[1], by_errors.predict(x, SIGMA, n_samples=200)[1]
    )
    assert again.estimator_.data_format.is_complex
    again.fit(200, n_epochs=1, training=QUICK)
    assert by_errors.score(x, np.array([[0.9, -0.7]] * 2), SIGMA) > by_errors.score(
        x, np.array([[-0.9, 0.7]] * 2), SIGMA
    )


def test_the_users_log_likelihood_gets_complex_simulations(by_errors):
    x = observed()

    def log_likelihood(made, y, observation):
        assert np.iscomplexobj(made) and made.shape == (len(y), 12) and observation.x_err.shape == (12,)
        residuals = np.abs(made - observation.x) ** 2 / observation.x_err**2
        return -0.5 * residuals.sum(1) - 2 * np.log(np.sqrt(2 * np.pi) * observation.x_err).sum()

    (by_function,) = by_errors.infer(x, SIGMA, log_likelihood=log_likelihood)
    (by_default,) = by_errors.infer(x, SIGMA)
    np.testing.assert_allclose(by_function.log_likelihood, by_default.log_likelihood)


@pytest.mark.takes_seconds
def test_complex_data_with_missing_points():
    engine = an_engine(with_gaps).fit(1000, n_epochs=12, training=LONGER)
    present = np.arange(12) % 3 != 0
    x = np.where(present, observed(), np.nan)
    assert_found(engine.infer(x, SIGMA, present, n_samples=3000)[0], exact(observed(), present))
    np.testing.assert_array_equal(
        engine.infer(x, SIGMA, n_samples=500)[0].weights,
        engine.infer(x, SIGMA, present, n_samples=500)[0].weights,
    )


def test_a_store_keeps_both_parts_and_one_that_has_lost_the_imaginary_part_is_refused(tmp_path):
    path = tmp_path / "complex.h5"
    in_memory = an_engine(SIGMA).fit(300, n_epochs=1, training=QUICK)
    on_disk = an_engine(SIGMA).fit(300, n_epochs=1, training=QUICK, store=path, in_memory=False)
    with SimulationStore.open(path) as store:
        np.testing.assert_array_equal(store.read().predictions, in_memory.training_set_.x)
        fingerprint = store.fingerprint
    assert on_disk.estimator_.data_format.is_complex
    with SimulationStore.create(tmp_path / "real.h5", ("a", "b"), (12,), fingerprint=fingerprint) as store:
        with pytest.raises(ValueError, match="predictions: expected real numbers"):
            store.append(np.zeros((1, 2)), np.ones((1, 12)) * 1j)
        store.append(np.zeros((300, 2)), np.zeros((300, 12)))
    with pytest.raises(StoreMismatch, match="float64 in the store, complex128 required"):
        an_engine(SIGMA).fit(300, n_epochs=1, store=tmp_path / "real.h5")


def test_given_simulations_and_several_complex_channels():
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(400, 2))
    x = np.stack([theta[:, :1] * T, 1j * theta[:, 1:] * T], 1)
    engine = an_engine(SIGMA, simulator=lambda p: np.stack([p["a"] * T, 1j * p["b"] * T]))
    engine.fit(x=x, y=theta, n_epochs=8, training=QUICK)
    both = np.stack([observed().real, 1j * observed().imag])
    (found,) = engine.infer(both, n_samples=2000)
    answer = exact(observed())
    assert abs(found.mean[0] - answer.means["a"]) < 4.5 * answer.sigmas["a"] / np.sqrt(found.ess)
    assert abs(found.mean[1] - answer.means["b"]) < 4.5 * answer.sigmas["b"] / np.sqrt(found.ess)
    assert engine.estimator_.data_format.shape == (4, 12)


@pytest.mark.slow
def test_rounds_for_one_complex_target_come_back_from_their_file(tmp_path):
    x = observed()
    engine = an_engine(SIGMA).fit(300, 2, 10, x_obs=x, training=QUICK)
    assert_found(engine.infer(x, n_samples=2000)[0], exact(x))
    engine.save(tmp_path / "rounds.nbi")
    again = NBI.load(tmp_path / "rounds.nbi", simulator=visibility, device="cpu")
    np.testing.assert_array_equal(again.predict(x, n_samples=50)[1], engine.predict(x, n_samples=50)[1])


def test_what_cannot_be_is_refused_and_never_dropped(by_errors):
    real = an_engine(SIGMA, simulator=lambda p: p["a"] * T).fit(200, n_epochs=1, training=QUICK)
    with pytest.raises(ValueError, match="x_obs: expected real data, as those of the training were"):
        real.predict(observed())
    with pytest.raises(TypeError, match="x_err: expected real numbers, got complex"):
        by_errors.predict(observed(), SIGMA * (1 + 1j) * np.ones(12))
    with pytest.raises(TypeError, match="noise: expected real numbers"):
        an_engine(0.3 + 0.3j)
    with pytest.raises(ValueError, match="channels: expected values alone"):
        an_engine(SIGMA, simulator=lambda p: np.stack([visibility(p), T]), channels=("value", "time")).fit(
            200, n_epochs=1
        )
    with pytest.raises(TypeError, match="simulator: expected real numbers, because x_obs is real"):
        nbi_sampler.forward.UserModel(visibility, SIGMA, np.zeros(12)).simulate({"a": 1.0, "b": 1.0})


def test_tensors_and_arrays_of_complex_data_are_seen_alike():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(50, 2, 6)) + 1j * rng.normal(size=(50, 2, 6))
    errors, present = rng.uniform(0.5, 1.0, (50, 2, 6)), rng.random((50, 6)) < 0.8
    data_format = DataFormat.learnt(x, errors, present)
    by_arrays = data_format.encode(data_format.observation(x, errors, present))
    tensors = Observation(*(torch.as_tensor(part) for part in (x, errors, present)))
    by_tensors = data_format.encode(data_format.observation_of_tensors(*tensors))
    assert by_arrays.shape == (50, 9, 6)
    assert torch.equal(by_tensors, by_arrays)
    np.testing.assert_array_equal(data_format.as_data(data_format.as_channels(x)), x)


class Circular(bilby.Likelihood):
    def __init__(self, data):
        super().__init__()
        self.data = data

    def log_likelihood(self, parameters=None):
        residuals = np.abs(self.data - visibility(parameters)) ** 2
        return -0.5 * residuals.sum() / SIGMA**2 - 2 * len(T) * np.log(SIGMA * np.sqrt(2 * np.pi))


def shaken(x, rng):
    return x + SIGMA * (rng.normal(size=x.shape) + 1j * rng.normal(size=x.shape))


@pytest.mark.slow
@pytest.mark.parametrize("noise", [SIGMA, shaken])
def test_the_sampler_takes_a_complex_simulator(noise, tmp_path):
    result = run_nbi(Circular(observed()), normal_priors(), tmp_path, simulator=visibility, noise=noise)
    assert_agrees(result, exact(observed()))
    assert result.num_likelihood_evaluations < 6000


def test_a_survey_of_complex_targets_tells_imaginary_parts_apart(by_errors, tmp_path):
    data = [observed(), observed(6), observed().conj()]
    survey = nbi_sampler.infer_many(
        by_errors,
        [Circular(each) for each in data],
        normal_priors(),
        tmp_path / "survey.h5",
        observed=lambda likelihood: (likelihood.data, SIGMA),
        n_effective=300,
        print_method="none",
        seed=1,
    )
    assert list(survey.table.status) == ["ok"] * 3, list(survey.table.message)
    for i, each in enumerate(data):
        answer = exact(each)
        row = survey.table.iloc[i]
        assert abs(row.log_evidence - answer.log_evidence) < 5 * row.log_evidence_err
