"""The training set: simulations from the prior, made where they are missing, in memory or in a store on disk.

Called by the engine. What is in the store is never made again, whatever ended the process that made it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.randomness import stage_generator
from nbi_sampler.storage.simulation_store import SimulationStore

__all__ = ["TrainingSet", "opened_store"]

Array = NDArray[np.float64]

# Simulations between two commits to the store: those that a killed process may lose.
BLOCK = 500


class TrainingSet:
    """Simulations that grow.

    Parameters
    ----------
    theta : array_like, shape (n, n_dim)
    x : array_like, shape (n, *shape)
        Without noise.
    """

    def __init__(self, theta: ArrayLike, x: ArrayLike) -> None:
        self.theta = np.asarray(theta, dtype=float)
        self.x = np.asarray(x, dtype=float)
        if self.theta.ndim != 2 or len(self.x) != len(self.theta) or self.x.ndim < 2:
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
        self,
        n_sims: int,
        evaluator: Evaluator,
        entropy: int,
        store: SimulationStore | None = None,
        on_block: Callable[[int], None] | None = None,
    ) -> TrainingSet:
        """The set with as many more simulations as are missing from ``n_sims``.

        Parameters
        ----------
        n_sims : int
        evaluator : Evaluator
        entropy : int
            Seed.
        store : SimulationStore, optional
            Gets every block as soon as it is made.
        on_block : callable, optional
            Called with the number of simulations just made.
        """
        thetas, simulations, n = [self.theta], [self.x], len(self)
        while n < n_sims:
            # The stream is named after the place in the set, so that a set grown in two goes is the same set.
            block = stage_generator(entropy, "simulate", n // BLOCK)
            z = block.normal(size=(BLOCK, evaluator.space.n_dim))[n % BLOCK :][: n_sims - n]
            made = evaluator(z)
            assert made.predictions is not None
            x = made.predictions.reshape(-1, *self.x.shape[1:])
            if store is not None:
                store.append(made.theta, x)
            thetas.append(made.theta)
            simulations.append(x)
            n += len(x)
            if on_block is not None:
                on_block(len(x))
        return self if len(thetas) == 1 else TrainingSet(np.concatenate(thetas), np.concatenate(simulations))


def opened_store(
    path: str | Path, names: tuple[str, ...], shape: tuple[int, ...], fingerprint: dict[str, str]
) -> SimulationStore:
    """The store at a path, made where there is none.

    Raises
    ------
    StoreMismatch
        It holds simulations of other parameters, priors or another simulator.
    """
    if Path(path).exists():
        return SimulationStore.open(path, names=names, shape=shape, fingerprint=fingerprint, writable=True)
    return SimulationStore.create(path, names, shape, fingerprint=fingerprint)
