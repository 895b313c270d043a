"""Diagnostics: p-values that are uniform where all is well, and small for each way of being wrong."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nbi_sampler.reports.diagnostics import (
    assess,
    calibration_ranks,
    coverage,
    fractional_ranks,
    tarp_ranks,
    uniformity,
)

CORRELATED = np.array([[1.0, 0.9], [0.9, 1.0]])
KINDS = ("a", "b", "TARP", "highest density")


class Survey:
    """Targets with Gaussian posteriors of two parameters, and draws from what may be another distribution.

    With ``weighted`` the draws have importance weights to the right posterior.
    """

    def __init__(
        self, rng, n_targets, n_samples, *, bias=0.0, width=1.0, true=None, claimed=None, weighted=False
    ):
        true = np.eye(2) if true is None else true
        claimed = true if claimed is None else claimed
        centre = rng.normal(size=(n_targets, 2))
        self.truths = centre + rng.multivariate_normal(np.zeros(2), true, n_targets)
        draws = bias + width * rng.multivariate_normal(np.zeros(2), claimed, (n_targets, n_samples))
        self.samples = centre[:, None] + draws
        right = stats.multivariate_normal(np.zeros(2), true).logpdf
        drawn = stats.multivariate_normal(np.full(2, bias), width**2 * claimed).logpdf
        residual = self.truths - centre
        self.weights = np.exp(right(draws) - drawn(draws)) if weighted else None
        self.truth_weights = np.exp(right(residual) - drawn(residual)) if weighted else None
        density = right if weighted else drawn
        self.log_density, self.log_density_truth = density(draws), density(residual)
        self.rng = rng

    def assessment(self, truth_weights=None):
        return assess(
            self.samples,
            self.truths,
            names=["a", "b"],
            weights=self.weights,
            truth_weights=truth_weights,
            log_density=self.log_density,
            log_density_truth=self.log_density_truth,
            rng=self.rng,
        )


def assert_uniform(found):
    """P-values of many repeats are uniform themselves."""
    for kind in KINDS:
        assert stats.kstest([values[kind] for values in found], "uniform").pvalue > 1e-3, kind


class TestRightPosteriors:
    @pytest.mark.takes_seconds
    def test_p_values_are_uniform_for_few_draws_and_correlated_parameters(self, rng):
        assert_uniform([Survey(rng, 60, 7, true=CORRELATED).assessment().p_values for _ in range(200)])

    @pytest.mark.takes_seconds
    def test_p_values_are_uniform_for_a_handful_of_weighted_draws(self, rng):
        # Eight draws from a proposal that is off by two thirds of its width: an effective size of five.
        surveys = [Survey(rng, 60, 8, bias=0.7, width=1.2, weighted=True) for _ in range(200)]
        assert_uniform([survey.assessment(survey.truth_weights).p_values for survey in surveys])

    def test_without_the_weights_of_the_truths_many_weighted_draws_are_needed(self, rng):
        p_values = Survey(rng, 1000, 400, bias=0.4, width=1.2, weighted=True).assessment().p_values
        assert min(p_values.values()) > 0.01 / len(KINDS)

    def test_weights_that_are_left_out_are_missed(self, rng):
        survey = Survey(rng, 500, 60, bias=0.7, width=1.2, weighted=True)
        survey.weights = None
        assert survey.assessment().p_value < 1e-6

    def test_coverage_is_nominal(self, rng):
        survey = Survey(rng, 3000, 40, true=CORRELATED)
        assessment = survey.assessment()
        central = np.abs(2 * assessment.calibration[:, 0] - 1)
        for ranks in (central, assessment.tarp, assessment.highest_density):
            levels, shares, errors = coverage(ranks)
            assert np.abs((shares - levels) / errors).max() < 4.5

    @pytest.mark.parametrize("constant", [1e-300, 1e300])
    def test_the_norm_of_the_weights_does_not_matter(self, constant):
        survey = Survey(np.random.default_rng(0), 30, 20, bias=0.3, weighted=True)
        arguments = survey.samples, survey.truths
        for own in (None, survey.truth_weights):
            first, scaled = (
                calibration_ranks(
                    *arguments,
                    c * survey.weights,
                    None if own is None else c * own,
                    rng=np.random.default_rng(1),
                )
                for c in (1.0, constant)
            )
            np.testing.assert_allclose(first, scaled, rtol=1e-10)

    def test_ranks_of_discrete_parameters_are_uniform(self, rng):
        draws, truths = rng.integers(0, 3, (2000, 9)), rng.integers(0, 3, 2000)
        assert uniformity(fractional_ranks(draws, truths, rng=rng)) > 1e-3

    def test_a_reference_of_the_users_own(self, rng):
        survey = Survey(rng, 1000, 40)
        nearby = survey.samples[:, 0] + 0.1 * rng.normal(size=(1000, 2))
        ranks = tarp_ranks(survey.samples[:, 1:], survey.truths, references=nearby, rng=rng)
        assert uniformity(ranks) > 1e-3


class TestWrongPosteriors:
    @pytest.mark.parametrize(
        "wrong", [{"width": 0.8}, {"width": 1.25}, {"bias": 0.8}], ids=["narrow", "wide", "biased"]
    )
    def test_every_kind_of_rank_sees_it(self, rng, wrong):
        p_values = Survey(rng, 1500, 60, **wrong).assessment().p_values
        assert max(p_values.values()) < 1e-3, p_values

    def test_a_small_bias_is_for_the_marginal_ranks(self, rng):
        p_values = Survey(rng, 1500, 60, bias=0.2).assessment().p_values
        assert max(p_values["a"], p_values["b"]) < 1e-6 < p_values["TARP"]

    def test_wrong_correlations_are_seen_by_tarp_and_not_by_marginal_ranks(self, rng):
        assessment = Survey(rng, 3000, 60, true=CORRELATED, claimed=np.eye(2)).assessment()
        p_values = assessment.p_values
        assert min(p_values["a"], p_values["b"]) > 1e-3
        assert p_values["TARP"] < 1e-4 and p_values["highest density"] < 1e-6

    def test_narrow_posteriors_cover_as_little_as_they_must(self, rng):
        assessment = Survey(rng, 4000, 400, width=0.5).assessment()
        levels, shares, _ = coverage(np.abs(2 * assessment.calibration[:, 0] - 1), [0.5, 0.9])
        expected = 2 * stats.norm.cdf(0.5 * stats.norm.ppf(0.5 + levels / 2)) - 1
        # 400 draws leave an error of their own.
        assert np.abs(shares - expected).max() < 4.5 * np.sqrt(0.25 / 4000) + 0.01

    def test_the_side_of_a_bias(self, rng):
        assert Survey(rng, 300, 60, bias=-1.0).assessment().calibration.mean() > 0.65


class TestArguments:
    def test_without_densities_there_is_no_highest_density(self, rng):
        survey = Survey(rng, 20, 10)
        assessment = assess(survey.samples, survey.truths, rng=rng)
        assert assessment.highest_density is None
        assert list(assessment.p_values) == ["parameter 0", "parameter 1", "TARP"]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"truths": np.zeros((5, 3))}, r"samples, truths: expected .* got \(5, 4, 2\) and \(5, 3\)"),
            ({"weights": np.ones((5, 3))}, r"weights: expected shape \(5, 4\), got \(5, 3\)"),
            (
                {"weights": np.diag([1.0, 1, 1, 1, 0])[:, :4]},
                r"not all zero; got other weights .* \[4\]",
            ),
            ({"weights": np.full((5, 4), np.nan)}, "finite"),
            ({"weights": -np.ones((5, 4))}, "non-negative"),
            ({"truth_weights": np.ones(3)}, r"truth_weights: expected shape \(5,\), got \(3,\)"),
            ({"names": ["a"]}, "names: expected 2 of them, got 1"),
        ],
    )
    def test_what_does_not_belong_together_is_refused(self, rng, change, message):
        arguments = {"samples": np.zeros((5, 4, 2)), "truths": np.zeros((5, 2)), "rng": rng, **change}
        with pytest.raises(ValueError, match=message):
            assess(**arguments)

    def test_references_for_other_targets_are_refused(self, rng):
        with pytest.raises(ValueError, match="references: expected shape"):
            tarp_ranks(np.zeros((5, 4, 2)), np.zeros((5, 2)), references=np.zeros((4, 2)), rng=rng)
