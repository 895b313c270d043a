"""Numbers from users, and noise functions of either signature, in the forward models."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from nbi_sampler.forward import UserModel
from nbi_sampler.forward.arrays import (
    as_mask,
    as_numbers,
    as_real_numbers,
    channel_shape,
    from_channels,
    to_channels,
)
from nbi_sampler.forward.noise_function import NoiseFunction

T = np.linspace(0.0, 1.0, 6)


def spectrum(parameters):
    return parameters["a"] * np.exp(1j * T)


def columns(**values):
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}


@pytest.mark.parametrize(
    "values",
    [
        [1, 2, 3],
        (1.0, 2.0, 3.0),
        pd.Series([1, 2, 3], dtype=object),
        np.array([1, 2, 3], dtype=">i2"),
        torch.tensor([1.0, 2.0, 3.0], requires_grad=True),
        [torch.tensor(1.0, requires_grad=True), torch.tensor(2.0), torch.tensor(3.0)],
        np.ma.array([1.0, 2.0, 3.0]),
    ],
    ids=lambda values: type(values).__name__,
)
def test_numbers_of_any_kind_are_read(values):
    found = as_numbers(values, "x")
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [1.0, 2.0, 3.0])


def test_masked_values_are_missing_and_not_what_lies_beneath():
    masked = np.ma.array([1, 2, 3], mask=[False, True, False])
    np.testing.assert_array_equal(as_numbers(masked, "x"), [1.0, np.nan, 3.0])
    assert np.isnan(as_numbers(1j * masked, "x")[1]) and as_numbers(1j * masked, "x")[2] == 3j


@pytest.mark.parametrize("values", ["a", ["1", "2"], [1, None], {"a": 1}, [object()], None])
def test_what_are_no_numbers_is_named(values):
    with pytest.raises(TypeError, match="x_obs: expected numbers"):
        as_numbers(values, "x_obs")
    with pytest.raises(TypeError, match="x_err: expected real numbers, got complex"):
        as_real_numbers([1j], "x_err")


@pytest.mark.parametrize(
    "mask", [True, [True, False], [1, 0], np.array([1.0, 0.0]), pd.Series([True, False])]
)
def test_a_mask_may_be_of_truth_values_or_of_the_numbers_0_and_1(mask):
    np.testing.assert_array_equal(as_mask(mask, "x_mask"), np.asarray(mask, dtype=bool))


@pytest.mark.parametrize("mask", [[0.5, 0.2], [1.0, np.nan], [0, 255], 2])
def test_uncertainties_in_the_place_of_a_mask_are_not_taken_for_true(mask):
    """All points would count as present, those too that a NaN marks."""
    with pytest.raises(ValueError, match=r"x_mask: expected True .* got \d other values, .* compare"):
        as_mask(mask, "x_mask")


@pytest.mark.parametrize("shape", [(5,), (2, 5), (2, 3, 5)])
def test_complex_data_come_back_from_their_real_channels(shape):
    rng = np.random.default_rng(0)
    data = rng.normal(size=(4, *shape)) + 1j * rng.normal(size=(4, *shape))
    channels = to_channels(data, shape)
    assert channels.shape[1:] == channel_shape(shape, True)
    np.testing.assert_array_equal(from_channels(channels.reshape(4, -1), shape, True), data)


def test_a_complex_model_is_twice_as_many_real_numbers():
    model = UserModel(spectrum, 0.2, spectrum({"a": 1.0}))
    assert model.shape == (2, 6) and model.uncertainty.shape == (12,)
    np.testing.assert_allclose(model.simulate({"a": 2.0}), 2.0 * np.r_[np.cos(T), np.sin(T)])
    batch = model.simulate_batch({"a": np.array([1.0, 2.0])})
    np.testing.assert_allclose(batch[1], model.simulate({"a": 2.0}))
    drawn = model.noise(torch.zeros(4000, 12, dtype=torch.float64), {}, torch.Generator().manual_seed(0))
    np.testing.assert_allclose(drawn.std(0).numpy(), 0.2, rtol=5.0 / np.sqrt(2 * 4000))


def test_a_real_model_of_complex_data_has_no_imaginary_part():
    model = UserModel(lambda p: p["a"] * T, 0.2, spectrum({"a": 1.0}))
    np.testing.assert_array_equal(model.simulate({"a": 2.0}), np.r_[2.0 * T, np.zeros(6)])


def test_a_noise_function_of_parameters_gets_those_of_the_simulation():
    def noise(x, y):
        return x + y["a"], y

    model = UserModel(lambda p: p["a"] * T, noise, T)
    made = model.noise(torch.zeros(3, 6), columns(a=[1.0, 2.0, 3.0]), torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(made[:, 0].numpy(), [1.0, 2.0, 3.0])


def test_noise_from_the_global_generator_is_of_the_seed_and_leaves_the_generator_alone():
    function = NoiseFunction(lambda x, y: (x + np.random.normal(size=x.shape), y))
    before = np.random.get_state()[1].copy()
    first, again, other = (function(np.zeros(5), np.random.default_rng(seed), 0.0)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.array_equal(before, np.random.get_state()[1])


@pytest.mark.parametrize(
    ("noise", "error", "message"),
    [
        (lambda x: x, TypeError, r"noise: expected noise\(x, rng\).*got a function of \(x\)"),
        (lambda x, scale: x * (1.0 + scale), TypeError, "the function raised"),
        (lambda x, rng: None, TypeError, "got None"),
        (lambda x, rng: (x,) * 4, ValueError, "a tuple of 4"),
        (lambda x, rng: x[:3], ValueError, "noise: expected an array of the shape of x_obs"),
        ("white", TypeError, "noise: expected numbers, got text"),
        (0.1 + 0.1j, TypeError, "noise: expected real numbers"),
    ],
)
def test_another_noise_function_of_the_sampler_is_named(noise, error, message):
    with pytest.raises(error, match=message):
        UserModel(lambda p: p["a"] * T, noise, T)
