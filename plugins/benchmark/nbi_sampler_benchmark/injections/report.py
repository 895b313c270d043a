"""Plot and table of a P-P test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from bilby.core.prior import PriorDict
from bilby.core.result import make_pp_plot

from nbi_sampler.reports.plots.view import parameter_labels

__all__ = ["passes", "pp_plot", "pp_table"]

# A calibrated sampler falls below these in one of 20 tests, and for one of 200 parameters.
LEAST_COMBINED, LEAST_OF_A_PARAMETER = 0.05, 0.005


class _Levels:
    """The part of a result that bilby's P-P plot reads; its credible levels are already known."""

    def __init__(self, levels: Mapping[str, float], labels: Mapping[str, str]) -> None:
        self.levels = levels
        self.priors = {name: SimpleNamespace(latex_label=label) for name, label in labels.items()}
        self.search_parameter_keys = list(levels)

    def get_all_injection_credible_levels(
        self, keys: Sequence[str], weights: object = None
    ) -> dict[str, float]:
        """Return the levels of parameters, by their names."""
        return {key: self.levels[key] for key in keys}


def pp_plot(records: Sequence[Mapping[str, Any]], priors: PriorDict, path: Path) -> Any:
    """Draw bilby's own P-P plot.

    Parameters
    ----------
    records : sequence of mapping
        Records of `runs.run_injections`.
    priors : PriorDict
        For labels.
    path : Path
        Path of the picture.

    Returns
    -------
    namedtuple
        ``combined_pvalue``, ``pvalues`` and ``names`` of Kolmogorov-Smirnov tests.
    """
    names = list(records[0]["levels"])
    labels = dict(zip(names, parameter_labels(names, priors), strict=True))
    results = [_Levels(record["levels"], labels) for record in records]
    figure, p_values = make_pp_plot(results, save=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return p_values


def pp_table(records: Sequence[Mapping[str, Any]], p_values: Any) -> str:
    """Table in Markdown: p-values with their limits, statuses and costs."""
    counts = Counter(record["status"] for record in records)
    worst = min(zip(p_values.pvalues, p_values.names, strict=True))
    calls = np.array([record["calls"] for record in records])
    seconds = np.array([record["seconds"] for record in records])
    rows = [
        ("combined p-value", f"> {LEAST_COMBINED}", f"{p_values.combined_pvalue:.3f}"),
        (f"smallest p-value of a parameter ({worst[1]})", f"> {LEAST_OF_A_PARAMETER}", f"{worst[0]:.3f}"),
        ("statuses", "", ", ".join(f"{status} {n}" for status, n in counts.most_common())),
        ("likelihood calls, median and largest", "", f"{np.median(calls):,.0f}, {calls.max():,}"),
        (
            "processor time of a run, s, median and largest",
            "",
            f"{np.median(seconds):.1f}, {seconds.max():.1f}",
        ),
    ]
    head = [f"| {len(records)} injections | required | measured |", "|---|---|---|"]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows)])


def passes(p_values: Any) -> bool:
    """Return whether the levels are uniform within the limits."""
    return p_values.combined_pvalue > LEAST_COMBINED and min(p_values.pvalues) > LEAST_OF_A_PARAMETER
