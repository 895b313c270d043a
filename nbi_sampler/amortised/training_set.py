"""The simulations of a training: made where they are missing, kept in memory or in a store on disk.

Called by the engine. What is in the store is never made again, whatever ended the process that made it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from nbi_sampler.algorithm.proposals.affine import AffineMap
from nbi_sampler.amortised.simulated_targets import SimulatedTargets
from nbi_sampler.amortised.usable import UsableRows
from nbi_sampler.core.config import TrainingConfig
from nbi_sampler.core.randomness import stage_generator
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.forward import UserModel
from nbi_sampler.forward.arrays import as_numbers, as_real_numbers
from nbi_sampler.networks.featurizers import Featurizer
from nbi_sampler.networks.flows import Density
from nbi_sampler.networks.training.objectives import NllObjective, StreamedObjective
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.storage.simulation_store import Simulations, SimulationStore, StoreMismatch

__all__ = [
    "ExamplesInMemory",
    "ExamplesOnDisk",
    "OnChunk",
    "StoredSet",
    "TrainingSet",
    "filled",
    "opened_examples",
    "opened_store",
    "simulated",
]


Array = NDArray[np.float64]

OnChunk = Callable[[int], None]

# Simulations between two commits to the store: those that a killed process may lose.
BLOCK = 500

# Stores of more bytes than that are read in batches.
MOST_IN_MEMORY = 2**30

# Simulations from which scales, components and familiarity are learnt, and held-out ones for the loss.
MOST_FOR_SCALES = 4000

MOST_HELD_OUT = 5000

# Simulations of a batch of the pass over a whole file.
ROWS_AT_ONCE = 2000

# ``(predictions, theta=theta)`` to what networks see of them.
AsSeen = Callable[..., SimulatedTargets]


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


class ExamplesInMemory:
    """Finite simulations of a training set.

    Parameters
    ----------
    simulations : TrainingSet
    space : ParameterSpace
    rng : numpy.random.Generator

    Attributes
    ----------
    some : ndarray, shape (n_some, *shape)
        Predictions of simulations chosen by chance, for scales.
    some_theta : ndarray, shape (n_some, n_dim)
        Their parameters.
    affine : AffineMap
        From the coordinates of the flow to z.
    counts : SimulationCounts
    """

    def __init__(self, simulations: TrainingSet, space: ParameterSpace, rng: np.random.Generator) -> None:
        rows = UsableRows(space)
        used = rows(simulations.theta, simulations.x)
        self.counts = rows.checked()
        self._theta, self._predictions = simulations.theta[used], simulations.x[used]
        # A discrete value is a range of z, over which the density of the flow is spread.
        self._z = space.to_z(self._theta, rng.spawn(1)[0])
        n = len(self._z)
        chosen = rng.permutation(n)[:MOST_FOR_SCALES]
        self.some, self.some_theta = self._predictions[chosen], self._theta[chosen]
        self.affine = AffineMap.standardising(self._z, np.full(n, 1.0 / n))

    def objective(
        self,
        flow: Density,
        featurizer: Featurizer,
        seen: AsSeen,
        config: TrainingConfig,
        rng: np.random.Generator,
    ) -> NllObjective:
        """What is minimised, with a share held out."""
        y = _as_tensor(self.affine.backward(self._z))
        share = min(config.validation_share, MOST_HELD_OUT / len(y))
        config = replace(config, validation_share=share)
        return NllObjective(flow, featurizer, seen(self._predictions, theta=self._theta), y, config, rng)


class ExamplesOnDisk:
    """Finite simulations of a store, read in batches; the first ones are held out.

    Parameters
    ----------
    store : SimulationStore
    space : ParameterSpace
    rng : numpy.random.Generator

    Attributes
    ----------
    some, some_theta, affine, counts
        See `ExamplesInMemory`.
    """

    def __init__(self, store: SimulationStore, space: ParameterSpace, rng: np.random.Generator) -> None:
        self._store = store
        self._space = space
        self._rng = rng.spawn(1)[0]
        n_rows, n, first = len(store), 0, 0
        total, squares = np.zeros(space.n_dim), np.zeros((space.n_dim, space.n_dim))
        chosen = np.zeros(n_rows, dtype=bool)
        chosen[rng.choice(n_rows, min(n_rows, MOST_FOR_SCALES), replace=False)] = True
        some, some_theta, rows = [], [], UsableRows(space)
        for batch in store.batches(ROWS_AT_ONCE):
            used = rows(batch.theta, batch.predictions)
            z = space.to_z(batch.theta[used], self._rng)
            n, total, squares = n + len(z), total + z.sum(0), squares + z.T @ z
            kept = used & chosen[first : first + len(used)]
            some.append(batch.predictions[kept])
            some_theta.append(batch.theta[kept])
            first += len(used)
        self.counts = rows.checked()
        mean = total / n
        self.some, self.some_theta = np.concatenate(some), np.concatenate(some_theta)
        self.affine = AffineMap.of_moments(mean, squares / n - np.outer(mean, mean))

    def objective(
        self,
        flow: Density,
        featurizer: Featurizer,
        seen: AsSeen,
        config: TrainingConfig,
        rng: np.random.Generator,
    ) -> NllObjective:
        """What is minimised, with a share held out."""
        n_rows = len(self._store)
        n_held_out = max(min(round(config.validation_share * n_rows), MOST_HELD_OUT), 1)
        data, y = self._as_seen(self._store.read(slice(n_held_out)), seen)
        if not len(y):
            raise ValueError(
                f"n_sims: expected finite simulations among the first {n_held_out}, which are held out, got "
                "none; narrow the priors to where the model exists"
            )

        def stream(batch_size: int, rng: np.random.Generator) -> Iterator[tuple[SimulatedTargets, Tensor]]:
            for batch in self._store.batches(batch_size, rng, slice(n_held_out, None)):
                data, y = self._as_seen(batch, seen)
                if len(y):
                    yield data, y

        return StreamedObjective(flow, featurizer, data, y, config, rng, stream, n_rows - n_held_out)

    def _as_seen(self, batch: Simulations, seen: AsSeen) -> tuple[SimulatedTargets, Tensor]:
        theta, predictions = batch.theta, batch.predictions
        # The priors are asked again only where the pass over the whole file has found reason to.
        used = (
            UsableRows(self._space)(theta, predictions)
            if self.counts.n_outside
            else np.isfinite(predictions).reshape(len(predictions), -1).all(1) & np.isfinite(theta).all(1)
        )
        if not used.all():
            theta, predictions = theta[used], predictions[used]
        data = seen(predictions, theta=theta)
        return data, _as_tensor(self.affine.backward(self._space.to_z(theta, self._rng))).to(data.device)


@contextmanager
def opened_examples(
    simulations: TrainingSet | StoredSet, space: ParameterSpace, rng: np.random.Generator
) -> Iterator[ExamplesInMemory | ExamplesOnDisk]:
    """Simulations to learn from, within a block.

    Raises
    ------
    ValueError
        With fewer than 100 that can be used, or where more than half cannot.
    """
    if isinstance(simulations, TrainingSet):
        yield ExamplesInMemory(simulations, space, rng)
        return
    with SimulationStore.open(simulations.path, names=space.names) as store:
        yield ExamplesOnDisk(store, space, rng)


def _as_tensor(y: Array) -> Tensor:
    return torch.as_tensor(y, dtype=torch.float32)
