"""Former samples: how they join the draws of a run, and how far such a run has searched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import toys
from toys import drawn, student

from nbi_sampler.algorithm.former_samples import can_ascend, compared, completed, defended
from nbi_sampler.algorithm.history import Draws, History
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal, PriorProposal
from nbi_sampler.algorithm.proposals.weighted_draws import WeightedDraws
from nbi_sampler.algorithm.records import Observer, RoundRecord
from nbi_sampler.algorithm.rounds import fit_to_simulations
from nbi_sampler.algorithm.snpe import run
from nbi_sampler.algorithm.start import FormerSamples
from nbi_sampler.algorithm.state import State
from nbi_sampler.algorithm.step import Step
from nbi_sampler.algorithm.target import choose_target
from nbi_sampler.core.config import INITIAL, SnpeConfig
from nbi_sampler.importance.reliability import may_be_lacking
from nbi_sampler.importance.weights import effective_sample_size, log_evidence

# What former samples tell does not depend on how well proposals fit.
pytestmark = pytest.mark.usefixtures("small_fits_of_a_module")


def former(centre, width, n=400, offset=0.0, seed=3, with_values=True):
    """Samples of a Gaussian posterior under N(0, I), with log-likelihoods that are off by a constant."""
    centre = np.asarray(centre, dtype=float)
    shrunk = 1.0 / (1.0 + width**2)
    z = np.random.default_rng(seed).normal(shrunk * centre, width * np.sqrt(shrunk), (n, len(centre)))
    function, _ = toys.bump(centre, width)
    values = function(z) + offset if with_values else None
    return FormerSamples(WeightedDraws(z, np.zeros(n)), values, "digest", {})


def step_of(function, samples):
    problem = replace(toys.likelihood_only(function, samples.draws.z.shape[1]), start=samples)
    return Step(State(), problem, SnpeConfig(seed=1), 1, Observer())


class TestComparison:
    def test_finds_the_constant_between_two_likelihoods(self):
        function, _ = toys.bump([0.5, 0.5], 0.1)
        state = compared(step_of(function, former([0.5, 0.5], 0.1, offset=4.0)))
        assert state.former_offset == pytest.approx(-4.0)
        assert state.n_checked == INITIAL.n_checked == state.n_calls

    @pytest.mark.parametrize(
        "other", [dict(width=0.1001), dict(centre=[0.5001, 0.5])], ids=["width", "centre"]
    )
    def test_tells_a_likelihood_that_differs_by_little(self, other):
        function, _ = toys.bump(**(dict(centre=[0.5, 0.5], width=0.1) | other))
        assert compared(step_of(function, former([0.5, 0.5], 0.1))).former_offset is None


def test_samples_and_draws_count_as_many_as_they_are_worth():
    function, _ = toys.bump([0.5, 0.5], 0.2)
    proposal = student([0.5, 0.5], 0.25)
    history = History().extended(
        drawn(proposal, function, 1000, np.random.default_rng(1)), MixtureProposal.single(proposal)
    )
    target, samples = choose_target(history, 2, True), former([0.5, 0.5], 0.2, offset=7.0)
    joined = target.joined(samples.target(-7.0), history)
    old = joined.weights[len(target.z) :].sum()
    ess = effective_sample_size(target.log_weights)
    assert old == pytest.approx(400 / (400 + ess), rel=1e-6)
    # One surface: at a place of the draws and of the samples alike.
    expected = function(joined.z) - function(target.z[:1]) + target.log_target[0]
    np.testing.assert_allclose(joined.log_target, expected, atol=1e-9)


@pytest.mark.parametrize("mass_elsewhere, whole_way", [(0.5, True), (0.001, False)])
def test_a_mode_that_only_the_search_finds_sends_the_run_the_whole_way(mass_elsewhere, whole_way):
    """It is unknown how many more modes the samples lack."""
    rng, width = np.random.default_rng(2), 0.05
    (known, log_z), (other, log_z_other) = (toys.bump([centre], width) for centre in (1.0, -1.0))

    def log_likelihood(z):
        parts = known(z) - log_z + np.log1p(-mass_elsewhere), other(z) - log_z_other + np.log(mass_elsewhere)
        return np.logaddexp(*parts)

    near = MixtureProposal.single(student([1.0], width))
    first = defended(near, 1000, 20, 1)
    z = near.sample(1000, rng)
    at_first = replace(drawn(near, log_likelihood, 1000, rng), z=z, log_ratio=first.log_ratio(z))
    at_first = replace(at_first, evaluation=replace(at_first.evaluation, log_likelihood=log_likelihood(z)))
    searched = MixtureProposal.single(student([-1.0], width))
    history = History().extended(at_first, first)
    history = history.extended(drawn(searched, log_likelihood, 100, rng), searched)
    records = tuple(
        RoundRecord(phase, n, n, 0, n / 2, 0.5, 0.0, 0.1, pooled=phase == "initial")
        for phase, n in (("initial", 1000), ("mode search", 100))
    )
    state = State(history, (at_first,), records, "refinement")
    after = completed(state)
    assert (after.phase, len(after.final)) == (("prior", 0) if whole_way else ("refinement", 1))
    # Once the run has been there, nothing sends it again.
    scanned = replace(state, records=(*records, replace(records[0], phase="prior")))
    assert completed(scanned) is scanned


def test_the_draws_of_the_prior_are_those_that_the_message_counts():
    """A region with the named share of the prior contains none of the draws in one case of twenty."""
    proposal = defended(MixtureProposal.single(student([0.0, 0.0], 0.1)), 1300, 500, 2)
    assert proposal.shares[-1] == pytest.approx(500 / 1300)
    draws = drawn(proposal, lambda z: np.zeros(len(z)), 1300, np.random.default_rng(1))
    n = History().extended(draws, proposal).n_from_prior
    assert n == 500
    share = float(may_be_lacking(n).split("more than ")[1].split(" %")[0]) / 100
    assert (1.0 - share) ** n == pytest.approx(0.05, abs=0.005)


@pytest.mark.takes_seconds
@pytest.mark.parametrize("with_values", [True, False], ids=["known_values", "samples_alone"])
def test_a_run_from_samples_of_one_mode_of_two_gives_the_evidence_of_both(with_values):
    """Equal modes, each in a region that is too small to contain a draw from the prior for certain."""
    centres = np.array([[0.9] * 3, [-0.9] * 3])
    one, two = (toys.bump(centre, 0.15) for centre in centres)
    evidence = np.logaddexp(one[1], two[1]) - np.log(2.0)

    def function(theta):
        return np.logaddexp(one[0](theta), two[0](theta)) - np.log(2.0)

    samples = former(centres[0], 0.15, with_values=with_values, offset=-np.log(2.0))
    problem = replace(toys.likelihood_only(function, 3), start=samples)
    state = run(problem, SnpeConfig(seed=1, n_effective=500), 1, Observer())
    found = log_evidence(state.final_log_weights)
    assert found.log_evidence == pytest.approx(evidence, abs=5.0 * found.error)


@pytest.mark.parametrize("lacks_a_mode", [False, True], ids=["whole", "half"])
def test_samples_that_lack_a_mode_teach_no_more(lacks_a_mode):
    """They would outweigh the few draws that have found the mode."""
    one, two = (toys.bump(centre, 0.15)[0] for centre in ([0.9, 0.9], [-0.9, -0.9]))
    proposal = defended(MixtureProposal.single(student([0.9, 0.9], 0.2)), 12_000, 6_000, 2)

    def function(z):
        return np.logaddexp(one(z), two(z)) if lacks_a_mode else one(z)

    history = History().extended(drawn(proposal, function, 12_000, np.random.default_rng(1)), proposal)
    target = choose_target(history, 2, True)
    assert target.exponent == 1.0
    made = target.joined(former([0.9, 0.9], 0.15).target(0.0), history)
    assert (made is target) == lacks_a_mode


class TestAPosteriorThatHasMoved:
    """Data of another night, whose posterior is several deviations away from the former one."""

    WIDTH = 0.1

    CONFIG = SnpeConfig(seed=1, n_effective=300)

    def run_to_the_end(self, function, n_dim, observer=None, state=None):
        problem = replace(toys.likelihood_only(function, n_dim), start=former([0.0] * n_dim, self.WIDTH))
        return run(problem, self.CONFIG, 1, observer or Observer(), state)

    @pytest.mark.parametrize("n_deviations, has_moved", [(0.3, False), (3.0, True)])
    def test_is_recognised_at_the_compared_samples(self, n_deviations, has_moved):
        function, _ = toys.bump([n_deviations * self.WIDTH] * 2, self.WIDTH)
        assert compared(step_of(function, former([0.0] * 2, self.WIDTH))).has_moved == has_moved
        without = former([0.0] * 2, self.WIDTH, with_values=False)
        assert not compared(step_of(function, without)).has_moved

    @pytest.mark.takes_seconds
    def test_is_reached_by_an_ascent_and_costs_less_than_a_start_from_the_prior(self):
        function, evidence = toys.bump([3.0 * self.WIDTH] * 3, self.WIDTH)
        state = self.run_to_the_end(function, 3)
        phases = [record.phase for record in state.records]
        assert phases[:2] == ["initial", "ascent"] and "prior" not in phases
        assert phases[phases.count("ascent") + 1] == "mode search"
        found = log_evidence(state.final_log_weights)
        assert found.log_evidence == pytest.approx(evidence, abs=4.0 * found.error)
        assert found.error < 0.08
        scratch = run(toys.likelihood_only(function, 3), self.CONFIG, 1, Observer())
        assert state.n_calls < 0.6 * scratch.n_calls

    @pytest.mark.takes_seconds
    def test_of_a_bent_shape_is_reached_from_the_prior(self):
        """The steps of a paraboloid lead along an arc for long."""

        width = 0.05

        def function(theta):
            bend = theta.T[1] - 1.5 + 2.0 * (theta.T[0] - 0.5) ** 2
            return -0.5 * (bend / width) ** 2 - 0.5 * ((theta.T[2] - 1.0) / 0.1) ** 2

        state = self.run_to_the_end(function, 3)
        phases = [record.phase for record in state.records]
        assert phases.count("ascent") == INITIAL.most_ascending
        assert phases[INITIAL.most_ascending + 1] == "prior"
        x = np.linspace(-6.0, 6.0, 20_001)
        y = 1.5 - 2.0 * (x - 0.5) ** 2
        arc = np.trapezoid(np.exp(-0.5 * x**2 - 0.5 * y**2 / (1.0 + 0.02**2)), x) / (2.0 * np.pi)
        variance = 0.1**2 + 1.0
        evidence = (
            np.log(arc * width * np.sqrt(2.0 * np.pi)) + np.log(0.1) - 0.5 * np.log(variance) - 0.5 / variance
        )
        found = log_evidence(state.final_log_weights)
        assert found.log_evidence == pytest.approx(evidence, abs=4.0 * found.error)

    def test_is_not_sought_by_an_ascent_if_it_had_two_modes(self):
        """It would find one of them."""
        z = np.concatenate([former([c, c], self.WIDTH, n=300).draws.z for c in (-1.0, 1.0)])
        (left, _), (right, _) = (toys.bump([c, c], self.WIDTH) for c in (-1.0, 1.0))
        samples = FormerSamples(
            WeightedDraws(z, np.zeros(600)), np.logaddexp(left(z), right(z)), "digest", {}
        )
        assert not can_ascend(step_of(left, samples))
        assert can_ascend(step_of(left, former([1.0, 0.2], self.WIDTH)))
        function, _ = toys.bump([1.4, 1.4], self.WIDTH)
        problem = replace(toys.likelihood_only(function, 2), start=samples)
        state = run(problem, SnpeConfig(seed=1, n_effective=200, max_likelihood_calls=20_000), 1, Observer())
        assert state.has_moved and state.records[0].phase == "prior"
        assert state.n_calls == INITIAL.n_checked + sum(record.n_calls for record in state.records)

    @pytest.mark.takes_seconds
    def test_goes_on_after_an_interruption_as_if_there_was_none(self):
        function, _ = toys.bump([3.0 * self.WIDTH] * 2, self.WIDTH)
        states = []

        class Kept(Observer):
            def state_changed(self, state):
                states.append(state)

        whole = self.run_to_the_end(function, 2, Kept())
        for phase in ("initial", "ascent"):
            stopped = next(state for state in states if state.phase == phase and state.pending)
            again = self.run_to_the_end(function, 2, state=stopped)
            np.testing.assert_array_equal(again.final_log_weights, whole.final_log_weights)


def test_rounds_after_a_restart_from_the_prior_learn_from_the_batches_with_predictions():
    """Those before it have lost their predictions, which only rounds need."""
    problem, _ = toys.linear_gaussian(2)
    rng, prior = np.random.default_rng(1), MixtureProposal.single(PriorProposal(2))
    batches = []
    for n in (30, 200):
        z = prior.sample(n, rng)
        batches.append(Draws(z, prior.log_ratio(z), problem.evaluator(z)))
    batches[0] = batches[0].without_predictions(some=False)
    arguments = problem.evaluator.forward, problem.evaluator.space, problem.networks
    fits = [
        fit_to_simulations(each, *arguments, replace(toys.QUICK, n_epochs=1), np.random.default_rng(2))[1]
        for each in (batches, batches[1:])
    ]
    assert fits[0].training.validation == fits[1].training.validation
