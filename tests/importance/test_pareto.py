"""Shape of the weights' tail: exact tails, another implementation, degenerate weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from nbi_sampler.importance.pareto import pareto_k

# Shapes that arviz 0.22 (psislw) gives for the weights (i / 1000.5)^(-power), i = 1 to 1000.
PSIS_SHAPES = {0.3: 0.2752647835626, 0.6: 0.5292295923828, 1.2: 1.0382773855163}


def one_hot(n):
    log_weights = np.full(n, -np.inf)
    log_weights[n // 2] = -3.0
    return log_weights


def gaussian_log_weights(rng, n, scale, shift=0.3):
    """Log weights of a standard normal, drawn from N(shift, scale^2)."""
    x = rng.normal(shift, scale, size=n)
    return stats.norm.logpdf(x) - stats.norm.logpdf(x, shift, scale)


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.3, 0.6, 0.9, 1.3])
def test_exact_tails_give_their_shape(rng, shape):
    n, replications = 20_000, 20
    n_tail = math.ceil(3 * math.sqrt(n))
    found = [
        pareto_k(np.log(stats.genpareto.rvs(shape, loc=1e-3, size=n, random_state=rng)))
        for _ in range(replications)
    ]
    # Asymptotic error of the shape, and the pull of the prior: ten draws at 0.5.
    error = (1 + max(shape, 0.0)) / math.sqrt(n_tail)
    pulled = (n_tail * shape + 5.0) / (n_tail + 10.0)
    assert abs(np.mean(found) - pulled) < 4 * error / math.sqrt(replications) + 0.02
    assert 0.5 * error < np.std(found) < 2 * error


def test_a_wide_proposal_is_below_half_and_a_narrow_one_above_its_limit(rng):
    # Under N(0, s^2) with s < 1 the weights have a tail of shape 1 - s^2.
    wide = gaussian_log_weights(rng, 50_000, scale=1.3, shift=0.0)
    narrow = gaussian_log_weights(rng, 50_000, scale=0.4, shift=0.0)
    assert pareto_k(wide) < 0.3
    assert pareto_k(narrow) > 0.7


@pytest.mark.parametrize("shift", [-1e4, 1e4])
def test_constants_change_nothing(rng, shift):
    log_weights = gaussian_log_weights(rng, 5000, scale=0.7)
    assert pareto_k(log_weights + shift) == pytest.approx(pareto_k(log_weights), abs=1e-6)


def test_a_finite_sample_of_values_checked_against_another_implementation():
    log_rank = np.log(np.arange(1, 1001) / 1000.5)
    for power, expected in PSIS_SHAPES.items():
        assert pareto_k(-power * log_rank) == pytest.approx(expected, abs=1e-9)


def test_degenerate_weights_have_a_verdict():
    assert pareto_k(np.zeros(1000)) == -math.inf
    assert pareto_k(one_hot(1000)) == math.inf
    assert pareto_k(np.full(1000, -np.inf)) == math.inf
    assert pareto_k(np.zeros(0)) == math.inf
    assert pareto_k(np.linspace(0, 1, 10)) == math.inf


@pytest.mark.parametrize("spacing", [0.1, 1.0, 5.0, 8.0, 20.0, 1e3, 1e20])
def test_weights_that_span_hundreds_of_orders_are_bad_and_raise_no_warning(spacing):
    assert pareto_k(-spacing * np.arange(2000.0)) > 0.7
