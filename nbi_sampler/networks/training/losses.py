"""What the rounds minimise, by name: the paper's loss, its alternative, and those of plugins.

The arithmetic is in `objectives`. Called by the rounds and by the check of their keywords.
"""

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
        Whether it learns from the simulations of all rounds, or of the last alone. Only a loss that allows
        for what they were drawn from can do so.
    """

    make: Callable[..., NllObjective]
    all_rounds: bool = False


_OWN = {"nll": LossKind(NllObjective), "apt": LossKind(AtomicObjective, all_rounds=True)}
LOSSES = Registry("losses", "loss", LossKind, _OWN)
