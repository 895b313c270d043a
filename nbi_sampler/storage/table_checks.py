"""Whether a table on disk is whole: lengths, checksums and the number of its rows, and the error where not.

HDF5 itself has no checksums for rows; and whoever reads in its single-writer mode takes what lies beyond the
end of a file for zeros, or waits for it. So a file is looked at before it is read.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nbi_sampler.storage.superblock import UnmarkedFile, end_of, is_marked

__all__ = [
    "CHECKS",
    "COLUMNS",
    "COUNTER",
    "HDF5_ERRORS",
    "METADATA",
    "METADATA_CHECK",
    "DamagedTable",
    "check_lengths",
    "check_whole",
    "checksums",
    "damaged",
    "damaged_rows",
    "give_back",
    "metadata_of",
    "n_committed",
    "reading",
    "write_counter",
]

COLUMNS, COUNTER, METADATA, CHECKS = "columns", "committed", "metadata", "checksums"
METADATA_CHECK = "metadata_crc32"
# Looks at what a writer may be writing.
ATTEMPTS, SECONDS_BETWEEN = 10, 0.02
HDF5_ERRORS = (OSError, RuntimeError, KeyError, ValueError)


class DamagedTable(ValueError):
    """A table of which bytes are missing, or are not those that were written."""


def metadata_of(path: Path, file: h5py.File) -> str:
    """The text that was given to `create_file`.

    Raises
    ------
    DamagedTable
    """
    with reading(path):
        text = str(file.attrs[METADATA])
        if METADATA_CHECK in file.attrs and zlib.crc32(text.encode()) != file.attrs[METADATA_CHECK]:
            raise DamagedTable(damaged(path, "its description"))
    return text


def n_committed(path: Path, file: h5py.File) -> int:
    """Rows that count.

    Raises
    ------
    DamagedTable
    """
    return _read_counter(path, file)[0]


def write_counter(file: h5py.File, n_rows: int, size: int = 0) -> None:
    """Commit rows that are on disk.

    Parameters
    ----------
    file : h5py.File
    n_rows : int
        Written with its complement, which tells damage.
    size : int
        Of the file now, in bytes, which it never falls below while it is being written; 0 says nothing.
    """
    file[COUNTER][...] = [n_rows, ~n_rows, size][: len(file[COUNTER])]
    file[COUNTER].flush()


def checksums(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.uint32]:
    """CRC-32 of every row of every column, in the order of their names, shape (n, n_columns)."""
    return np.stack([_checksums_of(columns[name]) for name in sorted(columns)], axis=1)


def damaged_rows(
    columns: Mapping[str, NDArray[Any]], checks: NDArray[np.uint32], names: list[str]
) -> NDArray[np.bool_]:
    """Rows that are not as they were written, shape (n,).

    Parameters
    ----------
    columns : mapping of str to ndarray
    checks : ndarray, shape (n, n_names)
        As written, of all columns of the table.
    names : list of str
        Of these, in any order.
    """
    place = {name: i for i, name in enumerate(sorted(names))}
    wrong = np.zeros(len(checks), dtype=bool)
    for name, values in columns.items():
        wrong |= _checksums_of(values) != checks[:, place[name]]
    return wrong


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Within this block, what HDF5 raises becomes an error that names the file.

    Raises
    ------
    DamagedTable
    """
    try:
        yield
    except DamagedTable:
        raise
    except HDF5_ERRORS as error:
        raise DamagedTable(damaged(path, f"something that HDF5 cannot read ({error})")) from error


def damaged(path: Path, what: str) -> str:
    """The message of an error: what is not as it was written, and the remedy."""
    return (
        f"path: expected a whole table, {path} is damaged: not as it was written is {what}; put back a copy "
        "of it, or delete it and run again"
    )


def _checksums_of(values: NDArray[Any]) -> NDArray[np.uint32]:
    rows = np.ascontiguousarray(values).reshape(len(values), math.prod(values.shape[1:]))
    if not rows.nbytes:
        return np.zeros(len(values), np.uint32)
    return np.fromiter((zlib.crc32(row.data) for row in rows.view(np.uint8)), np.uint32, len(values))


def check_whole(path: Path) -> None:
    """Refuse a file that ends too early, or that HDF5 cannot read, without waiting for what never comes.

    Raises
    ------
    DamagedTable
    """
    size, end = path.stat().st_size, end_of(path)
    if size < end:
        raise DamagedTable(damaged(path, f"its length, {size:,} of {end:,} bytes"))
    for attempt in range(ATTEMPTS):
        try:
            with reading(path), UnmarkedFile(path) as content, h5py.File(content, "r") as file:
                metadata_of(path, file)
                for data in (*file[COLUMNS].values(), *([file[CHECKS]] if CHECKS in file else [])):
                    data.id.get_num_chunks()
            return
        except DamagedTable:
            # A writer may be at it.
            if attempt + 1 == ATTEMPTS or not is_marked(path):
                raise
            time.sleep(SECONDS_BETWEEN)


def give_back(path: Path) -> None:
    """Cut off room at the end of a file that was taken for rows and not needed, once HDF5 has closed it."""
    if not is_marked(path) and 0 < end_of(path) < path.stat().st_size:
        os.truncate(path, end_of(path))


def check_lengths(path: Path, file: h5py.File) -> None:
    """Refuse a file that has fewer rows than it says, or ends before the last of them."""
    n_rows, size_then = _read_counter(path, file)
    size = path.stat().st_size
    if is_marked(path) and size < size_then:
        raise DamagedTable(damaged(path, f"its length, {size:,} of {size_then:,} bytes"))
    with reading(path):
        n_sound = n_rows
        for data in (*file[COLUMNS].values(), *([file[CHECKS]] if CHECKS in file else [])):
            n_sound = min(n_sound, len(data))
            # Checksums tell later, and at less cost.
            starts = () if CHECKS in file else range(0, n_sound, data.chunks[0])
            for start in starts:
                chunk = data.id.get_chunk_info_by_coord((start, *(0 for _ in data.shape[1:])))
                if chunk.byte_offset is None or chunk.byte_offset + chunk.size > size:
                    n_sound = min(n_sound, start)
    if n_sound < n_rows:
        raise DamagedTable(
            damaged(path, f"its length: of {n_rows:,} rows those after {n_sound:,} are missing")
        )


def _read_counter(path: Path, file: h5py.File) -> tuple[int, int]:
    """Rows that count, and the size of the file when the last was committed, 0 where it is not told."""
    with reading(path):
        for _ in range(ATTEMPTS):
            numbers = [int(each) for each in file[COUNTER][()]]
            if len(numbers) == 1 or numbers[1] == ~numbers[0]:
                break
            # A writer may be at it.
            time.sleep(SECONDS_BETWEEN)
            file[COUNTER].refresh()
        else:
            raise DamagedTable(damaged(path, "the number of its rows"))
    if numbers[0] < 0:
        raise DamagedTable(damaged(path, "the number of its rows"))
    return numbers[0], numbers[2] if len(numbers) > 2 else 0
