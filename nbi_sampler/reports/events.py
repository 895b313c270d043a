"""Events of a run for plugins: read-only summaries, and the observer that hands them over.

The hooks are in `hookspecs`; the sampler makes a `RunEvents` for each run. A plugin that raises is reported
and told no more of that kind of event in this run.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.algorithm.history import Draws
from nbi_sampler.algorithm.records import Observer, RoundRecord
from nbi_sampler.importance.reliability import Status
from nbi_sampler.plugins.manager import Plugin, installed

__all__ = ["Epoch", "Outcome", "Run", "RunEvents", "Simulations"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Run:
    """A run; the same object in all events, told from others by identity.

    Attributes
    ----------
    label, outdir : str
        As given to bilby; the folder may not exist yet. The training of an engine has a label by its time and
        no folder: ``""``.
    names : tuple of str
        Of the parameters, in the order of all arrays.
    settings : mapping of str to object
        Keywords of the sampler as plain values; what is not plain as text.
    seed : int
    note : str
        How simulations come about and how the likelihood is called.
    plugins : tuple of Plugin
        Those that take part in the numbers.
    records : tuple of RoundRecord
        Steps of an earlier process, where the run goes on from a checkpoint.
    """

    label: str
    outdir: str
    names: tuple[str, ...]
    settings: Mapping[str, Any]
    seed: int
    note: str = ""
    plugins: tuple[Plugin, ...] = ()
    records: tuple[RoundRecord, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", MappingProxyType(dict(self.settings)))


@dataclass(frozen=True, eq=False)
class Simulations:
    """A batch of draws; arrays are read-only.

    Attributes
    ----------
    phase : str
        "model", "initial", "prior", "rounds", "refinement", "ascent", "mode search" or "final".
    number : int
        Of the step in the run, from 0.
    theta : ndarray, shape (n, n_dim)
    log_likelihood, log_weights : ndarray, shape (n,)
        Weights under the proposal of this batch, up to the evidence.
    predictions : ndarray, shape (n, n_data), or None
        Noiseless, NaN in rows that were not evaluated; None where none were made.
    """

    phase: str
    number: int
    theta: Array
    log_likelihood: Array
    log_weights: Array
    predictions: Array | None


@dataclass(frozen=True)
class Epoch:
    """An epoch of a fit.

    Attributes
    ----------
    phase : str
        "rounds" or "refinement"; "amortised" where an engine is trained for many targets.
    number : int
        Of the step in the run to which the fit belongs, from 0.
    epoch : int
        Within the fit, from 0.
    training_loss, validation_loss : float
        In nats; NaN where no step was finite.
    """

    phase: str
    number: int
    epoch: int
    training_loss: float
    validation_loss: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """End of a run.

    Attributes
    ----------
    status, message : str
        See `reliability.Status`; "interrupted" and the error where there is no result.
    log_evidence, log_evidence_err, ess, efficiency, k_hat : float
        Of the result; NaN where there is none.
    n_calls : int
        Calls of the likelihood; 0 where there is no result.
    """

    status: str
    message: str
    log_evidence: float = math.nan
    log_evidence_err: float = math.nan
    ess: float = math.nan
    efficiency: float = math.nan
    k_hat: float = math.nan
    n_calls: int = 0


class RunEvents(Observer):
    """Tells plugins of the events of a run; as a context, of its beginning and of an end by error too."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._number = len(run.records)
        self._phase = ""
        self._left_out: defaultdict[str, set[Plugin]] = defaultdict(set)

    def __enter__(self) -> RunEvents:
        self._tell("run_started")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: Any) -> None:
        if error is not None:
            self.finished(Outcome(status=str(Status.INTERRUPTED), message=f"{type(error).__name__}: {error}"))

    def finished(self, outcome: Outcome) -> None:
        """Tell that the run has ended."""
        self._tell("run_finished", outcome=outcome)

    def training_started(self, phase: str) -> None:
        """See `records.Observer`."""
        self._phase = phase

    def epoch_finished(self, epoch: int, training_loss: float, validation_loss: float) -> None:
        """See `records.Observer`."""
        told = Epoch(self._phase, self._number, epoch, training_loss, validation_loss)
        self._tell("epoch_finished", epoch=told)

    def simulations_drawn(self, phase: str, draws: Draws) -> None:
        """See `records.Observer`."""
        evaluation = draws.evaluation
        told = Simulations(
            phase,
            self._number,
            _read_only(evaluation.theta),
            _read_only(draws.log_likelihood),
            _read_only(draws.log_weights),
            None if evaluation.predictions is None else _read_only(evaluation.predictions),
        )
        self._tell("simulations_drawn", simulations=told)

    def round_finished(self, record: RoundRecord, effective: float) -> None:
        """See `records.Observer`."""
        self._tell("round_finished", number=self._number, record=record, effective=effective)
        self._number += 1

    def _tell(self, hook: str, **arguments: Any) -> None:
        for _ in installed().answers(hook, {"run": self._run, **arguments}, self._left_out[hook]):
            # What an event hook returns means nothing.
            pass


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view
