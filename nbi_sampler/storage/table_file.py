"""The HDF5 file below an appendable table: made whole, written by one process, repaired after a kill.

Called by `appendable_table`, which knows rows; here are the layout, the lock and the repair. HDF5's
single-writer mode (SWMR) orders its writes so that the structure on disk is sound at any moment. But it gives
up HDF5's own lock, and a process that did not close the file leaves a mark that refuses all further writing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

__all__ = ["COLUMNS", "COUNTER", "METADATA", "create_file", "is_table", "open_to_append", "open_to_read"]

CHUNK_BYTES = 2**18
COLUMNS, COUNTER, METADATA = "columns", "committed", "metadata"
# Single-writer mode needs this version of the format at least.
FORMAT = ("v110", "latest")


def create_file(path: Path, columns: Mapping[str, np.dtype[Any]], metadata: str) -> None:
    """Write an empty table; under ``path`` it appears complete or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _replacing(path) as file:
        _lay_out(file, columns, metadata)


def is_table(path: Path) -> bool:
    """Whether the file has the layout of a table."""
    try:
        with open_to_read(path) as file:
            return METADATA in file.attrs and COUNTER in file and COLUMNS in file
    except OSError:
        return False


def open_to_read(path: Path) -> h5py.File:
    """Open beside a writer, alive or killed."""
    return h5py.File(path, "r", swmr=True, locking=False)


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
    """
    lock = _locked(path)
    try:
        try:
            file = h5py.File(path, "r+", libver=FORMAT, locking=False)
        except OSError:
            # The mark of a killed writer.
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
    file.create_dataset(COUNTER, data=np.zeros(1, np.int64))
    for name, kind in columns.items():
        file.create_dataset(
            f"{COLUMNS}/{name}",
            shape=(0, *kind.shape),
            maxshape=(None, *kind.shape),
            chunks=(max(1, CHUNK_BYTES // max(kind.itemsize, 1)), *kind.shape),
            dtype=kind.base,
        )


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[h5py.File]:
    """A new file that takes the place of ``path`` when the block ends well."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with h5py.File(temporary, "w", libver=FORMAT, locking=False) as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _copy_committed(path: Path) -> None:
    """Put a copy of the committed rows in the place of a file that is marked as being written."""
    with open_to_read(path) as source:
        columns = {name: np.dtype((data.dtype, data.shape[1:])) for name, data in source[COLUMNS].items()}
        n_rows = int(source[COUNTER][0])
        with _replacing(path) as target:
            _lay_out(target, columns, source.attrs[METADATA])
            for name, data in source[COLUMNS].items():
                copy = target[f"{COLUMNS}/{name}"]
                copy.resize(n_rows, axis=0)
                for start in range(0, n_rows, data.chunks[0]):
                    rows = slice(start, min(start + data.chunks[0], n_rows))
                    copy[rows] = data[rows]
            target[COUNTER][0] = n_rows


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
