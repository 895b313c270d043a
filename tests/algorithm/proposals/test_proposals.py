"""Every proposal: its draws have its density, under any cut of a periodic parameter."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from proposal_cases import CUT, FACTOR, MEAN, NO_CUT, student, two_students
from scipy import stats
from torch import nn

from nbi_sampler.algorithm.proposals.affine import AffineMap
from nbi_sampler.algorithm.proposals.kernels import LatentKernels, MarginalKernels, UnitCubeKernels
from nbi_sampler.algorithm.proposals.marginal_map import MarginalMap
from nbi_sampler.algorithm.proposals.periodic import apply_cut
from nbi_sampler.algorithm.proposals.proposal import FlowProposal, MixtureProposal, PriorProposal
from nbi_sampler.algorithm.proposals.student_mixture import StudentMixture, fitted_by_em
from nbi_sampler.algorithm.proposals.weighted_draws import WeightedDraws
from nbi_sampler.core.config import REGRESSION_KERNELS as FEW
from nbi_sampler.core.randomness import seeded_modules
from nbi_sampler.networks.flows import flow_factory


def flow_proposal(cut, n_context=0):
    with seeded_modules(np.random.default_rng(4)):
        flow = flow_factory({"flow_hidden": 16, "n_mog": 4})(2, n_context)
        with torch.no_grad():
            for parameter in flow.parameters():
                parameter.add_(0.2 * torch.randn(parameter.shape))
    context = torch.ones(1, n_context) if n_context else None
    return FlowProposal(flow.eval(), context, AffineMap(MEAN, FACTOR), cut)


def local(cut):
    rng = np.random.default_rng(5)
    z = rng.normal(size=(2000, 2)) * 0.7
    return WeightedDraws(z, -0.5 * (z**2).sum(1)).kernels(LatentKernels, cut, rng, FEW)[0]


def by_em(cut):
    rng = np.random.default_rng(6)
    z = rng.normal(size=(2000, 2)) * 0.7
    return LatentKernels(fitted_by_em(apply_cut(z, cut), np.full(2000, 1 / 2000), 3, rng), cut)


def truncated(cut):
    """Kernels of which a fifth lies outside the cube."""
    factors = np.stack([np.diag([0.1, 0.2]), np.diag([0.3, 0.1])])
    mixture = StudentMixture(np.array([0.4, 0.6]), np.array([[0.95, 0.5], [0.4, 0.3]]), factors, 5.0)
    return UnitCubeKernels.of(mixture, cut, np.random.default_rng(7))


def mapped(cut):
    """Skewed to both sides, with heavy tails in one coordinate and light ones in the other."""
    marginal_map = MarginalMap(
        np.array([0.3, -0.2]), np.array([0.4, 0.5]), np.array([0.6, -0.4]), np.array([0.7, 1.3])
    )
    return MarginalKernels(student(NO_CUT).mixture, cut, marginal_map)


PROPOSALS = {
    "prior": lambda cut: PriorProposal(2),
    "flow": flow_proposal,
    "conditional flow": lambda cut: flow_proposal(cut, n_context=3),
    "student": student,
    "two students": two_students,
    "local kernels": local,
    "expectation maximisation": by_em,
    "truncated to the unit cube": truncated,
    "with mapped marginals": mapped,
    "mixture": lambda cut: MixtureProposal(
        (flow_proposal(cut), student(cut), PriorProposal(2)), np.array([0.7, 0.2, 0.1])
    ),
    "one in a mixture": lambda cut: MixtureProposal.single(student(cut)),
}
every_proposal = pytest.mark.parametrize("name", PROPOSALS)
every_cut = pytest.mark.parametrize("cut", [NO_CUT, CUT], ids=["no cut", "cut"])


@every_proposal
@every_cut
class TestEveryProposal:
    def test_the_density_integrates_to_one(self, name, cut, rng):
        proposal, n = PROPOSALS[name](cut), 40_000
        z = np.concatenate([rng.normal(size=(n, 2)), proposal.sample(n, rng)])
        log_ratio = proposal.log_ratio(z)
        ratio = np.exp(log_ratio - np.logaddexp(log_ratio, 0.0) + math.log(2.0))
        # Half the draws are the prior's and half its own: E[q / mixture] is one, and q / mixture at most two.
        error = ratio.std() / math.sqrt(len(ratio))
        assert error < 0.01
        assert abs(ratio.mean() - 1) < 4 * error + 1e-6

    def test_draws_have_the_density(self, name, cut, rng):
        proposal, n = PROPOSALS[name](cut), 40_000
        for centre, width in (([0.5, -0.2], 0.2), ([0.0, 0.2], 0.15)):
            law = stats.multivariate_normal(centre, width**2)
            z = proposal.sample(n, rng)
            log_normal = -0.5 * (z**2).sum(1) - math.log(2 * math.pi)
            ratio = np.exp(law.logpdf(z) - log_normal - proposal.log_ratio(z))
            error = ratio.std() / math.sqrt(n)
            assert error < 0.2
            assert abs(ratio.mean() - 1) < 4 * error

    def test_a_seed_decides(self, name, cut):
        proposal = PROPOSALS[name](cut)
        first, again, other = (proposal.sample(100, np.random.default_rng(seed)) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)

    @pytest.mark.parametrize("n", [0, 1, 3])
    def test_few_draws_keep_their_shape(self, name, cut, n, rng):
        proposal = PROPOSALS[name](cut)
        z = proposal.sample(n, rng)
        assert z.shape == (n, 2) and z.dtype == np.float64
        assert proposal.log_ratio(z).shape == (n,)

    def test_asking_for_the_density_changes_nothing(self, name, cut, rng):
        proposal = PROPOSALS[name](cut)
        z = proposal.sample(50, rng)
        before = z.copy()
        np.testing.assert_array_equal(proposal.log_ratio(z), proposal.log_ratio(z))
        np.testing.assert_array_equal(z, before)

    def test_far_points_have_no_nan(self, name, cut, rng):
        far = np.array([[30.0, 0.0], [0.0, -30.0], [8.0, 8.0]])
        assert not np.isnan(PROPOSALS[name](cut).log_ratio(far)).any()


def test_a_density_of_the_wrong_size_would_be_seen(rng):
    """The negative control of the two checks above."""
    proposal, n = student(NO_CUT), 40_000
    z = np.concatenate([rng.normal(size=(n, 2)), proposal.sample(n, rng)])
    log_ratio = proposal.log_ratio(z) + 0.1
    ratio = np.exp(log_ratio - np.logaddexp(log_ratio, 0.0) + math.log(2.0))
    assert abs(ratio.mean() - 1) > 4 * ratio.std() / math.sqrt(len(ratio))


class TestAffineMap:
    def test_it_gives_the_weighted_mean_and_covariance(self, rng):
        z = rng.normal(size=(500, 3)) @ rng.normal(size=(3, 3)) + 2.0
        weights = rng.dirichlet(np.ones(500))
        affine = AffineMap.standardising(z, weights)
        y = affine.backward(z)
        np.testing.assert_allclose(weights @ y, np.zeros(3), atol=1e-9)
        np.testing.assert_allclose((y * weights[:, None]).T @ y, np.eye(3), atol=1e-6)
        np.testing.assert_allclose(affine.forward(y), z, atol=1e-9)
        assert affine.log_det == pytest.approx(np.linalg.slogdet(affine.factor)[1])

    @pytest.mark.parametrize("case", ["equal", "one weight", "correlated"])
    def test_degenerate_draws_give_a_map_all_the_same(self, case, rng):
        z = np.ones((50, 3)) if case == "equal" else np.repeat(rng.normal(size=(50, 1)), 3, axis=1)
        weights = np.eye(50)[0] if case == "one weight" else np.full(50, 0.02)
        affine = AffineMap.standardising(z, weights)
        assert np.isfinite(affine.backward(z)).all() and math.isfinite(affine.log_det)


class TestFlowProposal:
    def test_chunks_are_put_together_in_order(self, rng, monkeypatch):
        proposal = flow_proposal(CUT)
        z = proposal.sample(100, rng)
        whole = proposal.log_ratio(z)
        monkeypatch.setattr("nbi_sampler.algorithm.proposals.proposal.CHUNK", 7)
        np.testing.assert_allclose(proposal.log_ratio(z), whole, rtol=1e-5, atol=1e-5)
        assert proposal.sample(100, rng).shape == (100, 2)

    def test_where_a_flow_has_no_density_it_has_none_and_not_nan(self, rng):
        class Broken(nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = nn.Parameter(torch.zeros(1))

            def log_prob(self, z, context=None):
                return torch.where(z[:, 0] > 0, torch.nan, -0.5 * (z**2).sum(1))

        proposal = FlowProposal(Broken(), None, AffineMap(np.zeros(2), np.eye(2)), NO_CUT)
        log_ratio = proposal.log_ratio(np.array([[1.0, 0.0], [-1.0, 0.0]]))
        assert log_ratio[0] == -np.inf and np.isfinite(log_ratio[1])


class TestMixture:
    def test_shares_are_those_of_the_draws(self, rng):
        far = student(NO_CUT, np.array([50.0, 0.0]), 0.1 * np.eye(2), 50.0)
        mixture = MixtureProposal((PriorProposal(2), far), np.array([0.9, 0.1]))
        z = mixture.sample(10_000, rng)
        n_far = (z[:, 0] > 25).sum()
        assert abs(n_far - 1000) < 5 * math.sqrt(900)
        # In random order, so that a batch cut short is still a mixture.
        assert stats.ks_2samp(np.flatnonzero(z[:, 0] > 25), np.arange(10_000)).pvalue > 1e-4

    def test_a_share_of_the_prior_bounds_the_weights(self, rng):
        narrow = student(NO_CUT, MEAN, 0.05 * np.eye(2), 100.0)
        mixture = MixtureProposal((narrow, PriorProposal(2)), np.array([0.9, 0.1]))
        z = mixture.sample(20_000, rng)
        assert mixture.log_ratio(z).min() >= math.log(0.1) - 1e-9
        assert narrow.log_ratio(z).min() < math.log(0.1) - 10
