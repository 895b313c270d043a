"""The noise of a survey, which turns predictions into observed data with uncertainties and masks.

`NoiseLaw` applies ``noise=`` of the user to many simulations. Known laws are drawn as tensors. A function is
called with many rows at once if a probe finds that it treats them as independent, and row by row if not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from nbi_sampler.amortised.data_format import Observation
from nbi_sampler.core.config import NOISE_PROBE
from nbi_sampler.core.guarded import users_errors, users_settings
from nbi_sampler.core.randomness import torch_generator
from nbi_sampler.core.types import Array
from nbi_sampler.forward.arrays import as_real_numbers
from nbi_sampler.forward.noise_function import NoiseFunction

__all__ = ["NoNoise", "NoiseLaw", "NoiseLevels", "TensorNoise", "WhiteNoise"]


class NoiseLaw:
    """A law that adds noise to many predictions.

    Parameters
    ----------
    noise : float, ndarray, TensorNoise, callable or None
        The standard deviation of Gaussian noise, a law of tensors, or a function ``noise(x, rng)``. The
        function returns x, (x, x_err) or (x, x_err, mask) of any shape, or has another signature that
        `NoiseFunction` understands. None means that simulations already have noise.
    predictions : ndarray, shape (n, *shape)
        Examples of predictions for the probe, real or complex.
    theta : ndarray, shape (n, n_dim), optional
        Parameters of the predictions.

    Attributes
    ----------
    of_tensors : TensorNoise or None
        The law, if it can be drawn on any device.
    batched : bool
        True if the function is called with many predictions at once.
    takes_parameters : bool
        True if the function is called with one simulation and its parameters at a time.

    Raises
    ------
    TypeError, ValueError
        If ``noise`` has another type, or if its function returns something else.
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
            # A single call shows errors of the function before the probe calls it in other ways.
            self._read(predictions[0], np.random.default_rng(0), first)
        self.batched = self.of_tensors is not None or (
            not self.takes_parameters and _treats_rows_alike(self._read, predictions)
        )

    def __call__(
        self, predictions: Array, rng: np.random.Generator, theta: Array | None = None
    ) -> Observation:
        """Add noise to each prediction, shape (n, *shape); ``theta`` has shape (n, n_dim)."""
        if self.batched:
            return self._read(predictions, rng)
        given = [None] * len(predictions) if theta is None else theta
        rows = [self._read(row, rng, each) for row, each in zip(predictions, given, strict=True)]
        columns: Any = zip(*rows, strict=True)
        parts: Any = (None if column[0] is None else np.stack(column) for column in columns)
        return Observation(*parts)

    def draw(self, predictions: Tensor, generator: torch.Generator) -> Observation:
        """Add noise to tensors on the device of the predictions; needs a law `of_tensors`."""
        assert self.of_tensors is not None
        # The law may be the user's own class.
        with users_settings(), users_errors():
            made = self.of_tensors.draw(predictions, generator)
        return Observation(*made) if isinstance(made, tuple) else Observation(made)

    def _read(self, x: Array, rng: np.random.Generator, theta: Array | None = None) -> Observation:
        # A copy, because a function may add noise in place.
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
    """Return whether rows of a batch are independent and follow the same law as single calls.

    A function may accept a batch and still be wrong. It may draw one noise level for all rows, or compute one
    from all of them. The means and spreads of several statistics are therefore compared with those of single
    calls, and the statistics of different rows are tested for correlation.
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
    # The function is user code, and a batch may make it raise any error. Row by row it works.
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
    """Numbers that differ between realisations of the noise, and between shapes, shape (n_statistics,)."""
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
    largest = NOISE_PROBE.largest_ratio * np.minimum(first, second) + tolerance
    return bool(shift.all() and (np.maximum(first, second) <= largest).all())


def _independent(batch: Array) -> bool:
    """Return whether statistics of two rows of a batch are uncorrelated, on average over all pairs."""
    deviation = batch - batch.mean(0)
    spread = deviation.std(0)
    varies = (spread > 1e-9 * (np.abs(batch).max(0) + 1e-300)).all(0)
    if not varies.any():
        return True
    scaled = deviation[:, :, varies] / spread[:, varies]
    n_rows = scaled.shape[1]
    # If rows are independent, their mean has a variance of 1 / n_rows.
    inflation = n_rows * (scaled.mean(1) ** 2).mean(0)
    return bool(
        (inflation < 1.0 + NOISE_PROBE.largest_deviation * np.sqrt(2.0 / NOISE_PROBE.n_repeats)).all()
    )


class TensorNoise(ABC):
    """Noise for many predictions at once; an object is also a noise function of arrays."""

    @abstractmethod
    def draw(self, x: Tensor, generator: torch.Generator) -> Tensor | tuple[Tensor, ...]:
        """Draw data for each prediction.

        Parameters
        ----------
        x : Tensor, shape (n, *shape) or (*shape)
            Predictions, float64 or complex128. This is a copy, which may be changed.
        generator : torch.Generator
            The only source of random numbers. It is on the device of x, and so must be all tensors.

        Returns
        -------
        Tensor or tuple of Tensor
            ``x``, ``(x, x_err)`` or ``(x, x_err, mask)``, as a noise function returns them.
        """

    def __call__(self, x: Array, rng: np.random.Generator) -> Array | tuple[Array, ...]:
        """Draw data as arrays."""
        kind = torch.complex128 if np.iscomplexobj(x) else torch.float64
        # Type and device are named, because the user's defaults of torch are in force here.
        made = self.draw(torch.tensor(x, dtype=kind, device="cpu"), torch_generator(rng))
        return tuple(part.numpy() for part in made) if isinstance(made, tuple) else made.numpy()


class NoNoise(TensorNoise):
    """No further noise, for simulations that already have noise."""

    def draw(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the simulations unchanged."""
        return x


class WhiteNoise(TensorNoise):
    """Gaussian noise of the same size for all targets.

    Parameters
    ----------
    sigma : array_like
        Standard deviation, which broadcasts to a simulation. If data are complex, it is that of the real
        part and of the imaginary part.
    """

    def __init__(self, sigma: ArrayLike) -> None:
        self.sigma = np.array(as_real_numbers(sigma, "noise"))
        _check_positive("noise", self.sigma)
        self._here = torch.as_tensor(self.sigma, device="cpu")

    def draw(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """See `TensorNoise.draw`."""
        if self._here.device != x.device:
            # The copy is made once, not for every batch.
            self._here = self._here.to(x.device)
        return x + self._here * _normal_like(x, generator)


class NoiseLevels(TensorNoise):
    """Gaussian noise with its own level for each target and channel; networks see it as uncertainty.

    In images, shape (n, n_channels, height, width), each band has its own level.

    Parameters
    ----------
    low, high : float
        Range of the standard deviation.
    logarithmic : bool
        True if the logarithm of the standard deviation is uniform.

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
        # A band of an image has one level, like a row of a series.
        axes = (*x.shape[:2], 1, 1) if x.ndim > 3 else (*x.shape[:-1], 1)
        share = torch.rand(axes, generator=generator, device=x.device, dtype=kind)
        if self.logarithmic:
            sigma = self.low * (self.high / self.low) ** share
        else:
            sigma = self.low + (self.high - self.low) * share
        return x + sigma * _normal_like(x, generator), sigma.expand_as(x)


def _normal_like(x: Tensor, generator: torch.Generator) -> Tensor:
    """Normal numbers in single precision, which is faster and precise enough for noise."""
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
