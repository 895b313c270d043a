"""The local test: exact where posteriors are right, and it finds errors where they are."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from nbi_sampler.core.config import DIAGNOSIS
from nbi_sampler.reports.diagnostics import local
from nbi_sampler.reports.diagnostics.local import local_calibration
from nbi_sampler.reports.diagnostics.words import local_in_words


@pytest.fixture
def few_permutations(monkeypatch):
    quick = dataclasses.replace(DIAGNOSIS, n_permutations=199, n_components=20, fewest_near=60)
    monkeypatch.setattr(local, "DIAGNOSIS", quick)


def simulated(rng, n=500, n_dim=2, wrong=lambda mean, spread: (mean, spread)):
    """Draws of posteriors of z given z with noise of 0.5, and truths."""
    z = rng.normal(size=(n, n_dim))
    mean = 0.8 * (z + 0.5 * rng.normal(size=z.shape))
    mean, spread = wrong(mean, np.full_like(mean, np.sqrt(0.2)))
    return mean[:, None] + spread[:, None] * rng.normal(size=(n, 50, n_dim)), z


def at(rng, first, scale=1.0):
    return np.array([first, 0.0]) + scale * np.sqrt(0.2) * rng.normal(size=(200, 2))


def test_p_values_are_uniform_where_posteriors_are_right(few_permutations):
    rng = np.random.default_rng(3)
    p = [local_calibration(*simulated(rng, 150), at(rng, 0.5), rng=rng).p_value for _ in range(150)]
    assert stats.kstest(p, "uniform").pvalue > 1e-3
    assert np.mean(np.array(p) < 0.1) <= 0.1 + 4 * np.sqrt(0.09 / 150)


def narrow_on_one_side(mean, spread):
    return mean, np.where(mean[:, :1] > 0, 0.5, 1.0) * spread


def shifted_by_sides(mean, spread):
    """Biases of opposite sign, which cancel in all averages over the prior."""
    return mean + 0.8 * spread * np.sign(mean[:, :1]), spread


@pytest.mark.parametrize(
    ("first", "scale", "wrong", "found", "words"),
    [
        (1.0, 0.5, narrow_on_one_side, True, "too narrow: true values scatter"),
        (-1.0, 1.0, narrow_on_one_side, False, ""),
        (1.0, 1.0, shifted_by_sides, True, "standard deviations below the posterior mean"),
        (-1.0, 1.0, shifted_by_sides, True, "standard deviations above the posterior mean"),
    ],
    ids=["narrow here", "right here", "biased upwards", "biased downwards"],
)
def test_errors_are_found_where_they_are(few_permutations, first, scale, wrong, found, words):
    rng = np.random.default_rng(5)
    tested = local_calibration(*simulated(rng, wrong=wrong), at(rng, first, scale), rng=rng)
    assert (tested.p_value < 0.01) is found
    assert words in local_in_words(tested, ("a", "b"))
    assert tested.n_near == pytest.approx(100, rel=0.05)


def test_same_generator_same_answer(few_permutations):
    made = simulated(np.random.default_rng(1), 120)
    own = at(np.random.default_rng(2), 0.0)
    first, again = (local_calibration(*made, own, rng=np.random.default_rng(4)) for _ in range(2))
    assert first.p_value == again.p_value


def test_a_posterior_of_one_value_is_no_error(few_permutations):
    rng = np.random.default_rng(6)
    draws, z = simulated(rng, 120)
    draws[:, :, 1] = 0.0
    z[:, 1] = 0.0
    assert 0 < local_calibration(draws, z, draws[0], rng=rng).p_value <= 1


def test_shapes_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match="samples, truths, observed: expected shapes"):
        local_calibration(
            np.zeros((5, 4, 2)), np.zeros((5, 3)), np.zeros((9, 2)), rng=np.random.default_rng()
        )
