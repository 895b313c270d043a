"""Kernels on weighted draws: they follow a ridge, and stand where weights stand out."""

from __future__ import annotations

import numpy as np
import pytest
from proposal_cases import NO_CUT, student
from scipy import stats

from nbi_sampler.algorithm.proposals.affine import AffineMap
from nbi_sampler.algorithm.proposals.kernels import LatentKernels, UnitCubeKernels
from nbi_sampler.algorithm.proposals.student_mixture import StudentMixture
from nbi_sampler.algorithm.proposals.weighted_draws import WeightedDraws
from nbi_sampler.core.config import HIGH_WEIGHT_KERNELS, LOCAL_KERNELS
from nbi_sampler.importance.pareto import pareto_k
from nbi_sampler.importance.weights import efficiency, log_evidence


def kernels_on(z, log_weights, rng, settings=LOCAL_KERNELS):
    draws, cut = WeightedDraws(z, log_weights), np.zeros(z.shape[1])
    return draws.kernels(LatentKernels, cut, rng, settings)


def ridge(rng, n):
    """Draws along a parabola."""
    x = rng.normal(size=n)
    return np.stack([x, 0.5 * x**2 - 0.5 + 0.1 * rng.normal(size=n)], axis=1)


def log_weights_of(proposal, rng):
    z = proposal.sample(20_000, rng)
    log_p = stats.norm.logpdf(z[:, 0]) + stats.norm.logpdf(z[:, 1], 0.5 * z[:, 0] ** 2 - 0.5, 0.1)
    return log_p - stats.norm.logpdf(z).sum(1) - proposal.log_ratio(z)


def test_kernels_follow_a_ridge_that_one_student_does_not():
    ours, theirs = [], []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        z = ridge(rng, 3000)
        one = AffineMap.standardising(z, np.full(3000, 1 / 3000))
        kernels = kernels_on(z, np.zeros(3000), rng)[0]
        ours.append(log_weights_of(kernels, rng))
        theirs.append(log_weights_of(student(NO_CUT, one.mean, one.factor), rng))
    assert np.median([efficiency(w) for w in ours]) > 2 * np.median([efficiency(w) for w in theirs])
    assert np.median([pareto_k(w) for w in ours]) < 0.6 < np.median([pareto_k(w) for w in theirs])
    for value, error in map(log_evidence, ours):
        assert abs(value) < 4 * error


def test_kernels_follow_the_weights_without_repeats(rng):
    z = rng.normal(size=(5000, 2))
    log_weights = np.where(z[:, 0] > 0, 0.0, -np.inf)
    centres = kernels_on(z, log_weights, rng)[0].mixture.centres
    assert len(np.unique(centres, axis=0)) == len(centres) == 200
    assert (centres[:, 0] > 0).all()


@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_finite_weights_still_give_kernels(n, rng):
    z = rng.normal(size=(100, 3))
    log_weights = np.where(np.arange(100) < n, 0.0, -np.inf)
    kernels = kernels_on(z, log_weights, rng)[0].mixture
    drawn = kernels.sample(20, rng)
    assert len(kernels.centres) == n
    assert np.isfinite(drawn).all() and np.isfinite(kernels.log_prob(drawn)).all()


def test_high_weight_kernels_are_where_weights_stand_out_and_have_their_shares(rng):
    y = rng.normal(size=(1000, 2))
    weights = np.ones(1000)
    weights[[3, 7]] = 50.0, 100.0
    kernels, mass = kernels_on(y, np.log(weights), rng, HIGH_WEIGHT_KERNELS)
    np.testing.assert_array_equal(kernels.mixture.centres, y[[7, 3]])
    np.testing.assert_allclose(kernels.mixture.shares, [2 / 3, 1 / 3])
    assert mass == pytest.approx(150 / weights.sum())


def test_equal_weights_have_no_high_weight_kernels(rng):
    y = rng.normal(size=(100, 2))
    assert kernels_on(y, np.zeros(100), rng, HIGH_WEIGHT_KERNELS) == (None, 0.0)


def test_kernels_are_no_wider_than_what_a_few_effective_draws_describe(rng):
    y = rng.normal(size=(4000, 2))
    # A narrow target: of 4,000 draws some 40 count.
    kernels, _ = kernels_on(y, -0.5 * (y**2).sum(1) / 0.1**2, rng)
    assert np.median(np.linalg.norm(kernels.mixture.factors, axis=(1, 2))) < 0.4


def test_the_share_of_a_kernel_in_a_corner_of_the_cube_is_exact(rng):
    """All draws of a proposal share its error, which no error of log Z contains."""
    n_dim = 8
    kernel = StudentMixture(np.ones(1), np.zeros((1, n_dim)), 0.15 * np.eye(n_dim)[None], 1e6)
    found = UnitCubeKernels.of(kernel, np.zeros(n_dim), rng)
    assert found.log_inside == pytest.approx(-n_dim * np.log(2.0), abs=1e-3)


def test_the_share_of_correlated_kernels_in_the_cube_is_that_of_their_draws(rng):
    n_kernels, n_dim, n = 6, 5, 400_000
    factors = np.tril(0.15 * rng.normal(size=(n_kernels, n_dim, n_dim)), -1)
    factors += np.eye(n_dim) * rng.uniform(0.1, 0.4, size=(n_kernels, 1, n_dim))
    centres = rng.uniform(-0.2, 1.2, size=(n_kernels, n_dim))
    mixture = StudentMixture(np.arange(1.0, 7.0) / 21.0, centres, factors, 4.0)
    u = mixture.sample(n, rng)
    counted = ((u > 0.0) & (u < 1.0)).all(1).mean()
    found = np.exp(UnitCubeKernels.of(mixture, np.zeros(n_dim), rng).log_inside)
    assert abs(found - counted) < 4.5 * np.hypot(np.sqrt(counted * (1 - counted) / n), 1e-3 * counted)
