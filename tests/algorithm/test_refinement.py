"""The refinement's proposal: what it aims at, what it learns from, and how it is made up."""

from __future__ import annotations

import numpy as np
import pytest
import toys
from small_runs import made_small

from nbi_sampler.algorithm import mixture
from nbi_sampler.algorithm.history import History
from nbi_sampler.algorithm.mixture import Fitting
from nbi_sampler.algorithm.proposals.kernels import LatentKernels, UnitCubeKernels
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal, PriorProposal
from nbi_sampler.algorithm.records import Observer
from nbi_sampler.algorithm.refinement import fit_to_weights
from nbi_sampler.algorithm.snpe import run
from nbi_sampler.algorithm.target import choose_target
from nbi_sampler.core.config import MIXTURE, REFINEMENT, SnpeConfig
from nbi_sampler.importance.weights import effective_sample_size, efficiency, log_evidence

PRIOR = PriorProposal(2)
ALONE = MixtureProposal.single(PRIOR)
WANTED_ESS = max(REFINEMENT.minimum_ess, 2 * REFINEMENT.ess_per_dimension)


def history_of(log_likelihood, *batches):
    """Draws from given proposals, (proposal, number) each."""
    rng, history = np.random.default_rng(4), History()
    for proposal, n in batches:
        mixture = MixtureProposal.single(proposal)
        history = history.extended(toys.drawn(mixture, log_likelihood, n, rng), mixture)
    return history


def fitted(history, located, training=toys.QUICK, seed=0):
    fitting = Fitting(toys.networks(), training, np.random.default_rng(seed))
    return fit_to_weights(choose_target(history, 2, located), toys.gaussian_space(2), fitting)


@pytest.fixture(scope="module")
def easy():
    """A posterior of which prior draws give enough effective samples, and its log evidence."""
    function, evidence = toys.bump([0.5, -0.5], 0.5)
    return history_of(function, (PRIOR, 4000)), function, evidence


@pytest.fixture(scope="module")
def fit_of_easy(easy):
    """A fit with few kernels, for tests of anything but its efficiency."""
    with made_small():
        return fitted(easy[0], located=False)


class TestTarget:
    @pytest.mark.takes_seconds
    def test_the_posterior_itself_where_the_weights_allow(self, easy):
        history, function, evidence = easy
        proposal, info = fitted(history, located=False)
        assert effective_sample_size(history.log_weights) > WANTED_ESS
        assert info.exponent == 1.0
        draws = toys.drawn(proposal, function, 3000, np.random.default_rng(9))
        assert efficiency(draws.log_weights) > 0.7
        value, error = log_evidence(draws.log_weights)
        assert abs(value - evidence) < 4 * error

    @pytest.mark.usefixtures("small_fits")
    def test_tempered_from_the_prior_it_aims_at_a_power_of_the_likelihood(self):
        function, _ = toys.bump([2.5, 2.5], 0.03)
        history = history_of(function, (PRIOR, 2000))
        proposal, info = fitted(history, located=False)
        assert 0.0 < info.exponent < 0.1
        tempered = history.log_weights - (1.0 - info.exponent) * history.log_likelihood
        assert effective_sample_size(tempered) == pytest.approx(WANTED_ESS, rel=0.05)
        z = proposal.sample(2000, np.random.default_rng(1))
        # On the way, and not beyond: between the prior's centre and the posterior's.
        assert (np.median(z, axis=0) > 0.5).all() and (np.median(z, axis=0) < 2.6).all()

    def test_after_a_search_for_modes_fewer_draws_suffice_for_the_posterior_itself(self):
        function, _ = toys.bump([2.5, 2.5], 0.03)
        near = toys.student([2.5, 2.5], 0.05)
        for n in (300, 100):
            history = history_of(function, (PRIOR, 2000), (near, n))
            enough = effective_sample_size(history.log_weights) > REFINEMENT.searched
            assert enough == (n == 300)
            assert (choose_target(history, 2, False, searched=True).exponent == 1.0) == enough
            assert choose_target(history, 2, False).exponent < 1.0

    @pytest.mark.usefixtures("small_fits")
    def test_the_bridge_starts_from_the_last_batches_and_not_from_the_prior(self):
        function, _ = toys.bump([2.5, 2.5], 0.03)
        near = toys.student([2.0, 2.0], 0.3)
        history = history_of(function, (PRIOR, 500), (near, 800), (near, 800), (near, 800))
        assert effective_sample_size(history.log_weights) < WANTED_ESS
        bridge, info = fitted(history, located=True)
        tempered, _ = fitted(history_of(function, (PRIOR, 2900)), located=False)
        assert 0.0 < info.exponent < 1.0
        rng = np.random.default_rng(2)
        distance = [np.median(np.abs(p.sample(2000, rng) - 2.5)) for p in (bridge, tempered)]
        assert distance[0] < 0.5 * distance[1]
        assert distance[0] < np.median(np.abs(near.sample(2000, rng) - 2.5))

    @pytest.mark.usefixtures("small_fits")
    def test_draws_without_likelihood_teach_nothing(self):
        function, _ = toys.bump([0.5, -0.5], 0.5)
        half = history_of(lambda z: np.where(z[:, 0] > 0, function(z), -np.inf), (PRIOR, 4000))
        z = fitted(half, located=False)[0].sample(3000, np.random.default_rng(1))
        assert (z[:, 0] > -0.1).mean() > 0.85

    @pytest.mark.parametrize("n_finite", [1, 2, 9])
    def test_a_handful_of_finite_draws_is_no_crash(self, n_finite):
        rng = np.random.default_rng(4)
        mixture = MixtureProposal.single(PRIOR)
        draws = toys.drawn(mixture, lambda z: np.zeros(len(z)), 500, rng)
        draws.evaluation.log_likelihood[n_finite:] = -np.inf
        proposal, _ = fitted(History().extended(draws, mixture), located=False)
        fresh = proposal.sample(100, rng)
        assert np.isfinite(fresh).all() and np.isfinite(proposal.log_ratio(fresh)).all()


@pytest.mark.parametrize("kind", [LatentKernels, UnitCubeKernels])
def test_a_posterior_is_gaussian_in_its_own_chart(kind):
    """In the latent space for normal priors, and in the unit cube for uniform ones: found exactly there."""
    root = np.array([[0.1, 0.0], [0.08, 0.05]])
    precision, centre = np.linalg.inv(root @ root.T), np.array([0.55, 0.4])

    def function(z):
        offsets = kind.coordinates(z, np.zeros(2)) - centre
        return -0.5 * np.einsum("ni,ij,nj->n", offsets, precision, offsets) - kind.log_prior(offsets + centre)

    target = choose_target(history_of(function, (PRIOR, 40_000)), 2, False, searched=True)
    assert target.exponent == 1.0
    fit = mixture.MixtureFit(target, np.zeros(2, dtype=bool), Fitting(None, None, np.random.default_rng(0)))
    gaussian = fit._gaussian()
    assert isinstance(gaussian, kind)
    np.testing.assert_allclose(gaussian.mixture.centres[0], centre, atol=1e-4)


@pytest.mark.takes_seconds
@pytest.mark.usefixtures("small_fits")
class TestHeldOut:
    def test_no_member_learns_from_held_out_draws(self, easy, monkeypatch):
        history, function, _ = easy
        moved = history_of(function, (PRIOR, 4000))
        # Held-out draws moved away, weights and all else the same: only the shares may notice. They stay
        # where the unit cube has digits.
        held_out = np.flatnonzero(moved.held_out)
        moved.batches[0].z[held_out] = 5.5
        seen = []
        monkeypatch.setattr(MixtureProposal, "of_shares", lambda members, _: seen.append(members) or ALONE)
        for each in (history, moved):
            fitted(each, located=False)
        # High-weight and wider kernels, before the prior, are there for defence and may stand anywhere.
        kernels = [[m.mixture for m in members[:-4] if isinstance(m, LatentKernels)] for members in seen]
        assert len(kernels[0]) == len(kernels[1]) >= 2
        for one, two in zip(*kernels, strict=True):
            assert np.abs(two.centres).max() < 5
            assert np.abs(one.centres).max() < 5

    def test_the_shares_are_fitted_to_held_out_draws_alone(self, easy, monkeypatch):
        history, function, _ = easy
        seen = []

        def spy(densities, *rest):
            seen.append(rest)
            return np.full(len(densities), 1.0 / len(densities))

        monkeypatch.setattr(mixture, "shares_by_efficiency", spy)
        fitted(history, located=False)
        z, weights, log_target = choose_target(history, 2, False).tested
        for taken, expected in zip(seen[-1], (weights, log_target), strict=False):
            np.testing.assert_array_equal(taken, expected)
        held_out = {tuple(row) for row in history.z[history.held_out]}
        assert len(z) > 50 and {tuple(row) for row in z} <= held_out
        assert weights.sum() == pytest.approx(1.0) and (weights > 0).all()
        # Of a log density the constant is free.
        assert np.ptp(log_target - function(z)) < 1e-9


@pytest.mark.usefixtures("small_fits")
class TestShares:
    def test_they_sum_to_one_and_keep_the_defence(self, fit_of_easy):
        proposal, _ = fit_of_easy
        assert proposal.shares.sum() == pytest.approx(1.0) and (proposal.shares > 0).all()
        assert isinstance(proposal.members[-1], PriorProposal)
        defence = (*MIXTURE.wide_shares, MIXTURE.prior_share)
        # What is left out below a hundredth only makes the others larger.
        assert (proposal.shares[-len(defence) :] >= np.array(defence) * 0.99).all()

    def test_weights_are_bounded_by_the_share_of_the_prior(self, fit_of_easy):
        proposal, _ = fit_of_easy
        z = np.random.default_rng(3).normal(size=(2000, 2)) * 3.0
        assert (proposal.log_ratio(z) >= np.log(MIXTURE.prior_share) - 0.02).all()

    @pytest.mark.takes_seconds
    def test_local_kernels_explore_while_the_weights_are_tempered(self):
        function, _ = toys.bump([2.5, 2.5], 0.03)
        proposal, info = fitted(history_of(function, (PRIOR, 2000)), located=False)
        assert info.exponent < 1.0
        n_defence = len(MIXTURE.wide_shares) + 2
        local = proposal.members[-1 - n_defence]
        assert isinstance(local, LatentKernels | UnitCubeKernels)
        assert proposal.shares[-1 - n_defence] >= 0.99 * MIXTURE.exploring_share

    @pytest.mark.takes_seconds
    def test_earlier_flows_stay_in_the_mixture(self, easy, fit_of_easy, monkeypatch):
        history, function, _ = easy
        proposal, _ = fit_of_easy
        draws = toys.drawn(proposal, function, 500, np.random.default_rng(6))
        seen = []
        monkeypatch.setattr(MixtureProposal, "of_shares", lambda members, _: seen.append(members) or ALONE)
        fitted(history.extended(draws, proposal), located=False)
        former = [member for member in proposal.members if toys.is_flow(member)]
        flows = [member for member in seen[-1] if toys.is_flow(member)]
        assert len(flows) == 1 + len(former) and flows[0] not in former
        assert all(member in flows for member in former)


class TestWhenAFlowIsTrained:
    @staticmethod
    def trained(monkeypatch, seconds_per_call, sufficient=None, problem=None):
        """For each refinement with the posterior itself as its target, whether a flow was trained."""
        problem = problem or toys.linear_gaussian(2)[0]
        problem.evaluator.seconds_per_call = seconds_per_call
        if sufficient is not None:
            # No fit is good enough to be the last one.
            for name in ("sufficient", "converged", "least_converged"):
                monkeypatch.setitem(vars(REFINEMENT), name, sufficient)
        with made_small():
            state = run(problem, SnpeConfig(n_effective=2000, n_sims=400), 1, Observer())
        refined = [each for each in state.records if each.phase == "refinement" and each.exponent == 1.0]
        return [bool(each.training_loss) for each in refined]

    def test_never_if_calls_are_cheap_and_fits_without_it_are_efficient(self, monkeypatch):
        trained = self.trained(monkeypatch, 1e-5)
        assert trained and not any(trained)

    @pytest.mark.takes_seconds
    def test_after_the_first_fit_if_calls_are_cheap_and_it_was_poor(self, monkeypatch):
        trained = self.trained(monkeypatch, 1e-5, sufficient=1.1)
        assert len(trained) > 1 and not trained[0] and all(trained[1:])

    @pytest.mark.takes_seconds
    def test_always_if_a_call_is_dear(self, monkeypatch):
        trained = self.trained(monkeypatch, 1e-2)
        assert trained and all(trained)

    @pytest.mark.takes_seconds
    def test_always_without_rounds(self, monkeypatch):
        trained = self.trained(
            monkeypatch, 1e-5, problem=toys.likelihood_only(toys.bump([0.5, -0.5], 0.3)[0], 2)
        )
        assert trained and all(trained)


@pytest.mark.takes_seconds
@pytest.mark.usefixtures("small_fits")
def test_same_seed_same_proposal_and_another_seed_another(easy, fit_of_easy):
    z = np.random.default_rng(1).normal(size=(50, 2))
    first = fit_of_easy[0].log_ratio(z)
    again, other = (fitted(easy[0], False, seed=seed)[0].log_ratio(z) for seed in (0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
