"""The draws of a run and their weights: the balance heuristic over rounds, and the last rounds alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nbi_sampler.algorithm.history import Draws, History
from nbi_sampler.algorithm.proposals.kernels import LatentKernels
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal, PriorProposal
from nbi_sampler.algorithm.proposals.student_mixture import StudentMixture
from nbi_sampler.core.config import BATCHES
from nbi_sampler.evaluation.batch import Evaluation
from nbi_sampler.importance.weights import log_evidence

WIDTH = 0.3


def log_likelihood(z):
    """Normalised, so that the evidence is the overlap of two Gaussians."""
    return stats.norm.logpdf(z[:, 0], 0.5, WIDTH)


LOG_EVIDENCE = stats.norm.logpdf(0.5, 0.0, np.hypot(1.0, WIDTH))


def draws_from(proposal, n, rng):
    z = proposal.sample(n, rng)
    evaluation = Evaluation(z, log_likelihood(z), None, n_calls=n, n_nan=0, seconds=0.0)
    return Draws(z, proposal.log_ratio(z), evaluation)


def student(centre, width):
    mixture = StudentMixture(np.ones(1), np.array([[centre]]), np.array([[[width]]]), degrees=4.0)
    return LatentKernels(mixture, np.zeros(1))


@pytest.fixture
def proposals():
    """Three proposals of three members, two of which serve twice."""
    prior, off, near = PriorProposal(1), student(-1.0, 0.5), student(0.4, 0.35)
    return (
        MixtureProposal.single(prior),
        MixtureProposal((off, prior), np.array([0.8, 0.2])),
        MixtureProposal((near, off), np.array([0.9, 0.1])),
    )


@pytest.fixture
def history(proposals, rng):
    history = History()
    for proposal, n in zip(proposals, (500, 300, 2000), strict=True):
        history = history.extended(draws_from(proposal, n, rng), proposal)
    return history


def log_mixture(history, proposals, counts):
    """The balance heuristic written out."""
    density = sum(n * np.exp(p.log_ratio(history.z)) for p, n in zip(proposals, counts, strict=True))
    return np.log(density / sum(counts))


def test_every_member_is_evaluated_once_at_every_draw(history):
    assert len(history) == 2800 and history.z.shape == (2800, 1)
    assert len(history.members) == 3
    expected = np.stack([member.log_ratio(history.z) for member in history.members])
    np.testing.assert_allclose(history.log_ratios, expected)


def test_weights_are_those_of_the_balance_heuristic(history, proposals):
    expected = history.log_likelihood - log_mixture(history, proposals, (500, 300, 2000))
    np.testing.assert_allclose(history.log_weights, expected)


def test_weights_under_the_mixture_give_the_evidence(history):
    value, error = log_evidence(history.log_weights)
    assert abs(value - LOG_EVIDENCE) < 4 * error
    assert error < 0.05


def test_a_share_of_every_batch_is_held_out_for_good(history, proposals, rng):
    before = history.held_out
    assert before.shape == (2800,)
    assert before.mean() == pytest.approx(1 / 8, abs=0.01)
    longer = history.extended(draws_from(proposals[0], 100, rng), proposals[0])
    np.testing.assert_array_equal(longer.held_out[:2800], before)


def test_each_batch_gives_the_evidence_by_itself(history):
    for batch in history.batches:
        value, error = log_evidence(batch.log_weights)
        assert abs(value - LOG_EVIDENCE) < 4 * error


def test_one_batch_has_the_same_weights_in_both_ways(proposals, rng):
    history = History().extended(draws_from(proposals[0], 50, rng), proposals[0])
    np.testing.assert_allclose(history.log_weights, history.batches[0].log_weights)


def test_the_last_batches_alone_are_as_if_there_were_no_others(history, proposals):
    expected = History()
    for batch, proposal in zip(history.batches[1:], proposals[1:], strict=True):
        expected = expected.extended(batch, proposal)
    recent = history.recent(2)
    assert len(recent) == 2300
    np.testing.assert_allclose(recent.log_weights, expected.log_weights)
    np.testing.assert_allclose(
        recent.log_weights, recent.log_likelihood - log_mixture(recent, proposals[1:], (300, 2000))
    )
    assert len(history.recent(1).members) == 2
    assert history.recent(3) is history
    assert len(history.recent(7)) == len(history)


def test_extending_leaves_the_former_history_as_it_was(history, proposals, rng):
    before = history.log_weights
    history.extended(draws_from(proposals[0], 10, rng), proposals[0])
    assert len(history) == 2800
    np.testing.assert_array_equal(history.log_weights, before)


def test_a_long_run_keeps_few_densities_and_the_same_weights(rng):
    proposals = [MixtureProposal.single(student(-1.0 + 0.2 * k, 0.5 + 0.05 * k)) for k in range(9)]
    # One comes back after it has been retired.
    proposals.append(proposals[1])
    counts = [100 + 10 * k for k in range(len(proposals))]
    history = History()
    for proposal, n in zip(proposals, counts, strict=True):
        history = history.extended(draws_from(proposal, n, rng), proposal)
    assert history.log_ratios.shape == (BATCHES.recent, sum(counts))
    expected = history.log_likelihood - log_mixture(history, proposals, counts)
    np.testing.assert_allclose(history.log_weights, expected, rtol=1e-9)
    last = history.recent(2)
    expected = last.log_likelihood - log_mixture(last, proposals[-2:], counts[-2:])
    np.testing.assert_allclose(last.log_weights, expected, rtol=1e-9)


@pytest.mark.parametrize("width", [0.25, 0.3, 0.9])
def test_all_draws_tell_how_efficient_a_proposal_is(history, width):
    proposal = MixtureProposal.single(student(0.4, width))
    z = np.linspace(-6.0, 6.0, 6001)[:, None]
    log_prior = stats.norm.logpdf(z[:, 0])
    log_posterior = log_likelihood(z) + log_prior - LOG_EVIDENCE
    square = np.exp(2.0 * log_posterior - proposal.log_ratio(z) - log_prior)
    expected = 1.0 / (square.sum() * (z[1, 0] - z[0, 0]))
    assert history.efficiency_of(proposal) == pytest.approx(expected, rel=0.05)


def test_densities_that_are_known_before_a_draw_change_no_weight(history, rng):
    proposal = MixtureProposal.single(student(0.4, 0.3))
    knowing = history.knowing(proposal)
    np.testing.assert_array_equal(knowing.log_weights, history.log_weights)
    assert knowing.efficiency_of(proposal) == history.efficiency_of(proposal)
    assert knowing.knowing(proposal) is knowing
    draws = draws_from(proposal, 100, rng)
    after, expected = knowing.extended(draws, proposal), history.extended(draws, proposal)
    np.testing.assert_array_equal(after.log_weights, expected.log_weights)
    assert len(after.members) == len(expected.members)
