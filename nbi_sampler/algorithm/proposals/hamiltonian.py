"""Hamiltonian moves of many draws at once in a density with a gradient that costs nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from nbi_sampler.core.config import SURROGATE
from nbi_sampler.core.randomness import torch_generator

__all__ = ["moved"]


def moved(log_density: Callable[[Tensor], Tensor], y: Tensor, rng: np.random.Generator) -> Tensor:
    """Draws after some Hamiltonian trajectories each; the last states of every one.

    Parameters
    ----------
    log_density : callable
        Maps coordinates of shape (n, n_dim) to a log density of shape (n,), with gradients.
    y : Tensor, shape (n, n_dim)
        Starts.
    rng : numpy.random.Generator

    Returns
    -------
    Tensor, shape (``SURROGATE.n_kept`` n, n_dim)

    References
    ----------
    Neal (2011, arXiv:1206.1901), sections 3 and 4.2.
    """
    generator = torch_generator(rng, y.device)

    def with_gradient(y: Tensor) -> tuple[Tensor, Tensor]:
        y = y.detach().requires_grad_(True)
        value = log_density(y)
        (gradient,) = torch.autograd.grad(value.sum(), y)
        return value.detach(), gradient

    size, kept = SURROGATE.first_size, []
    value, gradient = with_gradient(y)
    for trajectory in range(SURROGATE.n_trajectories):
        uniform = torch.rand(len(y), 1, generator=generator, device=y.device)
        sizes = size * (1.0 + SURROGATE.size_spread * (2.0 * uniform - 1.0))
        momentum = torch.randn(y.shape, generator=generator, device=y.device)
        start = value - 0.5 * (momentum**2).sum(1)
        there, value_there, gradient_there = y, value, gradient
        for _ in range(SURROGATE.n_leaps):
            momentum = momentum + 0.5 * sizes * gradient_there
            there = there + sizes * momentum
            value_there, gradient_there = with_gradient(there)
            momentum = momentum + 0.5 * sizes * gradient_there
        end = value_there - 0.5 * (momentum**2).sum(1)
        taken = torch.rand(len(y), generator=generator, device=y.device).log() < end - start
        y = torch.where(taken[:, None], there, y)
        value = torch.where(taken, value_there, value)
        gradient = torch.where(taken[:, None], gradient_there, gradient)
        size *= math.exp(SURROGATE.size_rate * (float(taken.float().mean()) - SURROGATE.acceptance))
        if trajectory >= SURROGATE.n_trajectories - SURROGATE.n_kept:
            kept.append(y)
    return torch.cat(kept)
