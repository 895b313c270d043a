"""Mode search: from draws of the prior to all modes, whatever the likelihood, and its place in a run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import toys
from scipy.special import logsumexp, ndtr
from small_runs import made_small

from nbi_sampler.algorithm.records import Observer
from nbi_sampler.algorithm.search_starts import Starts, first_starts, kernels_around, moved
from nbi_sampler.algorithm.snpe import run
from nbi_sampler.core.config import SnpeConfig
from nbi_sampler.importance.weights import log_evidence

D = 5
# One in the middle, one in a corner, of which the prior's draws see half in every direction.
CENTRES = np.array([[0.5] * D, [0.02, 0.97, 0.01, 0.05, 0.93], [0.8, 0.2, 0.3, 0.7, 0.1]])
WIDTH = 0.01


def modes(u):
    squares = ((u[:, None] - CENTRES) ** 2).sum(axis=2)
    return logsumexp(-0.5 * squares / WIDTH**2, axis=1)


def searched(function, rng, n_rounds=4, n_scan=2000, n_each=900):
    """The step of a run, without the run."""
    u = rng.uniform(size=(n_scan, D))
    starts = first_starts(u, function(u))
    for _ in range(n_rounds):
        kernels = kernels_around(starts, np.zeros(D), rng)
        if kernels is None:
            break
        u = np.concatenate([u, ndtr(kernels.sample(n_each, rng))])
        starts = moved(kernels.mixture, u, function(u))
        if starts.converged.all():
            break
    return starts


def test_all_modes_are_found_with_their_places_and_widths():
    missed = 0
    for seed in range(10):
        starts = searched(modes, np.random.default_rng(seed))
        offsets = np.abs(starts.centres[:, None] - CENTRES).max(axis=2)
        missed += (offsets.min(axis=0) > 1e-3).sum()
        for start in np.flatnonzero(offsets.min(axis=1) < 1e-3):
            covariance = starts.factors[start] @ starts.factors[start].T
            np.testing.assert_allclose(covariance, WIDTH**2 * np.eye(D), atol=1e-2 * WIDTH**2)
    assert missed == 0


def test_narrow_modes_are_found_beside_wide_ones():
    """Modes of equal mass; the narrow ones stand out only in 0.3 and 1.8 % of the prior."""
    widths = np.array([0.2, 0.08, 0.08])

    def uneven(u):
        squares = ((u[:, None] - CENTRES) ** 2).sum(axis=2)
        return logsumexp(-0.5 * squares / widths**2 - D * np.log(widths), axis=1)

    for seed in range(10):
        starts = searched(uneven, np.random.default_rng(seed))
        offsets = np.abs(starts.centres[:, None] - CENTRES).max(axis=2)
        assert (offsets.min(axis=0) < 0.1 * widths).all()


@pytest.mark.parametrize(("wide", "narrow"), [(0.1, 0.03), (0.08, 0.02)])
def test_a_narrow_mode_on_the_slope_of_a_wide_one_is_found(wide, narrow):
    """It stands out in a few thousandths of the prior, where hardly any draw is higher than its neighbours.

    Of 30 seeds at most one misses it. Without starts that stand out from their neighbours, or with steps to
    the top of a paraboloid that does not fit, 6 to 25 did.
    """
    centres, widths = np.array([[0.3] * D, [0.6] * D]), np.array([wide, narrow])

    def on_the_slope(u):
        squares = ((u[:, None] - centres) ** 2).sum(axis=2)
        return logsumexp(-0.5 * squares / widths**2 - D * np.log(widths), axis=1)

    found = [searched(on_the_slope, np.random.default_rng(seed)).centres for seed in range(10)]
    offsets = [np.abs(centres_of_one - centres[1]).max(axis=1).min() for centres_of_one in found]
    assert (np.array(offsets) < narrow).sum() >= 9


def test_a_narrow_valley_is_found_from_draws_of_the_prior_alone():
    """A needle across ten dimensions: draws about any one point show no more than its walls."""
    n_dim = 10
    covariance = 0.15**2 * (0.999 * np.ones((n_dim, n_dim)) + 0.001 * np.eye(n_dim))
    precision, centre = np.linalg.inv(covariance), np.linspace(0.4, 0.6, n_dim)
    u = np.random.default_rng(6).uniform(size=(4000, n_dim))
    squares = np.einsum("ni,ij,nj->n", u - centre, precision, u - centre)
    starts = first_starts(u, -0.5 * squares)
    nearest = np.abs(starts.centres - centre).max(axis=1).argmin()
    assert starts.centres[nearest] == pytest.approx(centre, abs=1e-6)
    found = starts.factors[nearest] @ starts.factors[nearest].T
    np.testing.assert_allclose(found @ precision, np.eye(n_dim), atol=1e-4)


def test_starts_that_meet_become_one():
    starts = searched(lambda u: -0.5 * (((u - 0.4) / 0.05) ** 2).sum(axis=1), np.random.default_rng(1))
    assert starts.centres == pytest.approx(np.full((1, D), 0.4), abs=1e-6)
    assert starts.converged.all()


def test_a_mode_that_is_no_paraboloid_is_reached_all_the_same():
    def banana(u):
        x = 6.0 * (u - 0.5)
        return -0.5 * (x[:, 0] ** 2 + ((x[:, 1:] - 0.3 * x[:, :1] ** 2) ** 2).sum(axis=1) / 0.2**2)

    starts = searched(banana, np.random.default_rng(2))
    top = starts.centres[np.argmax(banana(starts.centres))]
    assert np.abs(top - 0.5).max() < 0.1


@pytest.mark.parametrize(
    "function",
    [
        lambda u: np.zeros(len(u)),
        lambda u: np.where(u[:, 0] < 0.5, -1e300, 0.0),
        lambda u: -1e300 * u[:, 0],
        lambda u: np.random.default_rng(3).normal(size=len(u)),
        lambda u: -1e12 * np.abs(u - 0.5).sum(axis=1),
        lambda u: 1e5 * (u**4).sum(axis=1),
    ],
    ids=["plateau", "cliff", "huge", "noise", "kink", "at the edge"],
)
def test_no_likelihood_is_too_odd(function):
    starts = searched(function, np.random.default_rng(4))
    assert ((starts.centres >= 0.0) & (starts.centres <= 1.0)).all()
    assert np.isfinite(starts.factors).all()
    assert (np.diagonal(starts.factors, axis1=1, axis2=2) > 0.0).all()


def test_a_start_in_a_corner_gets_as_many_draws_as_others():
    centres = np.array([np.full(D, 0.5), np.zeros(D)])
    factors = np.repeat(0.05 * np.eye(D)[None], 2, axis=0)
    rng = np.random.default_rng(5)
    kernels = kernels_around(Starts(centres, factors, np.zeros(2, dtype=bool)), np.zeros(D), rng)
    u = ndtr(kernels.sample(4000, rng))
    at_corner = (u.max(axis=1) < 0.4).mean()
    # The share inside is known from 400 draws, of which a 32nd are.
    assert 0.25 < at_corner < 0.75


class Recorder(Observer):
    """Keeps the states in which a run might be stopped."""

    def __init__(self):
        self.states = []

    def state_changed(self, state):
        self.states.append(state)


def two_modes(n_dim=D):
    """Two narrow modes, known by their likelihood alone, and the log evidence."""
    near, evidence = toys.bump([0.8] * n_dim, 0.1)
    far, other = toys.bump([-0.8] * n_dim, 0.1)
    problem = toys.likelihood_only(lambda theta: np.logaddexp(near(theta), far(theta)), n_dim)
    return problem, float(np.logaddexp(evidence, other))


CONFIG = SnpeConfig(n_effective=400)


@pytest.fixture(scope="module")
def done():
    """The last state of a run, and all before it."""
    recorder = Recorder()
    with made_small():
        return run(two_modes()[0], CONFIG, 1, recorder), recorder.states


@pytest.mark.takes_seconds
def test_it_follows_the_scan_once_and_the_evidence_is_right(done):
    state, _ = done
    phases = [record.phase for record in state.records]
    first, last = phases.count("prior"), phases.index("refinement")
    assert phases[:first] == ["prior"] * first
    assert phases[first:last] == ["mode search"] * phases.count("mode search")
    assert last > first
    # The modes need no tempering once they are found.
    assert state.records[last].exponent == 1.0
    assert not any(record.pooled for record in state.records[:last])
    value, error = log_evidence(state.final_log_weights)
    assert abs(value - two_modes()[1]) < 4 * error


@pytest.mark.takes_seconds
@pytest.mark.usefixtures("small_fits")
def test_stopped_in_the_middle_of_it_the_run_goes_on_as_if_it_was_not(done):
    state, states = done
    stopped = next(each for each in states if each.phase == "mode search" and each.pending)
    again = run(two_modes()[0], CONFIG, 1, Observer(), stopped)
    np.testing.assert_array_equal(again.final_log_weights, state.final_log_weights)


@pytest.mark.takes_seconds
@pytest.mark.usefixtures("small_fits")
def test_it_is_not_repeated_when_more_is_asked_for(done):
    state, _ = done
    more = replace(CONFIG, n_effective=600)
    state = run(two_modes()[0], more, 1, Observer(), replace(state, phase="refinement"))
    assert "".join(record.phase[0] for record in state.records).count("pm") == 1


@pytest.mark.usefixtures("small_fits")
def test_not_where_there_are_few_dimensions():
    assert run(two_modes(n_dim=2)[0], CONFIG, 1, Observer()).count("mode search") == 0
