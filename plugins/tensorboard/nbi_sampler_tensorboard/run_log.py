"""One run in TensorBoard: curves by epoch, points by step, histograms of draws, and text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from nbi_sampler.algorithm.records import RoundRecord
from nbi_sampler.reports.events import Epoch, Outcome, Run, Simulations

__all__ = ["RunLog"]


class RunLog:
    """The event file of a run; a run that continues writes another one in the same folder.

    Parameters
    ----------
    run : Run
    folder : pathlib.Path
        Folder of the file. A missing folder is made.
    """

    def __init__(self, run: Run, folder: Path) -> None:
        self._names = run.names
        self._n_calls = sum(record.n_calls for record in run.records)
        self._writer = SummaryWriter(str(folder))
        self._writer.add_text("run", _table({"how": run.note, "seed": run.seed, **_by_name(run)}))
        self._writer.add_text("settings", _table(run.settings))

    def epoch(self, epoch: Epoch) -> None:
        """Add a point to the two curves of a fit."""
        fit = f"{epoch.number:02d} {epoch.phase}"
        self._writer.add_scalar(f"training loss/{fit}", epoch.training_loss, epoch.epoch)
        self._writer.add_scalar(f"validation loss/{fit}", epoch.validation_loss, epoch.epoch)

    def simulations(self, simulations: Simulations) -> None:
        """Add a histogram of each parameter."""
        for name, values in zip(self._names, simulations.theta.T, strict=True):
            self._writer.add_histogram(f"draws/{name}", values[np.isfinite(values)], simulations.number)

    def step(self, number: int, record: RoundRecord, effective: float) -> None:
        """Add a point to the curves by step, and write to disk."""
        self._n_calls += record.n_calls
        values = {
            "efficiency": record.efficiency,
            "log evidence": record.log_evidence,
            "error of log evidence": record.log_evidence_err,
            "effective size of the result": effective,
            "likelihood calls": self._n_calls,
            "seconds of training": record.seconds_training,
        }
        for name, value in values.items():
            # A step without a finite likelihood has no evidence, so it has no point.
            if math.isfinite(value):
                self._writer.add_scalar(f"by step/{name}", value, number)
        self._writer.flush()

    def close(self, outcome: Outcome) -> None:
        """Write how the run ended, and close the file."""
        self._writer.add_text("outcome", _table(vars(outcome)))
        self._writer.close()


def _by_name(run: Run) -> dict[str, str]:
    return {f"plugin {plugin.name}": str(plugin) for plugin in run.plugins}


def _table(values: Mapping[str, Any]) -> str:
    """Format names and values as a table in Markdown."""
    rows = (f"| {name} | {str(value).replace('|', '/')} |" for name, value in values.items())
    return "\n".join(("| | |", "|---|---|", *rows))
