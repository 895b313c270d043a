"""Agreement of estimates of one evidence: known answers, what is left out, and its own calibration."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from nbi_sampler.importance.agreement import agreement
from nbi_sampler.importance.weights import Evidence


def test_two_estimates_have_the_chi_squared_of_their_difference():
    found = agreement([Evidence(-3.0, 0.3), Evidence(-2.5, 0.4)])
    assert found.chi_squared == pytest.approx(0.5**2 / (0.3**2 + 0.4**2))
    assert found.n_degrees == 1
    assert found.p_value == pytest.approx(2 * stats.norm.sf(1.0))


@pytest.mark.parametrize("shift", [0.0, 1e6, -1e9])
def test_a_constant_in_log_z_changes_nothing(shift):
    estimates = [Evidence(shift + each, 0.5) for each in (0.0, 1.0, -0.5)]
    assert agreement(estimates).chi_squared == pytest.approx(14.0 / 3.0, rel=1e-6)


def test_estimates_that_say_nothing_are_left_out():
    good = [Evidence(1.0, 0.1), Evidence(1.1, 0.1)]
    silent = [
        Evidence(-math.inf, math.inf),
        Evidence(math.nan, 0.1),
        Evidence(5.0, 0.0),
        Evidence(5.0, math.inf),
    ]
    assert agreement([*good, *silent]) == agreement(good)
    assert agreement(good[:1]) is None and agreement(silent) is None


def test_p_values_of_honest_errors_are_uniform_and_those_of_small_ones_are_not(rng):
    errors = np.array([0.1, 0.05, 0.2, 0.02])
    for factor, low, high in ((1.0, 1e-3, 1.0), (2.0, 0.0, 1e-10)):
        p_values = [
            agreement([Evidence(*each) for each in zip(factor * errors * row, errors, strict=True)]).p_value
            for row in rng.normal(size=(500, 4))
        ]
        assert low <= stats.kstest(p_values, "uniform").pvalue <= high
