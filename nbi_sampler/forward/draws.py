"""Noise laws: random draws, and residuals that are standard normal if a model is right.

All random numbers come from one torch generator on the device of the arguments; ``torch.distributions`` would
use torch's global one. Arguments outside the domain of a law give NaN, because torch raises on a CPU and
breaks the process on a GPU.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.special import ndtri
from torch import Tensor

from nbi_sampler.core.types import Array

__all__ = [
    "exponential_like",
    "gamma",
    "multinomial",
    "normal_like",
    "normal_scores",
    "numpy_generator",
    "poisson",
]

# torch counts in 64-bit integers, which overflow silently.
_MOST_COUNTS = 1e16
# Smallest probability with a quantile; its residual is 37.
_SMALLEST = 1e-300


def normal_like(like: Tensor, generator: torch.Generator) -> Tensor:
    """Draw standard normal numbers, of the shape, dtype and device of a tensor."""
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device)


def exponential_like(like: Tensor, generator: torch.Generator) -> Tensor:
    """Draw exponential numbers with mean one, of the shape, dtype and device of a tensor."""
    return torch.empty_like(like).exponential_(generator=generator)


def gamma(concentration: Tensor, generator: torch.Generator) -> Tensor:
    """Draw gamma numbers with rate one and this shape parameter; NaN if it is not positive.

    No draw is zero, so it is safe to divide by them.
    """
    valid = (concentration > 0) & torch.isfinite(concentration)
    drawn = torch._standard_gamma(torch.where(valid, concentration, 1.0), generator=generator)
    return torch.where(valid, drawn.clamp_min(torch.finfo(drawn.dtype).tiny), torch.nan)


def poisson(rate: Tensor, generator: torch.Generator) -> Tensor:
    """Draw Poisson counts; NaN if the rate is negative or not finite; no noise is added above 1e16."""
    valid = (rate >= 0) & torch.isfinite(rate)
    countable = valid & (rate < _MOST_COUNTS)
    counts = torch.poisson(torch.where(countable, rate, 0.0), generator=generator)
    return torch.where(countable, counts, torch.where(valid, rate, torch.nan))


def multinomial(total: int, probabilities: Tensor, generator: torch.Generator) -> Tensor:
    """Draw multinomial counts, class by class, from the conditional binomial laws.

    Parameters
    ----------
    total : int
        Number of trials.
    probabilities : Tensor, shape (n, n_classes)
        Rows that add up to one; a row with a negative or non-finite entry gives NaN.
    generator : torch.Generator
    """
    valid = ((probabilities >= 0) & torch.isfinite(probabilities)).all(dim=1, keepdim=True)
    safe = torch.where(valid, probabilities, 1.0 / probabilities.shape[1])
    # Sums from the end: the probability that remains after class k keeps its precision if it is small.
    tail = safe.flip(1).cumsum(1).flip(1)
    share = torch.where(tail > 0, safe / tail, 0.0).clamp(0.0, 1.0)
    remaining = torch.full_like(safe[:, 0], float(total))
    counts = []
    for k in range(safe.shape[1] - 1):
        drawn = torch.binomial(remaining, share[:, k].contiguous(), generator=generator)
        counts.append(drawn)
        remaining = remaining - drawn
    return torch.where(valid, torch.stack([*counts, remaining], dim=1), torch.nan)


def numpy_generator(generator: torch.Generator) -> np.random.Generator:
    """Make a numpy generator that is seeded from a torch generator, which advances."""
    words = torch.randint(0, 2**32, (4,), generator=generator, device=generator.device, dtype=torch.int64)
    return np.random.default_rng(words.tolist())


def normal_scores(below: ArrayLike, above: ArrayLike, share: ArrayLike | None = None) -> Array:
    r"""Randomised quantile residuals of data with known distribution functions; at most 37 in size.

    .. math:: r = \Phi^{-1}\left( P(Y < y) + u P(Y = y) \right)

    Both tails are arguments, so that residuals of extreme data are precise on either side.

    Parameters
    ----------
    below, above : array_like
        Probabilities of smaller and of larger values than each datum. The remainder is the probability of the
        datum itself, which is zero for continuous laws.
    share : array_like, optional
        The uniform number u in [0, 1] of discrete laws.

    References
    ----------
    Dunn & Smyth (1996), Journal of Computational and Graphical Statistics 5, 236, section 2.

    Examples
    --------
    >>> normal_scores([0.975, 1.0], [0.025, 1e-20]).round(2)
    array([1.96, 9.26])
    """
    left, right = np.asarray(below, dtype=np.float64), np.asarray(above, dtype=np.float64)
    if share is not None:
        u = np.asarray(share, dtype=np.float64)
        at = np.clip(1.0 - left - right, 0.0, 1.0)
        left, right = left + u * at, right + (1.0 - u) * at
    from_left, from_right = ndtri(np.maximum(left, _SMALLEST)), -ndtri(np.maximum(right, _SMALLEST))
    return np.where(left < right, from_left, from_right)
