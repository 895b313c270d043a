"""A training that goes on from its checkpoint: the same numbers as without an interruption."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time

import bilby.core.prior as bp
import numpy as np
import pytest
import torch

from nbi_sampler import NBI
from nbi_sampler.amortised import training_checkpoint
from nbi_sampler.core.config import TrainingCheckpointConfig
from nbi_sampler.storage.archive import ArchiveError

T = np.linspace(-1.0, 1.0, 10)
TRAINING = {"n_threads": 1, "batch_size": 64, "n_batches": 5}
FIT = {"n_sims": 300, "n_epochs": 12, "training": TRAINING, "print_method": "none"}


class Interrupted(Exception):
    """Of a test, instead of a signal."""


def line(parameters):
    return parameters["c"] + parameters["m"] * T


def noise(x, rng):
    """A function of arrays, which draws by numpy."""
    sigma = rng.uniform(0.2, 0.5, size=(*x.shape[:-1], 1))
    return x + sigma * rng.normal(size=x.shape), sigma * np.ones_like(x)


def an_engine(**changes):
    priors = bp.PriorDict({"m": bp.Uniform(-2.0, 3.0), "c": bp.Gaussian(0.0, 1.0)})
    given = {"simulator": line, "noise": 0.5, "priors": priors, "seed": 3, "device": "cpu", **changes}
    flow = given.pop("flow", {"flow_hidden": 16, "num_blocks": 1, "n_mog": 2})
    return NBI(flow, given.pop("featurizer", {"type": "mlp", "hidden": 16}), **given)


def interrupted_after(n_epochs):
    def on_epoch(epoch, training, validation):
        if epoch == n_epochs:
            raise Interrupted

    return on_epoch


def numbers_of(engine):
    """Everything that a training has learnt, and draws that depend on all of it."""
    networks = [*engine.estimator_.flow.state_dict().values()]
    networks += [*engine.estimator_.featurizer.state_dict().values()]
    data = (0.3 + T, np.full(10, 0.3)) if callable(engine.noise) else (0.3 + T,)
    info = engine.training_info_
    return [
        *(each.numpy() for each in networks),
        np.array([info.best, info.n_steps, info.n_skipped, *info.training, *info.validation]),
        engine.sample(*data, n_samples=20),
        engine.estimator_.p_value(engine.estimator_.observation(*data)),
    ]


def check_same(first, second):
    assert len(first) == len(second)
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, second, strict=True))


@pytest.fixture
def every_epoch(monkeypatch):
    """Write every epoch, however long that takes."""
    config = TrainingCheckpointConfig(share=np.inf)
    monkeypatch.setattr(training_checkpoint, "TRAINING_CHECKPOINT", config)


SETUPS = {
    "number": {},
    "function of arrays": {"noise": noise},
    "recurrent": {"featurizer": {"type": "gru", "dim_conv": 4}},
    "ensemble": {"n_ensemble": 2},
    "spline": {"flow": {"type": "nsf", "flow_hidden": 8, "num_blocks": 1}},
}


@pytest.mark.takes_seconds
@pytest.mark.parametrize("changes", list(SETUPS.values()), ids=list(SETUPS))
def test_an_interrupted_training_gives_the_same_numbers(tmp_path, every_epoch, changes):
    path = tmp_path / "training.npz"
    whole = numbers_of(an_engine(**changes).fit(**FIT))
    for n_epochs in (4, 9, 17):
        if n_epochs < 12 or "n_ensemble" in changes:
            with pytest.raises(Interrupted):
                an_engine(**changes).fit(**FIT, checkpoint=path, on_epoch=interrupted_after(n_epochs))
    epochs = []
    engine = an_engine(**changes).fit(
        **FIT, checkpoint=path, on_epoch=lambda epoch, *losses: epochs.append(epoch)
    )
    check_same(numbers_of(engine), whole)
    # The epoch whose report was interrupted had not been written.
    assert epochs[0] == (17 if "n_ensemble" in changes else 9)


def test_a_checkpoint_changes_no_number(tmp_path, every_epoch):
    path = tmp_path / "training.npz"
    check_same(numbers_of(an_engine().fit(**FIT, checkpoint=path)), numbers_of(an_engine().fit(**FIT)))


def test_a_finished_training_is_read_and_not_repeated(tmp_path):
    path, epochs = tmp_path / "training.npz", []
    first = an_engine().fit(**FIT, checkpoint=path)
    again = an_engine().fit(**FIT, checkpoint=path, on_epoch=lambda *each: epochs.append(each))
    check_same(numbers_of(again), numbers_of(first))
    assert not epochs


@pytest.mark.takes_seconds
def test_early_stopping_counts_the_epochs_before_the_interruption(tmp_path, every_epoch):
    path = tmp_path / "training.npz"
    impatient = {**FIT, "n_epochs": 60, "training": {**TRAINING, "patience": 2, "learning_rate": 0.05}}
    whole = an_engine().fit(**impatient)
    n_epochs = len(whole.training_info_.validation)
    assert 4 < n_epochs < 60
    with pytest.raises(Interrupted):
        an_engine().fit(**impatient, checkpoint=path, on_epoch=interrupted_after(n_epochs - 1))
    check_same(numbers_of(an_engine().fit(**impatient, checkpoint=path)), numbers_of(whole))


@pytest.mark.takes_seconds
@pytest.mark.parametrize("discrete", [False, True], ids=["continuous", "discrete"])
def test_a_training_from_a_file_goes_on(tmp_path, every_epoch, discrete):
    path, store = tmp_path / "training.npz", tmp_path / "lines.h5"
    c = bp.DiscreteValues([-1.0, 0.0, 2.0]) if discrete else bp.Gaussian(0.0, 1.0)
    priors = bp.PriorDict({"m": bp.Uniform(-2.0, 3.0), "c": c})
    streamed = {**FIT, "store": store, "in_memory": False}
    whole = numbers_of(an_engine(priors=priors).fit(**streamed))
    with pytest.raises(Interrupted):
        an_engine(priors=priors).fit(**streamed, checkpoint=path, on_epoch=interrupted_after(5))
    check_same(numbers_of(an_engine(priors=priors).fit(**streamed, checkpoint=path)), whole)


def test_without_a_seed_the_training_goes_on_with_the_seed_of_the_file(tmp_path, every_epoch):
    path = tmp_path / "training.npz"
    with pytest.raises(Interrupted):
        an_engine(seed=None).fit(**FIT, checkpoint=path, on_epoch=interrupted_after(5))
    epochs = []
    an_engine(seed=None).fit(**FIT, checkpoint=path, on_epoch=lambda epoch, *_: epochs.append(epoch))
    assert epochs[0] == 5


OTHERS = {
    "seed": ({"seed": 4}, {}, "seed .3, now 4."),
    "n_epochs": ({}, {"n_epochs": 13}, "n_epochs .12, now 13."),
    "n_sims": ({}, {"n_sims": 400}, "number of simulations .300, now 400."),
    "training": ({}, {"training": {**TRAINING, "batch_size": 32}}, "batch_size .64, now 32."),
    "noise": ({"noise": 0.4}, {}, "noise"),
    "simulator": ({"simulator": lambda parameters: 2.0 * line(parameters)}, {}, "simulations"),
    "flow": ({"flow": {"flow_hidden": 17, "num_blocks": 1, "n_mog": 2}}, {}, "flow"),
}


@pytest.mark.parametrize("changes, otherwise, named", list(OTHERS.values()), ids=list(OTHERS))
def test_another_training_is_refused_by_the_name_of_what_differs(tmp_path, changes, otherwise, named):
    path = tmp_path / "training.npz"
    an_engine().fit(**FIT, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"checkpoint: .*another training: .*{named}.*remove the file"):
        an_engine(**changes).fit(**{**FIT, **otherwise}, checkpoint=path)
    assert path.read_bytes() == before


def test_a_damaged_file_and_one_of_another_kind_are_refused_and_left(tmp_path):
    path = tmp_path / "training.npz"
    engine = an_engine().fit(**FIT, checkpoint=path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArchiveError, match=r"checkpoint: .*training\.npz cannot be used.*remove the file"):
        an_engine().fit(**FIT, checkpoint=path)
    assert len(path.read_bytes()) == len(whole) // 2
    engine.save(tmp_path / "engine.nbi")
    with pytest.raises(ArchiveError, match="no checkpoint of a training"):
        an_engine().fit(**FIT, checkpoint=tmp_path / "engine.nbi")


def test_rounds_refuse_a_checkpoint_before_any_simulation(tmp_path):
    with pytest.raises(ValueError, match=r"checkpoint: expected None with n_rounds=2.*run_sampler"):
        an_engine(simulator=None).fit(n_rounds=2, x_obs=T, checkpoint=tmp_path / "training.npz")


# A checkpoint is written before the first third of them, however fast they are.
LONG, KILLED_FROM, WAITS_AT = {**FIT, "n_epochs": 30}, 10, 15


@pytest.fixture(scope="module")
def never_killed():
    """Numbers of the training that nothing interrupts."""
    return numbers_of(an_engine().fit(**LONG))


def train(path, teller, waits_at):
    """Train, say so after every epoch, and leave the numbers in a file.

    After the epoch ``waits_at`` wait to be killed, however late the signal comes.
    """
    torch.set_num_threads(1)
    # A process that a shell has started in the background ignores the signal otherwise.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def told(epoch, *losses):
        teller.send(epoch)
        if epoch == waits_at:
            time.sleep(600.0)

    engine = an_engine().fit(**LONG, checkpoint=path, on_epoch=told)
    np.savez(f"{path}.found.npz", *numbers_of(engine))


def started(path, waits_at=None):
    """Process of a training, and the end of a pipe at which it tells its epochs."""
    context = multiprocessing.get_context("forkserver")
    # Processes start at once, because their server has imported everything.
    context.set_forkserver_preload(["nbi_sampler.amortised.engine", "nbi_sampler.sampler.nbi"])
    told, teller = context.Pipe(duplex=False)
    process = context.Process(target=train, args=(path, teller, waits_at))
    process.start()
    teller.close()
    return process, told


@pytest.mark.posix
@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_a_killed_process_loses_little_and_no_digit(tmp_path, never_killed, name):
    path = tmp_path / "training.npz"
    process, told = started(path, WAITS_AT)
    while told.recv() < KILLED_FROM:
        pass
    os.kill(process.pid, getattr(signal, name))
    process.join()
    assert process.exitcode != 0
    assert path.exists()
    again, told = started(path)
    assert told.recv() > 0
    with pytest.raises(EOFError):
        while True:
            told.recv()
    again.join()
    assert again.exitcode == 0
    assert not list(tmp_path.glob("*.part"))
    with np.load(f"{path}.found.npz") as found:
        check_same([found[name] for name in found.files], never_killed)


def test_the_global_generators_are_left_alone(tmp_path, every_epoch):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    an_engine().fit(**FIT, checkpoint=tmp_path / "training.npz")
    an_engine().fit(**FIT, checkpoint=tmp_path / "training.npz")
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])
