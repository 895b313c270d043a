"""Every draw that was paid for, on disk as plain arrays: what is left of a run that ended early.

Called by the sampler. The file is read with `numpy.load`; nothing in it is pickled.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nbi_sampler.batch import PartialBatch
from nbi_sampler.history import Draws
from nbi_sampler.records import Observer
from nbi_sampler.step import State

__all__ = ["DrawsKeeper", "write_draws"]


class DrawsKeeper(Observer):
    """Holds every finished batch of a run, for whoever must save it.

    The rounds may leave batches out of their state; what was paid for stays here.

    Attributes
    ----------
    batches : list of (str, Draws)
        With their phases, in order.
    """

    def __init__(self) -> None:
        self.batches: list[tuple[str, Draws]] = []

    def state_changed(self, state: State) -> None:
        """See `records.Observer`."""
        known = {id(draws) for _, draws in self.batches}
        for draws in (*state.history.batches, *state.final):
            if id(draws) not in known:
                known.add(id(draws))
                self.batches.append((state.records[-1].phase, draws))


def write_draws(
    path: Path,
    names: tuple[str, ...],
    batches: Sequence[tuple[str, Draws]],
    partial: PartialBatch | None = None,
) -> int:
    """Write all draws, replacing the file at once so that it is never half written.

    Arrays ``z``, ``theta`` of shape (n, n_dim), ``log_likelihood``, ``log_ratio`` (log q - log prior),
    ``phase`` of shape (n,) and ``names`` of shape (n_dim,). Draws of an interrupted batch come last, in phase
    "unfinished", with a ``log_ratio`` of NaN.

    Parameters
    ----------
    path : pathlib.Path
        Its folder is made where missing.
    names : tuple of str
        Sampled parameters.
    batches : sequence of (str, Draws)
        With their phases.
    partial : PartialBatch, optional
        Of the batch that was interrupted.

    Returns
    -------
    int
        Number of draws written; without any, no file is.
    """
    parts = [(phase, d.z, d.evaluation.theta, d.log_likelihood, d.log_ratio) for phase, d in batches]
    if partial is not None and len(partial):
        unknown = np.full(len(partial), np.nan)
        parts.append(("unfinished", partial.z, partial.theta, partial.log_likelihood, unknown))
    if not parts:
        return 0
    phases, z, theta, log_likelihood, log_ratio = zip(*parts, strict=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        np.savez(
            file,
            names=np.array(names),
            phase=np.repeat(phases, [len(part) for part in z]),
            z=np.concatenate(z),
            theta=np.concatenate(theta),
            log_likelihood=np.concatenate(log_likelihood),
            log_ratio=np.concatenate(log_ratio),
        )
    temporary.replace(path)
    return sum(len(part) for part in z)
