"""A table in one HDF5 file to which rows are added; committed rows survive a killed process.

It serves rows that are expensive to compute. A counter that is written after the rows holds the number of
committed ones. Other processes may read while one writes.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from nbi_sampler.storage.hdf5_file import forsaken, give_back, reserve
from nbi_sampler.storage.table_file import (
    CHECKS,
    COLUMNS,
    DamagedTable,
    check_rows,
    checksums,
    create_file,
    is_table,
    metadata_of,
    n_committed,
    open_to_append,
    open_to_read,
    reading,
    refresh_counter,
    write_counter,
)

__all__ = ["AppendableTable", "DamagedTable"]

# Bytes for the index of chunks, in addition to the rows.
BYTES_PER_CHUNK, ROOM_FOR_INDEX = 64, 2**16


class AppendableTable:
    """Columns of equal length on disk; `create` and `open` make it, not the constructor.

    Only one writer can open the file, and a second one is refused. If the writer was killed, the next one
    repairs the file by copying the committed rows; readers need no repair. The table survives the end of a
    process at any moment, but not a loss of power. Every row has a checksum, which is checked when the row is
    read. Older tables without checksums can still be read and written.

    Attributes
    ----------
    path : pathlib.Path
    metadata : dict
        The fingerprint that was passed to `create`.
    columns : dict of str to numpy.dtype
        Types of the rows; a column of arrays has a subarray type, such as ``np.dtype((float, (3, 50)))``.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "rows.h5"
    >>> with AppendableTable.create(path, {"x": np.dtype((float, (2,)))}, {"made": "today"}) as table:
    ...     table.append({"x": [[1.0, 2.0], [3.0, 4.0]]})
    >>> with AppendableTable.open(path) as table:
    ...     len(table), table.read([1])["x"]
    (2, array([[3., 4.]]))
    >>> folder.cleanup()
    """

    def __init__(self, path: Path, file: h5py.File, lock: int | None) -> None:
        self.path = path
        self.metadata: dict[str, Any] = json.loads(metadata_of(path, file))
        self._file = file
        self._lock = lock
        # HDF5 keeps what it could not write.
        self._is_failing = False
        with reading(path):
            self._data = dict(file[COLUMNS].items())
            self._checks = file[CHECKS] if CHECKS in file else None
        self.columns = {name: np.dtype((data.dtype, data.shape[1:])) for name, data in self._data.items()}

    @classmethod
    def create(
        cls, path: str | Path, columns: Mapping[str, np.dtype[Any]], metadata: Mapping[str, Any]
    ) -> AppendableTable:
        """Make an empty table and open it for writing.

        Parameters
        ----------
        path : str or pathlib.Path
        columns : mapping of str to numpy.dtype
        metadata : mapping
            Any value that JSON can hold.

        Raises
        ------
        FileExistsError
        """
        path = Path(path)
        if path.exists():
            raise FileExistsError(f"path: expected a new file, {path} exists; open it, or delete it first")
        create_file(path, columns, json.dumps(dict(metadata)))
        return cls.open(path, writable=True)

    @classmethod
    def open(cls, path: str | Path, *, writable: bool = False) -> AppendableTable:
        """Open an existing table.

        Parameters
        ----------
        path : str or pathlib.Path
        writable : bool
            True if rows are to be appended.

        Raises
        ------
        FileNotFoundError
        BlockingIOError
            If another process is writing to it.
        DamagedTable
            If bytes are missing or were changed. It is a `ValueError`.
        ValueError
            If the file is not such a table.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"path: no file {path}")
        if not is_table(path):
            raise ValueError(f"path: expected a table of this package, got another file {path}; delete it")
        file, lock = open_to_append(path) if writable else (open_to_read(path), None)
        try:
            return cls(path, file, lock)
        except BaseException:
            file.close()
            if lock is not None:
                os.close(lock)
            raise

    def __len__(self) -> int:
        if self._file.mode == "r":
            refresh_counter(self._file)
        return n_committed(self.path, self._file)

    def __enter__(self) -> AppendableTable:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def chunk_length(self) -> int:
        """Rows in a chunk of the widest column; it is best to read them together."""
        return min((data.chunks[0] for data in self._data.values()), default=1)

    def append(self, rows: Mapping[str, ArrayLike]) -> None:
        """Commit rows.

        Parameters
        ----------
        rows : mapping of str to array_like, shape (n, ...)
            Every column of the table, and no other.

        Raises
        ------
        ValueError
            For missing or unknown columns, or other shapes. The table is unchanged.
        OSError
            If the disk is full or fails. Committed rows are safe.
        """
        if set(rows) != set(self._data):
            raise ValueError(f"rows: expected columns {sorted(self._data)}, got {sorted(rows)}")
        for name, values in rows.items():
            if np.iscomplexobj(values) and self.columns[name].base.kind != "c":
                raise ValueError(
                    f"{name}: expected real numbers, because the column is of {self.columns[name].base}, got "
                    "complex ones; create the table with a complex dtype"
                )
        arrays = {name: np.asarray(values, self.columns[name].base) for name, values in rows.items()}
        n_new = len(next(iter(arrays.values())))
        for name, values in arrays.items():
            expected = (n_new, *self.columns[name].shape)
            if values.shape != expected:
                raise ValueError(f"{name}: expected shape {expected}, got {values.shape}")
        start = len(self)
        parts = [(self._data[name], values) for name, values in arrays.items()]
        if self._checks is not None:
            parts.append((self._checks, checksums(arrays)))
        self._reserve(start + n_new, [data for data, _ in parts])
        try:
            for data, part in parts:
                # An interrupted writer may have left more rows, and a dataset cannot shrink in this mode.
                data.resize(max(start + n_new, len(data)), axis=0)
                data[start : start + n_new] = part
                data.flush()
            write_counter(self._file, start + n_new, self.path.stat().st_size)
        except BaseException as error:
            self._is_failing = True
            # HDF5 has its own error for a disk that refuses a write.
            if isinstance(error, RuntimeError):
                raise OSError(
                    f"path: {self.path} cannot be written: {error}; the {start:,} rows before it are safe"
                ) from error
            raise
        self._is_failing = False

    def _reserve(self, n_rows: int, parts: list[h5py.Dataset]) -> None:
        """Reserve disk space for these rows before anything is written."""
        n_bytes, n_chunks = 0, 0
        for data in parts:
            length = data.chunks[0]
            before, after = (-(-n // length) for n in (len(data), max(n_rows, len(data))))
            n_chunks += after
            n_bytes += (after - before) * data.dtype.itemsize * math.prod(data.chunks)
        if n_bytes and self._lock is not None:
            n_bytes += ROOM_FOR_INDEX + BYTES_PER_CHUNK * n_chunks
            reserve(self._lock, self._file.id.get_filesize(), n_bytes, self.path)

    def read(
        self, rows: slice | ArrayLike = slice(None), columns: Iterable[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Read rows in the given order: an array of shape (n, ...) for each column.

        Parameters
        ----------
        rows : slice or array_like of int, shape (n,)
            Indices of committed rows; repeats are allowed.
        columns : iterable of str, optional
            The default is all columns.

        Raises
        ------
        IndexError
        DamagedTable
            If rows differ from those that were written.
        """
        n_rows = len(self)
        names = list(self._data) if columns is None else list(columns)
        if self._file.mode == "r":
            for name in names:
                self._data[name].refresh()
            if self._checks is not None:
                self._checks.refresh()
        if isinstance(rows, slice):
            start, stop, step = rows.indices(n_rows)
            if step == 1:
                return self._checked(names, lambda data: data[start : max(start, stop)])
            rows = np.arange(start, stop, step)
        index = np.asarray(rows, dtype=np.int64)
        if index.size and not -n_rows <= index.min() <= index.max() < n_rows:
            raise IndexError(f"rows: expected below {n_rows}, got {index.min()} to {index.max()}")
        index %= max(n_rows, 1)
        return self._checked(names, lambda data: _gather(data, index))

    def _checked(
        self, names: list[str], read: Callable[[h5py.Dataset], NDArray[Any]]
    ) -> dict[str, NDArray[Any]]:
        """Read columns and compare them with their checksums."""
        with reading(self.path):
            found = {name: read(self._data[name]) for name in names}
            checks = None if self._checks is None or not names else read(self._checks)
        if checks is not None:
            check_rows(self.path, found, checks, list(self._data), f"the {len(checks):,} rows read")
        return found

    def close(self) -> None:
        """Close the file so that another writer can open it; may be called again."""
        try:
            if self._file and self._file.mode != "r" and not self._is_failing:
                write_counter(self._file, len(self))
            with forsaken(self._file) if self._is_failing else nullcontext():
                self._file.close()
            if self._lock is not None and not self._is_failing:
                give_back(self.path)
        finally:
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None


def _gather(data: h5py.Dataset, index: NDArray[np.int64]) -> NDArray[Any]:
    """Rows at ``index``, read in one slab for each chunk, because HDF5 is slow for scattered rows."""
    result = np.empty((len(index), *data.shape[1:]), data.dtype)
    order = np.argsort(index, kind="stable")
    ordered = index[order]
    edges = np.flatnonzero(np.diff(ordered // data.chunks[0])) + 1
    for part in np.split(np.arange(len(index)), edges) if len(index) else []:
        rows, places = ordered[part], order[part]
        slab = slice(rows[0], rows[-1] + 1)
        if _is_run(rows) and _is_run(places):
            data.read_direct(result, slab, slice(places[0], places[-1] + 1))
        else:
            result[places] = data[slab][rows - rows[0]]
    return result


def _is_run(numbers: NDArray[np.int64]) -> bool:
    """Return whether each number exceeds the previous one by one."""
    return bool((np.diff(numbers) == 1).all())
