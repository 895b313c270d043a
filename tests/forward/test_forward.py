"""Forward models: every adapter agrees with bilby's likelihood, in its value and in the law of its noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from bilby.core import likelihood as bl
from forward_cases import (
    COV,
    LIKELIHOODS,
    MEAN_1,
    MEAN_2,
    N_DATA,
    REAL,
    Case,
    X,
    generator,
    line,
    model_of,
    rows,
    tensors,
)
from scipy import stats

from nbi_sampler.forward import forward_model_for


@pytest.fixture(params=LIKELIHOODS, ids=lambda name: name.replace(", ", "-").replace(" ", "_"))
def case(request) -> Case:
    return LIKELIHOODS[request.param]


def draw(case: Case, n: int, seed: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {key: rng.uniform(*limits, n) for key, limits in case.box.items()}


def repeated(
    case: Case, parameters: dict[str, float], n: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """One prediction and n data sets drawn from it."""
    model = model_of(case)
    prediction = model.simulate(parameters)
    columns = tensors({key: np.full(n, value) for key, value in parameters.items()})
    noisy = model.noise(torch.tensor(prediction).expand(n, -1), columns, generator(seed))
    return prediction, noisy.numpy()


def test_shapes_and_contract(case):
    model = model_of(case)
    assert model.observed.dtype == np.float64
    assert model.observed.shape == (model.shape[0] * model.shape[1],)
    assert model.noise_parameters == case.noise_parameters
    assert model.has_log_likelihood
    assert model.name
    np.testing.assert_array_equal(model.observed, case.data)


def test_log_likelihood_is_bilbys(case):
    likelihood = case.make(case.data)
    columns = draw(case, 40)
    predictions = np.stack([model_of(case).simulate(row) for row in rows(columns)])
    expected = [likelihood.log_likelihood(row) for row in rows(columns)]
    np.testing.assert_allclose(model_of(case).log_likelihood(predictions, columns), expected, rtol=1e-10)


def test_simulate_batch_equals_simulate(case):
    columns = draw(case, 7)
    expected = np.stack([model_of(case).simulate(row) for row in rows(columns)])
    np.testing.assert_allclose(model_of(case).simulate_batch(columns), expected, rtol=1e-13, atol=1e-13)


def log_ratio(case: Case, data: np.ndarray, here: dict[str, float], there: dict[str, float]) -> np.ndarray:
    likelihoods = [case.make(row) for row in data]
    return np.array([one.log_likelihood(there) - one.log_likelihood(here) for one in likelihoods])


@pytest.mark.parametrize("seed", [3, 4])
def test_noise_is_the_law_of_bilbys_likelihood(case, seed):
    # The mean of L(y | theta') / L(y | theta) over data drawn at theta is one, whatever theta'.
    here = rows(draw(case, 1, seed))[0]
    rng = np.random.default_rng(seed)
    there = {
        key: here[key] + case.step * float(rng.choice([-1, 1])) * (high - low)
        for key, (low, high) in case.box.items()
    }
    ratios = np.exp(log_ratio(case, repeated(case, here, 1500, seed)[1], here, there))
    assert abs(ratios.mean() - 1) < 4 * ratios.std() / np.sqrt(len(ratios))


def test_law_check_notices_a_wrong_noise():
    case = LIKELIHOODS["gaussian, unknown sigma"]
    here = {"m": 1.0, "c": 1.0, "sigma": 1.0}
    prediction, data = repeated(case, here, 1500)
    ratios = np.exp(log_ratio(case, prediction + 1.3 * (data - prediction), here, here | {"sigma": 1.1}))
    assert abs(ratios.mean() - 1) > 4 * ratios.std() / np.sqrt(len(ratios))


@pytest.mark.parametrize("name", [name for name, case in LIKELIHOODS.items() if case.law is not None])
def test_marginals_of_the_noise(name):
    case = LIKELIHOODS[name]
    parameters = rows(draw(case, 1, 8))[0]
    prediction, data = repeated(case, parameters, 2000)
    law = case.law(prediction, parameters)
    v = np.random.default_rng(0).random(data.shape)
    # The randomised probability integral transform is uniform for discrete laws too.
    low = law.cdf(data - 1) if hasattr(law, "pmf") else law.cdf(data)
    pit = low + v * law.pmf(data) if hasattr(law, "pmf") else low
    p_values = [stats.kstest(pit[:, k], "uniform").pvalue for k in range(data.shape[1])]
    assert min(p_values) > 1e-3 / data.shape[1]


def test_bimodal_noise_uses_both_modes_equally():
    prediction, data = repeated(LIKELIHOODS["bimodal"], {"x0": 0.3, "x1": 0.1, "x2": -0.2}, 4000)

    def cdf(values, k):
        scale = np.sqrt(COV[k, k])
        return sum(stats.norm.cdf(values, prediction[k] - mean[k], scale) for mean in (MEAN_1, MEAN_2)) / 2

    for k in range(3):
        assert stats.kstest(data[:, k], lambda values, k=k: cdf(values, k)).pvalue > 1e-3
    first = repeated(LIKELIHOODS["covariant"], {"x0": 0.0, "x1": 0.0, "x2": 0.0}, 4000)[1]
    np.testing.assert_allclose(np.cov(first.T), COV, atol=5 * 2 / np.sqrt(4000))


def test_stabilised_noise_has_a_scale_of_about_one(case):
    model = model_of(case)
    columns = draw(case, 400, 2)
    predictions = torch.tensor(model.simulate_batch(columns))
    noisy = model.stabilise(model.noise(predictions, tensors(columns), generator()))
    scale = (noisy - model.stabilise(predictions)).std(dim=0)
    assert torch.isfinite(noisy).all()
    assert 0.3 < scale.median() < 6
    assert model.stabilise(torch.tensor(model.observed)[None]).abs().max() == 0


def test_white_noise_scale(case):
    model = model_of(case)
    n = 3000
    columns = draw(case, n, 2)
    scale = model.white_noise_scale(tensors(columns))
    assert (scale is not None) == case.white
    if scale is None:
        return
    predictions = torch.tensor(model.simulate_batch(columns))
    noisy = model.noise(predictions, tensors(columns), generator(3))
    white = ((model.stabilise(noisy) - model.stabilise(predictions)) / scale[:, None]).numpy()
    assert scale.shape == (n,)
    assert stats.kstest(white.reshape(-1), "norm").pvalue > 1e-3
    # Sample correlations of n white draws scatter by 1 / sqrt(n).
    off_diagonal = np.corrcoef(white.T) - np.eye(white.shape[1])
    assert np.abs(off_diagonal).max() < 5 / np.sqrt(n)
    if model.is_whitened(columns):
        np.testing.assert_array_equal(scale.numpy(), 1.0)


def test_normal_residuals_of_data_of_the_model_are_normal(case):
    here = rows(draw(case, 1, 6))[0]
    prediction, data = repeated(case, here, 200, 4)
    arguments = (
        torch.tensor(prediction)[None],
        tensors({key: np.full(1, value) for key, value in here.items()}),
    )
    rng = np.random.default_rng(2)
    models = [forward_model_for(case.make(row.reshape(case.data.shape))) for row in data]
    found = [model.normal_residuals(*arguments, rng) for model in models]
    if found[0] is not None:
        assert stats.kstest(np.concatenate(found, axis=None), "norm").pvalue > 1e-3


def test_noise_takes_its_numbers_from_the_generator_only(case):
    model = model_of(case)
    columns = draw(case, 20)
    predictions = torch.tensor(model.simulate_batch(columns))
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    kept = predictions.clone()
    first, again, other = (model.noise(predictions, tensors(columns), generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(predictions, kept)
    assert torch.equal(before[0], torch.random.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])


def test_single_precision(case):
    model = model_of(case)
    columns = draw(case, 50)
    predictions = torch.tensor(model.simulate_batch(columns), dtype=torch.float32)
    noisy = model.noise(predictions, tensors(columns, torch.float32), generator())
    assert noisy.dtype == torch.float32
    assert noisy.shape == predictions.shape
    stabilised = model.stabilise(noisy)
    assert stabilised.dtype == torch.float32
    assert torch.isfinite(stabilised).all()
    # Constants of one precision must not leak into the other.
    assert model.stabilise(noisy.double()).dtype == torch.float64


def test_nan_in_a_prediction_spoils_its_row_only(case):
    model = model_of(case)
    columns = draw(case, 5)
    predictions = model.simulate_batch(columns)
    good = model.log_likelihood(predictions, columns)
    predictions[2, 1] = np.nan
    values = model.log_likelihood(predictions, columns)
    assert np.isnan(values[2])
    np.testing.assert_array_equal(np.delete(values, 2), np.delete(good, 2))
    noisy = model.noise(torch.tensor(predictions), tensors(columns), generator())
    assert torch.isnan(noisy[2, 1])
    assert torch.isfinite(noisy[[0, 1, 3, 4]]).all()


def test_infinite_predictions_never_count_as_likely(case):
    model = model_of(case)
    columns = draw(case, 2)
    for value in (-np.inf, np.inf):
        predictions = model.simulate_batch(columns)
        predictions[0, 1] = value
        log_likelihood = model.log_likelihood(predictions, columns)
        # A class without objects says nothing about its probability, in bilby either.
        if "p0" not in columns:
            assert np.isnan(log_likelihood[0]) or log_likelihood[0] == -np.inf
        assert np.isfinite(log_likelihood[1])
        model.noise(torch.tensor(predictions), tensors(columns), generator())


def test_one_call_of_the_model_for_each_draw():
    calls = []

    def counted(x, m, c):
        calls.append(m)
        return line(x, m, c)

    model = forward_model_for(bl.GaussianLikelihood(X, REAL, counted, sigma=0.3))
    columns = draw(LIKELIHOODS["gaussian"], 6)
    predictions = np.stack([model.simulate(row) for row in rows(columns)])
    model.log_likelihood(predictions, columns)
    model.stabilise(model.noise(torch.tensor(predictions), tensors(columns), generator()))
    assert len(calls) == 6
    model.simulate_batch(columns)
    assert len(calls) == 7


def test_predictions_do_not_share_the_buffer_of_the_function():
    buffer = np.zeros(N_DATA)

    def reuses(x, m, c):
        np.add(m * x, c, out=buffer)
        return buffer

    model = forward_model_for(bl.GaussianLikelihood(X, REAL, reuses, sigma=0.3))
    first = model.simulate({"m": 1.0, "c": 0.0})
    model.simulate({"m": 5.0, "c": 0.0})
    np.testing.assert_array_equal(first, X)
