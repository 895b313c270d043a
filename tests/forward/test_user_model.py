"""A user's own simulator and noise: shapes, laws, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from forward_cases import X, generator
from scipy import stats

from nbi_sampler.forward import UserModel


def shifted(parameters):
    return parameters["a"] + np.zeros((2, 5))


def poisson_noise(prediction, rng):
    return rng.poisson(prediction).astype(float)


X_OBS = np.arange(10.0).reshape(2, 5) + 50


@pytest.mark.parametrize("noise", [0.5, np.array([[0.5], [2.0]]), poisson_noise, None])
def test_user_model(noise):
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    model = UserModel(shifted, noise, X_OBS)
    assert model.shape == (2, 5)
    assert not model.has_log_likelihood
    prediction = model.simulate({"a": 60.0})
    predictions = torch.tensor(prediction, dtype=torch.float32).expand(2000, -1)
    noisy = model.noise(predictions, {"a": torch.full((2000,), 60.0)}, generator(1))
    assert noisy.dtype == torch.float32
    assert torch.equal(noisy, model.noise(predictions, {}, generator(1)))
    assert torch.equal(before[0], torch.random.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])
    scale = model.white_noise_scale({"a": torch.ones(3)})
    assert (scale is None) == (noise is None or callable(noise))
    if noise is None:
        assert torch.equal(noisy, predictions)
    else:
        # Within the ten per cent to which a noise function's scale is learnt, several times.
        np.testing.assert_allclose(model.stabilise(noisy).std(dim=0).numpy(), 1.0, atol=0.35)
    if callable(noise):
        assert (
            stats.kstest(noisy[:, 0].numpy() + np.random.default_rng(0).random(2000), _poisson_cdf).pvalue
            > 1e-3
        )
    with pytest.raises(NotImplementedError, match="likelihood"):
        model.log_likelihood(prediction[None], {})


def _poisson_cdf(values):
    whole = np.floor(values)
    return stats.poisson.cdf(whole - 1, 60) + (values - whole) * stats.poisson.pmf(whole, 60)


def test_user_model_keeps_what_users_hold():
    def simulator(parameters):
        return parameters.pop("a") * np.ones(3)

    def in_place(prediction, rng):
        prediction += rng.normal(size=prediction.shape)
        return prediction

    x_obs = np.zeros(3)
    model = UserModel(simulator, in_place, x_obs)
    parameters = {"a": 1.0}
    predictions = torch.ones(4, 3)
    model.simulate(parameters)
    model.noise(predictions, {}, generator())
    assert parameters == {"a": 1.0}
    assert torch.equal(predictions, torch.ones(4, 3))
    np.testing.assert_array_equal(x_obs, 0.0)


def test_user_model_in_one_call():
    model = UserModel(lambda p: p["a"] * X + p["b"], 0.1, X)
    columns = {"a": np.array([1.0, 2.0]), "b": np.array([0.0, 1.0])}
    np.testing.assert_array_equal(model.simulate_batch(columns), [X, 2 * X + 1])
    for refused in (UserModel(shifted, 0.1, X_OBS), UserModel(lambda p: p["a"] * X, None, X)):
        with pytest.raises(NotImplementedError):
            refused.simulate_batch(columns)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((shifted, 0.0, X_OBS), ValueError, "noise.*positive"),
        ((shifted, np.ones(7), X_OBS), ValueError, "noise.*broadcast"),
        ((shifted, 1.0, np.full((2, 5), np.nan)), ValueError, "x_obs.*10 non-finite"),
        ((np.ones(3), 1.0, X_OBS), TypeError, "simulator"),
        ((shifted, lambda prediction, rng: prediction[0], X_OBS), ValueError, "noise.*shape"),
    ],
)
def test_user_model_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        UserModel(*arguments)


def test_user_model_names_a_wrong_shape():
    with pytest.raises(ValueError, match=r"simulator.*\(2, 5\).*\(3,\)"):
        UserModel(lambda p: np.ones(3), 1.0, X_OBS).simulate({})
