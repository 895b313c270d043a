"""Signals while the user's code runs: nothing is raised in it, and no call that one came in counts."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time

import bilby
import numpy as np
import pytest
from bilby.core.prior import PriorDict, Uniform
from resume_cases import QUICK, SHORT, Bowl, Stopping, assert_equal, checkpoint, terminate

from nbi_sampler.sampler.signals import SignalsTo
from nbi_sampler.storage.checkpoint import read_draws

pytestmark = pytest.mark.posix
SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGALRM") if hasattr(signal, name)]


class Swallowing(Bowl):
    """Takes every exception, those of signals too, for a model that does not exist."""

    def log_likelihood(self, parameters):
        try:
            return super().log_likelihood(parameters)
        except:  # noqa: E722
            return -np.inf


def leave(number, frame):
    raise SystemExit(number)


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
    # The handler runs in this thread before many more lines of Python.
    for _ in range(10_000):
        pass


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """A run that no signal comes in."""
    priors = PriorDict({"m": Uniform(-3, 3), "c": Uniform(-3, 3)})
    settings = QUICK | SHORT | {"outdir": str(tmp_path_factory.mktemp("peace"))}
    return bilby.run_sampler(Swallowing(Stopping()), priors, sampler="nbi", **settings)


def fail_to_exit():
    """A terminal sends Ctrl-C to the programs that a likelihood has started too."""
    interrupt()
    raise OSError("the simulator was interrupted")


@pytest.mark.parametrize("send", [terminate, interrupt, fail_to_exit])
def test_a_likelihood_that_swallows_all_exceptions_is_interrupted_and_no_call_counts_as_zero(
    run, short, tmp_path, send
):
    stopped = Stopping(300, send)
    with pytest.raises(SystemExit) as caught:
        run(Swallowing(stopped), exit_code=77, **SHORT)
    assert caught.value.code == 77
    assert len(stopped.calls) <= 300, "the run went on after the signal"
    assert np.isfinite(read_draws(checkpoint(tmp_path))["log_likelihood"]).all()
    assert_equal(run(Swallowing(Stopping()), **SHORT), short)


def kills(*numbers):
    """Signals sent to this process by another thread, one after the other."""

    def send():
        for number in numbers:
            time.sleep(0.3)
            os.kill(os.getpid(), number)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def test_a_call_that_hangs_is_interrupted_by_a_second_signal(run, tmp_path, monkeypatch):
    monkeypatch.setattr("nbi_sampler.sampler.signals.SECOND_SIGNAL", 0.1)
    seen = []

    def hang():
        thread = kills(signal.SIGTERM, signal.SIGTERM)
        end = time.monotonic() + 20.0
        while time.monotonic() < end:
            time.sleep(0.01)
            seen.append(thread.is_alive())

    with pytest.raises(SystemExit):
        run(Swallowing(Stopping(300, hang)), **SHORT)
    assert len(seen) < 1000, "it was waited for"
    values = read_draws(checkpoint(tmp_path))["log_likelihood"]
    assert len(values) > 100 and np.isfinite(values).all()


def test_a_long_call_is_waited_for_but_what_is_paid_for_is_saved_at_once(run, tmp_path, monkeypatch):
    """The scheduler may kill the process before the call ends."""
    monkeypatch.setattr("nbi_sampler.sampler.signals.LONG_CALL", 0.1)
    seen = []

    def last_long():
        kills(signal.SIGTERM).join()
        seen.append(checkpoint(tmp_path).exists())

    with pytest.raises(SystemExit):
        run(Bowl(Stopping(300, last_long)), **SHORT)
    assert seen == [True]


def test_a_loop_that_swallows_even_that_ends_with_the_third_signal(monkeypatch):
    monkeypatch.setattr("nbi_sampler.sampler.signals.SECOND_SIGNAL", -1.0)
    child = os.fork()
    if child == 0:
        with SignalsTo(lambda *_: leave(77, None)):
            for number in itertools.count():
                try:
                    os.kill(os.getpid(), signal.SIGTERM)
                    time.sleep(0.01)
                except:  # noqa: E722
                    if number > 10:
                        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 77


def test_two_signals_at_once_are_one(monkeypatch):
    """As terminals and schedulers send them."""
    with pytest.raises(SystemExit), SignalsTo(leave) as signals:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
            time.sleep(0.01)
        signals.check()
        raise AssertionError("it went on")


def test_a_signal_after_the_last_call_is_not_lost():
    with pytest.raises(SystemExit), SignalsTo(leave):
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_handlers_of_before_are_back_whatever_happens(number):
    before = signal.getsignal(number)
    with pytest.raises(ZeroDivisionError), SignalsTo(leave):
        raise ZeroDivisionError
    assert signal.getsignal(number) is before
