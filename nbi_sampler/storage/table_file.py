"""The HDF5 file below an appendable table: made whole, written by one process, repaired after a kill.

`appendable_table` knows rows; here are the layout, the lock and the repair. HDF5's
single-writer mode (SWMR) orders its writes so that the structure on disk is sound at any moment. But it gives
up HDF5's own lock, and a process that did not close the file leaves a mark that refuses all further writing.
A file with that mark is repaired; one that is damaged is refused, and left as it is.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from nbi_sampler.storage.disk_space import forsaken, reserve
from nbi_sampler.storage.superblock import UnmarkedFile, is_marked
from nbi_sampler.storage.table_checks import (
    CHECKS,
    COLUMNS,
    COUNTER,
    HDF5_ERRORS,
    METADATA,
    METADATA_CHECK,
    DamagedTable,
    check_lengths,
    check_whole,
    checksums,
    damaged,
    damaged_rows,
    metadata_of,
    n_committed,
    reading,
    write_counter,
)

__all__ = ["create_file", "is_table", "open_to_append", "open_to_read"]

CHUNK_BYTES = 2**18
# Single-writer mode needs this version of the format at least.
FORMAT = ("v110", "latest")
# A copy that no process is making any more, where no lock tells.
SECONDS_UNTIL_STALE = 60.0
ROOM_FOR_LAYOUT = 2**16


def create_file(path: Path, columns: Mapping[str, np.dtype[Any]], metadata: str) -> None:
    """Write an empty table; under ``path`` it appears complete or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale_copies(path, is_locked=False)
    with _replacing(path, ROOM_FOR_LAYOUT) as file:
        _lay_out(file, columns, metadata)


def is_table(path: Path) -> bool:
    """Whether the file has the layout of a table, be it sound or not."""
    if not h5py.is_hdf5(path):
        return False
    try:
        with UnmarkedFile(path) as content, h5py.File(content, "r") as file:
            return METADATA in file.attrs and COUNTER in file and COLUMNS in file
    except HDF5_ERRORS:
        # Damaged: what it was is told by whoever reads on.
        return True


def open_to_read(path: Path) -> h5py.File:
    """Open beside a writer, alive or killed.

    Raises
    ------
    DamagedTable
    """
    check_whole(path)
    with reading(path):
        file = h5py.File(path, "r", swmr=True, locking=False)
    try:
        check_lengths(path, file)
    except BaseException:
        file.close()
        raise
    return file


def open_to_append(path: Path) -> tuple[h5py.File, int | None]:
    """Open as the only writer, after a repair where the last one was killed.

    Returns
    -------
    h5py.File
        In single-writer mode.
    int or None
        Descriptor whose closing lets another writer in.

    Raises
    ------
    BlockingIOError
        Another process is writing.
    DamagedTable
        It is left as it is.
    """
    lock = _locked(path)
    try:
        _remove_stale_copies(path, is_locked=lock is not None)
        with open_to_read(path):
            pass
        if is_marked(path):
            _copy_committed(path)
            _release(lock)
            lock = _locked(path)
        file = h5py.File(path, "r+", libver=FORMAT, locking=False)
        file.swmr_mode = True
    except BaseException:
        _release(lock)
        raise
    return file, lock


def _lay_out(file: h5py.File, columns: Mapping[str, np.dtype[Any]], metadata: str) -> None:
    """Make everything that single-writer mode cannot add later."""
    file.attrs[METADATA] = metadata
    file.attrs[METADATA_CHECK] = zlib.crc32(metadata.encode())
    file.create_dataset(COUNTER, data=np.array([0, ~0, 0], np.int64))
    checks = {CHECKS: np.dtype((np.uint32, (len(columns),)))}
    for name, kind in {**{f"{COLUMNS}/{name}": kind for name, kind in columns.items()}, **checks}.items():
        file.create_dataset(
            name,
            shape=(0, *kind.shape),
            maxshape=(None, *kind.shape),
            chunks=(max(1, CHUNK_BYTES // max(kind.itemsize, 1)), *kind.shape),
            dtype=kind.base,
        )


@contextlib.contextmanager
def _replacing(path: Path, n_bytes: int) -> Iterator[h5py.File]:
    """A new file of about ``n_bytes`` that takes the place of ``path`` when the block ends well."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # HDF5 does not survive a full disk.
        with temporary.open("wb") as room:
            reserve(room.fileno(), 0, n_bytes, path)
        file = h5py.File(temporary, "w", libver=FORMAT, locking=False)
        try:
            yield file
            file.flush()
        except BaseException:
            with forsaken(file):
                file.close()
            raise
        file.close()
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _remove_stale_copies(path: Path, is_locked: bool) -> None:
    """Remove what a process left that was killed while it made or repaired this table."""
    for copy in path.parent.glob(f".{path.name}.*"):
        number = re.fullmatch(r"\d+", copy.name[len(path.name) + 2 :])
        with contextlib.suppress(OSError):
            is_old = is_locked or time.time() - copy.stat().st_mtime > SECONDS_UNTIL_STALE
            if number and is_old and not _is_running(int(number[0])):
                copy.unlink()


def _is_running(process: int) -> bool:
    if process == os.getpid() or sys.platform == "win32":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass
    return True


def _copy_committed(path: Path) -> None:
    """Put a copy of the committed rows in the place of a file that is marked as being written."""
    with open_to_read(path) as source:
        columns = {name: np.dtype((data.dtype, data.shape[1:])) for name, data in source[COLUMNS].items()}
        n_rows = n_committed(path, source)
        room = path.stat().st_size + ROOM_FOR_LAYOUT + 4 * n_rows * len(columns)
        with _replacing(path, room) as target:
            _lay_out(target, columns, metadata_of(path, source))
            for name in (*(f"{COLUMNS}/{each}" for each in columns), CHECKS):
                target[name].resize(n_rows, axis=0)
            at_once = min((data.chunks[0] for data in source[COLUMNS].values()), default=1)
            for start in range(0, n_rows, at_once):
                rows = slice(start, min(start + at_once, n_rows))
                with reading(path):
                    values = {name: source[f"{COLUMNS}/{name}"][rows] for name in columns}
                if CHECKS in source:
                    wrong = damaged_rows(values, source[CHECKS][rows], list(columns))
                    if wrong.any():
                        raise DamagedTable(damaged(path, f"{int(wrong.sum()):,} of its {n_rows:,} rows"))
                for name, data in values.items():
                    target[f"{COLUMNS}/{name}"][rows] = data
                target[CHECKS][rows] = checksums(values)
            target.flush()
            write_counter(target, n_rows)


def _locked(path: Path) -> int | None:
    """Descriptor that keeps other writers out until it is closed; None where there are no such locks."""
    if sys.platform == "win32":
        return None
    import fcntl

    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(descriptor), path.stat()):
            raise BlockingIOError(errno.EWOULDBLOCK, "replaced by a repair in another process")
    except BlockingIOError as error:
        os.close(descriptor)
        message = f"path: another process is writing to {path}; wait until it has ended"
        raise BlockingIOError(error.errno, message) from None
    except OSError:
        # Some network file systems have no locks.
        os.close(descriptor)
        return None
    return descriptor


def _release(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)
