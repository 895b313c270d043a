"""Messages of a run: lines that a log can keep, a bar on a terminal and in a notebook only."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace

import pytest
from tqdm.notebook import tqdm as notebook_tqdm

from nbi_sampler.algorithm.records import RoundRecord
from nbi_sampler.reports.run_progress import RunProgress


def record(phase="refinement", n_draws=700, efficiency=0.812, **changes):
    values = dict(
        n_draws=n_draws,
        n_calls=n_draws,
        n_nan=0,
        ess=efficiency * n_draws,
        efficiency=efficiency,
        log_evidence=-134.851,
        log_evidence_err=0.0123,
        seconds_simulating=1.25,
        seconds_training=0.0 if phase in ("prior", "final") else 4.0,
        seconds_sampling=0.04,
    )
    return RoundRecord(phase=phase, **values | changes)


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


def batch(progress, effective=2510.0, **kwargs):
    """One batch of a run, as the rounds report it."""
    made = record(**kwargs)
    if made.seconds_training:
        progress.training_started(made.phase)
    progress.drawing_started(made.phase, made.n_draws)
    progress.drawn(made.n_draws)
    progress.round_finished(made, effective)


def test_a_line_says_stage_share_calls_and_time_left_with_its_reason(clock):
    lines = []
    progress = RunProgress("interval-60", 5000, lines.append)
    batch(progress, phase="prior", n_draws=11_000)
    batch(progress)
    clock[0] += 61
    batch(progress)
    batch(progress)
    assert lines == [
        "nbi 2/3 refining the proposal, fit 2 of about 3: training | 88 % of this stage | 11,700 calls | "
        "efficiency 81.2 % | log Z = -134.85 +- 0.01 | 2,510 of 5,000 effective | 61 s so far, about 9 s "
        "left (2 fits of 4 s)"
    ]


def test_a_line_while_it_learns_says_why_nothing_counts_yet(clock):
    progress = RunProgress("interval-60", 5000, print, n_epochs=40)
    batch(progress, phase="prior", n_draws=11_000, effective=0.0)
    progress.training_started("rounds")
    clock[0] += 3
    unknown = progress.line()
    assert "nbi 1/3 learning from simulations, round 1 of about 2: training |" in unknown
    assert "0 of 5,000 effective: draws so far train the proposal and do not count" in unknown
    assert unknown.endswith("time left is known after the first fit")
    assert "log Z" not in unknown
    progress.epoch_finished(9, 1.0, 1.0)
    known = progress.line()
    assert "training, epoch 10 of 40 at most" in known
    # Ten of forty epochs took 3 s: a fit takes 12 s, and five are usual.
    assert re.search(r"about 60 s left \(5 fits of (10|13) s", known)


@pytest.mark.parametrize(
    "phase, why",
    [
        ("rounds", "draws so far train the proposal and do not count"),
        ("refinement", "draws count once the proposal fits the posterior"),
        ("final", "the result starts again"),
    ],
)
def test_nothing_that_counts_is_never_left_without_a_reason(phase, why):
    progress = RunProgress("none", 5000, print)
    progress.drawing_started(phase, 100)
    assert f"0 of 5,000 effective: {why}" in progress.line()
    progress.round_finished(record(phase), 12.0)
    assert "12 of 5,000 effective |" in progress.line()


def test_the_share_of_a_stage_grows_with_time_and_restarts_with_the_next(clock):
    progress = RunProgress("none", 1000, print, n_epochs=10)

    def share():
        return float(re.search(r"([\d.]+) % of this stage", progress.line())[1])

    batch(progress, phase="prior", effective=0.0)
    shares = []
    progress.training_started("rounds")
    for epoch in range(10):
        clock[0] += 1
        progress.epoch_finished(epoch, 1.0, 1.0)
        shares.append(share())
    assert shares == sorted(shares) and 0 < shares[0] < shares[-1] <= 60
    progress.drawing_started("refinement", 700)
    assert share() < shares[-1]
    progress.round_finished(record(), 400.0)
    progress.drawing_started("final", 300)
    assert share() == 40


def test_draws_of_a_slow_likelihood_are_timed_as_they_come(clock):
    progress = RunProgress("none", 1000, print)
    progress.drawing_started("final", 4000)
    progress.drawn(1000)
    clock[0] += 500
    # At half a second each: 1,000 over the usual efficiency of 80 %, less those that are done.
    assert "about 2 min left (1,250 draws of 0.5 s)" in progress.line()


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
    assert len(lines) == 1 and "\n" not in lines[0]
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
    assert "nbi 2/3 refining the proposal, fit 1" in terminal.getvalue()
    assert "2,510 of 5,000 effective" in terminal.getvalue()
    assert "efficiency 81.2 %, log Z = -134.85 +- 0.01" in terminal.getvalue()


def test_a_notebook_gets_a_bar_of_widgets_as_wide_as_there_is_room(monkeypatch):
    made = []

    class Widgets(notebook_tqdm):
        def __init__(self, **settings):
            made.append(self)
            self.settings = settings
            self.n, self.said = 0, []

        def set_description(self, text, refresh):
            self.said.append(text)

        def set_postfix_str(self, text, refresh):
            self.said.append(text)

        def refresh(self):
            pass

        def close(self):
            pass

    monkeypatch.setattr("tqdm.auto.tqdm", Widgets)
    modules = SimpleNamespace(stderr=io.StringIO(), modules={"ipykernel": None})
    monkeypatch.setattr("nbi_sampler.reports.progress.sys", modules)
    progress = RunProgress("tqdm", 5000, print)
    batch(progress, phase="final", effective=2500.0)
    (bar,) = made
    # The class of tqdm for notebooks looks for exactly this.
    assert "{bar}" in bar.settings["bar_format"]
    assert bar.monitor_interval == 0
    assert (bar.n, bar.settings["total"]) == (50, 100)
    assert any("2,500 of 5,000 effective" in text for text in bar.said)


@pytest.mark.parametrize("print_method", [None, "none"])
def test_silence_is_silent(clock, terminal, print_method):
    lines = []
    progress = RunProgress(print_method, 5000, lines.append)
    clock[0] += 1e6
    batch(progress)
    progress.close()
    assert lines == []
    assert terminal.getvalue() == ""


def test_walkers_are_named_and_their_time_is_not_taken_for_that_of_epochs(clock):
    lines = []
    progress = RunProgress("interval-60", 2000, lines.append, n_epochs=40)
    batch(progress, phase="prior", n_draws=2000, effective=0.0)
    progress.training_started("refinement")
    clock[0] += 61
    progress.walked(0.125)
    clock[0] += 100
    progress.epoch_finished(0, 1.0, 1.0)
    assert "exploring an approximate likelihood, at its power 0.12" in lines[0]
    # Fits to walkers have more epochs than the others, so no limit is named.
    assert "training, epoch 1 | " in lines[1] and "at most" not in lines[1]
    assert all("left is known after the first fit" in line for line in lines)
