"""Importance sampling on plain arrays: known answers, invariance to shifts, calibration of the error bars."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from nbi_sampler.importance.weights import (
    effective_sample_size,
    efficiency,
    equal_weight_indices,
    log_evidence,
    mixture_log_ratio,
    normalised_weights,
    tempering_exponent,
)


def one_hot(n):
    log_weights = np.full(n, -np.inf)
    log_weights[n // 2] = -3.0
    return log_weights


def gaussian_log_weights(rng, n, scale=1.3, shift=0.2, mass=2.5):
    """Log weights of ``mass * N(0, 1)`` under N(shift, scale^2), and their draws."""
    x = rng.normal(shift, scale, n)
    return x, math.log(mass) + stats.norm.logpdf(x) - stats.norm.logpdf(x, shift, scale)


class TestEffectiveSampleSize:
    def test_equal_weights_count_all_draws_and_one_weight_counts_one(self):
        assert effective_sample_size(np.full(1000, -7.0)) == pytest.approx(1000, rel=1e-12)
        assert effective_sample_size(one_hot(1000)) == pytest.approx(1, rel=1e-12)

    def test_zero_weights_leave_the_ess_alone_and_lower_the_efficiency(self):
        log_weights = np.concatenate([np.zeros(25), np.full(75, -np.inf)])
        assert effective_sample_size(log_weights) == pytest.approx(25)
        assert efficiency(log_weights) == pytest.approx(0.25)

    @pytest.mark.parametrize("log_weights", [np.zeros(0), np.full(10, -np.inf)])
    def test_nothing_to_count_is_zero_and_no_crash(self, log_weights):
        assert effective_sample_size(log_weights) == 0.0
        assert efficiency(log_weights) == 0.0

    @pytest.mark.parametrize("shift", [-1e4, 1e4])
    def test_it_is_the_kish_formula_whatever_the_constant(self, rng, shift):
        log_weights = rng.normal(size=500) * 2
        weights = np.exp(log_weights)
        kish = weights.sum() ** 2 / (weights**2).sum()
        assert effective_sample_size(log_weights + shift) == pytest.approx(kish, rel=1e-9)

    def test_a_count_is_not_lost_where_log_likelihoods_are_absurd(self):
        # A flow that is sent anywhere gives log L of -1e25.
        assert effective_sample_size(np.full(50, -1e25)) == pytest.approx(50)


class TestEvidence:
    @pytest.mark.parametrize("shift", [-1e4, 0.0, 1e4])
    def test_a_gaussian_within_its_error_at_any_offset(self, rng, shift):
        _, log_weights = gaussian_log_weights(rng, 20_000)
        plain, shifted = log_evidence(log_weights), log_evidence(log_weights + shift)
        assert abs(plain.log_evidence - math.log(2.5)) < 4 * plain.error
        assert 0 < plain.error < 0.01
        assert shifted.log_evidence - shift == pytest.approx(plain.log_evidence, abs=1e-8)
        assert shifted.error == pytest.approx(plain.error, rel=1e-6)

    def test_errors_are_calibrated_over_replications(self, rng):
        estimates = [log_evidence(gaussian_log_weights(rng, 400)[1]) for _ in range(2000)]
        pulls = np.array([(value - math.log(2.5)) / error for value, error in estimates])
        # Spread of a standard deviation over 2000 pulls: 1 / sqrt(4000); a logarithm is biased by -error / 2.
        assert abs(pulls.std() - 1) < 5 / math.sqrt(4000)
        assert abs(pulls.mean()) < 5 / math.sqrt(2000) + max(error for _, error in estimates)

    def test_draws_with_zero_weight_count_as_draws(self, rng):
        log_weights = np.where(rng.random(10_000) < 0.3, 0.0, -np.inf)
        fraction = np.isfinite(log_weights).mean()
        value, error = log_evidence(log_weights)
        assert value == pytest.approx(math.log(fraction))
        # The delta-method error of the logarithm of a binomial fraction.
        assert error == pytest.approx(math.sqrt((1 - fraction) / (10_000 * fraction)), rel=1e-9)

    def test_equal_weights_have_no_error_and_none_has_infinite(self):
        assert log_evidence(np.full(100, -1234.5)) == pytest.approx((-1234.5, 0.0), abs=1e-9)
        assert log_evidence(np.full(100, -np.inf)) == (-math.inf, math.inf)


class TestNormalisedWeights:
    @pytest.mark.parametrize("shift", [-1e4, 0.0, 1e4])
    def test_they_sum_to_one_and_keep_their_ratios(self, rng, shift):
        log_weights = rng.normal(size=1000) * 3
        weights = normalised_weights(log_weights + shift)
        assert weights.sum() == pytest.approx(1, abs=1e-14)
        np.testing.assert_allclose(np.log(weights / weights[0]), log_weights - log_weights[0], atol=1e-8)

    @pytest.mark.parametrize("log_weights", [np.zeros(0), np.full(5, -np.inf)])
    def test_all_zero_is_refused(self, log_weights):
        with pytest.raises(ValueError, match="log_weights: expected at least one finite value"):
            normalised_weights(log_weights)


class TestMixture:
    def test_balance_heuristic_gives_the_evidence_of_draws_from_several_proposals(self, rng):
        laws = [stats.norm(0, 3), stats.norm(0.5, 0.8), stats.norm(-1, 1.0)]
        counts = np.array([2000, 5000, 500])
        x = np.concatenate([law.rvs(n, random_state=rng) for law, n in zip(laws, counts, strict=True)])
        log_mix = mixture_log_ratio(np.stack([law.logpdf(x) for law in laws]), counts)
        expected = np.log(sum(n / 7500 * law.pdf(x) for law, n in zip(laws, counts, strict=True)))
        np.testing.assert_allclose(log_mix, expected, rtol=1e-10)
        value, error = log_evidence(stats.norm.logpdf(x) - log_mix)
        assert abs(value) < 4 * error

    def test_a_proposal_without_density_at_a_draw_is_harmless(self):
        log_ratios = np.array([[-np.inf, 0.0], [1.0, -np.inf]])
        np.testing.assert_allclose(
            mixture_log_ratio(log_ratios, np.array([1, 3])), [1 + math.log(0.75), math.log(0.25)]
        )


class TestTempering:
    def test_it_is_the_largest_exponent_that_keeps_the_size(self, rng):
        log_weights = -0.5 * (rng.normal(size=5000) * 20) ** 2
        exponent = tempering_exponent(log_weights, 500.0)
        assert 0 < exponent < 1
        assert effective_sample_size(exponent * log_weights) == pytest.approx(500, rel=1e-6)
        assert effective_sample_size(1.01 * exponent * log_weights) < 500

    def test_good_weights_need_none(self, rng):
        assert tempering_exponent(rng.normal(size=5000) * 0.1, 500.0) == 1.0

    def test_the_base_is_not_tempered(self, rng):
        log_weights = -0.5 * (rng.normal(size=5000) * 20) ** 2
        base = rng.normal(size=5000) * 0.5
        exponent = tempering_exponent(log_weights, 500.0, base)
        assert effective_sample_size(base + exponent * log_weights) == pytest.approx(500, rel=1e-6)
        assert effective_sample_size(exponent * (base + log_weights)) != pytest.approx(500, rel=1e-3)

    def test_zero_when_nothing_leaves_enough(self, rng):
        log_weights = rng.normal(size=100)
        assert tempering_exponent(log_weights, 101.0) == 0.0
        assert tempering_exponent(np.full(100, -np.inf), 10.0) == 0.0
        assert tempering_exponent(log_weights, 50.0, one_hot(100)) == pytest.approx(0.0, abs=1e-12)

    def test_zero_weights_stay_out_of_it(self, rng):
        log_weights = -0.5 * (rng.normal(size=5000) * 20) ** 2
        with_zeros = np.concatenate([log_weights, np.full(100, -np.inf)])
        assert tempering_exponent(with_zeros, 500.0) == tempering_exponent(log_weights, 500.0)

    def test_offsets_of_ten_thousand_change_nothing(self, rng):
        log_weights = -0.5 * (rng.normal(size=5000) * 20) ** 2
        assert tempering_exponent(log_weights - 1e4, 500.0) == pytest.approx(
            tempering_exponent(log_weights, 500.0), rel=1e-6
        )


class TestEqualWeights:
    def test_there_are_as_many_rows_as_effective_samples(self, rng):
        for scale in (1.05, 1.5, 4.0):
            _, log_weights = gaussian_log_weights(rng, 5000, scale=scale)
            rows = equal_weight_indices(log_weights, rng)
            assert len(rows) == int(effective_sample_size(log_weights))
            assert not np.array_equal(rows, np.sort(rows))

    def test_a_draw_is_repeated_only_where_its_weight_exceeds_the_share_of_a_row(self, rng):
        _, log_weights = gaussian_log_weights(rng, 5000, scale=3.0)
        rows = equal_weight_indices(log_weights, rng)
        counts = np.bincount(rows, minlength=5000)
        share = normalised_weights(log_weights) * len(rows)
        assert (np.abs(counts - share) < 1.0).all()
        assert counts[share <= 1.0].max() == 1 < counts.max()

    def test_equal_weights_are_all_kept_and_zero_weights_never(self, rng):
        log_weights = np.where(np.arange(1000) % 2 == 0, -50.0, -np.inf)
        np.testing.assert_array_equal(np.sort(equal_weight_indices(log_weights, rng)), np.arange(0, 1000, 2))
        np.testing.assert_array_equal(equal_weight_indices(one_hot(1000), rng), [500])

    @pytest.mark.parametrize("n", [1, 2, 3, 7, 49, 999, 12_345])
    def test_rounding_costs_equal_weights_no_row(self, rng, n):
        assert len(equal_weight_indices(np.full(n, -0.1), rng)) == n

    def test_the_rows_follow_the_target(self, rng):
        rows = []
        for _ in range(100):
            x, log_weights = gaussian_log_weights(rng, 2000, scale=1.5, shift=0.5)
            rows.append(x[equal_weight_indices(log_weights, rng)])
        pooled = np.concatenate(rows)
        # Twice the variance of independent rows: that of the weighted draws, and that of resampling them.
        assert stats.kstest(pooled, "norm").statistic < 1.63 * math.sqrt(2.0 / len(pooled))
        assert stats.kstest(x, "norm").statistic > 0.1

    def test_one_large_weight_does_not_cost_the_sample(self, rng):
        log_weights = np.zeros(10_000)
        log_weights[0] = math.log(9.0)
        assert len(equal_weight_indices(log_weights, rng)) > 9000

    def test_offsets_change_nothing_and_generators_rule(self, rng):
        _, log_weights = gaussian_log_weights(rng, 2000)
        first = equal_weight_indices(log_weights, np.random.default_rng(1))
        np.testing.assert_array_equal(
            first, equal_weight_indices(log_weights + 64.0, np.random.default_rng(1))
        )
        assert not np.array_equal(first, equal_weight_indices(log_weights, np.random.default_rng(2)))
