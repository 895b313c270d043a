"""Estimates of what a run has still to do, from the records that it has."""

from __future__ import annotations

import math

import pytest

from nbi_sampler.algorithm.records import RoundRecord
from nbi_sampler.algorithm.snpe import STAGES as PHASES
from nbi_sampler.reports.outlook import STAGES, Pace, outlook


def record(phase, n_draws=1000, efficiency=0.001, exponent=1.0, seconds=(1.0, 0.0, 0.5)):
    simulating, training, sampling = seconds
    numbers = dict(n_calls=n_draws, n_nan=0, ess=efficiency * n_draws, efficiency=efficiency)
    numbers |= dict(log_evidence=-10.0, log_evidence_err=0.1, exponent=exponent)
    times = dict(seconds_simulating=simulating, seconds_training=training, seconds_sampling=sampling)
    return RoundRecord(phase=phase, n_draws=n_draws, **numbers, **times)


def fit(phase, **changes):
    return record(phase, seconds=(1.0, 10.0, 0.5), **changes)


PRIOR = record("prior", n_draws=2000)


def test_every_phase_of_a_run_has_words():
    assert set(STAGES) == set(PHASES)
    numbers = [STAGES[phase][0] for phase in PHASES]
    assert set(numbers) == {1, 2, 3} and numbers == sorted(numbers)


@pytest.mark.parametrize(
    "before, phase, fits",
    [
        ([], "prior", (2, 3)),
        ([PRIOR], "rounds", (2, 3)),
        ([PRIOR, fit("rounds")], "rounds", (1, 3)),
        ([PRIOR, *3 * [fit("rounds")]], "rounds", (1, 3)),
        ([PRIOR, fit("rounds")], "refinement", (3, 0)),
        ([PRIOR], "refinement", (7, 0)),
        ([PRIOR, fit("refinement", exponent=0.01)], "refinement", (4, 0)),
        ([PRIOR, fit("refinement", exponent=0.01), fit("refinement", exponent=0.02)], "refinement", (8, 0)),
        ([PRIOR, fit("refinement", exponent=1e-9)], "refinement", (11, 0)),
        ([PRIOR, fit("refinement", efficiency=0.3)], "refinement", (2, 0)),
        ([PRIOR, *2 * [fit("refinement", efficiency=0.9)]], "refinement", (1, 0)),
        ([PRIOR, *5 * [fit("refinement", efficiency=0.9)]], "refinement", (1, 0)),
        ([PRIOR, *5 * [fit("refinement", efficiency=0.6)]], "refinement", (2, 0)),
        ([PRIOR, fit("refinement", efficiency=0.9)], "final", (0, 0)),
    ],
)
def test_fits_that_are_still_to_come(before, phase, fits):
    seen = outlook(before, phase, 0.0, 5000.0)
    assert (seen.n_fits, seen.n_fits_later) == fits


def test_final_draws_take_what_is_missing_over_the_efficiency():
    before = [PRIOR, fit("refinement", efficiency=0.5), record("final", 2000, efficiency=0.4)]
    seen = outlook(before, "final", 1000.0, 5000.0)
    assert seen.n_draws == 10_000
    # Four thousand draws in three batches took 4.5 s.
    assert seen.seconds == pytest.approx(10_000 * 4.5 / 5000)
    assert seen.seconds == seen.seconds_of_stage
    assert seen.reason == "10,000 draws of 900 µs"


def test_fits_to_come_take_as_long_as_those_before_and_their_draws_count():
    seen = outlook([PRIOR, fit("rounds")], "refinement", 0.0, 8000.0)
    per_draw = 3.0 / 3000
    assert seen.n_draws == 8000 / 0.8 - 2 * 1000
    assert seen.seconds == pytest.approx(3 * (10.0 + 1000 * per_draw) + 8000 * per_draw)
    assert seen.reason == "3 fits of 10 s and 8,000 draws of 1 ms"


def test_draws_that_take_no_time_to_speak_of_are_not_named():
    quick = record("prior", seconds=(0.0, 0.0, 1e-4))
    trained = record("rounds", seconds=(0.0, 10.0, 1e-4))
    assert outlook([quick, trained], "refinement", 0.0, 8000.0).reason == "3 fits of 10 s"


def test_nothing_is_known_before_the_first_fit_but_what_the_step_under_way_shows():
    assert math.isnan(outlook([PRIOR], "rounds", 0.0, 5000.0).seconds)
    seen = outlook([PRIOR], "rounds", 0.0, 5000.0, Pace(fit=30.0, draw=7.0))
    # The records know what a draw takes; the fit is that under way.
    assert seen.pace == Pace(fit=30.0, draw=1.5 / 2000)
    assert math.isfinite(seen.seconds)


def test_a_result_that_is_complete_leaves_nothing():
    seen = outlook([PRIOR, fit("refinement", efficiency=0.9)], "final", 5000.0, 5000.0)
    assert (seen.seconds, seen.reason) == (0.0, "")
