"""Edges of the noise laws: support, precision, shapes."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from bilby.core import likelihood as bl
from forward_cases import COUNTS, LIKELIHOODS, N_DATA, REAL, X, generator, line, model_of, rows, tensors

from nbi_sampler.forward import forward_model_for


def test_edges_of_poisson():
    counts = COUNTS.astype(int)
    likelihood = bl.PoissonLikelihood(X, counts, lambda x, m: np.maximum(m * (x - 0.5), 0.0))
    model = forward_model_for(likelihood)
    prediction = model.simulate({"m": 1.0})
    value = model.log_likelihood(prediction[None], {"m": np.ones(1)})
    assert value[0] == likelihood.log_likelihood({"m": 1.0}) == -np.inf
    assert torch.isfinite(model.noise(torch.tensor(prediction)[None], {}, generator())).all()
    # torch's integers overflow at such rates, and would call them dark.
    huge = torch.full((1, N_DATA), 1e30)
    torch.testing.assert_close(model.noise(huge, {}, generator()), huge)
    for function, message in ((lambda x, m: m * (x - 0.5), "negative"), (lambda x, m: m, "ndarray")):
        broken = forward_model_for(bl.PoissonLikelihood(X, counts, function))
        with pytest.raises(ValueError, match=message):
            broken.simulate({"m": 1.0})


def test_edges_of_exponential():
    y = np.abs(REAL)
    y[3] = 0.0
    likelihood = bl.ExponentialLikelihood(X, y, line)
    model = forward_model_for(likelihood)
    parameters = {"m": -5.0, "c": 1.0}
    columns = {key: np.array([value]) for key, value in parameters.items()}
    value = model.log_likelihood(model.simulate(parameters)[None], columns)
    with np.errstate(all="ignore"):
        assert value[0] == likelihood.log_likelihood(parameters) == -np.inf
    assert torch.isfinite(model.stabilise(torch.tensor(y)[None])).all()


def test_edges_of_multinomial():
    likelihood = bl.Multinomial([5, 0, 9], 3)
    model = forward_model_for(likelihood)
    columns = {"parameter_0": np.array([0.7, 0.4, 0.5]), "parameter_1": np.array([0.6, 0.0, 0.5])}
    with np.errstate(all="ignore"):
        expected = [likelihood.log_likelihood(row) for row in rows(columns)]
    assert np.isnan(expected[0])
    assert expected[2] == -np.inf
    np.testing.assert_allclose(
        model.log_likelihood(model.simulate_batch(columns), columns), expected, rtol=1e-10
    )
    noisy = model.noise(torch.tensor(model.simulate_batch(columns)), tensors(columns), generator())
    assert torch.isnan(noisy[0]).all()
    np.testing.assert_array_equal(noisy[1:].sum(dim=1).numpy(), 14)
    assert noisy[1, 1] == 0


def test_student_t_refuses_what_bilby_refuses():
    model = forward_model_for(bl.StudentTLikelihood(X, REAL, line))
    with pytest.raises(ValueError, match=r"nu.*positive"):
        model.log_likelihood(np.ones((1, N_DATA)), {"nu": np.array([-1.0])})


def test_wrong_length_of_a_prediction_is_named():
    model = forward_model_for(bl.GaussianLikelihood(X, REAL, lambda x, m: m * x[:5], sigma=0.3))
    with pytest.raises(ValueError, match=r"func.*\(12,\).*\(5,\)"):
        model.simulate({"m": 1.0})


def test_large_offset_survives_in_double_precision():
    model = forward_model_for(bl.GaussianLikelihood(X, REAL + 1e9, line, sigma=1e-3))
    data = torch.tensor(REAL + 1e9 + 1e-3)[None]
    np.testing.assert_allclose(model.stabilise(data).float().numpy(), 1.0, atol=1e-3)


def test_reference_scale_follows_the_noise_and_not_the_signal():
    x = np.linspace(0, 1, 500)
    y = 100 * np.sin(6 * x) + np.random.default_rng(0).normal(size=500)
    model = forward_model_for(bl.GaussianLikelihood(x, y, lambda x, a: a * np.sin(6 * x)))
    scale = model.white_noise_scale({"sigma": torch.ones(1)})
    assert 0.7 < scale.item() < 1.4
    flat = forward_model_for(bl.GaussianLikelihood(x, np.full(500, 7.0), lambda x, a: a * x))
    assert torch.isfinite(flat.white_noise_scale({"sigma": torch.ones(1)})).all()


def test_models_can_be_sent_to_workers():
    model = model_of(LIKELIHOODS["gaussian"])
    model.stabilise(torch.zeros(1, N_DATA))
    copy = pickle.loads(pickle.dumps(model))
    parameters = {"m": 1.0, "c": 0.5}
    np.testing.assert_array_equal(copy.simulate(parameters), model.simulate(parameters))
    assert copy._tensors == {}


def test_counts_of_a_trillion_keep_the_digits_of_their_log_likelihood():
    """The terms are 1e13, where float64 has a spacing of 0.002; bilby's sum of them is off by 0.01."""
    counts = np.array([10**12, 3 * 10**12, 0, 7])
    model = forward_model_for(bl.PoissonLikelihood(np.arange(4), counts, lambda x, m: m * (x + 1.0)))
    off = np.array([2e-6, -1e-6])
    rates = np.array([*(counts[:2] * (1.0 + off)), 1.5, 7.0])
    # Of y = r (1 + d) the difference is y (log(1 + d) - d); next to that stands Stirling's constant.
    exact = float(np.sum(counts[:2] * (-(off**2) / 2 + off**3 / 3) - 0.5 * np.log(2 * np.pi * counts[:2])))
    exact += -1.5 + 7 * np.log(7.0) - 7.0 - np.log(5040.0)
    assert model.log_likelihood(rates[None], {})[0] == pytest.approx(exact, abs=1e-6)
