"""Proposals that know the discrete state: normalised, drawn from as they say, written and read again."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from scipy import stats

from nbi_sampler.algorithm.proposals.by_state import (
    IndependentStates,
    StateMixture,
    SubspaceProposal,
    rows_by_state,
)
from nbi_sampler.algorithm.proposals.kernels import LatentKernels
from nbi_sampler.algorithm.proposals.proposal import PriorProposal
from nbi_sampler.algorithm.proposals.student_mixture import StudentMixture
from nbi_sampler.priors.discrete import DiscreteParts
from nbi_sampler.storage.objects import PROPOSAL_KINDS, Packer, unpack

NONE = np.zeros(0)
# A spike in the middle tenth, a continuous parameter, and a discrete one of three values.
PARTS = DiscreteParts(
    (np.array([0.45]), NONE, np.array([0.0, 0.2, 0.7])), (np.array([0.55]), NONE, np.array([0.2, 0.7, 1.0]))
)


def kernel(*centre):
    mean = np.array(centre)
    return LatentKernels(
        StudentMixture(np.ones(1), mean[None], 0.6 * np.eye(len(mean))[None], 8.0), np.zeros(len(mean))
    )


def by_state():
    states = np.array([[1, 0, 1], [0, 0, 2], [0, 0, 3]])
    members = (kernel(0.5), kernel(0.8, -0.3), SubspaceProposal(kernel(-0.7), np.array([1]), 2))
    return StateMixture(PARTS, states, np.array([0.5, 0.3, 0.2]), members)


def independent():
    covariance = np.array([[0.8, 0.3, 0.0], [0.3, 0.7, 0.1], [0.0, 0.1, 1.0]])
    with np.errstate(divide="ignore"):
        shares = (np.log([0.6, 0.4]), np.zeros(1), np.log([0.0, 0.2, 0.3, 0.5]))
    return IndependentStates(PARTS, shares, np.array([0.2, -0.1, 0.0]), covariance)


@pytest.mark.parametrize("make", [by_state, independent])
def test_weights_of_prior_draws_sum_to_one_and_have_the_moments_of_its_own_draws(make):
    proposal, rng = make(), np.random.default_rng(3)
    prior = rng.normal(size=(200_000, 3))
    ratio = np.exp(proposal.log_ratio(prior))
    error = ratio.std() / np.sqrt(len(ratio))
    assert abs(ratio.mean() - 1.0) < 4.5 * error
    own = proposal.sample(100_000, rng)
    assert np.isfinite(proposal.log_ratio(own)).all()
    for one, other in ((prior, own), (prior**2, own**2)):
        weighted = one * ratio[:, None]
        errors = np.hypot(weighted.std(axis=0) / np.sqrt(len(one)), other.std(axis=0) / np.sqrt(len(other)))
        assert (np.abs(weighted.mean(axis=0) - other.mean(axis=0)) < 4.5 * errors).all()


def test_a_parameter_at_its_spike_follows_the_prior_within_it():
    z = by_state().sample(20_000, np.random.default_rng(4))
    at_spike = z[PARTS.states(z)[:, 0] == 1]
    u = (stats.norm.cdf(at_spike[:, 0]) - 0.45) / 0.1
    assert stats.kstest(u, "uniform").pvalue > 1e-3
    # So that the density is flat there: no draw weighs more for where in the spike it fell.
    moved = np.repeat(at_spike[:1], 5, axis=0)
    moved[:, 0] = stats.norm.ppf(np.linspace(0.451, 0.549, 5))
    assert np.ptp(by_state().log_ratio(moved)) < 1e-12


def test_states_that_it_does_not_have_are_never_drawn_and_have_no_density():
    proposal, rng = by_state(), np.random.default_rng(5)
    z = PriorProposal(3).sample(2000, rng)
    known = np.zeros(len(z), dtype=bool)
    for state in proposal.states:
        known |= (PARTS.states(z) == state).all(axis=1)
    assert (np.isneginf(proposal.log_ratio(z)) == ~known).all()


@pytest.mark.parametrize("make", [by_state, independent])
def test_a_checkpoint_gives_back_the_same_proposal(make):
    packer = Packer(PROPOSAL_KINDS)
    packed = json.loads(json.dumps({"value": packer.pack(make()), "objects": packer.objects}))
    cpu = torch.device("cpu")
    again = unpack(packed["value"], packed["objects"], packer.arrays, PROPOSAL_KINDS, None, cpu)
    z = make().sample(300, np.random.default_rng(6))
    np.testing.assert_array_equal(again.sample(300, np.random.default_rng(6)), z)
    np.testing.assert_array_equal(again.log_ratio(z), make().log_ratio(z))


def test_rows_are_grouped_by_their_state():
    states = np.array([[1, 0], [0, 2], [1, 0], [0, 0]])
    groups = {tuple(state): rows.tolist() for state, rows in rows_by_state(states)}
    assert groups == {(1, 0): [0, 2], (0, 2): [1], (0, 0): [3]}
    assert rows_by_state(states[:0]) == []
