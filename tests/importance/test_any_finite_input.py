"""Numerical helpers hold for any finite input: equal, single, collinear, huge, tiny; no warning, no crash."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nbi_sampler.algorithm.proposals.affine import AffineMap, spread_of
from nbi_sampler.algorithm.proposals.kernels import CHARTS, LatentKernels
from nbi_sampler.algorithm.proposals.local_regression import Surface
from nbi_sampler.algorithm.proposals.periodic import apply_cut, remove_cut
from nbi_sampler.algorithm.proposals.student_mixture import StudentMixture, fitted_by_em
from nbi_sampler.algorithm.proposals.weighted_draws import WeightedDraws
from nbi_sampler.algorithm.search_starts import first_starts, kernels_around, moved
from nbi_sampler.core.config import HIGH_WEIGHT_KERNELS, LOCAL_KERNELS
from nbi_sampler.importance.pareto import pareto_k
from nbi_sampler.importance.weights import (
    effective_sample_size,
    equal_weight_indices,
    log_evidence,
    mixture_log_ratio,
    normalised_weights,
    systematic_indices,
    tempering_exponent,
    weighted_quantiles,
)

bounded = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)

LATENT = st.one_of(st.sampled_from([0.0, 1.0, -8.5, 12.0, 30.0, -37.0]), st.floats(-40.0, 40.0))
ANY = st.one_of(st.sampled_from([0.0, 1.0, -1e13, -1e100, 1e100]), st.floats(-1e100, 1e100))


@st.composite
def points(draw, elements=LATENT, n_least=1, n_most=40):
    """A few points, at times repeated, on a line, or moved and scaled by a lot."""
    n, n_dim = draw(st.integers(n_least, n_most)), draw(st.integers(1, 3))
    z = draw(arrays.arrays(float, (n, n_dim), elements=elements))
    kind = draw(st.sampled_from(["as they are", "one place", "a line", "in pairs"]))
    if kind == "one place":
        z = np.repeat(z[:1], n, axis=0)
    elif kind == "a line":
        z = np.repeat(z[:, :1], n_dim, axis=1)
    elif kind == "in pairs":
        z = z[np.arange(n) // 2]
    return z


@st.composite
def weighted_points(draw):
    z = draw(points(n_least=2))
    log_weights = draw(
        arrays.arrays(float, len(z), elements=st.one_of(st.just(0.0), st.floats(-500.0, 500.0)))
    )
    return z, log_weights, np.random.default_rng(draw(st.integers(0, 99)))


log_weights_of = arrays.arrays(float, st.integers(1, 60), elements=st.one_of(ANY, st.just(-np.inf)))


@bounded
@given(log_weights_of)
def test_figures_of_any_log_weights_are_defined(log_weights):
    ess, evidence = effective_sample_size(log_weights), log_evidence(log_weights)
    assert 0.0 <= ess <= len(log_weights) * (1 + 1e-12)
    assert not math.isnan(pareto_k(log_weights))
    if not np.isfinite(log_weights).any():
        assert ess == 0.0 and evidence == (-math.inf, math.inf)
        return
    assert math.isfinite(evidence.log_evidence) and evidence.error >= 0.0
    weights, rng = normalised_weights(log_weights), np.random.default_rng(0)
    assert weights.sum() == 1.0 or abs(weights.sum() - 1.0) < 1e-12
    assert 0 < len(equal_weight_indices(log_weights, rng)) <= len(log_weights)
    assert (weights[systematic_indices(weights, 20, rng)] > 0.0).all()
    assert np.isfinite(weighted_quantiles(rng.normal(size=(len(weights), 2)), weights, [0.1, 0.9])).all()


@bounded
@given(log_weights_of, st.floats(1.0, 50.0))
def test_tempering_of_any_log_weights_leaves_the_effective_size_that_it_should(log_weights, wanted):
    exponent = tempering_exponent(log_weights, wanted)
    assert 0.0 <= exponent <= 1.0
    finite = log_weights[np.isfinite(log_weights)]
    if 0.0 < exponent < 1.0:
        assert effective_sample_size(exponent * finite) >= 0.999 * wanted


def test_a_likelihood_of_huge_numbers_can_be_tempered():
    log_weights = -1e90 * np.arange(1000.0)
    exponent = tempering_exponent(log_weights, 100.0)
    assert 99.0 < effective_sample_size(exponent * log_weights) < 102.0


@bounded
@given(arrays.arrays(float, (3, 12), elements=st.one_of(st.floats(-1e6, 1e6), st.just(-np.inf))))
def test_mixture_of_any_densities_is_no_nan(log_ratios):
    assert not np.isnan(mixture_log_ratio(log_ratios, np.array([1.0, 5.0, 10.0]))).any()


@bounded
@given(points(st.one_of(ANY, LATENT)))
def test_spread_of_any_points_is_positive_and_finite(z):
    spread = spread_of(z)
    assert (spread > 0.0).all() and np.isfinite(spread).all()


@bounded
@given(points(n_least=12), st.data())
def test_regression_through_any_points_predicts_no_more_than_it_knows(z, data):
    values = data.draw(arrays.arrays(float, len(z), elements=ANY))
    wanted = data.draw(arrays.arrays(float, (5, z.shape[1]), elements=LATENT))
    predicted = Surface(z, values, 0.0).predicted(np.concatenate([wanted, z[:2]]))
    assert np.isfinite(predicted).all()
    assert (predicted <= values.max() + 3.0).all()


def test_regression_through_draws_at_the_smallest_number_reaches_points_at_one():
    """Their spread is 2e-323, and one divided by it is no number of double precision."""
    equal = Surface(np.full((12, 1), np.finfo(float).tiny), np.zeros(12), 0.0)
    assert np.isfinite(equal.predicted(np.ones((5, 1)))).all()


@bounded
@given(weighted_points())
def test_kernels_on_any_points_have_a_density_and_draws(case):
    z, log_weights, rng = case
    weights = normalised_weights(log_weights)
    draws, settings = WeightedDraws(z, log_weights), (LOCAL_KERNELS, HIGH_WEIGHT_KERNELS)
    cut = np.zeros(z.shape[1])
    made = [draws.kernels(LatentKernels, cut, rng, each)[0] for each in settings]
    mixtures = [kernels.mixture for kernels in filter(None, made)]
    mixtures += [fitted_by_em(z, weights, n, rng) for n in (1, 3)]
    for mixture in mixtures:
        assert np.isfinite(mixture.log_prob(z)).all()
        assert np.isfinite(mixture.sample(20, rng)).all()


@bounded
@given(weighted_points(), st.sampled_from(CHARTS), st.sampled_from([0.0, 0.3]))
def test_kernels_of_either_chart_stay_in_the_latent_space(case, chart, shift):
    z, log_weights, rng = case
    cut = np.full(z.shape[1], shift)
    proposal = WeightedDraws(z, log_weights).kernels(chart, cut, rng, LOCAL_KERNELS)[0]
    if proposal is not None:
        drawn = proposal.sample(50, rng)
        assert np.isfinite(drawn).all()
        assert np.isfinite(proposal.log_ratio(np.concatenate([z, drawn]))).all()


@bounded
@given(weighted_points())
def test_the_affine_map_of_any_points_goes_there_and_back(case):
    z, log_weights, _ = case
    affine = AffineMap.standardising(z, normalised_weights(log_weights))
    assert np.isfinite(affine.log_det)
    assert np.allclose(affine.forward(affine.backward(z)), z, atol=1e-4)


@bounded
@given(weighted_points())
def test_any_points_on_a_circle_can_be_cut(case):
    z, log_weights, _ = case
    cut = WeightedDraws(z, log_weights).thinnest_cut(np.ones(z.shape[1], dtype=bool))
    assert ((cut >= 0.0) & (cut < 1.0)).all()
    assert np.isfinite(remove_cut(apply_cut(z, cut), cut)).all()


@bounded
@given(points(st.one_of(st.sampled_from([0.0, 1.0, 0.5]), st.floats(0.0, 1.0)), n_least=2), st.data())
def test_a_mode_search_over_any_values_stays_in_the_cube(u, data):
    values = data.draw(arrays.arrays(float, len(u), elements=ANY))
    starts = first_starts(u, values)
    kernels = kernels_around(starts, np.zeros(u.shape[1]), np.random.default_rng(0))
    shares = np.full(len(starts.centres), 1.0 / len(starts.centres))
    mixture = kernels.mixture if kernels else StudentMixture(shares, starts.centres, starts.factors, 10.0)
    for _ in range(4):
        now = moved(mixture, u, values)
        assert ((now.centres >= 0.0) & (now.centres <= 1.0)).all()
        assert np.isfinite(now.factors).all()
        mixture = StudentMixture(np.full(len(now.centres), 1 / len(now.centres)), *now[:2], 10.0)
