"""Weighted draws: every choice of some of them keeps their arrays together."""

from __future__ import annotations

import numpy as np
import pytest

from nbi_sampler.algorithm.proposals.local_regression import Surface
from nbi_sampler.algorithm.proposals.weighted_draws import WeightedDraws
from nbi_sampler.algorithm.target import Target
from nbi_sampler.priors.discrete import DiscreteParts

# A coin, and a continuous parameter.
COIN = DiscreteParts((np.array([0.0, 0.5]), np.zeros(0)), (np.array([0.5, 1.0]), np.zeros(0)))


def target(n=60, seed=1):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 2))
    held_out, log_target = np.arange(n) % 8 == 7, -(z[:, 1] ** 2)
    wider = tuple(WeightedDraws(z, power * log_target) for power in (0.5, 0.1))
    surface = Surface(z, log_target, 0.0)
    return Target(z, log_target, held_out, 1.0, log_target, wider, surface=surface)


def test_the_draws_in_a_state_are_those_with_its_value_in_all_arrays():
    whole = target()
    tails = whole.z[:, 0] < 0.0
    some = whole.in_state(COIN, np.array([1, 0]))
    np.testing.assert_array_equal(some.z[:, 0], whole.z[tails, 1])
    for name in ("log_weights", "held_out", "log_target"):
        np.testing.assert_array_equal(getattr(some, name), getattr(whole, name)[tails], err_msg=name)
    assert [len(wide.z) for wide in some.wider] == [tails.sum()] * 2
    assert some.weights.sum() == pytest.approx(1.0)
    # Draws for a regression are in the coordinates of all states.
    assert some.surface is None


def test_columns_are_those_of_the_wider_draws_too():
    some = target().of_columns(np.array([1]))
    assert {each.z.shape for each in (some, *some.wider)} == {(60, 1)}
    assert some.surface is None


def test_a_sample_without_repeats_has_only_draws_with_weight():
    draws = WeightedDraws(np.arange(20.0)[:, None], np.where(np.arange(20) < 5, 0.0, -np.inf))
    sample = draws.without_repeats(12, np.random.default_rng(2))
    assert sorted(sample[:, 0]) == [0.0, 1.0, 2.0, 3.0, 4.0]
