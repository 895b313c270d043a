"""Discrete parts of priors: every value with probability of its own is found, and taken out again."""

from __future__ import annotations

import bilby.core.prior as bp
import numpy as np
import pytest
from prior_cases import CONTINUOUS, DISCRETE
from scipy import stats

from nbi_sampler.priors.space import ParameterSpace


class Rounded(bp.Uniform):
    """A prior of the user's own that gives whole numbers."""

    def rescale(self, val):
        return np.floor(super().rescale(val))


def parts_of(**priors):
    return ParameterSpace(bp.PriorDict(priors)).discrete


@pytest.mark.parametrize("make", CONTINUOUS.values(), ids=CONTINUOUS)
def test_a_continuous_prior_has_no_state_of_its_own(make):
    assert not parts_of(x=make())


@pytest.mark.parametrize("make", DISCRETE.values(), ids=DISCRETE)
def test_each_value_with_a_probability_is_one_state(make):
    space = ParameterSpace(bp.PriorDict({"x": make()}))
    z = np.random.default_rng(0).normal(size=(2000, 1))
    theta, states = space.to_theta(z)[:, 0], space.discrete.states(z)[:, 0]
    in_parts = [np.unique(theta[states == k]) for k in np.unique(states[states > 0])]
    assert all(len(values) == 1 for values in in_parts)
    repeated = {value for value, n in zip(*np.unique(theta, return_counts=True), strict=True) if n > 1}
    assert repeated == {float(values[0]) for values in in_parts}


def test_a_class_of_the_users_own_is_recognised_by_its_values():
    parts = parts_of(x=Rounded(0.0, 4.0))
    np.testing.assert_allclose(parts.probabilities(0), [0.0, 0.25, 0.25, 0.25, 0.25], atol=1e-9)


def test_a_spike_narrower_than_the_grid_is_found():
    parts = parts_of(x=bp.SlabSpikePrior(bp.Uniform(-1.0, 1.0), spike_location=0.0, spike_height=1e-5))
    np.testing.assert_allclose(parts.probabilities(0), [1.0 - 1e-5, 1e-5], rtol=1e-6)


def test_so_many_values_that_they_are_a_grid_are_no_states():
    assert not parts_of(x=bp.Categorical(500))


@pytest.mark.parametrize("location", [-10.0, 0.0, 3.0])
def test_what_is_continuous_follows_the_prior_in_its_own_coordinates_and_back(location):
    space = ParameterSpace(
        bp.PriorDict(
            {
                "a": bp.SlabSpikePrior(bp.Uniform(-10, 10), spike_location=location, spike_height=0.4),
                "b": bp.Uniform(0, 1),
                "k": bp.Categorical(3),
            }
        )
    )
    parts, rng = space.discrete, np.random.default_rng(1)
    z = rng.normal(size=(6000, 3))
    states = parts.states(z)
    for state in np.unique(states, axis=0):
        rows = (states == state).all(axis=1)
        expected = np.exp(parts.log_prior(state[None])[0])
        assert abs(rows.mean() - expected) < 4.5 * np.sqrt(expected / len(z))
        y = parts.reduced(z[rows], state)
        assert all(stats.kstest(column, "norm").pvalue > 1e-4 for column in y.T)
        again = parts.expanded(y, state, rng)
        assert (parts.states(again) == state).all()
        np.testing.assert_allclose(parts.reduced(again, state), y, atol=1e-9)
        kept = parts.continuous(state)
        np.testing.assert_allclose(again[:, kept], z[np.ix_(rows, kept)], atol=1e-9)
