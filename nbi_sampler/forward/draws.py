"""Random draws that take every number from one torch generator, on the device of their arguments.

Used by the noise laws. ``torch.distributions`` would draw from torch's global generator. Arguments outside
the domain of a law give NaN, because torch raises on a CPU and spoils the process on a GPU.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["exponential_like", "gamma", "multinomial", "normal_like", "numpy_generator", "poisson"]

# torch counts in 64-bit integers, and returns nonsense where they overflow.
_MOST_COUNTS = 1e16


def normal_like(like: Tensor, generator: torch.Generator) -> Tensor:
    """Draw standard normal numbers.

    Parameters
    ----------
    like : Tensor
        Gives shape, dtype and device.
    generator : torch.Generator

    Returns
    -------
    Tensor
    """
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device)


def exponential_like(like: Tensor, generator: torch.Generator) -> Tensor:
    """Draw exponential numbers of mean one.

    Parameters
    ----------
    like : Tensor
        Gives shape, dtype and device.
    generator : torch.Generator

    Returns
    -------
    Tensor
    """
    return torch.empty_like(like).exponential_(generator=generator)


def gamma(concentration: Tensor, generator: torch.Generator) -> Tensor:
    """Draw gamma numbers of rate one.

    Parameters
    ----------
    concentration : Tensor
        Shape parameter of the law; NaN where it is not positive.
    generator : torch.Generator

    Returns
    -------
    Tensor
        Never zero, so that it can be divided by.
    """
    valid = (concentration > 0) & torch.isfinite(concentration)
    drawn = torch._standard_gamma(torch.where(valid, concentration, 1.0), generator=generator)
    return torch.where(valid, drawn.clamp_min(torch.finfo(drawn.dtype).tiny), torch.nan)


def poisson(rate: Tensor, generator: torch.Generator) -> Tensor:
    """Draw Poisson counts.

    Parameters
    ----------
    rate : Tensor
        Mean; NaN where it is negative or not finite, and without noise above 1e16.
    generator : torch.Generator

    Returns
    -------
    Tensor
    """
    valid = (rate >= 0) & torch.isfinite(rate)
    countable = valid & (rate < _MOST_COUNTS)
    counts = torch.poisson(torch.where(countable, rate, 0.0), generator=generator)
    return torch.where(countable, counts, torch.where(valid, rate, torch.nan))


def multinomial(total: int, probabilities: Tensor, generator: torch.Generator) -> Tensor:
    """Draw multinomial counts, class by class from the conditional binomial laws.

    Parameters
    ----------
    total : int
        Number of trials.
    probabilities : Tensor, shape (n, n_classes)
        Rows that add up to one; a row with a negative or non-finite entry gives NaN.
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (n, n_classes)
    """
    valid = ((probabilities >= 0) & torch.isfinite(probabilities)).all(dim=1, keepdim=True)
    safe = torch.where(valid, probabilities, 1.0 / probabilities.shape[1])
    # Summed from the back: what is left after class k keeps its precision when it is small.
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
    """Make a numpy generator seeded from a torch generator, which is advanced.

    Parameters
    ----------
    generator : torch.Generator

    Returns
    -------
    numpy.random.Generator
    """
    words = torch.randint(0, 2**32, (4,), generator=generator, device=generator.device, dtype=torch.int64)
    return np.random.default_rng(words.tolist())
