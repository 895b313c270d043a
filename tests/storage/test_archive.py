"""The file of a checkpoint: whole or not read, replaced at once, and nothing in it is ever executed."""

from __future__ import annotations

import multiprocessing
import pickle
import time
import zipfile

import numpy as np
import pytest

from nbi_sampler.storage.archive import ArchiveError, is_placeholder, read_archive, write_archive

HEADER = {"text": "é", "infinite": -np.inf, "exact": 0.1 + 0.2, "list": [1, None, True]}


def arrays():
    rng = np.random.default_rng(0)
    return {
        "double": rng.normal(size=(50, 3)) * 1e-300,
        "single": rng.normal(size=200).astype(np.float32),
        "flags": rng.normal(size=20) > 0,
        "special": np.array([np.nan, np.inf, -np.inf, -0.0]),
        "empty": np.zeros((0, 4)),
        "number": np.array(7),
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "file.npz"


def test_what_is_written_is_read_bit_for_bit(path):
    write_archive(path, HEADER, arrays())
    header, read = read_archive(path)
    assert header == HEADER
    assert list(read) == list(arrays())
    for name, array in arrays().items():
        assert read[name].dtype == array.dtype and read[name].shape == array.shape
        assert read[name].tobytes() == array.tobytes()
    assert [each.name for each in path.parent.iterdir()] == [path.name]


class Malicious:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def pickled(path, trap):
    path.write_bytes(pickle.dumps(Malicious(trap)))


def array_of_objects(path, trap):
    np.savez(path, header=np.array("{}"), x=np.array([Malicious(trap)], dtype=object))


def header_of_objects(path, trap):
    np.savez(path, header=np.array([Malicious(trap)], dtype=object))


def torch_file(path, trap):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(Malicious(trap)))


@pytest.mark.parametrize("write", [pickled, array_of_objects, header_of_objects, torch_file])
def test_reading_executes_nothing(tmp_path, write):
    path, trap = tmp_path / "file.npz", tmp_path / "executed"
    write(path, trap)
    with pytest.raises(ArchiveError):
        read_archive(path)
    assert not trap.exists()
    pickle.loads(pickle.dumps(Malicious(trap))).close()
    assert trap.exists(), "the trap does not work"


def test_a_truncated_file_is_told(path):
    write_archive(path, HEADER, arrays())
    content = path.read_bytes()
    for length in [0, 1, 4, 100, *np.linspace(200, len(content) - 1, 25).astype(int)]:
        path.write_bytes(content[:length])
        with pytest.raises(ArchiveError, match="truncated"):
            read_archive(path)


def test_a_changed_byte_in_an_array_is_told(path):
    write_archive(path, HEADER, {"x": np.arange(1000.0)})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match="CRC"):
        read_archive(path)


@pytest.mark.parametrize(
    "content", [b"\x00" * 500, b"\x93NUMPY\x01\x00", b"PK\x03\x04" + b"x" * 300, b"{}" * 50, pickle.dumps({})]
)
def test_a_foreign_file_is_told(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(ArchiveError):
        read_archive(path)


def test_arrays_of_another_program_are_told(path):
    path.parent.mkdir()
    np.savez(path, x=np.zeros(3))
    with pytest.raises(ArchiveError, match="header"):
        read_archive(path)
    np.save(path.with_suffix(".npy"), np.zeros(3))
    with pytest.raises(ArchiveError):
        read_archive(path.with_suffix(".npy"))


@pytest.mark.parametrize("content", [b"", pickle.dumps({}), pickle.dumps({}, protocol=0)])
def test_what_a_scheduler_makes_beforehand_is_a_placeholder(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    assert is_placeholder(path)
    write_archive(path, {}, {})
    assert not is_placeholder(path)


def test_a_full_disk_leaves_the_former_file(path, monkeypatch):
    write_archive(path, {"number": 1}, arrays())

    def full(file, **contents):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nbi_sampler.storage.archive.np.savez", full)
    with pytest.raises(OSError, match="No space"):
        write_archive(path, {"number": 2}, arrays())
    assert read_archive(path)[0] == {"number": 1}
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def write_for_ever(path):
    number = 0
    while True:
        number += 1
        write_archive(path, {"number": number}, {"x": np.full((200, 1000), float(number))})


@pytest.mark.posix
def test_a_writer_killed_at_any_moment_leaves_a_whole_file(path, rng):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["numpy", "nbi_sampler.storage.archive"])
    newest = 0
    for _ in range(8):
        path.unlink(missing_ok=True)
        process = context.Process(target=write_for_ever, args=(path,))
        process.start()
        until = time.monotonic() + 60
        while not path.exists() and time.monotonic() < until:
            time.sleep(0.01)
        # At least four files, however busy the machine, and then some chance.
        while read_archive(path)[0]["number"] < 4 and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.1))
        process.kill()
        process.join()
        header, read = read_archive(path)
        assert np.all(read["x"] == header["number"]) and header["number"] >= 1
        newest = max(newest, header["number"])
    assert newest > 3
