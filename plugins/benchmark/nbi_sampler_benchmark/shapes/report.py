"""Table of exact and measured log Z of the hard shapes, as Markdown."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nbi_sampler.importance.reliability import Status
from nbi_sampler_benchmark.problems.hard_shapes.by_name import HARD_SHAPES
from nbi_sampler_benchmark.problems.registry import get_problem

__all__ = ["MOST_ERRORS", "pull_of", "shapes_table", "wrong_and_trusted"]

# A result is right within this many errors of log Z.
MOST_ERRORS = 3.0
# Rounding error of log Z in a run that reports no error.
ROUNDING = 1e-9


def pull_of(record: Mapping[str, Any]) -> float:
    """Error of log Z in units of the reported one; infinite if a wrong value is reported as exact."""
    error, pull = record["log_evidence_error"], record["pull"]
    if error is None or not math.isfinite(error):
        return -math.inf
    if pull is not None:
        return float(pull)
    return 0.0 if abs(error) <= ROUNDING else math.copysign(math.inf, error)


def wrong_and_trusted(record: Mapping[str, Any]) -> bool:
    """Return whether a run is "ok" and its evidence is more than three of its errors off."""
    return bool(record["status"] == Status.OK and abs(pull_of(record)) > MOST_ERRORS)


def shapes_table(records: Sequence[Mapping[str, Any]]) -> str:
    """Table with a row for each shape and sampler, and the number of wrong results with status "ok".

    Parameters
    ----------
    records : sequence of mapping
        Records of a benchmark file for problems of `hard_shapes`.

    Returns
    -------
    str
        Markdown. Calls and processor time are medians. Pulls are errors of log Z in units of the reported
        errors, with their mean and standard deviation over the seeds.
    """
    heads = ["shape", "parameters", "exact log Z", "sampler", "runs", "worst error of log Z", "worst pull"]
    heads += ["mean pull", "deviation", "calls", "processor time, s", "statuses", "not met"]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for record in records:
        groups.setdefault((record["problem"], record["sampler"]), []).append(record)
    known = list(HARD_SHAPES)
    order = sorted(groups, key=lambda key: known.index(key[0]) if key[0] in known else len(known))
    lines += [_line(shape, sampler, groups[shape, sampler]) for shape, sampler in order]
    own = [record for record in records if record["status"] is not None]
    n_wrong = sum(map(wrong_and_trusted, own))
    return "\n".join([*lines, "", f"Wrong with status ok: {n_wrong} of {len(own)} (none may be)."])


def _line(shape: str, sampler: str, records: Sequence[Mapping[str, Any]]) -> str:
    problem = get_problem(shape)
    pulls = np.array([pull_of(record) for record in records])
    worst = int(np.argmax(np.abs(pulls)))
    finite = pulls[np.isfinite(pulls)]
    said = Counter(str(record["status"]) for record in records if record["status"] is not None)
    costs = [float(np.median([record[cost] for record in records])) for cost in ("calls", "cpu_seconds")]
    error = records[worst]["log_evidence_error"]
    cells = [
        f"{HARD_SHAPES.get(shape, '')} `{shape}`".strip(),
        f"{len(problem.priors)}",
        f"{problem.log_evidence:.4f}",
        sampler,
        f"{len(records)}",
        "-" if error is None else f"{error:+.3f}",
        f"{pulls[worst]:+.1f}",
        f"{finite.mean():+.2f}" if len(finite) else "-",
        f"{finite.std(ddof=1):.2f}" if len(finite) > 1 else "-",
        *(f"{cost:,.0f}" for cost in costs),
        ", ".join(f"{status} {n}" for status, n in said.most_common()) or "-",
        _not_met(records),
    ]
    return f"| {' | '.join(cells)} |"


def _not_met(records: Sequence[Mapping[str, Any]]) -> str:
    """List unmet requirements: log Z is right in every run, or the status is not "ok"."""
    n_wrong = sum(abs(pull_of(record)) > MOST_ERRORS for record in records)
    n_trusted = sum(map(wrong_and_trusted, records))
    n_other = sum(record["status"] not in (None, Status.OK) for record in records)
    found = {"wrong": n_wrong, 'wrong with "ok"': n_trusted, 'not "ok"': n_other}
    return ", ".join(f"{what} {n}" for what, n in found.items() if n) or "nothing"
