"""The store of simulations: nothing that was committed is ever lost, nothing that was not is ever read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

from nbi_sampler.core.config import StorageConfig
from nbi_sampler.storage import simulation_store, table_file
from nbi_sampler.storage.appendable_table import AppendableTable
from nbi_sampler.storage.simulation_store import SimulationStore, StoreMismatch

NAMES = ("a", "shape")
PRIORS = {"a": "Uniform(0, 1)", "shape": "Normal(0, 1)"}

WRITER = """
import sys, numpy as np
from nbi_sampler.storage.simulation_store import SimulationStore
with SimulationStore.open(sys.argv[1], writable=True) as store:
    while True:
        first, n = len(store), 1 + len(store) % 91
        rows = np.arange(first, first + n, dtype=float)[:, None]
        store.append(rows * [1, -1], np.repeat(rows, 40, 1), mask=rows % 2 == [0, 1, 0])
        print(len(store), flush=True)
"""


def created(path, n=0, length=40):
    store = SimulationStore.create(path, NAMES, (length,), extras={"mask": (bool, (3,))}, fingerprint=PRIORS)
    if n:
        store.append(*rows_of(np.arange(n), length)[:2], mask=rows_of(np.arange(n))[2])
    return store


def rows_of(index, length=40):
    """The values that the writer puts into the rows ``index``."""
    index = np.asarray(index, dtype=float)
    return np.stack([index, -index], 1), np.repeat(index[:, None], length, 1), index[:, None] % 2 == [0, 1, 0]


def same(simulations, index):
    theta, predictions, mask = rows_of(index)
    return (
        np.array_equal(simulations.theta, theta)
        and np.array_equal(simulations.predictions, predictions)
        and np.array_equal(simulations.extras["mask"], mask)
    )


@pytest.fixture
def small_chunks(monkeypatch):
    """Files of many chunks and buffers of a few, with little data."""
    small = StorageConfig(chunk_bytes=2000, buffer_bytes=8000)
    for module in (table_file, simulation_store):
        monkeypatch.setattr(module, "STORAGE", small)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "simulations.h5"


class TestReading:
    def test_rows_come_back_exactly_in_any_order(self, path, small_chunks, rng):
        with created(path, 500) as store:
            assert len(store) == 500 and same(store.read(), np.arange(500))
            assert same(store.read(slice(490, 900)), np.arange(490, 500))
            assert same(store.read(slice(400, 100, -7)), np.arange(400, 100, -7))
            assert same(store.read([-1, 0]), [499, 0])
            assert len(store.read([]).theta) == len(store.read(slice(5, 2)).theta) == 0
            index = rng.integers(0, 500, 1000)
            assert same(store.read(index), index)

    @pytest.mark.parametrize("wrong", [[500], [-501]])
    def test_rows_that_are_not_there_are_refused(self, path, wrong):
        with created(path, 500) as store, pytest.raises(IndexError, match="rows: expected below 500"):
            store.read(wrong)

    def test_predictions_of_any_shape_and_precision(self, path, rng):
        predictions = rng.normal(size=(7, 2, 5)).astype(np.float32)
        with SimulationStore.create(path, ["a"], (2, 5), dtype=np.float32) as store:
            store.append(np.zeros((7, 1)), predictions)
        with SimulationStore.open(path, shape=(2, 5)) as store:
            found = store.read().predictions
            assert found.dtype == np.float32 and np.array_equal(found, predictions)


class TestBatches:
    @pytest.mark.parametrize("size", [1, 7, 64, 499, 500, 2000])
    @pytest.mark.parametrize("shuffled", [False, True])
    def test_every_simulation_once(self, path, small_chunks, size, shuffled):
        with created(path, 500) as store:
            batches = list(store.batches(size, np.random.default_rng(3) if shuffled else None))
            order = np.concatenate([batch.theta[:, 0] for batch in batches])
            assert all(same(batch, batch.theta[:, 0]) for batch in batches)
            assert [len(batch.theta) for batch in batches[:-1]] == [size] * (len(batches) - 1)
            assert np.array_equal(np.sort(order), np.arange(500))
            assert shuffled != np.array_equal(order, np.arange(500))

    @pytest.mark.takes_seconds
    def test_shuffling_mixes_near_and_far_and_follows_the_generator(self, path, small_chunks):
        with created(path, 2000) as store:
            first, again, other = (
                np.concatenate([b.theta[:, 0] for b in store.batches(50, np.random.default_rng(seed))])
                for seed in (1, 1, 2)
            )
        assert np.array_equal(first, again) and not np.array_equal(first, other)
        neighbours = np.mean(np.abs(np.diff(first)) == 1)
        assert neighbours < 0.1
        # Random numbers of 0 to 1999 in the first batch have a mean of 1000 with an error of 82, were they
        # independent; chunks make them alike, yet one in order has a mean of 25.
        assert abs(first[:400].mean() - 1000) < 5 * 577 / np.sqrt(8)

    def test_a_share_can_be_held_out(self, path, small_chunks, rng):
        with created(path, 500) as store:
            training = np.concatenate([b.theta[:, 0] for b in store.batches(64, rng, slice(0, 450))])
            held_out = np.concatenate([b.theta[:, 0] for b in store.batches(64, None, slice(450, None))])
        assert np.array_equal(np.sort(training), np.arange(450))
        assert np.array_equal(held_out, np.arange(450, 500))

    def test_an_empty_store_has_none(self, path, rng):
        with created(path) as store:
            assert list(store.batches(10, rng)) == []
            with pytest.raises(ValueError, match="size"):
                next(store.batches(0))


class TestWriting:
    def test_appends_go_on_after_reopening(self, path, small_chunks):
        created(path, 130).close()
        with SimulationStore.open(path, writable=True) as store:
            theta, predictions, mask = rows_of(np.arange(130, 300))
            store.append(theta, predictions, mask=mask)
        with SimulationStore.open(path) as store:
            assert same(store.read(), np.arange(300))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda t, p, m: (t, p, {}), "expected columns .*mask"),
            (lambda t, p, m: (t, p, {"mask": m, "masc": m}), "expected columns .*got .*masc"),
            (lambda t, p, m: (t[:, :1], p, {"mask": m}), r"theta: expected shape \(5, 2\), got \(5, 1\)"),
            (
                lambda t, p, m: (t, p[:3], {"mask": m}),
                r"predictions: expected shape \(5, 40\), got \(3, 40\)",
            ),
        ],
    )
    def test_rows_that_do_not_fit_change_nothing(self, path, change, message):
        theta, predictions, extras = change(*rows_of(np.arange(5)))
        with created(path, 10) as store:
            with pytest.raises(ValueError, match=message):
                store.append(theta, predictions, **extras)
            assert same(store.read(), np.arange(10))

    def test_a_second_writer_is_refused_and_readers_follow_the_first(self, path):
        with created(path, 10) as store, SimulationStore.open(path) as reader:
            with pytest.raises(BlockingIOError, match="another process is writing"):
                SimulationStore.open(path, writable=True)
            assert len(reader) == 10
            store.append(*rows_of(np.arange(10, 60))[:2], mask=rows_of(np.arange(10, 60))[2])
            assert same(reader.read(), np.arange(60))
        SimulationStore.open(path, writable=True).close()

    def test_a_store_is_never_overwritten(self, path):
        created(path, 10).close()
        with pytest.raises(FileExistsError, match="open it, or delete it first"):
            created(path)

    def test_a_failed_append_is_not_read_and_is_made_good(self, path, monkeypatch):
        with created(path, 10) as store:
            theta, predictions, mask = rows_of(np.arange(10, 40))
            with monkeypatch.context() as patch:
                patch.setattr(h5py.Dataset, "flush", lambda self: (_ for _ in ()).throw(OSError("disk full")))
                with pytest.raises(OSError, match="disk full"):
                    store.append(theta, predictions, mask=mask)
            assert same(store.read(), np.arange(10))
            store.append(theta[:5], predictions[:5], mask=mask[:5])
            assert same(store.read(), np.arange(15))
        with SimulationStore.open(path) as store:
            assert same(store.read(), np.arange(15))


class TestKilled:
    @pytest.mark.takes_seconds
    @pytest.mark.posix
    def test_a_killed_writer_loses_nothing_that_was_committed(self, path, rng):
        created(path).close()
        for _ in range(4):
            writer = subprocess.Popen(
                [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
            )
            writer.stdout.readline()
            time.sleep(rng.uniform(0.0, 0.3))
            os.kill(writer.pid, signal.SIGKILL)
            said = writer.communicate()[0].split()
            with SimulationStore.open(path) as store:
                n_read = len(store)
                assert n_read >= int(said[-1] if said else 1)
                assert same(store.read(), np.arange(n_read))
        with SimulationStore.open(path, writable=True, fingerprint=PRIORS) as store:
            assert len(store) == n_read
            store.append(*rows_of([n_read])[:2], mask=rows_of([n_read])[2])
            assert same(store.read(), np.arange(n_read + 1))
        assert [file.name for file in path.parent.iterdir()] == [path.name]

    def test_a_creation_that_fails_leaves_no_file(self, path):
        with pytest.raises(TypeError):
            SimulationStore.create(path, NAMES, (3,), extras={"what": object})
        assert list(path.parent.iterdir()) == []


@pytest.mark.takes_seconds
@pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory is Linux's")
def test_a_store_may_be_larger_than_memory(path):
    code = f"""
import resource, sys, numpy as np
from nbi_sampler.storage.simulation_store import SimulationStore
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + 200 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
with SimulationStore.create({str(path)!r}, ["a"], (1000,), dtype=np.float32) as store:
    for first in range(0, 80_000, 5000):
        rows = np.arange(first, first + 5000.0)[:, None]
        store.append(rows, np.repeat(rows, 1000, 1))
with SimulationStore.open({str(path)!r}) as store:
    total = sum(float(batch.predictions[:, 7].sum(dtype=float))
                for batch in store.batches(256, np.random.default_rng(0)))
    assert total == 80_000 * 79_999 / 2, total
    scattered = np.random.default_rng(1).integers(0, 80_000, 300)
    assert np.array_equal(store.read(scattered).predictions[:, 0], scattered)
    try:
        store.read()
    except MemoryError:
        sys.exit(7)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert path.stat().st_size > 80_000 * 1000 * 4
    assert done.returncode == 7, done.stderr


class TestOtherSimulations:
    @pytest.mark.parametrize(
        ("asked", "differs"),
        [
            ({"names": ("a", "b")}, "names"),
            ({"names": ("shape", "a")}, "names"),
            ({"shape": (41,)}, "shape"),
            ({"fingerprint": {**PRIORS, "a": "Uniform(0, 2)"}}, "fingerprint['a']"),
            ({"fingerprint": {**PRIORS, "b": "Uniform(0, 1)"}}, "fingerprint['b']"),
            ({"fingerprint": {"a": PRIORS["a"]}}, "fingerprint['shape']"),
        ],
    )
    def test_a_store_of_other_simulations_is_refused_by_name(self, path, asked, differs):
        created(path, 10).close()
        with pytest.raises(StoreMismatch) as caught:
            SimulationStore.open(path, writable=True, **asked)
        assert list(caught.value.differences) == [differs] and differs in str(caught.value)
        SimulationStore.open(path, writable=True).close()

    def test_the_same_ones_are_accepted(self, path):
        created(path, 10).close()
        reordered = dict(reversed(PRIORS.items()))
        with SimulationStore.open(path, names=list(NAMES), shape=[40], fingerprint=reordered) as store:
            assert store.names == NAMES and store.shape == (40,) and store.fingerprint == PRIORS

    def test_versions_are_written_down(self, path):
        created(path).close()
        with AppendableTable.open(path) as table:
            assert set(table.metadata["versions"]) == {"nbi_sampler", "bilby", "h5py", "numpy"}

    @pytest.mark.parametrize("writable", [False, True])
    @pytest.mark.parametrize("content", ["text", "hdf5", "empty"])
    def test_another_file_is_refused_and_left_as_it_is(self, path, content, writable):
        if content == "hdf5":
            with h5py.File(path, "w") as file:
                file["x"] = 1.0
        else:
            path.write_text("no table" if content == "text" else "")
        before = path.read_bytes()
        with pytest.raises(ValueError, match="expected a table of this package"):
            SimulationStore.open(path, writable=writable)
        assert path.read_bytes() == before

    def test_another_table_is_refused_and_released(self, path):
        AppendableTable.create(path, {"x": np.dtype(float)}, {}).close()
        with pytest.raises(ValueError, match="expected a store of simulations"):
            SimulationStore.open(path, writable=True)
        AppendableTable.open(path, writable=True).close()

    def test_an_extra_cannot_take_the_place_of_the_parameters(self, path):
        with pytest.raises(ValueError, match="extras: expected names other than theta and predictions"):
            SimulationStore.create(path, NAMES, (3,), extras={"theta": float})

    def test_no_file_is_said(self, path):
        with pytest.raises(FileNotFoundError, match="no file"):
            SimulationStore.open(path)
