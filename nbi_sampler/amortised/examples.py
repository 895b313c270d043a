"""What a training learns from: simulations in memory or on disk, parameters in the coordinates of the flow.

Those on disk are read once for their scales, and then in batches by every epoch: a few thousand of them and
a few buffers are in memory. Called by `fitting`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nbi_sampler.amortised.data import SimulatedTargets
from nbi_sampler.amortised.simulations import StoredSet, TrainingSet
from nbi_sampler.config import TrainingConfig
from nbi_sampler.featurizers import Featurizer
from nbi_sampler.flows import Density
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.proposals.affine import AffineMap
from nbi_sampler.storage.simulation_store import Simulations, SimulationStore
from nbi_sampler.training.objectives import NllObjective, StreamedObjective

__all__ = ["FEWEST", "ExamplesInMemory", "ExamplesOnDisk", "opened_examples"]

Array = NDArray[np.float64]

FEWEST = 100
# Simulations from which scales, components and familiarity are learnt, and held-out ones for the loss.
MOST_FOR_SCALES = 4000
MOST_HELD_OUT = 5000
# Simulations of a batch of the pass over a whole file.
ROWS_AT_ONCE = 2000

# Predictions to what networks see of them.
AsSeen = Callable[[Array], SimulatedTargets]


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
    affine : AffineMap
        From the coordinates of the flow to z.
    """

    def __init__(self, simulations: TrainingSet, space: ParameterSpace, rng: np.random.Generator) -> None:
        finite = _finite(simulations.x)
        _check_number(int(finite.sum()), len(finite))
        self._z, self._predictions = space.to_z(simulations.theta[finite]), simulations.x[finite]
        n = len(self._z)
        self.some = self._predictions[rng.permutation(n)[:MOST_FOR_SCALES]]
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
        return NllObjective(flow, featurizer, seen(self._predictions), y, config, rng)


class ExamplesOnDisk:
    """Finite simulations of a store, read in batches; the first ones are held out.

    Parameters
    ----------
    store : SimulationStore
    space : ParameterSpace
    rng : numpy.random.Generator

    Attributes
    ----------
    some, affine
        See `ExamplesInMemory`.
    """

    def __init__(self, store: SimulationStore, space: ParameterSpace, rng: np.random.Generator) -> None:
        self._store = store
        self._space = space
        n_rows, n, first = len(store), 0, 0
        total, squares = np.zeros(space.n_dim), np.zeros((space.n_dim, space.n_dim))
        chosen = np.zeros(n_rows, dtype=bool)
        chosen[rng.choice(n_rows, min(n_rows, MOST_FOR_SCALES), replace=False)] = True
        some = []
        for batch in store.batches(ROWS_AT_ONCE):
            finite = _finite(batch.predictions)
            z = space.to_z(batch.theta[finite])
            n, total, squares = n + len(z), total + z.sum(0), squares + z.T @ z
            some.append(batch.predictions[finite & chosen[first : first + len(finite)]])
            first += len(finite)
        _check_number(n, n_rows)
        mean = total / n
        self.some = np.concatenate(some)
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
        finite = _finite(predictions)
        if not finite.all():
            theta, predictions = theta[finite], predictions[finite]
        data = seen(predictions)
        return data, _as_tensor(self.affine.backward(self._space.to_z(theta))).to(data.device)


@contextmanager
def opened_examples(
    simulations: TrainingSet | StoredSet, space: ParameterSpace, rng: np.random.Generator
) -> Iterator[ExamplesInMemory | ExamplesOnDisk]:
    """Simulations to learn from, within a block.

    Raises
    ------
    ValueError
        With fewer than 100 finite ones.
    """
    if isinstance(simulations, TrainingSet):
        yield ExamplesInMemory(simulations, space, rng)
        return
    with SimulationStore.open(simulations.path, names=space.names) as store:
        yield ExamplesOnDisk(store, space, rng)


def _finite(predictions: Array) -> NDArray[np.bool_]:
    """Rows that are finite throughout, shape (n,)."""
    return np.asarray(np.isfinite(predictions).reshape(len(predictions), -1).all(1))


def _as_tensor(y: Array) -> Tensor:
    return torch.as_tensor(y, dtype=torch.float32)


def _check_number(n_finite: int, n: int) -> None:
    if n_finite < FEWEST:
        raise ValueError(
            f"n_sims: expected {FEWEST} finite simulations to learn from, got {n_finite} of {n}; make more, "
            "or narrow the priors to where the model exists"
        )
