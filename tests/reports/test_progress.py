"""What a run says: lines that a log can keep, a bar on a terminal only, a table at the end."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest

from nbi_sampler.algorithm.records import Observer, Observers, RoundRecord
from nbi_sampler.reports.progress import RunProgress, print_interval, table_of_rounds


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


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""
    times = [100.0]
    monkeypatch.setattr("nbi_sampler.reports.progress.time.monotonic", lambda: times[0])
    return times


@pytest.fixture
def terminal(monkeypatch):
    """Standard error that says it is a terminal."""
    stream = io.StringIO()
    stream.isatty = lambda: True
    # Not sys.stderr itself: pytest puts its own back between the set-up of a test and the test.
    monkeypatch.setattr("nbi_sampler.reports.progress.sys", SimpleNamespace(stderr=stream, modules={}))
    return stream


def batch(progress, **kwargs):
    """One batch of a run, as the rounds report it."""
    made = record(**kwargs)
    progress.training_started(made.phase)
    progress.drawing_started(made.phase, made.n_draws)
    progress.drawn(made.n_draws)
    progress.round_finished(made, 2510.0)


def test_line_says_where_the_run_stands(clock):
    lines = []
    progress = RunProgress("interval-60", 5000, lines.append)
    batch(progress, phase="prior", n_draws=11_000)
    batch(progress)
    clock[0] += 61
    batch(progress)
    batch(progress)
    assert lines == [
        "nbi refinement 2, training | 11,700 calls | efficiency 81.2 % | log Z = -134.85 +- 0.01 | "
        "2,510 of 5,000 effective | 61 s"
    ]
    progress.training_started("refinement")
    assert progress.line() == lines[0].replace("refinement 2", "refinement 4").replace("11,700", "13,100")


def test_lines_come_at_the_interval_and_not_more_often(clock):
    lines = []
    progress = RunProgress("interval-30", 5000, lines.append)
    for _ in range(100):
        clock[0] += 1
        progress.drawn(10)
    assert len(lines) == 3


def test_without_a_terminal_a_bar_becomes_lines_every_ten_seconds(clock, capsys):
    lines = []
    progress = RunProgress("tqdm", 5000, lines.append)
    batch(progress)
    clock[0] += 11
    batch(progress)
    progress.close()
    assert len(lines) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "print_method, after, n_lines", [("interval-60", 0.0, 1), ("interval-60", 2000.0, 0), ("none", 0.0, 0)]
)
def test_a_result_that_restarts_is_said_at_once(clock, print_method, after, n_lines):
    """Nobody should wonder where the effective samples went."""
    lines = []
    progress = RunProgress(print_method, 5000, lines.append)
    batch(progress)
    progress.round_finished(record(), after)
    assert len(lines) == n_lines
    assert all(line.startswith("nbi: 2,510 effective samples came from") for line in lines)


def test_a_terminal_gets_one_bar_and_no_lines(terminal):
    lines = []
    progress = RunProgress("tqdm", 5000, lines.append)
    batch(progress, phase="prior")
    batch(progress)
    progress.close()
    assert lines == []
    assert "nbi refinement 1" in terminal.getvalue()
    assert "2,510 of 5,000 effective" in terminal.getvalue()
    assert "efficiency 81.2 %, log Z = -134.85 +- 0.01" in terminal.getvalue()


@pytest.mark.parametrize("print_method", [None, "none"])
def test_silence_is_silent(clock, terminal, print_method):
    lines = []
    progress = RunProgress(print_method, 5000, lines.append)
    clock[0] += 1e6
    batch(progress)
    progress.close()
    assert lines == []
    assert terminal.getvalue() == ""


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
    arguments |= {"epoch_finished": (0, 0.1, 0.2), "simulations_drawn": ("rounds", None)}
    observers = Observers(Teller("first"), Teller("second"))
    for event in events:
        getattr(observers, event)(*arguments[event])
    assert told == [(name, event, arguments[event]) for event in events for name in ("first", "second")]
