"""Calibration of the reported error of log Z, on problems with exactly known evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nbi_sampler_benchmark.problems.registry import CALIBRATION_PROBLEMS

__all__ = ["calibration_table", "standardised_errors"]

# Limits: twice, and one and a half times, the standard error of 100 seeds.
LARGEST_MEAN = 0.2
SPREAD_RANGE = (0.9, 1.1)


def standardised_errors(records: Sequence[dict[str, Any]], problem: str) -> np.ndarray:
    """Errors of log Z in units of the errors that the runs reported.

    Parameters
    ----------
    records : sequence of dict
        Records of a benchmark file.
    problem : str
        Name of the problem.

    Returns
    -------
    ndarray, shape (n_runs,)
        They have zero mean and unit standard deviation if the reported errors are right.
    """
    return np.array([record["pull"] for record in records if record["problem"] == problem])


def calibration_table(records: Sequence[dict[str, Any]]) -> str:
    """Table of mean and standard deviation of the standardised errors, with their limits.

    Parameters
    ----------
    records : sequence of dict
        Records of a benchmark file, with at least two seeds of each problem.

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
