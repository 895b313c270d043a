"""The noise of a survey: predictions in, observed data with uncertainties and masks out.

One law for many simulations at once, of what a user gives as ``noise=``: drawn as tensors where it is known,
else a function, called in batches where a probe finds that it treats rows of a batch as independent, else row
by row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from nbi_sampler.amortised.data_format import Observation
from nbi_sampler.core.config import NOISE_PROBE
from nbi_sampler.core.guarded import users_errors, users_settings
from nbi_sampler.core.randomness import torch_generator
from nbi_sampler.forward.arrays import as_real_numbers
from nbi_sampler.forward.noise_function import NoiseFunction

__all__ = ["NoNoise", "NoiseLaw", "NoiseLevels", "TensorNoise", "WhiteNoise"]


Array = NDArray[np.float64]


class NoiseLaw:
    """Noise put on many predictions.

    Parameters
    ----------
    noise : float, ndarray, TensorNoise, callable or None
        Standard deviation of Gaussian noise; or a law of tensors; or ``noise(x, rng)`` that returns x,
        (x, x_err) or (x, x_err, mask), of whatever shape, or another that `NoiseFunction` understands; or
        None where simulations have their noise already.
    predictions : ndarray, shape (n, *shape)
        Some of those that it will be put on, for the probe; real or complex.
    theta : ndarray, shape (n, n_dim), optional
        Their parameters.

    Attributes
    ----------
    of_tensors : TensorNoise or None
        The law, where it can be drawn on any device.
    batched : bool
        True where the function is called with many predictions at once.
    takes_parameters : bool
        True where it is called with parameters, one simulation at a time.

    Raises
    ------
    TypeError, ValueError
        For what is no noise, or a function that returns something else.
    """

    def __init__(
        self,
        noise: float | ArrayLike | Callable[..., Any] | None,
        predictions: Array,
        theta: Array | None = None,
    ) -> None:
        law = noise if callable(noise) else _known(noise, predictions.shape[1:])
        self.of_tensors = law if isinstance(law, TensorNoise) else None
        self._function = NoiseFunction(law)
        self.takes_parameters = self._function.takes_parameters
        first = None if theta is None else theta[0]
        if len(predictions) and self.of_tensors is None:
            # What the function returns is checked once before it is tried in other ways.
            self._read(predictions[0], np.random.default_rng(0), first)
        self.batched = self.of_tensors is not None or (
            not self.takes_parameters and _treats_rows_alike(self._read, predictions)
        )

    def __call__(
        self, predictions: Array, rng: np.random.Generator, theta: Array | None = None
    ) -> Observation:
        """Data of as many targets as there are predictions, shape (n, *shape), of parameters (n, n_dim)."""
        if self.batched:
            return self._read(predictions, rng)
        given = [None] * len(predictions) if theta is None else theta
        rows = [self._read(row, rng, each) for row, each in zip(predictions, given, strict=True)]
        columns: Any = zip(*rows, strict=True)
        parts: Any = (None if column[0] is None else np.stack(column) for column in columns)
        return Observation(*parts)

    def draw(self, predictions: Tensor, generator: torch.Generator) -> Observation:
        """The same as tensors, on the device of the predictions, where the law is one `of_tensors`."""
        assert self.of_tensors is not None
        # The law may be the user's.
        with users_settings(), users_errors():
            made = self.of_tensors.draw(predictions, generator)
        return Observation(*made) if isinstance(made, tuple) else Observation(made)

    def _read(self, x: Array, rng: np.random.Generator, theta: Array | None = None) -> Observation:
        # A copy, because a function may add its noise in place.
        parts = self._function(x.copy(), rng, None if theta is None else theta.copy())
        names = [f"{part} of noise(...)" for part in ("x", "x_err", "mask")]
        x, x_err, mask = (*parts, None, None)[:3]
        observation = Observation.read(x, x_err, mask, names)
        if observation.x.ndim == 0:
            raise ValueError("noise: expected data with noise, an array, got a single number; return x")
        return observation


def _known(noise: float | ArrayLike | None, shape: tuple[int, ...]) -> TensorNoise:
    if noise is None:
        return NoNoise()
    law = WhiteNoise(noise)
    try:
        np.broadcast_to(law.sigma, shape)
    except ValueError as error:
        raise ValueError(
            f"noise: expected a number or an array that broadcasts to {shape}, as simulations have, got "
            f"{law.sigma.shape}"
        ) from error
    return law


def _treats_rows_alike(read: Callable[..., Observation], predictions: Array) -> bool:
    """Return whether rows of a batch get the law of single calls, independent of each other.

    A function may run on a batch and be wrong: one noise level drawn for all rows, or one taken from all of
    them. So means and spreads of several statistics are compared with those of single calls, and
    statistics of different rows are correlated.
    """
    rng = np.random.default_rng(0)
    rows = predictions[: NOISE_PROBE.n_probes]
    if len(rows) < 2:
        return False
    single = np.stack([[_statistics(read(row, rng)) for row in rows] for _ in range(NOISE_PROBE.n_repeats)])
    try:
        together = [read(rows, rng) for _ in range(NOISE_PROBE.n_repeats)]
        with np.errstate(all="ignore"):
            batch = np.stack([_rows_of(observation, len(rows)) for observation in together])
    # This is user code, and an array may make it raise anything; row by row it works.
    except Exception:
        return False
    if batch.shape != single.shape or not np.isfinite(batch).all():
        return False
    return _same_law(single, batch) and _independent(batch)


def _rows_of(observation: Observation, n: int) -> Array:
    if any(part is not None and len(part) != n for part in observation):
        raise ValueError("not a row for each prediction")
    rows: Any = ([None if part is None else part[i] for part in observation] for i in range(n))
    return np.stack([_statistics(Observation(*row)) for row in rows])


def _statistics(observation: Observation) -> Array:
    """Numbers that tell one realisation of the noise from another, and every shape from others."""
    columns: list[float] = []
    for part in observation:
        if part is not None:
            numbers = np.asarray(part)
            parts = (numbers.real, numbers.imag) if np.iscomplexobj(numbers) else (numbers,)
            values = np.nan_to_num(np.concatenate([np.ravel(each) for each in parts]).astype(float))
            columns += [len(values), values[0], values[-1], values.mean(), values.std(), np.abs(values).max()]
    return np.array(columns)


def _same_law(single: Array, batch: Array) -> bool:
    """Return whether means and spreads over the repeats agree, shape (n_repeats, n_rows, n_statistics)."""
    spread = np.sqrt(0.5 * (single.var(0) + batch.var(0)))
    tolerance = 1e-9 * (np.abs(single).max(0) + 1e-300)
    shift = (
        np.abs(single.mean(0) - batch.mean(0))
        <= NOISE_PROBE.largest_deviation * spread * np.sqrt(2.0 / NOISE_PROBE.n_repeats) + tolerance
    )
    first, second = single.std(0), batch.std(0)
    # Of heavy tails the spread is uncertain by far more than for a normal law.
    ratio = np.maximum(first, second) <= 4.0 * np.minimum(first, second) + tolerance
    return bool(shift.all() and ratio.all())


def _independent(batch: Array) -> bool:
    """Return whether statistics of two rows of a batch are uncorrelated, on average over all pairs."""
    deviation = batch - batch.mean(0)
    spread = deviation.std(0)
    varies = (spread > 1e-9 * (np.abs(batch).max(0) + 1e-300)).all(0)
    if not varies.any():
        return True
    scaled = deviation[:, :, varies] / spread[:, varies]
    n_rows = scaled.shape[1]
    # Of independent rows the mean over rows has a variance of 1 / n_rows.
    inflation = n_rows * (scaled.mean(1) ** 2).mean(0)
    return bool(
        (inflation < 1.0 + NOISE_PROBE.largest_deviation * np.sqrt(2.0 / NOISE_PROBE.n_repeats)).all()
    )


class TensorNoise(ABC):
    """Noise on many predictions at once; also a noise function of arrays, like those that users write."""

    @abstractmethod
    def draw(self, x: Tensor, generator: torch.Generator) -> Tensor | tuple[Tensor, ...]:
        """Data of as many targets as there are predictions.

        Parameters
        ----------
        x : Tensor, shape (n, *shape) or (*shape)
            Predictions, float64 or complex128; a copy, which may be changed.
        generator : torch.Generator
            Source of every random number, on the device of x, where all tensors have to be made.

        Returns
        -------
        Tensor or tuple of Tensor
            ``x``, ``(x, x_err)`` or ``(x, x_err, mask)``, as of a noise function.
        """

    def __call__(self, x: Array, rng: np.random.Generator) -> Array | tuple[Array, ...]:
        """The same of arrays."""
        kind = torch.complex128 if np.iscomplexobj(x) else torch.float64
        # Whatever device and type are the user's defaults, which are in force here.
        made = self.draw(torch.tensor(x, dtype=kind, device="cpu"), torch_generator(rng))
        return tuple(part.numpy() for part in made) if isinstance(made, tuple) else made.numpy()


class NoNoise(TensorNoise):
    """Simulations that have their noise already."""

    def draw(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """The simulations as they are."""
        return x


class WhiteNoise(TensorNoise):
    """Gaussian noise of the same size for all targets.

    Parameters
    ----------
    sigma : array_like
        Standard deviation, of complex data that of the real and of the imaginary part each; broadcasts to a
        simulation.
    """

    def __init__(self, sigma: ArrayLike) -> None:
        self.sigma = np.array(as_real_numbers(sigma, "noise"))
        _check_positive("noise", self.sigma)
        self._here = torch.as_tensor(self.sigma, device="cpu")

    def draw(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """See `TensorNoise.draw`."""
        if self._here.device != x.device:
            # Once, not with every batch.
            self._here = self._here.to(x.device)
        return x + self._here * _normal_like(x, generator)


class NoiseLevels(TensorNoise):
    """Gaussian noise of a level of its own for every target, and channel, which networks see as uncertainty.

    Of images, shape (n, n_channels, height, width), every band has one.

    Parameters
    ----------
    low, high : float
        Range of the standard deviation.
    logarithmic : bool
        True where it is uniform in its logarithm.

    Examples
    --------
    >>> noise = NoiseLevels(0.1, 0.5)
    >>> x, x_err = noise(np.zeros((3, 50)), np.random.default_rng(1))
    >>> x_err.shape, bool((x_err[:, 0] == x_err[:, 1]).all()), bool((x_err[0] != x_err[1]).all())
    ((3, 50), True, True)
    """

    def __init__(self, low: float, high: float, *, logarithmic: bool = False) -> None:
        _check_positive("low, high", np.array([low, high], dtype=float))
        if high < low:
            raise ValueError(f"low, high: expected the smaller one first, got {low} and {high}; swap them")
        self.low = low
        self.high = high
        self.logarithmic = logarithmic

    def draw(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """See `TensorNoise.draw`."""
        kind = x.real.dtype
        # A band of an image has one level, as a row of a series has.
        axes = (*x.shape[:2], 1, 1) if x.ndim > 3 else (*x.shape[:-1], 1)
        share = torch.rand(axes, generator=generator, device=x.device, dtype=kind)
        if self.logarithmic:
            sigma = self.low * (self.high / self.low) ** share
        else:
            sigma = self.low + (self.high - self.low) * share
        return x + sigma * _normal_like(x, generator), sigma.expand_as(x)


def _normal_like(x: Tensor, generator: torch.Generator) -> Tensor:
    """Normal numbers in single precision, which are quicker to draw and precise enough for noise."""
    if x.is_complex():
        parts = torch.randn((*x.shape, 2), generator=generator, device=x.device, dtype=torch.float32)
        return torch.view_as_complex(parts)
    return torch.randn(x.shape, generator=generator, device=x.device, dtype=torch.float32)


def _check_positive(argument: str, sigma: Array) -> None:
    if not np.all(np.isfinite(sigma) & (sigma > 0)):
        raise ValueError(
            f"{argument}: expected positive finite standard deviations, got {sigma.tolist()}; noise=None "
            "says that the simulator adds noise itself"
        )
