"""Properties that all kinds of progress share, and the table at the end of a run."""

from __future__ import annotations

import pytest

from nbi_sampler.algorithm.records import Observer, Observers, RoundRecord
from nbi_sampler.reports.progress import print_interval, table_of_rounds


def record(phase="refinement", n_draws=700, efficiency=0.812):
    return RoundRecord(
        phase=phase,
        n_draws=n_draws,
        n_calls=n_draws,
        n_nan=0,
        ess=efficiency * n_draws,
        efficiency=efficiency,
        log_evidence=-134.851,
        log_evidence_err=0.0123,
        seconds_simulating=1.25,
        seconds_training=4.0,
        seconds_sampling=0.04,
    )


@pytest.mark.parametrize("wrong", ["bar", "interval", "interval-0", "interval-soon", 5])
def test_unknown_print_method_is_refused_with_what_there_is(wrong):
    with pytest.raises(ValueError, match=r"print_method: expected 'tqdm', 'interval-SECONDS'.*got"):
        print_interval(wrong)


def test_table_has_a_line_for_every_batch():
    batches = [record("prior", 1400, 0.001), record(), record("final", 12_000, 1.0)]
    lines = table_of_rounds(batches).split("\n")
    assert lines[0].split() == [
        *("phase", "draws", "efficiency", "log", "evidence"),
        *("simulating", "/", "s", "training", "/", "s", "sampling", "/", "s"),
    ]
    assert lines[2].split() == ["refinement", "700", "81.2%", "-134.851", "+-", "0.012", "1.2", "4.0", "0.0"]
    assert lines[3].split()[1:3] == ["12,000", "100.0%"]
    assert lines[4].split() == ["in", "all", "14,100", "3.8", "12.0", "0.1"]
    assert len({len(line) for line in lines}) == 1


def test_the_table_adds_up_to_the_sampling_time_that_bilby_logs():
    *_, last = table_of_rounds([record(), record()], 12.5).split("\n")
    in_batches, between = 2 * (1.25 + 4.0 + 0.04), 12.5 - 2 * (1.25 + 4.0 + 0.04)
    assert last.startswith(f"Sampling time 12.5 s: {in_batches:.1f} s in the batches above, {between:.1f} s")


def test_table_takes_a_run_without_a_finite_likelihood():
    table = table_of_rounds([RoundRecord("prior", 800, 800, 3, 0.0, 0.0, float("-inf"), float("inf"))])
    assert "-inf +- inf" in table


def test_every_observer_is_told_of_every_event_in_order():
    told = []

    class Teller(Observer):
        def __init__(self, name):
            self.name = name

        def __getattribute__(self, event):
            if event in vars(Observer) and not event.startswith("_"):
                return lambda *arguments: told.append((self.name, event, arguments))
            return super().__getattribute__(event)

    events = [event for event in vars(Observer) if not event.startswith("_")]
    arguments = {"training_started": ("rounds",), "drawing_started": ("rounds", 5), "drawn": (5,)}
    arguments |= {"round_finished": (record(), 1.0), "state_changed": (None,)}
    arguments |= {"epoch_finished": (0, 0.1, 0.2), "simulations_drawn": ("rounds", None), "walked": (0.5,)}
    observers = Observers(Teller("first"), Teller("second"))
    for event in events:
        getattr(observers, event)(*arguments[event])
    assert told == [(name, event, arguments[event]) for event in events for name in ("first", "second")]
