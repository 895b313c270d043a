"""Windows: open files cannot be replaced, and names have fewer characters."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from nbi_sampler.storage import place, replacing, table_file
from nbi_sampler.storage.appendable_table import AppendableTable
from nbi_sampler.storage.place import Place
from nbi_sampler.storage.replacing import put_in_place

ONE_COLUMN = {"x": np.dtype(np.float64)}
only_with_proc = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="asks Linux what is open")


@pytest.fixture
def windows(monkeypatch):
    """Modules that take this system for Windows, and the lock of that system."""

    def locking(descriptor, mode, n_bytes):
        import fcntl

        assert (mode, n_bytes) == (2, 1)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PermissionError(errno.EACCES, "Permission denied") from None

    module = ModuleType("msvcrt")
    module.locking, module.LK_NBLCK = locking, 2
    monkeypatch.setitem(sys.modules, "msvcrt", module)
    for each in (place, replacing, table_file):
        monkeypatch.setattr(each, "sys", SimpleNamespace(platform="win32"))


def open_files():
    paths = []
    for name in os.listdir("/proc/self/fd"):
        try:
            paths.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:
            continue
    return paths


@only_with_proc
def test_a_second_writer_is_refused_there_too(windows, tmp_path):
    path = tmp_path / "table.h5"
    with AppendableTable.create(path, ONE_COLUMN, "") as table:
        table.append({"x": np.arange(3.0)})
        with pytest.raises(BlockingIOError, match="another process is writing to"):
            AppendableTable.open(path, writable=True)
        with AppendableTable.open(path) as reader:
            assert len(reader) == 3
    with AppendableTable.open(path, writable=True) as table:
        table.append({"x": np.arange(2.0)})
    with AppendableTable.open(path) as reader:
        assert len(reader) == 5


@only_with_proc
def test_a_table_is_repaired_without_replacing_an_open_file(windows, tmp_path, monkeypatch):
    """The copy of a table that is being written is as one whose writer was killed."""
    path, killed = tmp_path / "table.h5", tmp_path / "killed.h5"
    with AppendableTable.create(path, ONE_COLUMN, "") as table:
        table.append({"x": np.arange(7.0)})
        shutil.copy(path, killed)
    replace, replaced = Path.replace, []

    def refusing(self, target):
        assert str(target) not in open_files()
        replaced.append(Path(target).name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refusing)
    with AppendableTable.open(killed, writable=True) as table:
        assert len(table) == 7
    assert replaced == ["killed.h5"]


def test_a_file_that_is_open_elsewhere_for_a_moment_is_replaced_after_it(windows, tmp_path, monkeypatch):
    new, old = tmp_path / "new", tmp_path / "old"
    new.write_text("new")
    old.write_text("old")
    replace, n_calls = Path.replace, []

    def busy(self, target):
        n_calls.append(1)
        if len(n_calls) < 4:
            raise PermissionError(errno.EACCES, "in use")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", busy)
    monkeypatch.setattr(replacing, "SECONDS_BETWEEN", 0.0)
    put_in_place(new, old)
    assert old.read_text() == "new" and not new.exists()


@pytest.mark.parametrize("platform, most_calls", [("win32", 10_000), ("linux", 1)])
def test_a_file_that_stays_open_is_an_error_in_the_end(tmp_path, monkeypatch, platform, most_calls):
    n_calls = []

    def never(self, target):
        n_calls.append(1)
        raise PermissionError(errno.EACCES, "in use")

    monkeypatch.setattr(Path, "replace", never)
    monkeypatch.setattr(replacing, "sys", SimpleNamespace(platform=platform))
    monkeypatch.setattr(replacing, "SECONDS_TRIED", 0.05)
    monkeypatch.setattr(replacing, "SECONDS_BETWEEN", 0.01)
    with pytest.raises(PermissionError, match="in use"):
        put_in_place(tmp_path / "new", tmp_path / "old")
    assert (len(n_calls) > 1) == (platform == "win32") and len(n_calls) <= most_calls


@pytest.mark.parametrize("label", ["a:b", "what?", "x*", 'say "x"'])
def test_a_label_that_no_file_can_have_there_is_refused_before_the_first_call(windows, tmp_path, label):
    with pytest.raises(ValueError, match="label: expected a name without"):
        Place(tmp_path, label, "nbi").check()


def test_such_a_label_is_one_like_any_other_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(place, "sys", SimpleNamespace(platform="linux"))
    if os.name != "nt":
        Place(tmp_path, "a:b", "nbi").check()
