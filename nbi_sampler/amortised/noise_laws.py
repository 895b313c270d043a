"""Noise whose law is known, drawn as tensors where the networks train, so that a GPU waits for no copy.

A user's function of arrays stays on the processor, called by `noise`; a law of their own that derives from
`TensorNoise` is drawn like those here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from nbi_sampler.forward.arrays import as_real_numbers
from nbi_sampler.randomness import torch_generator

__all__ = ["NoNoise", "NoiseLevels", "TensorNoise", "WhiteNoise"]

Array = NDArray[np.float64]


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
        made = self.draw(torch.tensor(x, dtype=kind), torch_generator(rng))
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
        self._here = torch.as_tensor(self.sigma)

    def draw(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """See `TensorNoise.draw`."""
        if self._here.device != x.device:
            # Once, not with every batch.
            self._here = self._here.to(x.device)
        return x + self._here * _normal_like(x, generator)


class NoiseLevels(TensorNoise):
    """Gaussian noise of a level of its own for every target, and channel, which networks see as uncertainty.

    Parameters
    ----------
    low, high : float
        Range of the standard deviation.
    logarithmic : bool
        Whether it is uniform in its logarithm.

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
        share = torch.rand((*x.shape[:-1], 1), generator=generator, device=x.device, dtype=kind)
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
