"""A fit whose learning rate falls to zero also where early stopping ends it.

With few simulations, networks start to memorise them while the learning rate of the one-cycle schedule still
rises. The best networks so far then train on at a low rate.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial

from torch import nn

from nbi_sampler.core.config import ANNEALING, TrainingConfig
from nbi_sampler.networks.training.continued import Keeper
from nbi_sampler.networks.training.fit import Objective, OnEpoch, TrainingInfo, fit

__all__ = ["annealed_fit", "counted_from"]


def annealed_fit(
    module: nn.Module,
    objective: Objective,
    config: TrainingConfig,
    on_epoch: OnEpoch | None = None,
    keepers: tuple[Keeper, Keeper] | None = None,
) -> TrainingInfo:
    """Fit, and a second fit at a low learning rate if the first one stopped early.

    The networks are those with the lowest validation loss of both. The epochs of both are at most those of
    ``config``.

    Parameters
    ----------
    module, objective, config, on_epoch
        See `fit`.
    keepers : tuple of Keeper, optional
        Of the two fits.
    """
    own = (None, None) if keepers is None else keepers
    first = fit(module, objective, config, on_epoch, keeper=own[0])
    n_done = len(first.validation)
    n_left = min(ANNEALING.n_epochs, config.n_epochs - n_done)
    if n_left < 1:
        return first
    before = copy.deepcopy(module.state_dict())
    config = replace(config, n_epochs=n_left, learning_rate=ANNEALING.share * config.learning_rate)
    then = None if on_epoch is None else partial(counted_from, on_epoch, n_done)
    second = fit(module, objective, config, then, keeper=own[1])
    if not second.best < first.best:
        module.load_state_dict(before)
    return TrainingInfo(
        best=min(first.best, second.best),
        training=first.training + second.training,
        validation=first.validation + second.validation,
        n_steps=first.n_steps + second.n_steps,
        n_skipped=first.n_skipped + second.n_skipped,
        seconds=first.seconds + second.seconds,
    )


def counted_from(on_epoch: OnEpoch, n_before: int, epoch: int, training: float, validation: float) -> None:
    """Tell of an epoch after ``n_before`` others."""
    on_epoch(n_before + epoch, training, validation)
