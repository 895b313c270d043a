"""A table in one HDF5 file that only grows: rows count once they are committed, and survive a killed process.

Used by the simulation store, and by whatever else pays dearly for rows and must resume. A counter written
after the rows says how many are committed. Others may read while the writer works.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from nbi_sampler.storage.table_file import (
    COLUMNS,
    COUNTER,
    METADATA,
    create_file,
    is_table,
    open_to_append,
    open_to_read,
)

__all__ = ["AppendableTable"]


class AppendableTable:
    """Columns of equal length on disk; made by `create` or `open`, not by the constructor.

    A writer holds the file alone; a second one is refused. A file whose writer was killed is repaired by
    copying the committed rows when it is next opened for writing; readers need no repair. Survives the end
    of a process at any moment, not the loss of power.

    Attributes
    ----------
    path : pathlib.Path
    metadata : dict
        What was given to `create`.
    columns : dict of str to numpy.dtype
        Row types; a column of arrays has a subarray type, such as ``np.dtype((float, (3, 50)))``.

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
        self.metadata: dict[str, Any] = json.loads(file.attrs[METADATA])
        self._file = file
        self._lock = lock
        self._counter = file[COUNTER]
        self._data = dict(file[COLUMNS].items())
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
            Anything that JSON can hold.

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
        """Open a table that exists.

        Parameters
        ----------
        path : str or pathlib.Path
        writable : bool
            Whether rows will be appended.

        Raises
        ------
        FileNotFoundError
        BlockingIOError
            Another process is writing to it.
        ValueError
            The file is no such table.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"path: no file {path}")
        if not is_table(path):
            raise ValueError(f"path: expected a table of this package, got another file {path}; delete it")
        if not writable:
            return cls(path, open_to_read(path), None)
        return cls(path, *open_to_append(path))

    def __len__(self) -> int:
        if self._file.mode == "r":
            self._counter.refresh()
        return int(self._counter[0])

    def __enter__(self) -> AppendableTable:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def chunk_length(self) -> int:
        """Rows of a chunk of the widest column: what is best read together."""
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
            For missing or unknown columns, or other shapes. The table is as before.
        """
        if set(rows) != set(self._data):
            raise ValueError(f"rows: expected columns {sorted(self._data)}, got {sorted(rows)}")
        for name, values in rows.items():
            if np.iscomplexobj(values) and self.columns[name].base.kind != "c":
                raise ValueError(
                    f"{name}: expected real numbers, as the column is of {self.columns[name].base}, got "
                    "complex ones; create the table with a complex dtype"
                )
        arrays = {name: np.asarray(values, self.columns[name].base) for name, values in rows.items()}
        n_new = len(next(iter(arrays.values())))
        for name, values in arrays.items():
            expected = (n_new, *self.columns[name].shape)
            if values.shape != expected:
                raise ValueError(f"{name}: expected shape {expected}, got {values.shape}")
        start = len(self)
        for name, values in arrays.items():
            data = self._data[name]
            # An append that was interrupted may have left more rows; a dataset cannot shrink in this mode.
            data.resize(max(start + n_new, len(data)), axis=0)
            data[start : start + n_new] = values
            data.flush()
        self._counter[0] = start + n_new
        self._counter.flush()

    def read(
        self, rows: slice | ArrayLike = slice(None), columns: Iterable[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Rows in the order asked for.

        Parameters
        ----------
        rows : slice or array_like of int, shape (n,)
            Committed rows; repeats are allowed.
        columns : iterable of str, optional
            All when left out.

        Returns
        -------
        dict of str to ndarray, shape (n, ...)

        Raises
        ------
        IndexError
        """
        n_rows = len(self)
        names = list(self._data) if columns is None else list(columns)
        if self._file.mode == "r":
            for name in names:
                self._data[name].refresh()
        if isinstance(rows, slice):
            start, stop, step = rows.indices(n_rows)
            if step == 1:
                return {name: self._data[name][start : max(start, stop)] for name in names}
            rows = np.arange(start, stop, step)
        index = np.asarray(rows, dtype=np.int64)
        if index.size and not -n_rows <= index.min() <= index.max() < n_rows:
            raise IndexError(f"rows: expected below {n_rows}, got {index.min()} to {index.max()}")
        return {name: _gather(self._data[name], index % max(n_rows, 1)) for name in names}

    def close(self) -> None:
        """Close the file and let another writer in; may be called again."""
        self._file.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _gather(data: h5py.Dataset, index: NDArray[np.int64]) -> NDArray[Any]:
    """Rows at ``index``, one slab for each chunk, because HDF5 is slow at scattered rows."""
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
    """Whether each number is one more than that before it."""
    return bool((np.diff(numbers) == 1).all())
