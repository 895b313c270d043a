"""Named losses of the rounds: the paper's, its alternative, and those of plugins; see `objectives`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from nbi_sampler.networks.training.objectives import AtomicObjective, NllObjective
from nbi_sampler.plugins import Registry

__all__ = ["LOSSES", "LossKind"]


class LossKind(NamedTuple):
    """A loss that can be selected by name.

    Attributes
    ----------
    make : callable
        ``(flow, featurizer, data, y, config, rng, log_prior) -> NllObjective``; see `NllObjective`.
    all_rounds : bool
        True to train on the simulations of all rounds instead of the last. The loss must account for the
        proposals from which they were drawn.
    """

    make: Callable[..., NllObjective]
    all_rounds: bool = False


_OWN = {"nll": LossKind(NllObjective), "apt": LossKind(AtomicObjective, all_rounds=True)}
LOSSES = Registry("losses", "loss", LossKind, _OWN)
