"""Base class of flows: densities with or without a condition that can be evaluated and sampled."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Density"]


class Density(nn.Module):
    """Base class of flows.

    Attributes
    ----------
    recipe : mapping
        Name, numbers of coordinates and features, and settings with which `flow_factory` makes the same flow.
        Empty if it was not made from a name.
    """

    recipe: Mapping[str, Any] = {}

    @abstractmethod
    def log_prob(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Log density, shape (n,).

        Parameters
        ----------
        z : Tensor, shape (n, n_dims)
        context : Tensor, shape (n, n_context), optional
            Or (1, n_context), shared by all rows; None for an unconditional density.
        """

    @abstractmethod
    def sample(
        self, n: int, context: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Independent draws, shape (n, n_dims).

        Parameters
        ----------
        n : int
        context : Tensor, shape (1, n_context) or (n, n_context), optional
        generator : torch.Generator, optional
            Source of all random numbers.
        """
