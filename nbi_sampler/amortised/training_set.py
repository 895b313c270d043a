"""The simulations of a training, in memory or in a store.

Missing simulations are made. Those in a store are never made again, even if the process that made them was
killed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from nbi_sampler.algorithm.proposals.affine import AffineMap
from nbi_sampler.amortised.data_format import DataFormat, Observation
from nbi_sampler.amortised.noise import NoiseLaw
from nbi_sampler.amortised.usable import SimulationCounts, UsableRows
from nbi_sampler.core.config import TRAINING_SET, TrainingConfig
from nbi_sampler.core.randomness import stage_generator
from nbi_sampler.core.types import Array
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.forward import UserModel
from nbi_sampler.forward.arrays import as_numbers, as_real_numbers
from nbi_sampler.forward.draws import numpy_generator
from nbi_sampler.networks.featurizers import Featurizer
from nbi_sampler.networks.flows import Density
from nbi_sampler.networks.training.objectives import NllObjective, StreamedObjective
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.storage.place import writing_to
from nbi_sampler.storage.simulation_store import Simulations, SimulationStore, StoreMismatch

__all__ = ["Examples", "OnChunk", "SimulatedTargets", "StoredSet", "TrainingSet"]

OnChunk = Callable[[int], None]

# Simulations of a batch of the pass over a whole file, which bounds its memory.
ROWS_AT_ONCE = 2000


class SimulatedTargets:
    """Predictions, each a target of its own, and the noise that is put on them; a `SimulatedData`.

    Noise with a known law is drawn and scaled on the device of the networks, that of a function in arrays.

    Parameters
    ----------
    predictions : ndarray, shape (n, *shape)
        Finite.
    theta : ndarray, shape (n, n_dim)
        Their parameters, for noise functions that take them.
    noise : NoiseLaw
    data_format : DataFormat
        Of what the noise makes of predictions.
    device : torch.device
    """

    def __init__(
        self,
        predictions: NDArray[Any],
        theta: Array,
        noise: NoiseLaw,
        data_format: DataFormat,
        device: torch.device,
    ) -> None:
        self.shape = data_format.shape
        self.device = device
        # Uncertainties come as data; there is no common scale.
        self.scale: Tensor | None = None
        self.has_noise_parameters = False
        self._format = data_format
        self._noise = noise
        self._signal: Tensor | None = None
        self._predictions = predictions
        self._theta = theta
        self._here = torch.as_tensor(predictions).to(device) if noise.of_tensors else None

    def __len__(self) -> int:
        return len(self._predictions)

    @property
    def signal(self) -> Tensor:
        """Data with noise, shape (n, n_data), for the scales of a featurizer; always the same."""
        if self._signal is None:
            everything = torch.arange(len(self), device=self.device)
            self._signal = self.draw(everything, torch.Generator(self.device).manual_seed(0))
        return self._signal

    def observe(self, index: NDArray[np.intp], rng: np.random.Generator) -> Observation:
        """Data of simulations ``index`` with fresh noise."""
        return self._format.observation(*self._noise(self._predictions[index], rng, self._theta[index]))

    def draw(self, index: Tensor, generator: torch.Generator) -> Tensor:
        """Rows that networks see of simulations ``index`` with fresh noise, shape (n, n_data)."""
        if self._here is not None:
            made = self._noise.draw(self._here[index], generator)
            return self._format.encode(self._format.observation_of_tensors(*made)).flatten(1)
        observation = self.observe(index.cpu().numpy(), numpy_generator(generator))
        return self._format.encode(observation).flatten(1).to(self.device)


# ``(predictions, theta)`` to what networks see of them.
AsSeen = Callable[[NDArray[Any], Array], SimulatedTargets]


@dataclass(frozen=True)
class Examples:
    """The usable simulations of a set.

    Attributes
    ----------
    some : ndarray, shape (n_some, *shape)
        Predictions of simulations chosen by chance, for scales.
    some_theta : ndarray, shape (n_some, n_dim)
        Their parameters.
    affine : AffineMap
        From the coordinates of the flow to z.
    counts : SimulationCounts
    objective : callable
        ``(flow, featurizer, seen, config, rng) -> NllObjective``: what is minimised, with a share held out.
    """

    some: NDArray[Any]
    some_theta: Array
    affine: AffineMap
    counts: SimulationCounts
    objective: Callable[..., NllObjective]


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

    def __len__(self) -> int:
        return len(self.theta)

    @classmethod
    def grown(
        cls,
        before: TrainingSet | None,
        n_sims: int,
        evaluator: Evaluator,
        entropy: int,
        on_chunk: OnChunk | None = None,
    ) -> TrainingSet:
        """Make the simulations that are missing and join them to the former ones; see `_simulated`."""
        made = list(_simulated(0 if before is None else len(before), n_sims, evaluator, entropy, on_chunk))
        if before is not None:
            if not made:
                return before
            if made[0][1].shape[1:] != before.x.shape[1:]:
                raise ValueError(
                    f"simulator: expected simulations of shape {before.x.shape[1:]}, like those that the "
                    f"engine has, got {made[0][1].shape[1:]}; make a new engine"
                )
            made.insert(0, (before.theta, before.x))
        return cls(*(np.concatenate(part) for part in zip(*made, strict=True)))

    @contextmanager
    def examples(self, space: ParameterSpace, rng: np.random.Generator) -> Iterator[Examples]:
        """Open the simulations for a training within a block.

        Raises
        ------
        ValueError
            With fewer than 100 that can be used, or where more than half cannot.
        """
        rows = UsableRows(space)
        used = rows(self.theta, self.x)
        counts = rows.checked()
        theta, x = self.theta[used], self.x[used]
        # A discrete value is a range of z, over which the density of the flow is spread.
        z = space.to_z(theta, rng.spawn(1)[0])
        chosen = rng.permutation(len(z))[: TRAINING_SET.most_for_scales]
        affine = AffineMap.standardising(z, np.full(len(z), 1.0 / len(z)))

        def objective(
            flow: Density,
            featurizer: Featurizer,
            seen: AsSeen,
            config: TrainingConfig,
            rng: np.random.Generator,
        ) -> NllObjective:
            share = min(config.validation_share, TRAINING_SET.most_held_out / len(z))
            config = replace(config, validation_share=share)
            return NllObjective(flow, featurizer, seen(x, theta), _standard(affine, z), config, rng)

        yield Examples(x[chosen], theta[chosen], affine, counts, objective)


class StoredSet:
    """Simulations in a file larger than memory, which are read when they are needed.

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

    @classmethod
    def grown(
        cls,
        path: str | Path,
        n_sims: int,
        evaluator: Evaluator,
        entropy: int,
        fingerprint: dict[str, str],
        in_memory: bool | None,
        on_chunk: OnChunk | None = None,
    ) -> TrainingSet | StoredSet:
        """Make the simulations that a store lacks, store them, and return all of them.

        A store that lacks none is only read, so that several trainings can share it; one that holds
        simulations of other parameters, priors or another simulator (see the ``fingerprint`` of
        `SimulationStore`) is refused with a `StoreMismatch`. ``in_memory`` says whether they are read whole:
        up to a gigabyte of them when None. The other parameters are those of `_simulated`.
        """
        assert isinstance(evaluator.forward, UserModel)
        path, kind = Path(path), np.complex128 if evaluator.forward.is_complex else np.float64
        names, shape, n_kept = evaluator.space.names, evaluator.forward.data_shape, 0
        reopened = partial(SimulationStore.open, path, names=names, shape=shape, fingerprint=fingerprint)
        exists = path.exists()
        if exists:
            with reopened() as store:
                if (kind is np.complex128) != (store.dtype.kind == "c"):
                    raise StoreMismatch(path, {"numbers": (str(store.dtype), np.dtype(kind).name)})
                n_kept = len(store)
        if not exists or n_kept < n_sims:
            with writing_to("store", path):
                opened = (
                    reopened(writable=True)
                    if exists
                    else SimulationStore.create(path, names, shape, fingerprint=fingerprint, dtype=kind)
                )
            with opened as store:
                for theta, x in _simulated(len(store), n_sims, evaluator, entropy, on_chunk):
                    store.append(theta, x)
        with SimulationStore.open(path) as store:
            if store.n_bytes > TRAINING_SET.most_in_memory if in_memory is None else not in_memory:
                return cls(path, len(store))
            saved = store.read()
            return TrainingSet(saved.theta, saved.predictions)

    @contextmanager
    def examples(self, space: ParameterSpace, rng: np.random.Generator) -> Iterator[Examples]:
        """See `TrainingSet.examples`; read in batches, and the first ones are held out."""
        with SimulationStore.open(self.path, names=space.names) as store:
            yield _StoredExamples(store, space, rng).found()


class _StoredExamples:
    """One pass over a store that learns its scales, then batches of its usable simulations."""

    def __init__(self, store: SimulationStore, space: ParameterSpace, rng: np.random.Generator) -> None:
        self._store = store
        self._space = space
        self._rng = rng.spawn(1)[0]
        self._chosen = np.zeros(len(store), dtype=bool)
        n_chosen = min(len(store), TRAINING_SET.most_for_scales)
        self._chosen[rng.choice(len(store), n_chosen, replace=False)] = True

    def found(self) -> Examples:
        """Pass over the whole store, for scales and counts."""
        n, first, n_dim = 0, 0, self._space.n_dim
        total, squares = np.zeros(n_dim), np.zeros((n_dim, n_dim))
        some, some_theta, rows = [], [], UsableRows(self._space)
        for batch in self._store.batches(ROWS_AT_ONCE):
            used = rows(batch.theta, batch.predictions)
            z = self._space.to_z(batch.theta[used], self._rng)
            n, total, squares = n + len(z), total + z.sum(0), squares + z.T @ z
            kept = used & self._chosen[first : first + len(used)]
            some.append(batch.predictions[kept])
            some_theta.append(batch.theta[kept])
            first += len(used)
        self._counts = rows.checked()
        mean = total / n
        self._affine = AffineMap.of_moments(mean, squares / n - np.outer(mean, mean))
        chosen = np.concatenate(some), np.concatenate(some_theta)
        return Examples(*chosen, self._affine, self._counts, self._objective)

    def _objective(
        self,
        flow: Density,
        featurizer: Featurizer,
        seen: AsSeen,
        config: TrainingConfig,
        rng: np.random.Generator,
    ) -> NllObjective:
        n_rows = len(self._store)
        share = round(config.validation_share * n_rows)
        n_held_out = max(min(share, TRAINING_SET.most_held_out), 1)
        data, y = self._as_seen(self._store.read(slice(n_held_out)), seen, self._rng)
        if not len(y):
            raise ValueError(
                f"n_sims: expected finite simulations among the first {n_held_out}, which are held out, got "
                "none; narrow the priors to where the model exists"
            )

        def stream(batch_size: int, rng: np.random.Generator) -> Iterator[tuple[SimulatedTargets, Tensor]]:
            # Discrete values are spread by the numbers of this epoch, so that a training can go on from one.
            of_values = rng.spawn(1)[0]
            for batch in self._store.batches(batch_size, rng, slice(n_held_out, None)):
                data, y = self._as_seen(batch, seen, of_values)
                if len(y):
                    yield data, y

        known = (flow, featurizer, data, y, config, rng)
        return StreamedObjective(*known, stream=stream, n_training=n_rows - n_held_out)

    def _as_seen(
        self, batch: Simulations, seen: AsSeen, rng: np.random.Generator
    ) -> tuple[SimulatedTargets, Tensor]:
        theta, x = batch.theta, batch.predictions
        # The priors are asked again only where the pass over the whole file has found reason to.
        used = UsableRows(self._space)(theta, x, with_priors=self._counts.n_outside > 0)
        if not used.all():
            theta, x = theta[used], x[used]
        data = seen(x, theta)
        return data, _standard(self._affine, self._space.to_z(theta, rng)).to(data.device)


def _standard(affine: AffineMap, z: Array) -> Tensor:
    """Z in the coordinates of the flow."""
    return torch.as_tensor(affine.backward(z), dtype=torch.float32)


def _simulated(
    n_before: int, n_sims: int, evaluator: Evaluator, entropy: int, on_chunk: OnChunk | None = None
) -> Iterator[tuple[Array, NDArray[Any]]]:
    """Make missing simulations in blocks, and yield their parameters and data.

    Parameters
    ----------
    n_before, n_sims : int
        Numbers of those that there are, and that there are to be.
    evaluator : Evaluator
    entropy : int
        Seed.
    on_chunk : callable, optional
        Called with the number of simulations just finished.
    """
    assert isinstance(evaluator.forward, UserModel)
    n, block = n_before, TRAINING_SET.block
    while n < n_sims:
        # The stream is named after the place in the set, so that a set grown in two goes is the same set.
        stream = stage_generator(entropy, "simulate", n // block)
        z = stream.normal(size=(block, evaluator.space.n_dim))[n % block :][: n_sims - n]
        made = evaluator(z, on_chunk)
        assert made.predictions is not None
        yield made.theta, evaluator.forward.as_data(made.predictions)
        n += len(z)
