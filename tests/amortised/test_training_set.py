"""Training from a store that is never read whole: what is read, how often, and what is learnt from it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import bilby.core.prior as bp
import numpy as np
import pytest
import torch

from nbi_sampler import NBI
from nbi_sampler.amortised import training_set
from nbi_sampler.amortised.data_format import DataFormat
from nbi_sampler.amortised.noise import NoiseLaw
from nbi_sampler.amortised.training_set import SimulatedTargets, StoredSet, TrainingSet
from nbi_sampler.core.config import TRAINING_SET, StorageConfig, TrainingConfig
from nbi_sampler.networks.featurizers import featurizer_factory
from nbi_sampler.networks.flows import flow_factory
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.storage import simulation_store, table_file
from nbi_sampler.storage.appendable_table import AppendableTable
from nbi_sampler.storage.simulation_store import SimulationStore, read_ahead

# What is left out is said, which tests of its own ask for.
told = pytest.mark.filterwarnings("ignore:simulations. .* are left out of the training:UserWarning")

T = np.linspace(-1.0, 1.0, 10)
QUICK = {"n_threads": 1, "batch_size": 64}
PRIORS = {"m": bp.Uniform(-2.0, 3.0), "c": bp.Gaussian(0.0, 1.0)}
SPACE = ParameterSpace(bp.PriorDict(dict(PRIORS)))
CHUNK, BUFFER = 4000, 16_000
ROWS_OF_BUFFER = BUFFER // 96


def line(parameters):
    return parameters["c"] + parameters["m"] * T


def an_engine(**changes):
    priors = bp.PriorDict(dict(PRIORS))
    given = {"simulator": line, "noise": 0.5, "priors": priors, "seed": 3, "device": "cpu", **changes}
    return NBI({"flow_hidden": 32, "num_blocks": 1, "n_mog": 2}, {"type": "mlp", "hidden": 32}, **given)


@pytest.fixture
def small_buffers(monkeypatch):
    """Files of many chunks, and buffers of a few."""
    for module in (table_file, simulation_store):
        monkeypatch.setattr(module, "STORAGE", StorageConfig(chunk_bytes=CHUNK, buffer_bytes=BUFFER))
    monkeypatch.setattr(training_set, "ROWS_AT_ONCE", 100)


@pytest.fixture
def lines():
    """2,000 parameters and lines, every seventh of which has failed."""
    theta = SPACE.to_theta(np.random.default_rng(5).normal(size=(2000, 2)))
    x = theta[:, 1:] + theta[:, :1] * T
    x[::7] = np.nan
    return theta, x


@pytest.fixture
def store(tmp_path, small_buffers, lines):
    with SimulationStore.create(tmp_path / "lines.h5", SPACE.names, (10,)) as writer:
        writer.append(*lines)
    return StoredSet(tmp_path / "lines.h5", 2000)


def objective_of(learnt_from, share=0.1):
    law = NoiseLaw(None, learnt_from.some)
    data_format = DataFormat.learnt(learnt_from.some)
    seen = partial(SimulatedTargets, noise=law, data_format=data_format, device=torch.device("cpu"))
    featurizer = featurizer_factory("mlp")((1, 10), 2)
    featurizer.fit(seen(learnt_from.some, learnt_from.some_theta), np.random.default_rng(0))
    flow = flow_factory("maf")(2, featurizer.n_features)
    config = TrainingConfig(batch_size=50, validation_share=share)
    return learnt_from.objective(flow, featurizer, seen, config, np.random.default_rng(1)), data_format


@told
def test_an_epoch_shows_every_simulation_once_and_none_that_is_held_out(store, lines):
    with torch.random.fork_rng(), store.examples(SPACE, np.random.default_rng(2)) as learnt_from:
        objective, data_format = objective_of(learnt_from)
        check_epochs(objective, data_format, *lines)


def check_epochs(objective, data_format, theta, x):
    order = []
    batches = list(objective._stream(50, np.random.default_rng(7)))
    for data, y in batches:
        z = SPACE.to_z(theta[np.isfinite(x[:, 0])])
        # Parameters come with their own data, and tell which simulation it is.
        index = np.linalg.norm(y.numpy()[:, None] - objective_standard(objective, z)[None], axis=2).argmin(1)
        rows = np.flatnonzero(np.isfinite(x[:, 0]))[index]
        found = data.draw(torch.arange(len(y)), torch.Generator())
        expected = data_format.encode(data_format.observation(x[rows])).flatten(1).numpy()
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
        order.append(rows)
    order = np.concatenate(order)
    assert np.array_equal(np.sort(order), [row for row in range(200, 2000) if row % 7])
    assert np.mean(np.abs(np.diff(order)) <= 2) < 0.1
    again = [y for _, y in objective._stream(50, np.random.default_rng(8))]
    assert not torch.equal(again[0], batches[0][1])
    assert objective.n_batches == 36 and sum(1 for _ in objective.batches()) == 36


def objective_standard(objective, z):
    """Parameters of all lines in the coordinates of the flow."""
    with TrainingSet(SPACE.to_theta(z), z).examples(SPACE, np.random.default_rng(0)) as learnt_from:
        return learnt_from.affine.backward(z)


@told
def test_scales_are_those_of_the_same_simulations_in_memory(store, lines):
    with (
        store.examples(SPACE, np.random.default_rng(0)) as on_disk,
        TrainingSet(*lines).examples(SPACE, np.random.default_rng(0)) as in_memory,
    ):
        pass
    np.testing.assert_allclose(on_disk.affine.mean, in_memory.affine.mean, atol=1e-12)
    np.testing.assert_allclose(on_disk.affine.factor, in_memory.affine.factor, atol=1e-12)
    assert np.isfinite(on_disk.some).all() and on_disk.some.shape == in_memory.some.shape == (1714, 10)


@pytest.mark.takes_seconds
def test_no_more_than_a_buffer_is_read_at_a_time(tmp_path, small_buffers, monkeypatch):
    path = tmp_path / "simulations.h5"
    an_engine().fit(4000, n_epochs=1, store=path, in_memory=False, training=QUICK)
    rules = replace(TRAINING_SET, most_for_scales=150, most_held_out=100)
    monkeypatch.setattr(training_set, "TRAINING_SET", rules)
    read, sizes = AppendableTable.read, []

    def counted(table, *arguments, **keywords):
        rows = read(table, *arguments, **keywords)
        sizes.append(len(rows["theta"]))
        return rows

    monkeypatch.setattr(AppendableTable, "read", counted)
    engine = an_engine().fit(4000, n_epochs=2, store=path, in_memory=False, training=QUICK)
    assert isinstance(engine.training_set_, StoredSet) and len(engine.training_set_) == 4000
    assert max(sizes) <= ROWS_OF_BUFFER
    assert sum(sizes) >= 3 * 3900


@pytest.mark.takes_seconds
def test_it_learns_as_much_as_in_memory_and_the_same_every_time(tmp_path, small_buffers):
    path = tmp_path / "simulations.h5"
    fit = {"n_sims": 1500, "n_epochs": 12, "store": path, "training": QUICK}
    kept = an_engine().fit(**fit)
    assert isinstance(kept.training_set_, TrainingSet)
    first, second = (an_engine().fit(**fit, in_memory=False) for _ in range(2))
    for name, value in first.estimator_.flow.state_dict().items():
        assert torch.equal(value, second.estimator_.flow.state_dict()[name])
    rng = np.random.default_rng(9)
    theta = SPACE.to_theta(rng.normal(size=(400, 2)))
    x = theta[:, 1:] + theta[:, :1] * T + 0.5 * rng.normal(size=(400, 10))
    # About 2 nats; of 400 targets the mean of the difference has an error of 0.01.
    assert first.score(x, theta) == pytest.approx(kept.score(x, theta), abs=0.15)
    assert kept.score(x, theta) > 1.5
    assert first.infer(0.5 * T, 0.5, n_samples=500)[0].efficiency > 0.3


def test_a_large_store_is_not_read_whole_unless_asked_and_grows(tmp_path, monkeypatch):
    path = tmp_path / "simulations.h5"
    monkeypatch.setattr(training_set, "TRAINING_SET", replace(TRAINING_SET, most_in_memory=300 * 80))
    engine = an_engine().fit(300, n_epochs=1, store=path, training=QUICK)
    assert isinstance(engine.training_set_, TrainingSet)
    engine = an_engine().fit(301, n_epochs=1, store=path, training=QUICK)
    assert isinstance(engine.training_set_, StoredSet)
    engine.fit(400, n_epochs=1, training=QUICK)
    with SimulationStore.open(path) as file:
        assert len(file) == len(engine.training_set_) == 400
        alone = an_engine().fit(400, n_epochs=1, training=QUICK).training_set_
        np.testing.assert_array_equal(file.read().theta, alone.theta)
    whole = an_engine().fit(400, n_epochs=1, store=path, in_memory=True, training=QUICK)
    assert isinstance(whole.training_set_, TrainingSet)


def test_a_store_that_lacks_nothing_can_be_shared(tmp_path):
    path = tmp_path / "simulations.h5"
    an_engine().fit(200, n_epochs=1, store=path, training=QUICK)
    with SimulationStore.open(path, writable=True):
        an_engine().fit(200, n_epochs=1, store=path, training=QUICK)
        with pytest.raises(BlockingIOError, match="another process is writing"):
            an_engine().fit(201, n_epochs=1, store=path, training=QUICK)


def test_a_store_without_finite_simulations_is_refused(tmp_path):
    path = tmp_path / "simulations.h5"
    engine = an_engine(simulator=lambda parameters: line(parameters) * np.nan)
    with pytest.raises(ValueError, match="expected most of them to be of use, got 0 of 200"):
        engine.fit(200, n_epochs=1, store=path, in_memory=False)


@told
def test_a_store_whose_first_simulations_have_failed_is_refused(tmp_path, lines):
    theta, x = lines
    x[:100] = np.nan
    with SimulationStore.create(tmp_path / "failed.h5", SPACE.names, (10,)) as writer:
        writer.append(theta, x)
    failed = StoredSet(tmp_path / "failed.h5", len(x))
    with failed.examples(SPACE, np.random.default_rng(0)) as learnt_from, torch.random.fork_rng():
        with pytest.raises(ValueError, match="among the first 100, which are held"):
            objective_of(learnt_from, share=0.05)


def test_pieces_are_read_ahead_and_errors_arrive():
    made = []

    def pieces():
        for number in range(5):
            made.append(number)
            yield number
        raise OSError("disk")

    ahead = read_ahead(pieces())
    assert next(ahead) == 0
    ahead.close()
    # The thread has ended: the piece after is made, no other.
    assert made == [0, 1]
    with pytest.raises(OSError, match="disk"):
        list(read_ahead(pieces()))
