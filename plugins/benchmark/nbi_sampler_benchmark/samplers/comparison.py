"""Comparison of the runs of several samplers on one problem, made by `compare`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from bilby.core.result import Result

from nbi_sampler.reports.plots.view import parameter_labels
from nbi_sampler_benchmark.json_values import without_unknown
from nbi_sampler_benchmark.runs.records import RunRecord, run_of_result
from nbi_sampler_benchmark.samplers.costs import CostLine, Crossover, cost_line, crossover
from nbi_sampler_benchmark.samplers.divergence import Pair, pair_of

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Runs, and what is known of the problem.

    Parameters
    ----------
    title : str
    runs : tuple of RunRecord
        Runs. Other samplers are compared with the sampler of the first.
    labels : dict of str to str
        Labels of the parameters, for plots.
    truth : dict of str to float
    seconds_per_call : float
        Seconds of a call of the unchanged likelihood; NaN if unknown.
    likelihood_ms : tuple of float
        Milliseconds that are added to each call in the table of costs.
    log_evidence, log_evidence_err : float
        Reference value; NaN if unknown.
    missing : dict of str to str
        Missing samplers, with reasons.
    """

    title: str
    runs: tuple[RunRecord, ...]
    labels: dict[str, str] = field(default_factory=dict)
    truth: dict[str, float] = field(default_factory=dict)
    seconds_per_call: float = math.nan
    likelihood_ms: tuple[float, ...] = (1.0, 100.0)
    log_evidence: float = math.nan
    log_evidence_err: float = math.nan
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def entries(self) -> tuple[RunRecord, ...]:
        """Former name of ``runs``."""
        return self.runs

    @property
    def samplers(self) -> list[str]:
        """Names of samplers in the order of their first runs."""
        return list(dict.fromkeys(run.sampler for run in self.runs))

    @property
    def names(self) -> list[str]:
        """Parameters that all runs share."""
        return [name for name in self.runs[0].names if all(name in each.names for each in self.runs)]

    def runs_of(self, sampler: str) -> list[RunRecord]:
        """Runs of one sampler; runs with slower calls are used only if there are no others."""
        runs = [run for run in self.runs if run.sampler == sampler]
        return [run for run in runs if not run.sleep] or runs

    def pull(self, run: RunRecord) -> float:
        """Difference of log Z from the mean of the other samplers, in units of the combined error.

        The mean is weighted by the inverse squares of the errors. NaN if there is no other sampler.
        """
        others = [each for each in self.runs if each.sampler != run.sampler and _has_evidence(each)]
        if not others or not _has_evidence(run):
            return math.nan
        precisions = np.array([each.log_evidence_err**-2.0 for each in others])
        mean = np.average([each.log_evidence for each in others], weights=precisions)
        return float(run.log_evidence - mean) / math.hypot(run.log_evidence_err, precisions.sum() ** -0.5)

    def pull_of_reference(self, run: RunRecord) -> float:
        """Difference of log Z from the reference, in units of the combined error."""
        spread = math.hypot(run.log_evidence_err, self.log_evidence_err)
        return (run.log_evidence - self.log_evidence) / spread if spread > 0 else math.nan

    def pairs(self) -> list[Pair]:
        """All pairs of samplers, by their first runs."""
        firsts = {sampler: self.runs_of(sampler)[0] for sampler in self.samplers}
        return [pair_of(firsts[a], firsts[b]) for a, b in combinations(self.samplers, 2)]

    def cost_lines(self, per_ess: bool = False) -> dict[str, CostLine]:
        """Cost of each sampler whose calls and seconds are known."""
        lines = {sampler: cost_line(self.runs_of(sampler), per_ess) for sampler in self.samplers}
        return {name: line for name, line in lines.items() if math.isfinite(line.seconds(1.0))}

    def crossovers(self, per_ess: bool = False) -> dict[str, Crossover]:
        """Ranges of the cost of a call in which the first sampler costs less than each of the others."""
        lines = self.cost_lines(per_ess)
        ours = lines.pop(self.samplers[0], None)
        return {} if ours is None else {name: crossover(ours, line) for name, line in lines.items()}

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary of plain numbers for each run; NaN if a number is unknown."""
        return [self._row(run) for run in self.runs]

    def as_dict(self) -> dict[str, Any]:
        """Everything except the draws, for JSON; None if a number is unknown or infinite."""
        found = {
            "title": self.title,
            "parameters": self.names,
            "log_evidence": self.log_evidence,
            "log_evidence_err": self.log_evidence_err,
            "seconds_per_call": self.seconds_per_call,
            "runs": self.rows(),
            "divergences": [vars(pair) for pair in self.pairs()],
            "crossovers": [
                {
                    "sampler": self.samplers[0],
                    "other": other,
                    "cost": cost,
                    "from": each.start,
                    "to": each.end,
                }
                for cost in ("run", "effective sample")
                for other, each in self.crossovers(per_ess=cost != "run").items()
            ],
            "missing": self.missing,
        }
        return without_unknown(found)

    def to_json(self, path: str | Path) -> Path:
        """Write `as_dict` as standard JSON."""
        return _written(path, json.dumps(self.as_dict(), indent=1, allow_nan=False) + "\n")

    def to_html(self, path: str | Path) -> Path:
        """Write a self-contained page of tables and plots; it needs matplotlib and corner."""
        from nbi_sampler_benchmark.samplers.page import page

        return _written(path, page(self))

    def _row(self, run: RunRecord) -> dict[str, Any]:
        line = cost_line([run])
        keys = ("sampler", "seed", "status", "calls", "seconds", "cpu_seconds", "likelihood_seconds")
        row = {key: getattr(run, key) for key in keys}
        return row | {
            "peak_memory": run.peak_memory,
            "sleep_ms": 1000 * run.sleep,
            "ess": run.ess,
            "calls_per_ess": run.calls_per_ess,
            "efficiency": 1 / run.calls_per_ess if run.calls > 0 else math.nan,
            "log_evidence": run.log_evidence,
            "log_evidence_err": run.log_evidence_err,
            "pull": self.pull(run),
            "pull_of_reference": self.pull_of_reference(run),
            "seconds_if_slower": {
                f"{ms:g} ms": run.seconds + line.calls * ms / 1000 for ms in self.likelihood_ms
            },
        }


def compare(
    results: Mapping[str, Result] | Iterable[Result],
    *,
    title: str = "Comparison",
    parameters: Sequence[str] | None = None,
    truth: Mapping[str, float] | None = None,
    seconds_per_call: float = math.nan,
    log_evidence: float = math.nan,
    log_evidence_err: float = 0.0,
) -> Comparison:
    """Compare results of bilby from any samplers.

    Parameters
    ----------
    results : mapping of str to Result, or iterable of Result
        Results by name of the sampler. Without names, each result gives its own. The others are compared with
        the first.
    title : str
    parameters : sequence of str, optional
        Names of the compared parameters; the default is all sampled ones that the results share.
    truth : mapping of str to float, optional
        The default is the injected parameters of the first result.
    seconds_per_call : float
        Seconds of a call of the likelihood, if known.
    log_evidence, log_evidence_err : float
        Reference value, if known.

    Returns
    -------
    Comparison
        Its `rows` are the figures; `to_html` and `to_json` write reports.

    Raises
    ------
    ValueError
        If there is no result, or the results share no parameter.
    """
    named = _named(results)
    runs = tuple(run_of_result(result, name, parameters) for name, result in named)
    if not runs:
        raise ValueError("results: expected at least one, got none; pass results of bilby.run_sampler")
    first = named[0][1]
    known = truth if truth is not None else (first.injection_parameters or {})
    comparison = Comparison(
        title=title,
        runs=runs,
        labels=dict(zip(runs[0].names, parameter_labels(runs[0].names, first.priors), strict=True)),
        truth={name: float(known[name]) for name in runs[0].names if name in known},
        seconds_per_call=seconds_per_call,
        log_evidence=log_evidence,
        log_evidence_err=log_evidence_err,
    )
    if not comparison.names:
        raise ValueError(
            "results: expected them to share a parameter, got "
            f"{' and '.join(', '.join(each.names) for each in runs)}; compare results of one problem"
        )
    return comparison


def _named(results: Mapping[str, Result] | Iterable[Result]) -> list[tuple[str | None, Result]]:
    return list(results.items()) if isinstance(results, Mapping) else [(None, each) for each in results]


def _has_evidence(run: RunRecord) -> bool:
    return math.isfinite(run.log_evidence) and 0 < run.log_evidence_err < math.inf


def _written(path: str | Path, text: str) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
