"""Events of a run for plugins: read-only summaries, and the observer that passes them on.

The hooks are in `hookspecs`; the sampler makes a `RunEvents` for each run. If a plugin raises, the log
reports it, and the plugin gets no more events of this kind in this run.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from nbi_sampler.algorithm.history import Draws
from nbi_sampler.algorithm.records import Observer, RoundRecord
from nbi_sampler.core.types import Array
from nbi_sampler.importance.reliability import Status
from nbi_sampler.plugins.manager import Plugin, installed

__all__ = ["Epoch", "Outcome", "Run", "RunEvents", "Simulations"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Run:
    """A run: the same object in all of its events.

    Attributes
    ----------
    label, outdir : str
        As passed to bilby; the folder may not exist yet. The training of an engine has a label made from the
        time, and no folder: ``""``.
    names : tuple of str
        Names of the parameters, in the order of all arrays.
    settings : mapping of str to object
        Keywords of the sampler as plain values; other values are converted to text.
    seed : int
    note : str
        How simulations arise, and how the likelihood is called.
    plugins : tuple of Plugin
        Plugins that affect the numbers.
    records : tuple of RoundRecord
        Steps of earlier processes, if the run continues from a checkpoint.
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
        Number of the step in the run, from 0.
    theta : ndarray, shape (n, n_dim)
    log_likelihood, log_weights : ndarray, shape (n,)
        Weights under the proposal of this batch, without the division by the evidence.
    predictions : ndarray, shape (n, n_data), or None
        Noiseless predictions, NaN in rows without evaluation; None if there are no predictions.
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
        "rounds" or "refinement"; "amortised" if an engine is trained for many targets.
    number : int
        Number of the step in the run to which the fit belongs, from 0.
    epoch : int
        Number of the epoch in the fit, from 0.
    training_loss, validation_loss : float
        Losses in nats; NaN if no step had a finite loss.
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
        See `reliability.Status`. If there is no result, "interrupted" and the error.
    log_evidence, log_evidence_err, ess, efficiency, k_hat : float
        Figures of the result; NaN if there is none.
    n_calls : int
        Number of likelihood calls; 0 if there is no result.
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
    """Reports events of a run to plugins; as a context, it reports the start, and an end with an error."""

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
        """Report that the run has ended."""
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
            # Return values of event hooks are ignored.
            pass


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view
