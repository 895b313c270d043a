"""When a checkpoint is written, when one is used, and what is said of one that is not."""

from __future__ import annotations

import json
import logging
import os
import signal
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import PriorDict, Uniform
from toys import QUICK, bump, likelihood_only

from nbi_sampler.algorithm.records import Observer
from nbi_sampler.algorithm.snpe import run
from nbi_sampler.algorithm.state import Pending, State
from nbi_sampler.config import SnpeConfig
from nbi_sampler.evaluation.batch import PartialBatch
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.persistence.checkpoint import Checkpoint, CheckpointWriter, load, save
from nbi_sampler.persistence.draws_file import read_draws
from nbi_sampler.persistence.fingerprint import RUN_KEYWORDS, differences, fingerprint
from nbi_sampler.persistence.resume import find_checkpoint
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.proposals.proposal import MixtureProposal, PriorProposal
from nbi_sampler.randomness import seeded_modules
from nbi_sampler.settings.keywords import DEFAULTS
from nbi_sampler.signals import SignalsTo
from nbi_sampler.storage.archive import ArchiveError, read_archive, write_archive

LOG = logging.getLogger("checkpoints")
ASKED = {"n_sims": 300}


@pytest.fixture(scope="module")
def problem():
    return likelihood_only(bump([0.5, -0.2], 0.3)[0], 2, QUICK)


@pytest.fixture(scope="module")
def state(problem):
    """A run that has ended."""
    seen = []

    class Keeping(Observer):
        def state_changed(self, state):
            seen.append(state)

    run(problem, SnpeConfig(n_effective=200, n_sims=300), 5, Keeping())
    return seen[-1]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "nbi_x" / "checkpoint.npz"


@pytest.fixture
def saved(path, state):
    save(path, ("p0", "p1"), ASKED, Checkpoint(state, 5, 12.5))
    return path


def find(path, problem, asked=ASKED, seed=5):
    return find_checkpoint(path, asked, seed, problem, LOG)


def test_a_checkpoint_is_found_again(saved, problem, state, caplog):
    caplog.set_level(logging.INFO)
    found = find(saved, problem)
    assert (found.seed, found.seconds, found.n_draws) == (5, 12.5, sum(r.n_draws for r in state.records))
    assert found.state.records == state.records
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert f"{found.n_draws:,} draws, 12 s before" in caplog.text


def test_without_a_seed_of_ones_own_that_of_the_file_is_taken(saved, problem):
    assert find(saved, problem, seed=None).seed == 5


def test_no_file_is_no_news(path, problem, caplog):
    assert find(path, problem) is None
    assert not caplog.records


def test_an_empty_file_is_no_cause_for_a_warning(path, problem, caplog):
    caplog.set_level(logging.INFO)
    path.parent.mkdir()
    path.touch()
    assert find(path, problem) is None
    assert [record.levelname for record in caplog.records] == ["INFO"]


def edited(path, **changes):
    header, arrays = read_archive(path)
    write_archive(path, {**header, **changes}, arrays)


def truncated(path):
    path.write_bytes(path.read_bytes()[:-300])


def foreign(path):
    np.savez(path, x=np.zeros(5))


def newer(path):
    edited(path, format_version=2)


def of_another_program(path):
    edited(path, format="somebody else's")


def without_an_object(path):
    edited(path, objects=read_archive(path)[0]["objects"][1:])


def of_a_dangerous_class(path):
    objects = read_archive(path)[0]["objects"]
    edited(
        path, objects=[{**objects[0], "kind": "Popen", "arguments": {"args": "touch executed"}}, *objects[1:]]
    )


def of_no_state(path):
    edited(path, state={"object": "PriorProposal.0"})


UNUSABLE = {
    "truncated": truncated,
    "another program": foreign,
    "its format is 2, this version reads 1": newer,
    "another program's": of_another_program,
    "damaged \\(KeyError": without_an_object,
    "damaged \\(KeyError: 'Popen'": of_a_dangerous_class,
    "holds no state": of_no_state,
}


@pytest.mark.parametrize(("reason", "spoil"), UNUSABLE.items(), ids=[f.__name__ for f in UNUSABLE.values()])
def test_a_file_that_cannot_be_used_is_reported_and_kept(saved, problem, caplog, reason, spoil):
    spoil(saved)
    content = saved.read_bytes()
    with pytest.raises(ArchiveError, match=reason):
        load(saved, ASKED, problem.networks)
    assert find(saved, problem) is None
    (record,) = caplog.records
    assert record.levelname == "WARNING" and "is not used" in record.getMessage()
    assert not saved.exists()
    assert (saved.parent / "checkpoint.old-1.npz").read_bytes() == content


def test_files_kept_aside_do_not_replace_each_other(saved, problem):
    for _ in range(2):
        content = saved.read_bytes()
        assert find(saved, problem, {"n_sims": 400}) is None
        saved.write_bytes(content)
    assert {each.name for each in saved.parent.iterdir()} == {
        *("checkpoint.npz", "checkpoint.old-1.npz", "checkpoint.old-2.npz"),
    }


def test_another_run_is_refused_and_the_difference_named(saved, problem, caplog):
    assert find(saved, problem, {"n_sims": 400}) is None
    assert "it was written for something else: n_sims (300, now 400)" in caplog.text


def test_another_seed_is_another_run(saved, problem, caplog):
    assert find(saved, problem, seed=6) is None
    assert "seed (5, now 6)" in caplog.text


def test_data_that_matter_only_at_the_peak_are_seen_to_have_changed(saved, caplog):
    """No probe from a wide prior might have told it."""
    moved = likelihood_only(bump([0.5, -0.2001], 0.3)[0], 2, QUICK)
    assert find(saved, moved) is None
    assert "the likelihood has changed" in caplog.text


def line_evaluator(data, priors=None, use_ratio=False):
    x = np.linspace(0, 1, len(data))
    likelihood = GaussianLikelihood(x, data, lambda x, m, c: m * x + c, sigma=0.5)
    priors = priors or PriorDict({"m": Uniform(-5, 5), "c": Uniform(-5, 5)})
    rng = np.random.default_rng(0)
    evaluator = Evaluator(
        ParameterSpace(priors), lambda p: likelihood.log_likelihood(parameters=p), None, rng
    )
    return priors, likelihood, use_ratio, evaluator


def printed(data=None, priors=None, use_ratio=False, **keywords):
    data = np.linspace(0, 2, 30) if data is None else data
    priors, likelihood, use_ratio, evaluator = line_evaluator(data, priors, use_ratio)
    made = fingerprint(priors, likelihood, DEFAULTS | keywords, use_ratio, evaluator)
    return json.loads(json.dumps(made))


class Network(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        with seeded_modules(np.random.default_rng()):
            self.layer = torch.nn.Linear(width, 2)


def other_data():
    data = np.linspace(0, 2, 30)
    data[17] += 1e-4
    return data


def some_function(parameters):
    return parameters


CHANGES = {
    "values of the likelihood": dict(data=other_data()),
    "prior of m": dict(priors=PriorDict({"m": Uniform(-5, 5.01), "c": Uniform(-5, 5)})),
    "prior of d": dict(priors=PriorDict({"m": Uniform(-5, 5), "c": Uniform(-5, 5), "d": 0.0})),
    "n_rounds (10, now 3)": dict(n_rounds=3),
    "n_sims ('auto', now 500)": dict(n_sims=500),
    "loss ('nll', now 'apt')": dict(loss="apt"),
    "refine (True, now False)": dict(refine=False),
    "featurizer": dict(featurizer=Network(3)),
    "flow": dict(flow={"type": "maf", "n_mog": 3}),
    "simulator": dict(simulator=some_function),
    "noise": dict(noise=np.ones(3)),
    "x_obs": dict(x_obs=[1.0, 2.0]),
    "vectorized ('auto', now False)": dict(vectorized=False),
    "training": dict(training={"n_epochs": 3}),
    "use_ratio (False, now True)": dict(use_ratio=True),
}


@pytest.mark.parametrize(("named", "change"), CHANGES.items())
def test_every_change_of_the_run_is_named(named, change):
    found = differences(printed(), printed(**change))
    assert any(each.startswith(named) for each in found)
    assert len(found) <= 3


def test_the_same_run_has_no_differences_in_another_process_or_on_another_device():
    quick = {"n_threads": 4, "n_epochs": 3}
    elsewhere = dict(npool=4, device="cuda", print_method="none", check_point_delta_t=3, n_effective=9e4)
    assert differences(printed(training={"n_epochs": 3}), printed(training=quick, **elsewhere)) == []
    assert differences(printed(flow=Network(3)), printed(flow=Network(3))) == []
    assert len(differences(printed(flow=Network(3)), printed(flow=Network(4)))) == 1
    assert differences(printed(noise=np.ones(3)), printed(noise=np.ones(3))) == []


def test_every_keyword_of_the_algorithm_is_compared_or_meant_to_differ():
    free = {"n_effective", "max_likelihood_calls", "seed", "device", "npool", "pool", "resume"}
    free |= {"check_point_delta_t", "check_point_plot", "print_method"}
    assert set(RUN_KEYWORDS) | free == set(DEFAULTS)


@pytest.mark.parametrize("name", ["nbi_sampler", "bilby", "numpy", "torch"])
def test_another_version_is_another_run(name):
    now = printed()
    assert differences({**now, f"version of {name}": "0.0.1"}, now) == [
        f"version of {name} ('0.0.1', now {now[f'version of {name}']!r})"
    ]


@pytest.fixture
def clock(monkeypatch):
    times = [100.0]
    monkeypatch.setattr(
        "nbi_sampler.persistence.checkpoint.time", SimpleNamespace(monotonic=lambda: times[0])
    )
    return times


def writer(write, state, interval=60.0, interrupted=lambda: None, held=nullcontext, seconds=0.0):
    start = Checkpoint(state, 5, seconds)
    return CheckpointWriter(write, start, interval, interrupted, held, LOG)


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


def test_draws_are_read_from_any_checkpoint(saved, state):
    draws = read_draws(saved)
    assert len(draws["z"]) == sum(record.n_draws for record in state.records)
    shared = {id(each): each for each in (*state.history.batches, *state.final)}.values()
    expected = np.concatenate([each.log_weights for each in shared])
    np.testing.assert_array_equal(np.sort(draws["log_likelihood"] - draws["log_ratio"]), np.sort(expected))


def test_draws_are_read_from_nothing_else(tmp_path):
    write_archive(tmp_path / "x.npz", {"objects": []}, {})
    with pytest.raises(ArchiveError, match=r"x\.npz"):
        read_draws(tmp_path / "x.npz")


def test_a_signal_waits_until_the_checkpoint_is_written(clock, state):
    events = []

    def write(checkpoint):
        os.kill(os.getpid(), signal.SIGTERM)
        # Python runs the handler here, if it runs it at all.
        for _ in range(1000):
            events.append("writing")

    def handler(number, frame):
        events.append(number)

    with SignalsTo(handler) as signals:
        writer(write, state, held=signals.held).write()
        assert events[-1] == signal.SIGTERM and events.count(signal.SIGTERM) == 1
        os.kill(os.getpid(), signal.SIGTERM)
        assert events.count(signal.SIGTERM) == 2
