"""The simulations of a training: made where they are missing, kept in memory or in a store on disk.

Called by the engine. What is in the store is never made again, whatever ended the process that made it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.forward import UserModel
from nbi_sampler.forward.arrays import as_numbers, as_real_numbers
from nbi_sampler.randomness import stage_generator
from nbi_sampler.storage.simulation_store import SimulationStore, StoreMismatch

__all__ = ["OnChunk", "StoredSet", "TrainingSet", "filled", "opened_store", "simulated"]

Array = NDArray[np.float64]
OnChunk = Callable[[int], None]

# Simulations between two commits to the store: those that a killed process may lose.
BLOCK = 500
# Stores of more bytes than that are read in batches.
MOST_IN_MEMORY = 2**30


class TrainingSet:
    """Simulations in memory.

    Parameters
    ----------
    theta : array_like, shape (n, n_dim)
    x : array_like, shape (n, *shape)
        Without noise; real or complex.
    """

    def __init__(self, theta: ArrayLike, x: ArrayLike) -> None:
        self.theta = as_real_numbers(theta, "y")
        self.x: NDArray[Any] = as_numbers(x, "x")
        if self.theta.ndim != 2 or self.x.ndim < 2 or len(self.x) != len(self.theta):
            raise ValueError(
                "x, y: expected shapes (n, ...) and (n, n_dim), got "
                f"{self.x.shape} and {self.theta.shape}; y are the parameters of the simulations x"
            )

    @classmethod
    def empty(cls, n_dim: int, shape: tuple[int, ...]) -> TrainingSet:
        """No simulation yet, of data of some shape."""
        return cls(np.zeros((0, n_dim)), np.zeros((0, *shape)))

    def __len__(self) -> int:
        return len(self.theta)

    def grown(
        self, n_sims: int, evaluator: Evaluator, entropy: int, on_chunk: OnChunk | None = None
    ) -> TrainingSet:
        """The set with as many more simulations as are missing from ``n_sims``; see `simulated`."""
        made = list(simulated(len(self), n_sims, evaluator, entropy, on_chunk))
        if not made:
            return self
        thetas, simulations = zip(*made, strict=True)
        if simulations[0].shape[1:] != self.x.shape[1:]:
            raise ValueError(
                f"simulator: expected simulations of shape {self.x.shape[1:]}, like those that the engine "
                f"has, got {simulations[0].shape[1:]}; make a new engine"
            )
        return TrainingSet(np.concatenate([self.theta, *thetas]), np.concatenate([self.x, *simulations]))


class StoredSet:
    """Simulations in a file that are read when they are needed, for those larger than memory.

    Parameters
    ----------
    path : pathlib.Path
    n : int
        How many there are.
    """

    def __init__(self, path: Path, n: int) -> None:
        self.path = path
        self._n = n

    def __len__(self) -> int:
        return self._n


def simulated(
    n_before: int, n_sims: int, evaluator: Evaluator, entropy: int, on_chunk: OnChunk | None = None
) -> Iterator[tuple[Array, NDArray[Any]]]:
    """Make the simulations that are missing, in blocks.

    Parameters
    ----------
    n_before, n_sims : int
        How many there are, and are to be.
    evaluator : Evaluator
    entropy : int
        Seed.
    on_chunk : callable, optional
        Called with the number of simulations just finished.

    Yields
    ------
    theta : ndarray, shape (n, n_dim)
    x : ndarray, shape (n, *shape)
        As the simulator gives them.
    """
    assert isinstance(evaluator.forward, UserModel)
    n = n_before
    while n < n_sims:
        # The stream is named after the place in the set, so that a set grown in two goes is the same set.
        block = stage_generator(entropy, "simulate", n // BLOCK)
        z = block.normal(size=(BLOCK, evaluator.space.n_dim))[n % BLOCK :][: n_sims - n]
        made = evaluator(z, on_chunk)
        assert made.predictions is not None
        yield made.theta, evaluator.forward.as_data(made.predictions)
        n += len(z)


def filled(
    path: str | Path,
    n_sims: int,
    evaluator: Evaluator,
    entropy: int,
    fingerprint: dict[str, str],
    in_memory: bool | None,
    on_chunk: OnChunk | None = None,
) -> TrainingSet | StoredSet:
    """The simulations of a store, once those that are missing from ``n_sims`` have been made and kept there.

    A store that lacks none is only read, so that several trainings can share it.

    Parameters
    ----------
    path : str or pathlib.Path
    n_sims : int
    evaluator : Evaluator
    entropy : int
        Seed.
    fingerprint : dict of str to str
        See `SimulationStore`.
    in_memory : bool, optional
        Whether they are read whole; up to a gigabyte of them when None.
    on_chunk : callable, optional
        See `simulated`.

    Raises
    ------
    StoreMismatch
        It holds simulations of other parameters, priors or another simulator.
    """
    assert isinstance(evaluator.forward, UserModel)
    kind = np.complex128 if evaluator.forward.is_complex else np.float64
    asked = evaluator.space.names, evaluator.forward.data_shape, fingerprint, kind
    if not _has(path, n_sims, *asked):
        with opened_store(path, *asked) as store:
            for theta, x in simulated(len(store), n_sims, evaluator, entropy, on_chunk):
                store.append(theta, x)
    with SimulationStore.open(path) as store:
        if store.n_bytes > MOST_IN_MEMORY if in_memory is None else not in_memory:
            return StoredSet(Path(path), len(store))
        saved = store.read()
        return TrainingSet(saved.theta, saved.predictions)


def _has(
    path: str | Path,
    n: int,
    names: tuple[str, ...],
    shape: tuple[int, ...],
    fingerprint: dict[str, str],
    kind: type[np.inexact[Any]],
) -> bool:
    """Whether a store exists and holds so many simulations."""
    if not Path(path).exists():
        return False
    with SimulationStore.open(path, names=names, shape=shape, fingerprint=fingerprint) as store:
        if np.issubdtype(kind, np.complexfloating) != (store.dtype.kind == "c"):
            raise StoreMismatch(Path(path), {"numbers": (str(store.dtype), np.dtype(kind).name)})
        return len(store) >= n


def opened_store(
    path: str | Path,
    names: tuple[str, ...],
    shape: tuple[int, ...],
    fingerprint: dict[str, str],
    kind: type[np.inexact[Any]] = np.float64,
) -> SimulationStore:
    """The store at a path, made where there is none.

    Raises
    ------
    StoreMismatch
        It holds simulations of other parameters, priors or another simulator.
    """
    if Path(path).exists():
        return SimulationStore.open(path, names=names, shape=shape, fingerprint=fingerprint, writable=True)
    return SimulationStore.create(path, names, shape, fingerprint=fingerprint, dtype=kind)
