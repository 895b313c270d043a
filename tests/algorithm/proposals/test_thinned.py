"""Thinned proposals: their density is that of the draws they keep, whatever the approximation is worth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nbi_sampler.algorithm.proposals import thinned as module
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal, PriorProposal
from nbi_sampler.algorithm.proposals.thinned import thinned
from nbi_sampler.core.config import THINNING
from nbi_sampler.importance.weights import efficiency, log_evidence

N_DIM, WIDTH = 3, 0.3
# Of a Gaussian likelihood with this width at the centre of N(0, I).
LOG_Z = N_DIM * np.log(WIDTH / np.sqrt(1.0 + WIDTH**2))
PRIOR = MixtureProposal.single(PriorProposal(N_DIM))


def log_likelihood(z):
    return -0.5 * np.sum((z / WIDTH) ** 2, axis=1)


class Approximation:
    """The likelihood times a constant, and -inf where it lacks a part of it."""

    def __init__(self, power=1.0, lacking=-np.inf):
        self.power, self.lacking = power, lacking

    def flattened(self, z):
        return np.where(z[:, 0] > self.lacking, self.power * log_likelihood(z) + 50.0, -np.inf)


def made(approximation, rng, n=50_000):
    z = PRIOR.sample(n, rng)
    return thinned(PRIOR, approximation, approximation.flattened(z) - PRIOR.log_ratio(z))[0]


@pytest.mark.parametrize(
    "approximation",
    [Approximation(), Approximation(0.7), Approximation(1.5), Approximation(lacking=0.05)],
    ids=["right", "too wide", "too narrow", "lacking more than half"],
)
def test_weights_under_its_density_give_the_evidence(approximation):
    rng = np.random.default_rng(1)
    proposal = made(approximation, rng)
    z = proposal.sample(20_000, rng)
    found = log_evidence(log_likelihood(z) - proposal.log_ratio(z))
    assert found.log_evidence == pytest.approx(LOG_Z, abs=4 * np.hypot(found.error, proposal.log_ratio_error))


def test_nearly_every_draw_that_it_keeps_is_effective():
    rng = np.random.default_rng(2)
    pilot = PRIOR.sample(50_000, rng)
    proposal, expected = thinned(PRIOR, Approximation(), Approximation().flattened(pilot))
    z = proposal.sample(5000, rng)
    before = PRIOR.sample(5000, rng)
    assert efficiency(log_likelihood(before)) < 0.1
    found = efficiency(log_likelihood(z) - proposal.log_ratio(z))
    assert found > 0.7 and found == pytest.approx(expected, abs=0.03)


def test_what_the_approximation_lacks_is_drawn_at_the_floor():
    rng = np.random.default_rng(3)
    proposal = made(Approximation(lacking=0.0), rng)
    z = PRIOR.sample(1000, rng)
    lacking = z[:, 0] <= 0.0
    # At most 1 / floor times the weights that the draws would have without thinning, but for the mean.
    np.testing.assert_allclose(proposal.log_ratio(z[lacking]), np.log(THINNING.floor), atol=0.15)
    share = np.mean(proposal.sample(20_000, rng)[:, 0] <= 0.0)
    assert share == pytest.approx(0.5 * THINNING.floor, abs=0.01)


def test_no_draws_have_the_shape_of_draws():
    rng = np.random.default_rng(6)
    assert made(Approximation(), rng).sample(0, rng).shape == (0, N_DIM)


@pytest.mark.slow
def test_the_error_of_its_normalisation_is_the_one_it_states(monkeypatch):
    """However few thresholds it was chosen from."""
    monkeypatch.setattr(module, "THINNING", replace(THINNING, n_thresholds=8))
    pulls = []
    for seed in range(200):
        rng = np.random.default_rng([4, seed])
        proposal = made(Approximation(), rng, n=4000)
        z = proposal.sample(1000, rng)
        found = log_evidence(log_likelihood(z) - proposal.log_ratio(z))
        assert proposal.log_ratio_error > 2 * found.error
        pulls.append((found.log_evidence - LOG_Z) / np.hypot(found.error, proposal.log_ratio_error))
    assert np.mean(pulls) == pytest.approx(0.0, abs=4 / np.sqrt(200))
    assert np.std(pulls) == pytest.approx(1.0, abs=4 / np.sqrt(400))


def test_all_draws_are_kept_where_the_approximation_excludes_all():
    rng, nothing = np.random.default_rng(3), Approximation(lacking=np.inf)
    z = PRIOR.sample(100, rng)
    proposal, expected = thinned(PRIOR, nothing, nothing.flattened(z))
    assert expected == 0.0 and proposal.log_ratio_error == 0.0
    np.testing.assert_array_equal(proposal.log_ratio(z), PRIOR.log_ratio(z))
    assert proposal.sample(50, rng).shape == (50, N_DIM)
