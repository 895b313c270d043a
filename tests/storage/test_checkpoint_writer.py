"""Times at which a checkpoint is written, and the batch in flight in it."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from checkpoint_cases import ASKED, writer

from nbi_sampler.algorithm.proposals.proposal import MixtureProposal, PriorProposal
from nbi_sampler.algorithm.state import Pending, State
from nbi_sampler.evaluation.batch import PartialBatch
from nbi_sampler.sampler.signals import SignalsTo
from nbi_sampler.storage.checkpoint import read_draws, save


@pytest.fixture
def clock(monkeypatch):
    times = [100.0]
    monkeypatch.setattr("nbi_sampler.storage.checkpoint.time", SimpleNamespace(monotonic=lambda: times[0]))
    return times


def test_writes_when_it_is_due_in_any_phase(clock, state):
    written = []
    keeper = writer(written.append, state, seconds=1000.0)
    keeper.drawn(10)
    assert not written
    for tell in (
        lambda: keeper.drawn(10),
        lambda: keeper.epoch_finished(3, 0.1, 0.2),
        lambda: keeper.state_changed(state),
    ):
        clock[0] += 61.0
        tell()
        tell()
    assert [each.seconds for each in written] == [1061.0, 1122.0, 1183.0]
    assert all(each.seed == 5 for each in written)


def test_writing_takes_a_twentieth_of_the_time_at_most(clock, state):
    def slow(checkpoint):
        clock[0] += 10.0

    keeper = writer(slow, state, interval=1.0)
    begin, calls = clock[0], 0
    while clock[0] < begin + 2000.0:
        before = clock[0]
        keeper.drawn(1)
        calls += clock[0] > before
        clock[0] += 1.0
    assert 8 <= calls <= 10


def test_without_a_draw_there_is_no_file(clock):
    written = []
    assert writer(written.append, State()).write() == 0
    assert not written


@pytest.mark.parametrize("error", [OSError("disk full"), TypeError("flow.0: expected tensors")])
def test_a_checkpoint_that_cannot_be_written_ends_no_run(clock, state, error, caplog):
    def fail(checkpoint):
        raise error

    assert writer(fail, state).write() == 0
    assert str(error) in caplog.text


def pending(n=6):
    z = np.random.default_rng(0).normal(size=(n, 2))
    return Pending(MixtureProposal.single(PriorProposal(2)), None, z, np.zeros(n), 0.1)


def partial(z, finished, log_likelihood):
    return PartialBatch(z, z, np.array(finished), np.array(log_likelihood), None, sum(finished), 0.5)


def test_the_batch_in_flight_is_written_as_far_as_it_is(clock, path):
    batch, written = pending(), []
    values = [-1.0, np.inf, np.nan, -3.0, -np.inf, -np.inf]
    in_flight = partial(batch.z, [True, True, True, True, False, False], values)
    keeper = writer(written.append, State(), interrupted=lambda: in_flight)
    keeper.state_changed(State(pending=batch))
    assert keeper.write() == 3
    # Plus infinity ends a run, and is to be tried again when it goes on.
    assert written[0].state.pending.partial.finished.tolist() == [True, False, True, True, False, False]
    save(path, ("a", "b"), ASKED, written[0])
    draws = read_draws(path)
    np.testing.assert_array_equal(draws["z"], batch.z[[0, 2, 3]])
    np.testing.assert_array_equal(draws["log_likelihood"], [-1.0, np.nan, -3.0])
    assert draws["names"].tolist() == ["a", "b"]


def test_a_batch_of_the_past_is_not_taken_for_the_one_in_flight(clock):
    batch, written = pending(), []
    resumed = replace(batch, partial=partial(batch.z, [True] * 6, [0.0] * 6))
    other = partial(batch.z.copy(), [True] * 6, [-9.0] * 6)
    keeper = writer(written.append, State(pending=resumed), interrupted=lambda: other)
    keeper.write()
    assert written[0].state.pending is resumed


@pytest.mark.posix
def test_a_signal_waits_until_the_checkpoint_is_written(clock, state, monkeypatch):
    events = []

    def write(checkpoint):
        os.kill(os.getpid(), signal.SIGTERM)
        # Python runs the handler here, if it runs it at all.
        for _ in range(1000):
            events.append("writing")

    def handler(number, frame):
        events.append(number)

    monkeypatch.setattr("nbi_sampler.sampler.signals.SECOND_SIGNAL", -1.0)
    with SignalsTo(handler) as signals:
        writer(write, state, held=signals.held).write()
        assert signal.SIGTERM not in events
        # A second one would be obeyed at once, but not by halves.
        writer(write, state, held=signals.held).write()
        assert events[-1] == signal.SIGTERM and events.count(signal.SIGTERM) == 1
