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
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal, PriorProposal
from nbi_sampler.algorithm.proposals.student_mixture import StudentMixture
from nbi_sampler.priors.discrete import DiscreteParts
from nbi_sampler.storage.archive import ArchiveError
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


def saved_and_read(proposal, change=lambda objects, arrays: None):
    """A proposal as a file of a run with three parameters gives it back."""
    packer = Packer(PROPOSAL_KINDS)
    mixture = MixtureProposal((proposal, PriorProposal(3)), np.array([0.9, 0.1]))
    packed = json.loads(json.dumps({"value": packer.pack(mixture), "objects": packer.objects}))
    change(packed["objects"], packer.arrays)
    cpu = torch.device("cpu")
    return unpack(packed["value"], packed["objects"], packer.arrays, PROPOSAL_KINDS, None, cpu, 3).members[0]


@pytest.mark.parametrize("make", [by_state, independent])
def test_a_checkpoint_gives_back_the_same_proposal(make):
    again = saved_and_read(make())
    z = make().sample(300, np.random.default_rng(6))
    np.testing.assert_array_equal(again.sample(300, np.random.default_rng(6)), z)
    np.testing.assert_array_equal(again.log_ratio(z), make().log_ratio(z))


def a_state_less(objects, arrays):
    arrays["StateMixture.0.states"] = arrays["StateMixture.0.states"][:-1]


def another_state(objects, arrays):
    arrays["StateMixture.0.states"] = arrays["StateMixture.0.states"][::-1]


def a_coordinate_twice(objects, arrays):
    arrays["SubspaceProposal.0.kept"] = np.array([1, 1])


def more_coordinates(objects, arrays):
    next(each for each in objects if each["name"] == "SubspaceProposal.0")["arguments"]["n_dim"] = 3


def less_parameters(objects, arrays):
    next(each for each in objects if each["name"] == "PriorProposal.0")["arguments"]["n_dim"] = 2


@pytest.mark.parametrize(
    "change", [a_state_less, another_state, a_coordinate_twice, more_coordinates, less_parameters]
)
def test_sizes_that_do_not_fit_together_are_refused(change):
    with pytest.raises(ArchiveError, match=r"shape|coordinates|ascend|unordered"):
        saved_and_read(by_state(), change)


def test_rows_are_grouped_by_their_state():
    states = np.array([[1, 0], [0, 2], [1, 0], [0, 0]])
    groups = {tuple(state): rows.tolist() for state, rows in rows_by_state(states)}
    assert groups == {(1, 0): [0, 2], (0, 2): [1], (0, 0): [3]}
    assert rows_by_state(states[:0]) == []
