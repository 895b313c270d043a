"""A training of the engine as plugins see it: a run with losses, and without a folder of its own.

Called by the engine.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from nbi_sampler.algorithm.records import Observer, Observers
from nbi_sampler.amortised.setup import Setup
from nbi_sampler.plugins.events import Outcome, Run, RunEvents
from nbi_sampler.reporting.meta_data import describable
from nbi_sampler.training.fit import OnEpoch

__all__ = ["monitored"]


@contextmanager
def monitored(
    setup: Setup, settings: Mapping[str, Any], on_epoch: OnEpoch | None = None
) -> Iterator[Observer]:
    """Within this block, plugins are told what the observer is told.

    Parameters
    ----------
    setup : Setup
    settings : mapping of str to object
        Of engine and training.
    on_epoch : callable, optional
        Told of epochs besides; see `training.fit`.
    """
    label = f"training-{time.strftime('%Y%m%d-%H%M%S')}"
    run = Run(
        label=label,
        outdir="",
        names=setup.space.names,
        settings=describable(settings),
        seed=setup.entropy,
        note="training of an engine",
    )
    with RunEvents(run) as events:
        yield events if on_epoch is None else Observers(events, _Epochs(on_epoch))
        events.finished(Outcome(status="ok", message="trained"))


class _Epochs(Observer):
    def __init__(self, on_epoch: OnEpoch) -> None:
        self._on_epoch = on_epoch

    def epoch_finished(self, epoch: int, training_loss: float, validation_loss: float) -> None:
        """See `Observer`."""
        self._on_epoch(epoch, training_loss, validation_loss)
