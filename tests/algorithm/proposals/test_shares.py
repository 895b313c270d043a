"""Shares of a mixture: those of the draws, those of the largest efficiency, and what is fixed."""

import numpy as np
import pytest

from nbi_sampler.algorithm.proposals.kernels import LatentKernels
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal, PriorProposal
from nbi_sampler.algorithm.proposals.shares import shares_by_efficiency, shares_by_likelihood
from nbi_sampler.algorithm.proposals.student_mixture import StudentMixture


def gaussian(mean=(0.0, 0.0), width=1.0):
    mean = np.asarray(mean, dtype=float)
    kernel = StudentMixture(np.ones(1), mean[None], width * np.eye(len(mean))[None], 100.0)
    return LatentKernels(kernel, np.zeros(len(mean)))


def log_ratios(members, z):
    return np.stack([member.log_ratio(z) for member in members])


def uniform(z):
    return np.full(len(z), 1.0 / len(z))


def efficiency_of(shares, members, target, rng):
    """Efficiency of a mixture, by draws from the target."""
    z = target.sample(20_000, rng)
    mixture = MixtureProposal(tuple(members), shares)
    return 1.0 / np.mean(np.exp(target.log_ratio(z) - mixture.log_ratio(z)))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_shares_by_likelihood_are_those_of_the_draws(rng):
    members = (gaussian((1.0, 0.5), 0.3), gaussian((-2.0, -1.0), 0.3), PriorProposal(2))
    truth = MixtureProposal(members, np.array([0.6, 0.3, 0.1]))
    z = truth.sample(20_000, rng)
    shares = shares_by_likelihood(log_ratios(members, z), uniform(z), np.zeros(3))
    assert shares.sum() == pytest.approx(1)
    np.testing.assert_allclose(shares, truth.shares, atol=0.08)


@pytest.mark.parametrize("by_efficiency", [False, True])
def test_useless_members_go_and_fixed_shares_stay(rng, by_efficiency):
    useful, useless = gaussian((1.0, 0.5), 0.3), gaussian((30.0, 30.0), 0.1)
    z = np.concatenate([useful.sample(2000, rng), rng.normal(size=(2000, 2))])
    weights = np.where(np.arange(4000) < 2000, 1 / 2000, 0.0)
    fixed, members = np.array([0.0, 0.0, 0.01]), (useless, useful, PriorProposal(2))
    known = log_ratios(members, z)
    if by_efficiency:
        shares = shares_by_efficiency(known, weights, useful.log_ratio(z), fixed)
    else:
        shares = shares_by_likelihood(known, weights, fixed)
    mixture = MixtureProposal.of_shares(members, shares)
    assert useless not in mixture.members
    assert mixture.members[0] is useful and mixture.shares[0] > 0.8
    assert mixture.shares[-1] == pytest.approx(0.01, rel=0.02)


def test_smooth_members_keep_their_least_share_whatever_the_likelihood_says(rng):
    narrow, wide = gaussian(width=0.1), gaussian(width=1.0)
    z = narrow.sample(400, rng)
    known, fixed = log_ratios((narrow, wide, PriorProposal(2)), z), np.array([0.0, 0.0, 0.1])
    free = shares_by_likelihood(known, uniform(z), fixed)
    held = shares_by_likelihood(known, uniform(z), fixed, np.array([False, True, False]), 0.25)
    assert free[0] > 0.85
    assert held[1:] == pytest.approx([0.25 * 0.9, 0.1])
    assert held.sum() == pytest.approx(1.0)


def test_shares_by_efficiency_are_more_efficient_than_those_by_likelihood(rng):
    """Few draws by chance say that a member is useless, their density says that it is needed."""
    target = gaussian(width=0.5)
    members = (gaussian(width=0.42), gaussian(width=0.6), PriorProposal(2))
    gained = []
    for _ in range(20):
        z = target.sample(60, rng)
        known, fixed = log_ratios(members, z), np.array([0.0, 0.0, 0.005])
        by_likelihood = shares_by_likelihood(known, uniform(z), fixed)
        by_efficiency = shares_by_efficiency(known, uniform(z), target.log_ratio(z), fixed)
        gained.append(
            efficiency_of(by_efficiency, members, target, rng)
            - efficiency_of(by_likelihood, members, target, rng)
        )
    assert np.mean(gained) > 3.0 * np.std(gained) / np.sqrt(len(gained))


def test_a_constant_of_the_target_changes_no_share(rng):
    target = gaussian(width=0.5)
    members = (gaussian(width=0.4), gaussian(width=0.7), PriorProposal(2))
    z = target.sample(100, rng)
    known, fixed, log_target = log_ratios(members, z), np.array([0.0, 0.0, 0.005]), target.log_ratio(z)
    expected = shares_by_efficiency(known, uniform(z), log_target, fixed)
    for constant in (-1e5, 1e5):
        np.testing.assert_allclose(
            shares_by_efficiency(known, uniform(z), log_target + constant, fixed), expected, rtol=1e-6
        )


def test_all_shares_fixed_are_those_given():
    z = np.zeros((3, 2))
    known, fixed = log_ratios((PriorProposal(2), PriorProposal(2)), z), np.array([0.06, 0.02])
    for shares in (
        shares_by_likelihood(known, uniform(z), fixed),
        shares_by_efficiency(known, uniform(z), np.zeros(3), fixed),
    ):
        np.testing.assert_allclose(shares, [0.75, 0.25])
