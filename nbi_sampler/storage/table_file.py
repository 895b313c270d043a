"""The HDF5 file of an appendable table: atomic creation, one writer, checks, and repair after a kill.

HDF5's single-writer mode (SWMR) orders its writes so that the structure on disk is consistent at any moment.
But it gives up HDF5's own lock, and a process that did not close the file leaves a mark that prevents all
further writes. Rows have no checksums. Readers treat data beyond the end of a file as zeros, or wait for
them. This module therefore locks and checks the file. It repairs a file with the mark of a writer. It refuses
a damaged file and leaves it unchanged.
"""

from __future__ import annotations

import contextlib
import errno
import math
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
from numpy.typing import NDArray

from nbi_sampler.core.config import STORAGE
from nbi_sampler.storage.hdf5_file import UnmarkedFile, end_of, forsaken, is_marked, reserve
from nbi_sampler.storage.replacing import put_in_place

__all__ = [
    "CHECKS",
    "COLUMNS",
    "DamagedTable",
    "check_rows",
    "checksums",
    "create_file",
    "is_table",
    "metadata_of",
    "n_committed",
    "open_to_append",
    "open_to_read",
    "reading",
    "refresh_counter",
    "write_counter",
]

COLUMNS, COUNTER, METADATA, CHECKS = "columns", "committed", "metadata", "checksums"
METADATA_CHECK = "metadata_crc32"
# Single-writer mode requires at least this version of the format.
FORMAT = ("v110", "latest")
# A copy of this age belongs to a dead process, if no lock shows this.
SECONDS_UNTIL_STALE = 60.0
ROOM_FOR_LAYOUT = 2**16
# Number of reads of a part that a writer may be writing.
ATTEMPTS, SECONDS_BETWEEN = 10, 0.02
HDF5_ERRORS = (OSError, RuntimeError, KeyError, ValueError)


class DamagedTable(ValueError):
    """Bytes of a table are missing or were changed."""


def create_file(path: Path, columns: Mapping[str, np.dtype[Any]], metadata: str) -> None:
    """Write an empty table; ``path`` never holds an incomplete one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale_copies(path, is_locked=False)
    with _replacing(path, ROOM_FOR_LAYOUT) as file:
        _lay_out(file, columns, metadata)


def is_table(path: Path) -> bool:
    """Return whether the file is a table, intact or damaged."""
    if not h5py.is_hdf5(path):
        return False
    try:
        with UnmarkedFile(path) as content, h5py.File(content, "r") as file:
            return METADATA in file.attrs and COUNTER in file and COLUMNS in file
    except HDF5_ERRORS:
        # The file is damaged. The code that reads further identifies the damage.
        return True


def open_to_read(path: Path) -> h5py.File:
    """Open a file that a writer has open or had open when it was killed; raises `DamagedTable`."""
    _check_whole(path)
    with reading(path):
        file = h5py.File(path, "r", swmr=True, locking=False)
    try:
        _check_lengths(path, file)
    except BaseException:
        file.close()
        raise
    return file


def open_to_append(path: Path) -> tuple[h5py.File, int | None]:
    """Open as the only writer, after a repair if the last one was killed.

    Returns
    -------
    h5py.File
        In single-writer mode.
    int or None
        Descriptor; closing it lets another writer in.

    Raises
    ------
    BlockingIOError
        If another process is writing.
    DamagedTable
        The file is unchanged.
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


def metadata_of(path: Path, file: h5py.File) -> str:
    """Read the text that was passed to `create_file`; raises `DamagedTable`."""
    with reading(path):
        text = str(file.attrs[METADATA])
        if METADATA_CHECK in file.attrs and zlib.crc32(text.encode()) != file.attrs[METADATA_CHECK]:
            raise _damaged(path, "its description")
    return text


def n_committed(path: Path, file: h5py.File) -> int:
    """Number of committed rows; raises `DamagedTable`."""
    return _read_counter(path, file)[0]


def refresh_counter(file: h5py.File) -> None:
    """Read what a writer has committed since."""
    file[COUNTER].refresh()


def write_counter(file: h5py.File, n_rows: int, size: int = 0) -> None:
    """Commit rows that are on disk: write their number, its complement, which reveals damage, and a size.

    The size is that of the file in bytes. The file never shrinks below it while it is written. 0 means no
    size.
    """
    file[COUNTER][...] = [n_rows, ~n_rows, size][: len(file[COUNTER])]
    file[COUNTER].flush()


def checksums(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.uint32]:
    """CRC-32 of every row of every column, in the order of their names, shape (n, n_columns)."""
    return np.stack([_checksums_of(columns[name]) for name in sorted(columns)], axis=1)


def check_rows(
    path: Path, columns: Mapping[str, NDArray[Any]], checks: NDArray[np.uint32], names: list[str], of: str
) -> None:
    """Raise a `DamagedTable` that names ``of`` if rows differ from those that were written.

    ``checks``, shape (n, n_names), are the stored checksums of all columns of the table. ``names`` are some
    of these columns in any order.
    """
    place = {name: i for i, name in enumerate(sorted(names))}
    wrong = np.zeros(len(checks), dtype=bool)
    for name, values in columns.items():
        wrong |= _checksums_of(values) != checks[:, place[name]]
    if wrong.any():
        raise _damaged(path, f"{int(wrong.sum()):,} of {of}")


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn an error of HDF5 within this block into a `DamagedTable` that names the file."""
    try:
        yield
    except DamagedTable:
        raise
    except HDF5_ERRORS as error:
        raise _damaged(path, f"something that HDF5 cannot read ({error})") from error


def _damaged(path: Path, what: str) -> DamagedTable:
    """The error that describes the damage and the remedy."""
    return DamagedTable(
        f"path: expected a complete table, {path} is damaged, as shown by {what}; restore a "
        "copy of it, or delete it and run again"
    )


def _checksums_of(values: NDArray[Any]) -> NDArray[np.uint32]:
    rows = np.ascontiguousarray(values).reshape(len(values), math.prod(values.shape[1:]))
    if not rows.nbytes:
        return np.zeros(len(values), np.uint32)
    return np.fromiter((zlib.crc32(row.data) for row in rows.view(np.uint8)), np.uint32, len(values))


def _parts_of(file: h5py.File) -> list[h5py.Dataset]:
    """All datasets with as many rows as the table."""
    return [*file[COLUMNS].values(), *([file[CHECKS]] if CHECKS in file else [])]


def _check_whole(path: Path) -> None:
    """Refuse a file that is too short or that HDF5 cannot read, without waiting for missing parts."""
    size, end = path.stat().st_size, end_of(path)
    if size < end:
        raise _damaged(path, f"its length, {size:,} of {end:,} bytes")
    for attempt in range(ATTEMPTS):
        try:
            with reading(path), UnmarkedFile(path) as content, h5py.File(content, "r") as file:
                metadata_of(path, file)
                for data in _parts_of(file):
                    data.id.get_num_chunks()
            return
        except DamagedTable:
            # A writer may be active.
            if attempt + 1 == ATTEMPTS or not is_marked(path):
                raise
            time.sleep(SECONDS_BETWEEN)


def _check_lengths(path: Path, file: h5py.File) -> None:
    """Refuse a file with fewer rows than it states, or one that ends before the last of them."""
    n_rows, size_then = _read_counter(path, file)
    size = path.stat().st_size
    if is_marked(path) and size < size_then:
        raise _damaged(path, f"its length, {size:,} of {size_then:,} bytes")
    with reading(path):
        n_sound = n_rows
        for data in _parts_of(file):
            n_sound = min(n_sound, len(data))
            # Checksums reveal this later, at a lower cost.
            starts = () if CHECKS in file else range(0, n_sound, data.chunks[0])
            for start in starts:
                chunk = data.id.get_chunk_info_by_coord((start, *(0 for _ in data.shape[1:])))
                if chunk.byte_offset is None or chunk.byte_offset + chunk.size > size:
                    n_sound = min(n_sound, start)
    if n_sound < n_rows:
        raise _damaged(path, f"its length: of {n_rows:,} rows those after {n_sound:,} are missing")


def _read_counter(path: Path, file: h5py.File) -> tuple[int, int]:
    """Number of committed rows, and size of the file at the last commit, or 0 if it is not stored."""
    with reading(path):
        for _ in range(ATTEMPTS):
            numbers = [int(each) for each in file[COUNTER][()]]
            if len(numbers) == 1 or numbers[1] == ~numbers[0]:
                break
            # A writer may be active.
            time.sleep(SECONDS_BETWEEN)
            file[COUNTER].refresh()
        else:
            raise _damaged(path, "the number of its rows")
    if numbers[0] < 0:
        raise _damaged(path, "the number of its rows")
    return numbers[0], numbers[2] if len(numbers) > 2 else 0


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
            chunks=(max(1, STORAGE.chunk_bytes // max(kind.itemsize, 1)), *kind.shape),
            dtype=kind.base,
        )


@contextlib.contextmanager
def _replacing(path: Path, n_bytes: int) -> Iterator[h5py.File]:
    """A new file of about ``n_bytes`` that replaces ``path`` if the block succeeds."""
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
        put_in_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _remove_stale_copies(path: Path, is_locked: bool) -> None:
    """Remove files of a process that was killed while it made or repaired this table."""
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
    """Replace a file that has the mark of a writer by a copy of its committed rows."""
    with contextlib.ExitStack() as until_copied:
        source = until_copied.enter_context(open_to_read(path))
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
                    of = f"its {n_rows:,} rows"
                    check_rows(path, values, source[CHECKS][rows], list(columns), of)
                for name, data in values.items():
                    target[f"{COLUMNS}/{name}"][rows] = data
                target[CHECKS][rows] = checksums(values)
            target.flush()
            write_counter(target, n_rows)
            # Windows does not replace an open file.
            until_copied.close()


def _locked(path: Path) -> int | None:
    """Descriptor that keeps other writers out until it is closed; None if there are no such locks."""
    message = f"path: another process is writing to {path}; wait until it has ended"
    if sys.platform == "win32":
        import msvcrt

        # Not the table itself, because Windows also prevents reading a locked file.
        descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            os.close(descriptor)
            raise BlockingIOError(error.errno, message) from None
        return descriptor
    import fcntl

    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(descriptor), path.stat()):
            raise BlockingIOError(errno.EWOULDBLOCK, "replaced by a repair in another process")
    except BlockingIOError as error:
        os.close(descriptor)
        raise BlockingIOError(error.errno, message) from None
    except OSError:
        # Some network file systems have no locks.
        os.close(descriptor)
        return None
    return descriptor


def _release(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)
