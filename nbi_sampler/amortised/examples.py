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
from nbi_sampler.amortised.usable import UsableRows
from nbi_sampler.config import TrainingConfig
from nbi_sampler.featurizers import Featurizer
from nbi_sampler.flows import Density
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.proposals.affine import AffineMap
from nbi_sampler.storage.simulation_store import Simulations, SimulationStore
from nbi_sampler.training.objectives import NllObjective, StreamedObjective

__all__ = ["ExamplesInMemory", "ExamplesOnDisk", "opened_examples"]

Array = NDArray[np.float64]

# Simulations from which scales, components and familiarity are learnt, and held-out ones for the loss.
MOST_FOR_SCALES = 4000
MOST_HELD_OUT = 5000
# Simulations of a batch of the pass over a whole file.
ROWS_AT_ONCE = 2000

# ``(predictions, theta=theta)`` to what networks see of them.
AsSeen = Callable[..., SimulatedTargets]


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
