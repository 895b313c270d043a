"""The simulations of a forward model in one file, which are appended when they are made and read in batches.

The store holds parameters, noiseless predictions and additional quantities of a simulation (sampling times,
masks, uncertainties). It may be larger than memory. It also records what the simulations depend on, and a
store of other simulations is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

import nbi_sampler
from nbi_sampler.core.config import STORAGE
from nbi_sampler.storage.appendable_table import AppendableTable

__all__ = ["SimulationStore", "Simulations", "StoreMismatch", "read_ahead"]


OWN = ("theta", "predictions")

Piece = TypeVar("Piece")


class Simulations(NamedTuple):
    """Rows of a store.

    Attributes
    ----------
    theta : ndarray, shape (n, n_dim)
    predictions : ndarray, shape (n, *shape)
    extras : dict of str to ndarray, shape (n, ...)
    """

    theta: NDArray[np.float64]
    predictions: NDArray[Any]
    extras: dict[str, NDArray[Any]]


class StoreMismatch(ValueError):
    """A store holds other simulations than required.

    Attributes
    ----------
    differences : dict of str to (object, object)
        Values of the store, and the required ones.
    """

    def __init__(self, path: Path, differences: dict[str, tuple[Any, Any]]) -> None:
        self.differences = differences
        listed = "; ".join(
            f"{name}: {has} in the store, {required} required"
            for name, (has, required) in differences.items()
        )
        super().__init__(f"path: {path} holds other simulations ({listed}); give another path or delete it")


class SimulationStore:
    """Simulations on disk; `create` and `open` make it.

    Attributes
    ----------
    names : tuple of str
        Names of the parameters, in the order of the columns of theta.
    shape : tuple of int
        Shape of one prediction.
    dtype : numpy.dtype
        Type of the numbers in a prediction, real or complex.
    fingerprint : dict of str to str
        Values that the simulations depend on, by name.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "simulations.h5"
    >>> with SimulationStore.create(path, ["slope"], (3,), fingerprint={"slope": "Uniform(0, 1)"}) as store:
    ...     store.append([[0.5], [1.0]], [[0.0, 0.5, 1.0], [0.0, 1.0, 2.0]])
    >>> with SimulationStore.open(path, fingerprint={"slope": "Uniform(0, 1)"}) as store:
    ...     [len(batch.theta) for batch in store.batches(2, np.random.default_rng(0))]
    [2]
    >>> folder.cleanup()
    """

    def __init__(self, table: AppendableTable) -> None:
        self._table = table
        self.names = tuple(table.metadata["names"])
        self.shape = table.columns["predictions"].shape
        self.dtype = table.columns["predictions"].base
        self.fingerprint: dict[str, str] = table.metadata["fingerprint"]

    @classmethod
    def create(
        cls,
        path: str | Path,
        names: Sequence[str],
        shape: tuple[int, ...],
        *,
        extras: Mapping[str, DTypeLike] | None = None,
        fingerprint: Mapping[str, str] | None = None,
        dtype: DTypeLike = np.float64,
    ) -> SimulationStore:
        """Make an empty store and open it for writing.

        Parameters
        ----------
        path : str or pathlib.Path
        names : sequence of str
            Names of the parameters.
        shape : tuple of int
            Shape of one prediction.
        extras : mapping of str to dtype, optional
            Types of additional quantities; an array has a subarray type, such as ``(bool, (50,))`` for a
            mask.
        fingerprint : mapping of str to str, optional
            Values that the simulations depend on, for example ``{name: repr(prior), ...}``.
        dtype : dtype
            Type of the predictions, which may be complex.

        Raises
        ------
        FileExistsError
        ValueError
            If an additional quantity is called ``theta`` or ``predictions``.
        """
        columns = {
            "theta": np.dtype((np.float64, (len(names),))),
            "predictions": np.dtype((dtype, tuple(shape))),
        }
        for name, kind in (extras or {}).items():
            if name in OWN:
                raise ValueError(f"extras: expected names other than {' and '.join(OWN)}, got {name!r}")
            columns[name] = np.dtype(kind)
        versions = {"nbi_sampler": nbi_sampler.__version__}
        versions |= {package: version(package) for package in ("bilby", "h5py", "numpy")}
        metadata = {"names": list(names), "fingerprint": dict(fingerprint or {}), "versions": versions}
        return cls(AppendableTable.create(path, columns, metadata))

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        names: Sequence[str] | None = None,
        shape: tuple[int, ...] | None = None,
        fingerprint: Mapping[str, str] | None = None,
        writable: bool = False,
    ) -> SimulationStore:
        """Open an existing store, if it holds the required simulations.

        Parameters
        ----------
        path : str or pathlib.Path
        names, shape, fingerprint
            As in `create`; they are compared if they are given.
        writable : bool
            True if simulations are to be appended.

        Raises
        ------
        StoreMismatch
            If it has other parameters, another shape or another fingerprint.
        FileNotFoundError, BlockingIOError, ValueError
            See `AppendableTable.open`.
        """
        table = AppendableTable.open(path, writable=writable)
        if not set(OWN) <= set(table.columns):
            table.close()
            raise ValueError(f"path: expected a store of simulations, got another table {path}")
        store = cls(table)
        pairs: dict[str, tuple[Any, Any]] = {}
        if names is not None:
            pairs["names"] = store.names, tuple(names)
        if shape is not None:
            pairs["shape"] = store.shape, tuple(shape)
        if fingerprint is not None:
            for key in {**store.fingerprint, **fingerprint}:
                pairs[f"fingerprint[{key!r}]"] = store.fingerprint.get(key), fingerprint.get(key)
        differences = {name: (has, required) for name, (has, required) in pairs.items() if has != required}
        if differences:
            store.close()
            raise StoreMismatch(Path(path), differences)
        return store

    def __len__(self) -> int:
        return len(self._table)

    def __enter__(self) -> SimulationStore:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; may be called again."""
        self._table.close()

    @property
    def n_bytes(self) -> int:
        """Size of the predictions in memory."""
        kind = self._table.columns["predictions"]
        return len(self) * kind.itemsize

    def append(self, theta: ArrayLike, predictions: ArrayLike, **extras: ArrayLike) -> None:
        """Commit simulations; they then survive the end of the process.

        Parameters
        ----------
        theta : array_like, shape (n, n_dim)
        predictions : array_like, shape (n, *shape)
        **extras : array_like, shape (n, ...)
            All additional quantities that were named at creation.
        """
        self._table.append({"theta": theta, "predictions": predictions, **extras})

    def read(self, rows: slice | ArrayLike = slice(None)) -> Simulations:
        """Simulations in the given order; see `AppendableTable.read`."""
        return _simulations(self._table.read(rows), slice(None))

    def batches(
        self, size: int, rng: np.random.Generator | None = None, rows: slice = slice(None)
    ) -> Iterator[Simulations]:
        """Yield every simulation once, in batches; the last one may be smaller.

        To shuffle, blocks of neighbours are read in random order into a buffer of about 32 MB, which is
        shuffled. This is random enough for training if neighbours are independent draws, and as fast as
        reading in order. A thread reads the next buffer while one is in use.

        Parameters
        ----------
        size : int
        rng : numpy.random.Generator, optional
            Without a generator, the order is that of the file.
        rows : slice
            Consecutive rows, for example those that are not held out.

        Yields
        ------
        Simulations
        """
        start, stop, step = rows.indices(len(self))
        if step != 1 or size < 1:
            raise ValueError(f"size, rows: expected at least 1 and a step of 1, got {size} and {rows}")
        waiting: dict[str, NDArray[Any]] = {}
        for block in read_ahead(map(self._table.read, self._blocks(start, stop, rng))):
            waiting = {
                name: np.concatenate([waiting.get(name, data[:0]), data]) for name, data in block.items()
            }
            n_waiting = len(waiting["theta"])
            order = np.arange(n_waiting) if rng is None else rng.permutation(n_waiting)
            n_whole = n_waiting - n_waiting % size
            for first in range(0, n_whole, size):
                yield _simulations(waiting, order[first : first + size])
            waiting = {name: data[order[n_whole:]] for name, data in waiting.items()}
        if waiting and len(waiting["theta"]):
            yield _simulations(waiting, slice(None))

    def _blocks(self, start: int, stop: int, rng: np.random.Generator | None) -> Iterator[NDArray[np.int64]]:
        """Yield the rows of one buffer after the other: whole chunks of the file, in order or at random."""
        length = self._table.chunk_length
        chunks = np.arange(start - start % length, stop, length)
        if rng is not None:
            chunks = rng.permutation(chunks)
        row_bytes = sum(kind.itemsize for kind in self._table.columns.values())
        n_together = max(1, STORAGE.buffer_bytes // (length * row_bytes))
        for i in range(0, len(chunks), n_together):
            together = chunks[i : i + n_together]
            yield np.concatenate([np.arange(max(k, start), min(k + length, stop)) for k in together])


def _simulations(rows: Mapping[str, NDArray[Any]], index: NDArray[np.intp] | slice) -> Simulations:
    extras = {name: data[index] for name, data in rows.items() if name not in OWN}
    return Simulations(rows["theta"][index], rows["predictions"][index], extras)


def read_ahead(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Yield the same pieces in the same order; a thread makes each while the previous one is in use.

    Parameters
    ----------
    pieces : iterator
        Pieces are never None. If the caller stops early, the thread ends and may have made one more piece.

    Examples
    --------
    >>> list(read_ahead(iter(range(3))))
    [0, 1, 2]
    """
    with ThreadPoolExecutor(1, thread_name_prefix="nbi-read") as thread:
        following = thread.submit(next, pieces, None)
        while (piece := following.result()) is not None:
            following = thread.submit(next, pieces, None)
            yield piece
