"""Objects of a run to JSON and arrays and back: bit for bit, shared ones still shared, nothing else made."""

from __future__ import annotations

import inspect
import json
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest
import torch
from proposal_cases import CUT, two_students
from torch import nn
from toys import QUICK, bump, drawn, likelihood_only, linear_gaussian, networks

from nbi_sampler.algorithm.history import History
from nbi_sampler.algorithm.proposals import by_state
from nbi_sampler.algorithm.proposals import kernels as charts
from nbi_sampler.algorithm.proposals import proposal as proposals
from nbi_sampler.algorithm.proposals.affine import AffineMap
from nbi_sampler.algorithm.proposals.proposal import FlowProposal, MixtureProposal, PriorProposal
from nbi_sampler.algorithm.records import Observer
from nbi_sampler.algorithm.snpe import run
from nbi_sampler.algorithm.state import Pending, State
from nbi_sampler.core.config import SnpeConfig
from nbi_sampler.core.randomness import seeded_modules
from nbi_sampler.networks.flows import ModuleFlow, flow_factory
from nbi_sampler.storage.checkpoint import KINDS
from nbi_sampler.storage.objects import Packer, unpack

CPU = torch.device("cpu")


def round_trip(value, known=None):
    """The value after a journey through JSON text and copies of the arrays."""
    packer = Packer(KINDS)
    packed = packer.pack(value)
    text = json.loads(json.dumps({"value": packed, "objects": packer.objects}))
    arrays = {name: array.copy() for name, array in packer.arrays.items()}
    return unpack(text["value"], text["objects"], arrays, KINDS, (known or networks()).flow, CPU)


def assert_same(first, second):
    """Compare everything that two values are made of, bit for bit."""
    assert type(first) is type(second)
    if is_dataclass(first):
        for field in fields(first):
            assert_same(getattr(first, field.name), getattr(second, field.name))
    elif isinstance(first, np.ndarray):
        assert first.dtype == second.dtype
        np.testing.assert_array_equal(first, second)
    elif isinstance(first, nn.Module):
        assert_same(dict(first.state_dict()), dict(second.state_dict()))
    elif isinstance(first, torch.Tensor):
        assert first.dtype == second.dtype and torch.equal(first, second)
    elif isinstance(first, tuple):
        assert len(first) == len(second)
        for one, two in zip(first, second, strict=True):
            assert_same(one, two)
    elif isinstance(first, dict):
        assert_same(tuple(first.items()), tuple(second.items()))
    elif isinstance(first, float) and np.isnan(first):
        assert np.isnan(second)
    elif type(first) in KINDS:
        names = inspect.signature(type(first)).parameters
        assert_same(*(tuple(getattr(each, name) for name in names) for each in (first, second)))
    else:
        assert first == second


def flow_proposal(flow, n_context):
    context = torch.linspace(-1, 1, n_context)[None] if n_context else None
    with seeded_modules(np.random.default_rng(1)):
        made = flow_factory(flow)(2, n_context)
        for parameter in made.parameters():
            parameter.data += 0.1 * torch.randn(parameter.shape)
    return FlowProposal(
        made, context, AffineMap(np.array([0.1, -0.3]), np.array([[0.5, 0], [0.2, 0.7]])), CUT
    )


PROPOSALS = {
    "prior": lambda: PriorProposal(2),
    "students": lambda: two_students(CUT),
    **{
        f"{kind}, {n_context} features": lambda kind=kind, n_context=n_context: flow_proposal(kind, n_context)
        for kind in ("maf", "nsf", "mdn")
        for n_context in (0, 3)
    },
    "settings": lambda: flow_proposal({"type": "maf", "num_blocks": 1, "n_mog": 3, "flow_hidden": 16}, 3),
    "mixture": lambda: MixtureProposal((PriorProposal(2), two_students(CUT)), np.array([0.1, 0.9])),
}


@pytest.mark.parametrize("make", PROPOSALS.values(), ids=PROPOSALS)
def test_a_proposal_draws_and_weighs_as_before(make):
    before = make()
    after = round_trip(before)
    z = before.sample(200, np.random.default_rng(2))
    np.testing.assert_array_equal(after.sample(200, np.random.default_rng(2)), z)
    np.testing.assert_array_equal(after.log_ratio(z), before.log_ratio(z))


def test_every_class_of_proposals_can_be_saved():
    """A new one has to keep the arguments of its constructor, and to be listed in `checkpoint.KINDS`."""
    found = [
        kind
        for module in (proposals, charts, by_state)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if callable(getattr(kind, "log_ratio", None)) and kind is not proposals.Proposal
    ]
    assert len(found) >= 4
    assert set(found) <= set(KINDS)


class Shifted(nn.Module):
    """A user's density: a normal distribution about a learnt centre."""

    def __init__(self, n_dims):
        super().__init__()
        self.centre = nn.Parameter(torch.zeros(n_dims))
        self.register_buffer("short", torch.full((2,), 0.3, dtype=torch.bfloat16))

    def log_prob(self, z, context=None):
        return -0.5 * ((z - self.centre) ** 2).sum(-1)

    def sample(self, n, context=None):
        return self.centre + torch.randn(n, len(self.centre))


def test_a_users_flow_is_made_of_the_module_that_is_passed_again():
    trained = ModuleFlow(Shifted(2))
    trained.module.centre.data += torch.tensor([0.3, -2.0])
    before = FlowProposal(trained, torch.ones(1, 3), AffineMap(np.zeros(2), np.eye(2)), CUT)
    after = round_trip(before, networks(flow=Shifted(2)))
    assert torch.equal(after.flow.module.centre, trained.module.centre)
    assert torch.equal(after.flow.module.short, trained.module.short)
    assert not after.flow.training


@pytest.fixture(scope="module")
def states():
    """States of a short run, after every step and within every batch."""
    problem, _ = linear_gaussian(2)
    seen = []

    class Keeping(Observer):
        def state_changed(self, state):
            seen.append(state)

    run(problem, SnpeConfig(n_effective=600, n_sims=250, n_rounds=1), 3, Keeping())
    return seen


@pytest.mark.takes_seconds
def test_every_state_of_a_run_survives(states):
    phases = {state.phase for state in states}
    assert {"prior", "rounds", "refinement"} <= phases
    assert any(isinstance(state.pending, Pending) for state in states)
    for state in states[:: max(len(states) // 6, 1)] + states[-1:]:
        assert_same(state, round_trip(state))


def test_what_was_one_object_is_one_again(states):
    state = round_trip(replace(states[-1], final=states[-1].history.batches[-1:]))
    known = {id(member) for member in state.history.members}
    for proposal in (*state.history.proposals, state.best.proposal):
        assert {id(member) for member in proposal.members} <= known
    assert state.final[0] is state.history.batches[-1]


def test_a_history_goes_on_as_before(rng):
    log_likelihood, _ = bump([0.4, -0.2], 0.5)
    first = MixtureProposal((PriorProposal(2), two_students(CUT)), np.array([0.5, 0.5]))
    second = MixtureProposal((first.members[1], two_students(np.zeros(2))), np.array([0.3, 0.7]))
    history = History().extended(drawn(first, log_likelihood, 300, rng), first)
    batch = drawn(second, log_likelihood, 200, rng)
    expected = history.extended(batch, second)
    after, proposal = round_trip((history, second))
    actual = after.extended(batch, proposal)
    assert len(actual.members) == len(expected.members) == 3
    np.testing.assert_array_equal(actual.log_weights, expected.log_weights)


def test_predictions_that_no_fit_reads_any_more_are_let_go(states):
    after_rounds = [state for state in states if state.phase in ("refinement", "final") and not state.pending]
    assert after_rounds
    for state in after_rounds:
        assert all(each.evaluation.predictions is None for each in (*state.history.batches, *state.final))
    learning = next(state for state in states if state.phase == "rounds")
    assert learning.history.batches[-1].evaluation.predictions is not None


def test_without_predictions_keeps_what_is_shared(states):
    state = next(each for each in states if each.phase == "rounds")
    state = replace(state, final=state.history.batches[-1:])
    kept = state.without_predictions()
    assert kept.final[0] is kept.history.batches[-1] is not state.final[0]
    np.testing.assert_array_equal(kept.final_log_weights, state.final_log_weights)


@pytest.mark.parametrize("value", [object(), {"a": 1}, np.array(["a"]), np.array([None]), lambda: 0, 1j])
def test_what_is_not_known_is_refused_by_name(value):
    with pytest.raises(TypeError, match=r"^state\.thing: expected numbers, text"):
        Packer(KINDS).pack(value, "state.thing")


def test_only_allowed_classes_are_made():
    packer = Packer((PriorProposal,))
    packed = packer.pack(PriorProposal(2))
    with pytest.raises(KeyError, match="PriorProposal"):
        unpack(packed, packer.objects, packer.arrays, (State,), networks().flow, CPU)


@pytest.mark.takes_seconds
def test_one_seed_draws_on_as_before_after_any_state():
    """The seed and the number of records alone decide all that is random in a step."""
    problem = likelihood_only(bump([0.5], 0.3)[0], 1, QUICK)
    config = SnpeConfig(n_effective=300, n_sims=300)
    seen = []

    class Keeping(Observer):
        def state_changed(self, state):
            seen.append(state)

    expected = run(problem, config, 5, Keeping())
    for state in seen[1:]:
        again = run(problem, config, 5, Observer(), round_trip(state))
        np.testing.assert_array_equal(again.final_log_weights, expected.final_log_weights)
        assert [r.log_evidence for r in again.records] == [r.log_evidence for r in expected.records]
