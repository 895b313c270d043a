"""A regression that is exact where it should be, and kernels where the proposal is too thin."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nbi_sampler.algorithm.proposals.kernels import LatentKernels, UnitCubeKernels
from nbi_sampler.algorithm.proposals.local_regression import Surface
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal
from nbi_sampler.algorithm.proposals.student_mixture import StudentMixture
from nbi_sampler.core.config import REGRESSION

CUT = np.zeros(2)
# Of the ridge below, relative to the prior N(0, I), by quadrature on a grid of 2,000 x 2,000.
GRID = (np.arange(2000) + 0.5) / 200 - 5.0


def ridge(z):
    """Log-likelihood of a curved ridge; times the prior it is flat from -1.5 to 1.5, and ends there."""
    x, y = z.T
    return -0.5 * ((y - 0.5 * x**2) / 0.1) ** 2 + 0.5 * x**2 + 0.125 * x**4 - (x / 1.6) ** 8


def log_norm_of_ridge():
    x, y = np.meshgrid(GRID, GRID)
    log_prior = -0.5 * (x**2 + y**2) - math.log(2 * math.pi)
    values = ridge(np.column_stack([x.ravel(), y.ravel()])).reshape(x.shape) + log_prior
    return float(np.log(np.sum(np.exp(values)) / 200**2))


def along_the_ridge(low, high, spread, n=40):
    """Kernels on the ridge for first coordinates between two values."""
    x = np.linspace(low, high, n)
    factors = np.repeat(spread * np.eye(2)[None], n, axis=0)
    return StudentMixture(np.full(n, 1 / n), np.column_stack([x, 0.5 * x**2]), factors, 5.0)


def guided(covered_until, wider=0.4, seed=1):
    rng = np.random.default_rng(seed)
    proposal = MixtureProposal.single(LatentKernels(along_the_ridge(-2.0, covered_until, 0.1), CUT))
    source = LatentKernels(along_the_ridge(-2.0, covered_until, wider), CUT)
    draws = np.concatenate([proposal.sample(1500, rng), source.sample(500, rng)])
    surface = Surface(draws, ridge(draws), log_norm_of_ridge())
    return proposal, surface.with_guided_kernels(proposal, [source], LatentKernels, CUT, rng)


@pytest.mark.parametrize("n_dim", [1, 3, 6])
def test_the_regression_is_exact_for_what_it_is_made_of(n_dim):
    rng = np.random.default_rng(3)
    curvature = rng.normal(size=n_dim)

    def polynomial(x):
        return 1.0 + x.sum(axis=1) + (x**2) @ curvature

    known, wanted = rng.uniform(-1, 1, size=(800, n_dim)), rng.uniform(-0.5, 0.5, size=(50, n_dim))
    found = Surface(known, polynomial(known), 0.0).predicted(wanted)
    assert np.abs(found - polynomial(wanted)).max() < 1e-3


def test_a_prediction_is_not_believed_far_beyond_its_neighbours():
    known = np.linspace(0, 1, 50)[:, None]
    assert Surface(known, 100 * known[:, 0], 0.0).predicted(np.array([[3.0]]))[0] <= 103.0


def test_kernels_reach_the_end_that_no_proposal_covers():
    proposal, guided_too = guided(covered_until=0.9)
    kernels, share = guided_too.members[-1], guided_too.shares[-1]
    end = np.column_stack([np.linspace(1.2, 1.5, 20), 0.5 * np.linspace(1.2, 1.5, 20) ** 2])
    before = proposal.log_ratio(end)
    after = kernels.log_ratio(end) + math.log(share)
    assert share > REGRESSION.shares[0]
    # The posterior itself is ridge - log_norm; before, it is hundreds of times what is proposed.
    target = ridge(end) - log_norm_of_ridge()
    assert (target - before).max() > math.log(100.0)
    assert (target - np.logaddexp(after, before)).max() < math.log(10.0)


def test_nothing_is_added_where_the_proposal_covers_all():
    rng = np.random.default_rng(1)

    def gaussian(spread):
        return LatentKernels(StudentMixture(np.ones(1), np.zeros((1, 2)), spread * np.eye(2)[None], 5.0), CUT)

    # Times the prior this is normal with a variance of 0.2, and its integral is that as well.
    draws = rng.normal(size=(2000, 2))
    log_likelihood = -2.0 * (draws**2).sum(axis=1)
    proposal = MixtureProposal.single(gaussian(0.5))
    surface = Surface(draws, log_likelihood, math.log(0.2))
    assert surface.with_guided_kernels(proposal, [gaussian(1.0)], LatentKernels, CUT, rng) is proposal


def test_too_few_draws_give_none():
    rng = np.random.default_rng(2)
    proposal = MixtureProposal.single(LatentKernels(along_the_ridge(-2, 1, 0.1), CUT))
    draws = proposal.sample(8, rng)
    surface = Surface(draws, ridge(draws), 0.0)
    assert surface.with_guided_kernels(proposal, proposal.members, UnitCubeKernels, CUT, rng) is proposal
