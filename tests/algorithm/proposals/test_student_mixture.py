"""Student-t mixtures: density and expectation maximisation."""

from __future__ import annotations

import numpy as np
import pytest
from proposal_cases import NO_CUT, two_students
from scipy import stats

from nbi_sampler.algorithm.proposals.student_mixture import fitted_by_em


class TestStudentMixture:
    def test_its_density_is_that_of_scipy(self, rng):
        mixture, z = two_students(NO_CUT).mixture, rng.normal(size=(100, 2)) * 3
        density = 0.0
        for share, centre, factor in zip(mixture.shares, mixture.centres, mixture.factors, strict=True):
            density = density + share * stats.multivariate_t(centre, factor @ factor.T, df=5.0).pdf(z)
        np.testing.assert_allclose(mixture.log_prob(z), np.log(density), rtol=1e-9)

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
