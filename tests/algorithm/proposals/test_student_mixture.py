"""Student-t mixtures: density, kernels that follow a ridge, expectation maximisation."""

from __future__ import annotations

import numpy as np
import pytest
from proposal_cases import NO_CUT, student, two_students
from scipy import stats

from nbi_sampler.algorithm.proposals.kernels import LatentKernels
from nbi_sampler.algorithm.proposals.proposal import AffineMap
from nbi_sampler.algorithm.proposals.student_mixture import fitted_by_em, weighted_kernels
from nbi_sampler.core.config import HIGH_WEIGHT_KERNELS
from nbi_sampler.importance.pareto import pareto_k
from nbi_sampler.importance.weights import efficiency, log_evidence


class TestStudentMixture:
    @staticmethod
    def ridge(rng, n):
        """Draws along a parabola."""
        x = rng.normal(size=n)
        return np.stack([x, 0.5 * x**2 - 0.5 + 0.1 * rng.normal(size=n)], axis=1)

    @staticmethod
    def log_weights(proposal, rng):
        z = proposal.sample(20_000, rng)
        log_p = stats.norm.logpdf(z[:, 0]) + stats.norm.logpdf(z[:, 1], 0.5 * z[:, 0] ** 2 - 0.5, 0.1)
        return log_p - stats.norm.logpdf(z).sum(1) - proposal.log_ratio(z)

    def test_its_density_is_that_of_scipy(self, rng):
        mixture, z = two_students(NO_CUT).mixture, rng.normal(size=(100, 2)) * 3
        density = 0.0
        for share, centre, factor in zip(mixture.shares, mixture.centres, mixture.factors, strict=True):
            density = density + share * stats.multivariate_t(centre, factor @ factor.T, df=5.0).pdf(z)
        np.testing.assert_allclose(mixture.log_prob(z), np.log(density), rtol=1e-9)

    def test_kernels_follow_a_ridge_that_one_student_does_not(self):
        ours, theirs = [], []
        for seed in range(5):
            rng = np.random.default_rng(seed)
            z = self.ridge(rng, 3000)
            one = AffineMap.standardising(z, np.full(3000, 1 / 3000))
            kernels = LatentKernels(weighted_kernels(z, np.zeros(3000), rng)[0], NO_CUT)
            ours.append(self.log_weights(kernels, rng))
            theirs.append(self.log_weights(student(NO_CUT, one.mean, one.factor), rng))
        assert np.median([efficiency(w) for w in ours]) > 2 * np.median([efficiency(w) for w in theirs])
        assert np.median([pareto_k(w) for w in ours]) < 0.6 < np.median([pareto_k(w) for w in theirs])
        for value, error in map(log_evidence, ours):
            assert abs(value) < 4 * error

    def test_kernels_follow_the_weights_without_repeats(self, rng):
        z = rng.normal(size=(5000, 2))
        log_weights = np.where(z[:, 0] > 0, 0.0, -np.inf)
        centres = weighted_kernels(z, log_weights, rng)[0].centres
        assert len(np.unique(centres, axis=0)) == len(centres) == 200
        assert (centres[:, 0] > 0).all()

    @pytest.mark.parametrize("n", [1, 2, 5])
    def test_few_finite_weights_still_give_kernels(self, n, rng):
        z = rng.normal(size=(100, 3))
        log_weights = np.where(np.arange(100) < n, 0.0, -np.inf)
        kernels = weighted_kernels(z, log_weights, rng)[0]
        drawn = kernels.sample(20, rng)
        assert len(kernels.centres) == n
        assert np.isfinite(drawn).all() and np.isfinite(kernels.log_prob(drawn)).all()

    def test_expectation_maximisation_finds_two_modes_and_their_weights(self, rng):
        upper = rng.random(6000) < 0.7
        z = 0.2 * rng.normal(size=(6000, 2)) + np.where(upper, 1.0, -1.0)[:, None]
        # The draws say 7 to 3; the weights say the reverse.
        weights = np.where(upper, 3 / 7, 7 / 3)
        fitted = fitted_by_em(z, weights / weights.sum(), 2, rng)
        order = np.argsort(fitted.centres[:, 0])
        np.testing.assert_allclose(fitted.centres[order], [[-1.0, -1.0], [1.0, 1.0]], atol=0.05)
        np.testing.assert_allclose(fitted.shares[order], [0.7, 0.3], atol=0.05)
        covariance = np.cov(fitted.sample(40_000, rng)[:, 0] % 2.0)
        assert covariance == pytest.approx(0.04, rel=0.1)

    @pytest.mark.parametrize("n_distinct", [1, 2])
    def test_expectation_maximisation_survives_a_handful_of_draws(self, n_distinct, rng):
        z = rng.normal(size=(50, 2))
        weights = np.where(np.arange(50) < n_distinct, 1 / n_distinct, 0.0)
        fitted = fitted_by_em(z, weights, 10, rng)
        drawn = fitted.sample(20, rng)
        assert np.isfinite(drawn).all() and np.isfinite(fitted.log_prob(drawn)).all()

    def test_high_weight_kernels_are_where_weights_stand_out_and_have_their_shares(self, rng):
        y = rng.normal(size=(1000, 2))
        weights = np.ones(1000)
        weights[[3, 7]] = 50.0, 100.0
        mixture, mass = weighted_kernels(y, np.log(weights), rng, HIGH_WEIGHT_KERNELS)
        np.testing.assert_array_equal(mixture.centres, y[[7, 3]])
        np.testing.assert_allclose(mixture.shares, [2 / 3, 1 / 3])
        assert mass == pytest.approx(150 / weights.sum())

    def test_equal_weights_have_no_high_weight_kernels(self, rng):
        y = rng.normal(size=(100, 2))
        assert weighted_kernels(y, np.zeros(100), rng, HIGH_WEIGHT_KERNELS) == (None, 0.0)

    def test_kernels_are_no_wider_than_what_a_few_effective_draws_describe(self, rng):
        y = rng.normal(size=(4000, 2))
        # A narrow target: of 4,000 draws some 40 count.
        kernels, _ = weighted_kernels(y, -0.5 * (y**2).sum(1) / 0.1**2, rng)
        assert np.median(np.linalg.norm(kernels.factors, axis=(1, 2))) < 0.4
