"""Tables that were cut, changed, or filled their disk: distinguished from a killed writer, and never read."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time

import h5py
import numpy as np
import pytest
from tampering import flips

from nbi_sampler.sampler.survey.table import Survey, columns_of, stored
from nbi_sampler.storage import table_file
from nbi_sampler.storage.appendable_table import AppendableTable, DamagedTable
from nbi_sampler.storage.hdf5_file import checksum
from nbi_sampler.storage.simulation_store import SimulationStore

N, LENGTH = 300, 60


def rows(n=N):
    rng = np.random.default_rng(5)
    return rng.normal(size=(n, 2)), rng.normal(size=(n, LENGTH))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "simulations.h5"


@pytest.fixture
def closed(path):
    """The bytes of a store that was closed."""
    with SimulationStore.create(path, ["a", "b"], (LENGTH,), fingerprint={"a": "U"}) as store:
        store.append(*rows())
    return path.read_bytes()


@pytest.fixture
def marked(path):
    """The bytes of one whose writer was killed."""
    with SimulationStore.create(path, ["a", "b"], (LENGTH,), fingerprint={"a": "U"}) as store:
        store.append(*rows())
        return path.read_bytes()


def read(path, writable=False):
    with SimulationStore.open(path, names=["a", "b"], fingerprint={"a": "U"}, writable=writable) as store:
        found = store.read()
    theta, predictions = rows()
    return np.array_equal(found.theta, theta) and np.array_equal(found.predictions, predictions)


@pytest.mark.parametrize("writable", [False, True])
@pytest.mark.parametrize("state", ["closed", "marked"])
def test_a_store_that_was_cut_is_told_at_once_and_left_as_it_is(path, request, state, writable):
    content = request.getfixturevalue(state)
    for share in (0.8, 0.5, 0.2, 0.01):
        path.write_bytes(content[: int(share * len(content))])
        before = path.read_bytes()
        begun = time.monotonic()
        with pytest.raises(DamagedTable, match=r"simulations\.h5 is damaged.* bytes; restore a copy"):
            read(path, writable)
        assert time.monotonic() - begun < 10 and path.read_bytes() == before
    path.write_bytes(content)
    assert read(path, writable), "the negative control: whole, and repaired where its writer was killed"


@pytest.mark.parametrize("state", ["closed", "marked"])
def test_a_flipped_bit_is_told_or_changes_nothing(path, request, state):
    content = request.getfixturevalue(state)
    n_told = 0
    for changed in flips(content, 60, 3):
        path.write_bytes(changed)
        begun = time.monotonic()
        try:
            assert read(path, writable=n_told % 2 == 1)
        except ValueError as error:
            assert str(path) in str(error)
            n_told += 1
        assert time.monotonic() - begun < 10
    assert n_told > 20


def test_zeros_in_place_of_rows_are_told_with_their_number(path, closed):
    theta, _ = rows()
    place = closed.index(theta.tobytes())
    changed = bytearray(closed)
    changed[place + 16 * 100 : place + 16 * 150] = bytes(16 * 50)
    path.write_bytes(changed)
    with SimulationStore.open(path) as store:
        assert np.array_equal(store.read(slice(0, 100)).theta, theta[:100])
        with pytest.raises(DamagedTable, match="50 of the 300 rows read"):
            store.read()
        with pytest.raises(DamagedTable, match="1 of the 2 rows"):
            store.read([299, 120])
        with pytest.raises(DamagedTable):
            list(store.batches(64, np.random.default_rng(0)))


def of_before(path, n_rows=N):
    """A table as it was made before there were checksums."""
    theta, predictions = rows()
    with h5py.File(path, "w", libver=table_file.FORMAT) as file:
        file.attrs["metadata"] = '{"names": ["a", "b"], "fingerprint": {"a": "U"}}'
        file.create_dataset("committed", data=np.array([n_rows]))
        for name, values in (("theta", theta), ("predictions", predictions)):
            shape = values.shape[1:]
            file.create_dataset(f"columns/{name}", data=values, maxshape=(None, *shape), chunks=(100, *shape))


class TestATableOfBefore:
    def test_is_read_and_goes_on(self, path):
        of_before(path)
        assert read(path)
        with SimulationStore.open(path, writable=True) as store:
            store.append(np.ones((3, 2)), np.ones((3, LENGTH)))
        with SimulationStore.open(path) as store:
            assert len(store) == 303 and store.read([302]).theta.tolist() == [[1.0, 1.0]]

    def test_that_has_fewer_rows_than_it_says_is_told(self, path):
        of_before(path, N + 1200)
        with pytest.raises(DamagedTable, match="of 1,500 rows those after 300 are missing"):
            read(path)


def test_a_truncated_survey_table_is_told_at_once(tmp_path):
    path = tmp_path / "survey.h5"
    about = {"parameters": ["a", "b"], "seed": 1, "fingerprint": {}}
    with AppendableTable.create(path, columns_of(2, 20), about) as table:
        for i in range(3):
            stored(table, {"name": str(i), "status": "ok", "message": "", "data": "", "index": i})
    assert len(Survey.read(path).table) == 3
    for share in (0.8, 0.3):
        os.truncate(path, int(share * path.stat().st_size))
        begun = time.monotonic()
        with pytest.raises(ValueError, match=r"survey\.h5 is damaged"):
            Survey.read(path)
        assert time.monotonic() - begun < 10


FILLS_THE_DISK = """
    import resource, sys
    import numpy as np
    from nbi_sampler.storage.appendable_table import AppendableTable
    path = sys.argv[1]
    table = AppendableTable.create(path, {"x": np.dtype((float, (1000,)))}, {})
    with table:
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**21, unlimited[1]))
        try:
            for i in range(100):
                table.append({"x": np.full((20, 1000), float(i))})
        except OSError as error:
            said, n_rows = str(error), len(table)
        assert np.array_equal(table.read()["x"][:, 0], np.repeat(np.arange(n_rows / 20), 20))
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    with AppendableTable.open(path, writable=True) as again:
        assert len(again) == n_rows
        again.append({"x": np.ones((20, 1000))})
    print(n_rows, said)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot reserve room")
def test_a_full_disk_is_said_and_costs_no_row_and_no_crash(path):
    """As by a disk or a quota; HDF5 alone ends in a segmentation fault."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FILLS_THE_DISK), str(path)], capture_output=True, text=True
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    n_rows, said = done.stdout.split(maxsplit=1)
    assert int(n_rows) > 100
    assert "no room for" in said and "committed rows are safe" in said
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_disk_that_fails_all_the_same_leaves_the_rows_before(path):
    """Room was there, and yet HDF5 cannot write: the process goes on, and the lock is released."""
    code = """
        import os, sys
        import numpy as np
        from nbi_sampler.storage.appendable_table import AppendableTable
        table = AppendableTable.create(sys.argv[1], {"x": np.dtype((float, (1000,)))}, {})
        table.append({"x": np.ones((40, 1000))})
        handle = table._file.id.get_vfd_handle()
        kept = os.dup(handle)
        read_only = os.open(sys.argv[1], os.O_RDONLY)
        os.dup2(read_only, handle)
        try:
            table.append({"x": np.ones((40, 1000))})
        except OSError as error:
            print(error)
        table.close()
        with AppendableTable.open(sys.argv[1], writable=True) as again:
            assert len(again) == 40 and again.read()["x"].all()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "cannot be written" in done.stdout and "the 40 rows before it are safe" in done.stdout


class TestCopiesOfAKilledRepair:
    def test_are_removed_when_the_table_is_next_written(self, path, marked):
        path.write_bytes(marked)
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        stale = path.with_name(f".{path.name}.{ended.pid}")
        others = [path.with_name(f".{path.name}.{os.getppid()}"), path.with_name(f".{path.name}.mine")]
        for each in (stale, *others):
            each.write_text("half a copy")
        assert read(path, writable=True)
        assert not stale.exists() and all(each.exists() for each in others)

    def test_that_is_damaged_is_not_put_in_the_place_of_the_table(self, path, marked):
        changed = bytearray(marked)
        changed[marked.index(rows()[1].tobytes()) + 999] ^= 4
        path.write_bytes(changed)
        with pytest.raises(DamagedTable, match="1 of its 300 rows"):
            read(path, writable=True)
        assert path.read_bytes() == bytes(changed)
        assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("state", ["closed", "marked"])
def test_the_checksum_of_the_first_bytes_is_that_of_hdf5(request, state):
    content = request.getfixturevalue(state)
    assert checksum(content[:44]) == content[44:48]


def test_rows_of_zeros_have_a_checksum_that_is_not_zero():
    assert table_file.checksums({"x": np.zeros((2, 3))}).all()
