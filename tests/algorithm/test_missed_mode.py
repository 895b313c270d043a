"""A mode that the proposal misses: found by the draws of the prior, or reported; a control without them."""

from __future__ import annotations

import numpy as np
import pytest
import toys
from snpe_cases import QUIET, pull, settings, status_of

from nbi_sampler.algorithm.history import History
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal, PriorProposal
from nbi_sampler.algorithm.records import RoundRecord
from nbi_sampler.algorithm.snpe import run
from nbi_sampler.algorithm.state import Best, State
from nbi_sampler.importance.weights import effective_sample_size, log_evidence


# What the draws of the prior find does not depend on how well proposals fit.
@pytest.mark.usefixtures("small_fits")
class TestMissedMode:
    """Two modes of equal mass, a proposal on one of them only."""

    CENTRE, WIDTH = 1.5, 0.2
    LEFT, RIGHT = toys.bump([-CENTRE], WIDTH), toys.bump([CENTRE], WIDTH)

    def log_likelihood(self, theta):
        return np.logaddexp(self.LEFT[0](theta), self.RIGHT[0](theta)) - np.log(2.0)

    @property
    def evidence(self):
        return self.RIGHT[1]

    def ready_to_draw(self, share_of_prior):
        """A run that has come as far as its final draws, none of which happened to fall on the other mode."""
        rng = np.random.default_rng(9)
        near = toys.student(self.CENTRE, 1.1 * self.WIDTH, degrees=30.0)
        shares = np.array([1.0 - share_of_prior, share_of_prior])
        members = (near, PriorProposal(1))
        proposal = MixtureProposal(members, shares) if share_of_prior else MixtureProposal.single(near)
        history, records = History(), ()
        for each, n in ((MixtureProposal.single(PriorProposal(1)), 20), (proposal, 300)):
            draws = toys.drawn(each, self.log_likelihood, n, rng)
            history = history.extended(draws, each)
            ess = effective_sample_size(draws.log_weights)
            phase = "refinement" if len(records) else "prior"
            records += (RoundRecord(phase, n, n, 0, ess, ess / n, *log_evidence(draws.log_weights)),)
        assert records[-1].efficiency > 0.9
        return State(history, history.batches[1:], records, "final", Best(proposal, records[-1]))

    def drawn_to_the_end(self, share_of_prior, refine):
        config = settings(n_effective=5000, refine=refine, max_likelihood_calls=30_000)
        problem = toys.likelihood_only(self.log_likelihood, 1)
        state = run(problem, config, 1, QUIET, self.ready_to_draw(share_of_prior))
        return state, status_of(state, config)

    @pytest.mark.takes_seconds
    def test_it_is_not_reported_as_healthy(self):
        state, status = self.drawn_to_the_end(0.005, refine=False)
        value, error = log_evidence(state.final_log_weights)
        assert status != "ok" or abs(value - self.evidence) < 4 * error

    @pytest.mark.slow
    def test_the_refinement_takes_it_up(self):
        state, status = self.drawn_to_the_end(0.005, refine=True)
        assert status == "ok"
        assert abs(pull(state, self.evidence)) < 4
        left = np.concatenate([draws.z[:, 0] for draws in state.final]) < 0
        weights = np.exp(state.final_log_weights - state.final_log_weights.max())
        assert 0.4 < weights[left].sum() / weights.sum() < 0.6

    def test_without_defence_nobody_could_know(self):
        state, status = self.drawn_to_the_end(0.0, refine=False)
        assert status == "ok"
        assert pull(state, self.evidence) < -10
