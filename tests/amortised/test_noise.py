"""The noise of an engine's simulations: drawn in batches only where rows stay independent."""

from __future__ import annotations

import numpy as np
import pytest

from nbi_sampler.amortised.noise import NoiseLaw

T = np.linspace(0.0, 1.0, 12)


def own_level(x, rng):
    sigma = rng.uniform(0.05, 0.5, size=(*x.shape[:-1], 1))
    return x + sigma * rng.normal(size=x.shape), sigma * np.ones_like(x)


def shared_level(x, rng):
    sigma = rng.uniform(0.05, 0.5)
    return x + sigma * rng.normal(size=x.shape), np.full(x.shape, sigma)


def hidden_level(x, rng):
    return x + rng.uniform(0.05, 0.5) * rng.normal(size=x.shape)


def shared_offset(x, rng):
    return x + 0.3 * rng.normal() + rng.normal(size=x.shape)


def level_by_brightest(x, rng):
    return x + 0.1 * np.abs(x).max() * rng.normal(size=x.shape)


def in_place(x, rng):
    x += rng.normal(size=x.shape)
    return x


def one_row_only(x, rng):
    (length,) = x.shape
    return x + rng.normal(size=length)


def with_gaps(x, rng):
    return x + rng.normal(size=x.shape), np.ones_like(x), rng.random(x.shape) < 0.6


@pytest.mark.parametrize(
    ("noise", "batched"),
    [
        (0.3, True),
        (np.full(12, 0.3), True),
        (None, True),
        (own_level, True),
        (in_place, True),
        (with_gaps, True),
        (shared_level, False),
        (hidden_level, False),
        (shared_offset, False),
        (level_by_brightest, False),
        (one_row_only, False),
    ],
)
def test_noise_is_drawn_in_batches_only_where_rows_stay_independent(noise, batched):
    predictions = np.linspace(0.5, 5.0, 40)[:, None] * np.sin(6.0 * T)
    before = predictions.copy()
    law = NoiseLaw(noise, predictions)
    assert law.batched == batched
    made = law(predictions, np.random.default_rng(1))
    np.testing.assert_array_equal(predictions, before)
    assert made.x.shape == predictions.shape
    again = law(predictions, np.random.default_rng(1))
    np.testing.assert_array_equal(made.x, again.x)
    if made.x_err is not None and noise is not with_gaps:
        assert len(np.unique(made.x_err[:, 0])) == 40


def test_noise_that_is_none_is_refused():
    predictions = np.zeros((10, 12))
    for wrong in (-1.0, np.nan, np.ones(5)):
        with pytest.raises(ValueError, match="noise: expected"):
            NoiseLaw(wrong, predictions)
    with pytest.raises(ValueError, match="tuple of 4"):
        NoiseLaw(lambda x, rng: (x, x, x, x), predictions)
