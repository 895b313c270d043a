"""Losses of the rounds by name: the paper's, its alternative, and those of plugins; see `objectives`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from nbi_sampler.networks.training.objectives import AtomicObjective, NllObjective
from nbi_sampler.plugins import Registry

__all__ = ["LOSSES", "LossKind"]


class LossKind(NamedTuple):
    """A loss that can be asked for by name.

    Attributes
    ----------
    make : callable
        ``(flow, featurizer, data, y, config, rng, log_prior) -> NllObjective``, as `NllObjective` takes them.
    all_rounds : bool
        True to learn from the simulations of all rounds and not of the last alone, which only a loss can
        that allows for what they were drawn from.
    """

    make: Callable[..., NllObjective]
    all_rounds: bool = False


_OWN = {"nll": LossKind(NllObjective), "apt": LossKind(AtomicObjective, all_rounds=True)}
LOSSES = Registry("losses", "loss", LossKind, _OWN)
