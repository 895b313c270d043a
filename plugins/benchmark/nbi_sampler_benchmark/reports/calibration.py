"""Calibration of the error that a run reports for its evidence, where that is known exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nbi_sampler_benchmark.problems.registry import CALIBRATION_PROBLEMS

__all__ = ["calibration_table", "standardised_errors"]

# Twice, and one and a half times, the standard error of 100 seeds.
LARGEST_MEAN = 0.2
SPREAD_RANGE = (0.9, 1.1)


def standardised_errors(records: Sequence[dict[str, Any]], problem: str) -> np.ndarray:
    """Errors of log Z in units of the errors that the runs reported for it.

    Parameters
    ----------
    records : sequence of dict
        Lines of a benchmark file.
    problem : str
        Which of them.

    Returns
    -------
    ndarray, shape (n_runs,)
        Of zero mean and unit standard deviation where the reported errors are right.
    """
    return np.array([record["pull"] for record in records if record["problem"] == problem])


def calibration_table(records: Sequence[dict[str, Any]]) -> str:
    """Mean and standard deviation of the standardised errors, with what is required of them.

    Parameters
    ----------
    records : sequence of dict
        Lines of a benchmark file, at least two seeds of each problem.

    Returns
    -------
    str
        Markdown.
    """
    low, high = SPREAD_RANGE
    lines = [
        f"| problem | seeds | mean (required: within {LARGEST_MEAN}) "
        f"| standard deviation (required: {low} to {high}) | not met |",
        "|---|---|---|---|---|",
    ]
    for problem in CALIBRATION_PROBLEMS:
        errors = standardised_errors(records, problem)
        if len(errors) < 2:
            continue
        mean, spread = float(errors.mean()), float(errors.std(ddof=1))
        reached = {"mean": abs(mean) <= LARGEST_MEAN, "standard deviation": low <= spread <= high}
        not_met = ", ".join(name for name, ok in reached.items() if not ok) or "nothing"
        lines.append(f"| {problem} | {len(errors)} | {mean:+.2f} | {spread:.2f} | {not_met} |")
    return "\n".join(lines)
