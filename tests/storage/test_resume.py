"""A run that is stopped, in any phase and by any means, goes on: the same answer, and no call paid twice."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from resume_cases import (
    SHORT,
    Bowl,
    Stopping,
    assert_equal,
    assert_no_call_paid_twice,
    checkpoint,
    line_likelihood,
    terminate,
)

import nbi_sampler.networks.training.fit
from nbi_sampler.core.config import ROUNDS_TRAINING
from nbi_sampler.evaluation.batch import LikelihoodError
from nbi_sampler.reports.meta_data import rounds_of
from nbi_sampler.storage.checkpoint import read_draws


def place(table, phase, share):
    """Number of the call that is a ``share`` of the way into the first batch of a phase."""
    before = 0
    for row in table:
        if row["phase"] == phase:
            return before + int(share * row["n_calls"])
        before += row["n_calls"]
    raise LookupError(phase)


PLACES = [
    (Bowl, "prior", 0.0),
    (Bowl, "prior", 0.7),
    (Bowl, "refinement", 0.5),
    (Bowl, "final", 0.4),
    (line_likelihood, "prior", 0.3),
    (line_likelihood, "rounds", 0.6),
    (line_likelihood, "refinement", 0.99),
    (line_likelihood, "final", 0.1),
]


@pytest.mark.takes_seconds
@pytest.mark.parametrize(("make", "phase", "share"), PLACES)
@pytest.mark.posix
def test_stopped_by_a_signal_and_resumed_is_as_if_never_stopped(run, unbroken, tmp_path, make, phase, share):
    expected, calls = unbroken(make)
    before_the_run = len(calls) - expected.num_likelihood_evaluations
    at = before_the_run + place(rounds_of(expected), phase, share) + 1
    stopped, resumed = Stopping(at, terminate), Stopping()
    with pytest.raises(SystemExit) as caught:
        run(make(stopped), exit_code=77)
    assert caught.value.code == 77
    assert checkpoint(tmp_path).exists() == (phase != "prior" or share > 0)
    result = run(make(resumed))
    assert_equal(result, expected)
    assert_no_call_paid_twice(stopped, resumed, result)
    assert result.sampling_time > 0


@pytest.mark.takes_seconds
@pytest.mark.parametrize("make", [line_likelihood, Bowl])
@pytest.mark.posix
def test_stopped_while_a_network_trains(run, unbroken, monkeypatch, make):
    expected, _ = unbroken(make)
    steps, at, original = [], 12, nbi_sampler.networks.training.fit._Steps._take

    def step(*arguments):
        steps.append(0)
        if len(steps) == at:
            terminate()
        return original(*arguments)

    monkeypatch.setattr(nbi_sampler.networks.training.fit._Steps, "_take", step)
    stopped, resumed = Stopping(), Stopping()
    with pytest.raises(SystemExit):
        run(make(stopped))
    # To the end of the epoch.
    assert at <= len(steps) < at + ROUNDS_TRAINING.n_batches
    result = run(make(resumed))
    assert_equal(result, expected)
    assert_no_call_paid_twice(stopped, resumed, result)


@pytest.mark.posix
def test_stopped_between_a_batch_and_its_place_in_the_history(run, unbroken, monkeypatch):
    """The evaluator has ended, the state does not know yet: the calls count all the same."""
    expected, _ = unbroken(Bowl)
    original, seen = nbi_sampler.algorithm.step.Draws, []

    def draws(*arguments):
        seen.append(0)
        if len(seen) == 2:
            terminate()
        return original(*arguments)

    monkeypatch.setattr("nbi_sampler.algorithm.step.Draws", draws)
    stopped, resumed = Stopping(), Stopping()
    with pytest.raises(SystemExit):
        run(Bowl(stopped))
    result = run(Bowl(resumed))
    assert_equal(result, expected)
    assert_no_call_paid_twice(stopped, resumed, result)


def test_killed_outright_goes_on_from_the_last_checkpoint(run, unbroken, tmp_path):
    """As by SIGKILL: nothing is written at the end; what was written before, while drawing, counts."""
    expected, calls = unbroken(Bowl)
    content = []

    def look():
        content.append(checkpoint(tmp_path).read_bytes())
        terminate()

    stopped, resumed = Stopping(len(calls) - 50, look), Stopping()
    with pytest.raises(SystemExit):
        run(Bowl(stopped), check_point_delta_t=1e-3)
    checkpoint(tmp_path).write_bytes(content[0])
    result = run(Bowl(resumed))
    assert_equal(result, expected)
    assert len(resumed.calls) < 0.5 * len(calls)


@pytest.mark.parametrize("error", [ZeroDivisionError("no such model"), KeyboardInterrupt()])
def test_an_error_costs_nothing_once_it_is_mended(run, unbroken, tmp_path, error):
    expected, calls = unbroken(Bowl)

    def fail():
        raise error

    stopped, resumed = Stopping(len(calls) - 100, fail), Stopping()
    with pytest.raises((LikelihoodError, KeyboardInterrupt)) as caught:
        run(Bowl(stopped))
    if isinstance(caught.value, LikelihoodError):
        assert f"The draws so far are in {checkpoint(tmp_path)}; run again to continue" in str(caught.value)
    assert len(read_draws(checkpoint(tmp_path))["z"]) == expected.num_likelihood_evaluations - 101
    result = run(Bowl(resumed))
    assert_equal(result, expected)
    assert_no_call_paid_twice(stopped, resumed, result)


@pytest.mark.posix
def test_a_forked_process_that_gets_the_signal_writes_nothing(run, tmp_path):
    """A worker made by the user's own code inherits the handlers."""
    codes = []

    def fork():
        child = os.fork()
        if child == 0:
            terminate()
            os._exit(1)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    run(Bowl(Stopping(300, fork)), exit_code=77, **SHORT)
    assert codes == [77]


class SlowBowl(Bowl):
    """Slow enough to be interrupted while other processes work for it: call 150 leaves a file.

    bilby makes a hundred calls before the run.
    """

    def log_likelihood(self, parameters):
        global n_slow_calls
        n_slow_calls += 1
        if n_slow_calls == 150:
            Path(os.environ["CALL_150"]).touch()
        time.sleep(0.004)
        return super().log_likelihood(parameters)


n_slow_calls = 0


def alarmed_at(path):
    """Send SIGALRM to this process once a file is there."""
    while not path.exists():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGALRM)


@pytest.mark.parametrize(("npool", "then"), [(2, 1), (1, 2)])
@pytest.mark.posix
def test_goes_on_with_another_number_of_processes(run, unbroken, tmp_path, monkeypatch, npool, then):
    """SIGALRM, as bilby_pipe sets it, comes while the workers of a pool are at work."""
    expected, _ = unbroken(Bowl)
    at_work = tmp_path / "call_150"
    monkeypatch.setenv("CALL_150", str(at_work))
    monkeypatch.setattr(sys.modules[__name__], "n_slow_calls", 0)
    threading.Thread(target=alarmed_at, args=(at_work,), daemon=True).start()
    with pytest.raises(SystemExit):
        run(SlowBowl(Stopping()), npool=npool)
    assert 0 < len(read_draws(checkpoint(tmp_path))["z"]) < expected.num_likelihood_evaluations
    # The class is part of what a run is of; how long it takes is not.
    assert_equal(run(SlowBowl(Stopping()), npool=then), expected)
