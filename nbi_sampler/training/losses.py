"""What the rounds minimise, by name: the paper's loss, its alternative, and those of plugins.

The arithmetic is in `objectives`. Called by the rounds and by the check of their keywords.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from nbi_sampler.config import nearest
from nbi_sampler.plugins import hookimpl, installed
from nbi_sampler.training.objectives import AtomicObjective, NllObjective

__all__ = ["LOSSES", "LossKind", "loss_named", "losses"]


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


LOSSES: dict[str, LossKind] = {
    "nll": LossKind(NllObjective),
    "apt": LossKind(AtomicObjective, all_rounds=True),
}


@hookimpl(trylast=True)
def losses() -> dict[str, LossKind]:
    """The package's own."""
    return LOSSES


def loss_named(name: str) -> LossKind:
    """The loss of that name.

    Raises
    ------
    ValueError
        Where nobody offers it.
    """
    offers = installed().named("losses", LossKind)
    if name not in offers:
        raise ValueError(f"loss: unknown name {name!r}; {nearest(str(name), offers)}")
    return offers[name][1]
