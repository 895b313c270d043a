"""Proposals that an approximate likelihood teaches: the result is that of the likelihood itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import toys

from nbi_sampler.algorithm import approximation as module
from nbi_sampler.algorithm.approximation import Approximation, approximate_proposal, has_approximation
from nbi_sampler.algorithm.history import Draws, History
from nbi_sampler.algorithm.mixture import Fitting
from nbi_sampler.algorithm.proposals import walkers
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal, PriorProposal
from nbi_sampler.algorithm.proposals.weighted_draws import WeightedDraws
from nbi_sampler.algorithm.records import Observer
from nbi_sampler.algorithm.snpe import run
from nbi_sampler.algorithm.target import Target, choose_target
from nbi_sampler.core.config import APPROXIMATION, TAUGHT_BY_STATES, THINNING, SnpeConfig
from nbi_sampler.importance.weights import efficiency, log_evidence
from nbi_sampler.storage.archive import ArchiveError
from nbi_sampler.storage.checkpoint import Checkpoint, load, save

SMALL = replace(
    APPROXIMATION,
    **dict(fewest_dimensions=1, full_dimensions=1, n_first=500, n_walkers=400, n_steps=8, n_steps_at_end=10),
    n_draws=2000,
)


@pytest.fixture(autouse=True)
def small(monkeypatch, small_fits):
    for each in (module, walkers):
        monkeypatch.setattr(each, "APPROXIMATION", SMALL)
    monkeypatch.setattr("nbi_sampler.algorithm.first_draws.APPROXIMATION", SMALL)
    monkeypatch.setattr(module, "THINNING", replace(THINNING, error=0.02))
    for name in ("TAUGHT_BY_STATES", "TAUGHT_BY_DRAWS"):
        monkeypatch.setattr(module, name, replace(TAUGHT_BY_STATES, n_epochs=10))
    monkeypatch.setattr(module, "TAUGHT_FLOW", {"type": "maf", "num_blocks": 2, "flow_hidden": 32})


def problem_with(power=1.0, allowed=None, n_dim=3, offset=0.0):
    """A problem of known evidence, whose approximation is a power of the likelihood where it is allowed.

    The approximation is off by ``offset`` in the first parameter.
    """
    problem, evidence = toys.linear_gaussian(n_dim)
    forward, space = problem.evaluator.forward, problem.evaluator.space
    # The model is linear: its predictions for unit vectors give those for many draws at once.
    columns_of_design = [forward.simulate(dict(zip(space.names, row, strict=True))) for row in np.eye(n_dim)]
    design = np.transpose(columns_of_design)

    def approximation(about):
        assert set(about) >= set(space.names)

        def of_draws(columns):
            columns = columns | {"p0": columns["p0"] + offset}
            predictions = np.transpose([columns[name] for name in space.names]) @ design.T
            values = power * forward.log_likelihood(predictions, columns) + 100.0
            return values if allowed is None else np.where(allowed(columns), values, np.nan)

        return of_draws

    forward.has_approximation, forward.approximation = True, approximation
    return replace(problem, approximates=True), evidence


@pytest.mark.takes_seconds
@pytest.mark.parametrize("power", [1.0, 0.7, 1.4], ids=["right", "too wide", "too narrow"])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_evidence_is_that_of_the_likelihood_however_good_the_approximation(power, seed):
    problem, evidence = problem_with(power)
    state = run(problem, SnpeConfig(seed=seed, n_effective=500, n_sims=1000), seed, Observer())
    phases = {record.phase for record in state.records}
    assert phases <= {"prior", "refinement", "final"}
    found = log_evidence(state.final_log_weights)
    assert found.log_evidence == pytest.approx(evidence, abs=4 * found.error)
    assert state.records[0].n_draws == SMALL.n_first


@pytest.mark.takes_seconds
def test_half_of_the_posterior_that_the_approximation_lacks_is_not_lost():
    """The mixture's share of the prior and its wide kernels reach it, and weighted draws teach the next."""
    problem, evidence = problem_with(allowed=lambda columns: columns["p0"] > 0.8, n_dim=2)
    state = run(problem, SnpeConfig(seed=3, n_effective=500, n_sims=1000), 3, Observer())
    found = log_evidence(state.final_log_weights)
    assert found.log_evidence == pytest.approx(evidence, abs=4 * found.error)


@pytest.mark.takes_seconds
def test_a_wrong_approximation_costs_draws_and_not_the_evidence():
    """Its posterior is twelve deviations from the true one."""
    problem, evidence = problem_with(offset=1.5, n_dim=2)
    state = run(problem, SnpeConfig(seed=4, n_effective=500, n_sims=1000), 4, Observer())
    found = log_evidence(state.final_log_weights)
    assert found.log_evidence == pytest.approx(evidence, abs=4 * found.error)


def fitted(problem, start=None, observer=None):
    evaluator, rng = problem.evaluator, np.random.default_rng(5)
    prior, history = PriorProposal(3), History()
    whole = MixtureProposal.single(prior)
    z = prior.sample(500, rng)
    history = history.extended(Draws(z, whole.log_ratio(z), evaluator(z)), whole)
    target = choose_target(history, 3, located=False)
    highest = history.z[history.log_likelihood.argmax()]
    fitting = Fitting(problem.networks, TAUGHT_BY_STATES, rng, None)
    return approximate_proposal(evaluator, target, start, highest, fitting, observer or Observer())


@pytest.mark.takes_seconds
def test_the_expected_efficiency_is_the_one_that_its_draws_have():
    problem, _ = problem_with()
    proposal, trainings, expected = fitted(problem)
    z = proposal.sample(2000, np.random.default_rng(6))
    found = efficiency(problem.evaluator(z).log_likelihood - proposal.log_ratio(z))
    assert trainings and expected > 0.3
    # The approximation is flattened, which costs a part of the efficiency.
    assert found == pytest.approx(expected, abs=0.15)


@pytest.mark.takes_seconds
def test_a_good_start_takes_no_walkers():
    told = []

    class Listening(Observer):
        def walked(self, power):
            told.append(power)

    problem, _ = problem_with()
    first, _, _ = fitted(problem, observer=Listening())
    assert told == sorted(told) and told[-1] == SMALL.flattened
    told.clear()
    again, trainings, _ = fitted(problem, start=first, observer=Listening())
    assert not told and not trainings and again is first


def test_a_walker_is_held_out_with_all_its_states():
    """Otherwise fits are judged by copies of what they learnt."""
    z = np.repeat(np.arange(20.0)[None], 3, axis=0).reshape(-1, 1)
    target = Target.of_samples(WeightedDraws(z, np.zeros(60)), None, n_chains=20)
    held_out, learnt = (set(z[rows, 0]) for rows in (target.held_out, ~target.held_out))
    assert held_out == {7.0, 15.0} and not held_out & learnt


def test_few_largest_weights_do_not_teach_alone(monkeypatch):
    monkeypatch.setattr(module, "APPROXIMATION", replace(SMALL, capped=0.02))
    log_weights = np.append(np.linspace(-1.0, 0.0, 99), 50.0)
    capped = module._capped(Target.of_samples(WeightedDraws(np.zeros((100, 1)), log_weights), None))
    np.testing.assert_array_equal(capped.log_weights, np.append(log_weights[:99], 0.0))


def test_draws_that_the_approximation_excludes_leave_those_that_it_allows(monkeypatch):
    """A fit once failed as fewer draws than those that count as equal had a weight at all."""
    monkeypatch.setattr(module, "APPROXIMATION", replace(SMALL, capped=0.1))
    log_weights = np.append(np.full(98, -np.inf), [1.0, 2.0])
    for given, left in ((log_weights, 1.0), (np.full(100, -np.inf), -np.inf)):
        capped = module._capped(Target.of_samples(WeightedDraws(np.zeros((100, 1)), given), None))
        assert capped.log_weights.max() == left


def test_points_outside_the_prior_have_no_likelihood():
    problem, _ = problem_with(allowed=lambda columns: columns["p0"] > 0.0)
    approximation = Approximation(problem.evaluator, np.array([1.0, 0.0, 0.0]))
    values = approximation(np.array([[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))
    assert values[0] == -np.inf and values[1] == approximation.height


@pytest.mark.takes_seconds
def test_a_checkpoint_has_the_thinned_proposal(tmp_path):
    problem, _ = problem_with()
    state = run(problem, SnpeConfig(seed=5, n_effective=300, n_sims=500), 5, Observer())
    path, names = tmp_path / "checkpoint.npz", problem.evaluator.space.names
    save(path, names, {}, Checkpoint(state, 5, 1.0))
    read = load(path, {}, problem.networks, problem.evaluator).state
    (before,), (after,) = state.best.proposal.members, read.best.proposal.members
    z = before.sample(200, np.random.default_rng(6))
    np.testing.assert_array_equal(z, after.sample(200, np.random.default_rng(6)))
    np.testing.assert_array_equal(before.log_ratio(z), after.log_ratio(z))
    assert (
        [draws.log_ratio_error for draws in read.final] == [before.log_ratio_error] * len(state.final) != []
    )
    with pytest.raises(ArchiveError, match=r"Approximation\.0\.evaluator"):
        load(path, {}, problem.networks)


class TestWhereItIsUsed:
    def test_with_an_approximation_in_enough_dimensions(self, monkeypatch):
        evaluator = problem_with()[0].evaluator
        space, forward = evaluator.space, evaluator.forward
        assert has_approximation(space, forward)
        monkeypatch.setattr(module, "APPROXIMATION", replace(SMALL, fewest_dimensions=4))
        assert not has_approximation(space, forward)

    def test_not_without_a_forward_model_or_an_approximation(self):
        evaluator = toys.linear_gaussian(3)[0].evaluator
        assert not has_approximation(evaluator.space, None)
        assert not has_approximation(evaluator.space, evaluator.forward)

    def test_a_model_without_one_says_what_to_call(self):
        forward = toys.linear_gaussian(3)[0].evaluator.forward
        with pytest.raises(NotImplementedError, match="no approximation; call the likelihood itself"):
            forward.approximation({})
