"""An ensemble of flows: the mean of their densities, each given the features of its own network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from nbi_sampler.networks.flows.base import Density

__all__ = ["EnsembleFlow"]


class EnsembleFlow(Density):
    r"""Mixture of flows with equal shares.

    .. math:: q(z \mid f) = \frac1k \sum_{j=1}^k q_j(z \mid f_j), \qquad f = (f_1, \dots, f_k)

    Parameters
    ----------
    members : sequence of Density
    sizes : sequence of int
        Number of features of each.

    References
    ----------
    Lakshminarayanan, Pritzel & Blundell (2017), arXiv:1612.01474; Hermans et al. (2022), arXiv:2110.06581,
    section 4, for ensembles of posteriors, which are less often overconfident.
    """

    def __init__(self, members: Sequence[Density], sizes: Sequence[int]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.sizes = tuple(sizes)

    def log_prob(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Log density, shape (n,); see `Density.log_prob`."""
        own = zip(self._flows(), self._contexts(context), strict=True)
        values = torch.stack([flow.log_prob(z, features) for flow, features in own])
        return torch.logsumexp(values, 0) - math.log(len(self.members))

    @torch.no_grad()
    def sample(
        self, n: int, context: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Independent draws, shape (n, n_dims); see `Density.sample`."""
        device = next(self.parameters()).device
        chosen = torch.randint(len(self.members), (n,), generator=generator, device=device)
        drawn: Tensor | None = None
        for j, (flow, features) in enumerate(zip(self._flows(), self._contexts(context), strict=True)):
            rows = torch.nonzero(chosen == j)[:, 0]
            if not len(rows):
                continue
            own = features if features is None or len(features) == 1 else features[rows]
            made = flow.sample(len(rows), own, generator)
            drawn = made.new_empty(n, made.shape[1]) if drawn is None else drawn
            drawn[rows] = made
        if drawn is None:
            return self._flows()[0].sample(0, self._contexts(context)[0], generator)
        return drawn

    def _flows(self) -> list[Density]:
        return [cast(Density, member) for member in self.members]

    def _contexts(self, context: Tensor | None) -> list[Tensor | None]:
        return [None] * len(self.members) if context is None else list(context.split(self.sizes, 1))
