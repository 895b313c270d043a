"""TensorBoard for nbi-sampler: the hooks of the plugin, which its entry point names.

Each run has one `RunLog` from its start to its end. The environment variable ``NBI_TENSORBOARD`` says whether
and where it is written.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from nbi_sampler.plugins import hookimpl

if TYPE_CHECKING:
    from nbi_sampler.algorithm.records import RoundRecord
    from nbi_sampler.reports.events import Epoch, Outcome, Run, Simulations
    from nbi_sampler_tensorboard.run_log import RunLog

__all__ = [
    "__version__",
    "epoch_finished",
    "folder_of",
    "round_finished",
    "run_finished",
    "run_started",
    "simulations_drawn",
]

__version__ = "0.2.0"

VARIABLE = "NBI_TENSORBOARD"

_logs: dict[Run, RunLog] = {}


def folder_of(run: Run) -> Path | None:
    """Folder for the log of a run: beside its checkpoint, or the folder in ``NBI_TENSORBOARD``.

    Parameters
    ----------
    run : Run

    Returns
    -------
    pathlib.Path or None
        None if the variable is ``off``, or if it is not set and the run has no folder, as in the training of
        an engine.
    """
    asked = os.environ.get(VARIABLE, "")
    if asked.lower() == "off":
        return None
    if asked:
        return Path(asked) / run.label
    return Path(run.outdir) / f"nbi_{run.label}" / "tensorboard" if run.outdir else None


@hookimpl
def run_started(run: Run) -> None:
    """Write the settings of the run as text."""
    folder = folder_of(run)
    if folder is not None:
        # The import of TensorBoard takes time, and is not needed to list plugins.
        from nbi_sampler_tensorboard.run_log import RunLog

        _logs[run] = RunLog(run, folder)


@hookimpl
def simulations_drawn(run: Run, simulations: Simulations) -> None:
    """Write a histogram of each parameter for each step, which shows where proposals look."""
    if run in _logs:
        _logs[run].simulations(simulations)


@hookimpl
def epoch_finished(run: Run, epoch: Epoch) -> None:
    """Write losses by epoch, with one curve for each fit."""
    if run in _logs:
        _logs[run].epoch(epoch)


@hookimpl
def round_finished(run: Run, number: int, record: RoundRecord, effective: float) -> None:
    """Write efficiency, log evidence and effective size for each step."""
    if run in _logs:
        _logs[run].step(number, record, effective)


@hookimpl
def run_finished(run: Run, outcome: Outcome) -> None:
    """Write the end of the run as text."""
    if run in _logs:
        _logs.pop(run).close(outcome)
