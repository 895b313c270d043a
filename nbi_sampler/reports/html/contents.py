"""Contents of a result of any sampler, version and file format; missing parts are named without an error."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from bilby.core.result import Result

from nbi_sampler.algorithm.records import RoundRecord
from nbi_sampler.core.types import Array
from nbi_sampler.importance.weights import Evidence
from nbi_sampler.reports.meta_data import rounds_of
from nbi_sampler.reports.plots.view import RunView, parameter_labels

__all__ = ["Contents", "Missing", "contents_of", "field_of"]

Value = TypeVar("Value")

NUMBER = (int, float, np.number)
# Entries of the meta data that a page reads.
KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("status", "message", "tier"), str),
    **dict.fromkeys(("efficiency", "ess", "n_effective", "n_distinct", "k_hat", "seed"), NUMBER),
    **dict.fromkeys(("largest_weight_share", "predictive_p_value", "residual_correlation"), NUMBER),
    **dict.fromkeys(("n_calls", "n_nan"), NUMBER),
    **dict.fromkeys(("predictive_p_values", "predictive_check", "at_prior_edge"), Mapping),
    **dict.fromkeys(("model", "versions", "plugins"), Mapping),
}
# Fields of `RoundRecord` that a page reads.
NO_NUMBERS = ("phase", "pooled", "training_loss", "validation_loss", "quantiles")
LONGEST = 60


class Missing(list[tuple[str, str]]):
    """Names of the parts that a result lacks, with the consequence of each for the page."""

    def tried(self, what: str, consequence: str, make: Callable[[], Value]) -> Value | None:
        """Return the value of ``make``, or note it as missing and return None if it raises or is None."""
        try:
            made = make()
        # A file may be of any version and may have been edited, so it may raise any error.
        except Exception as error:
            self.append((f"{what} ({type(error).__name__}: {error})", consequence))
            return None
        if made is None:
            self.append((what, consequence))
        return made


@dataclass(frozen=True, eq=False)
class Contents:
    """All parts of a result that exist.

    Attributes
    ----------
    result : bilby.core.result.Result
    view : RunView
        Its draws and records; empty if the result has none.
    names : tuple of str
        Labels of the sampled parameters, from the priors.
    priors : mapping
    own : mapping
        Meta data of this sampler; empty if another sampler made the result.
    missing : Missing
    """

    result: Result
    view: RunView
    names: tuple[str, ...]
    priors: Mapping[str, Any]
    own: Mapping[str, Any]
    missing: Missing

    @property
    def of_nbi(self) -> bool:
        """True for a result of this sampler with its meta data."""
        return bool(self.own)

    @property
    def evidence(self) -> Evidence:
        """Evidence according to the result; NaN if it is missing."""
        try:
            return Evidence(float(self.result.log_evidence), float(self.result.log_evidence_err))
        except (TypeError, ValueError):
            return Evidence(math.nan, math.nan)


def field_of(result: Result, name: str) -> Any:
    """Return a field of a result; None if bilby raises because it has none."""
    try:
        return getattr(result, name)
    except (AttributeError, ValueError):
        return None


def contents_of(result: Result) -> Contents:
    """Read a result."""
    missing = Missing()
    unnamed = "no parameters, so neither posterior nor corner plot"
    names = missing.tried("names of the parameters", unnamed, lambda: _names(result)) or ()
    own = _own(result, missing)
    records = _records(result, missing) if own else ()
    without = "no posterior, no corner plot, no weights"
    draws = missing.tried(
        "weighted draws (nested_samples) or a posterior", without, lambda: _draws(result, names)
    )
    theta, log_weights = draws if draws is not None else (np.zeros((0, len(names))), np.zeros(0))
    priors = field_of(result, "priors")
    priors = priors if isinstance(priors, Mapping) else {}
    if not priors:
        missing.append(("priors", "nothing to compare the posterior with"))
    view = RunView(
        label=str(result.label),
        labels=parameter_labels(names, priors),
        records=records,
        theta=theta,
        log_weights=log_weights,
        status=own.get("status", ""),
        message=own.get("message", ""),
        truth=tuple(_injected(result, name) for name in names),
    )
    return Contents(result, view, names, priors, own, missing)


def _names(result: Result) -> tuple[str, ...] | None:
    return tuple(str(name) for name in result.search_parameter_keys) or None


def _own(result: Result, missing: Missing) -> dict[str, Any]:
    """Meta data of this sampler, without entries of a wrong type, which are named."""
    given = result.meta_data.get("nbi") if isinstance(result.meta_data, Mapping) else None
    if not isinstance(given, Mapping) or not given:
        without = "no status, no k-hat, no predictive check, no log Z by batch, no calls by phase"
        missing.append((f"meta data of nbi: this is a result of sampler {str(result.sampler)!r}", without))
        return {}
    own = {}
    for name, value in given.items():
        kind = KINDS.get(name)
        # An empty entry is None in every file format.
        value = {} if value is None and kind is Mapping else value
        if kind is None or isinstance(value, kind):
            own[name] = value
        elif value is not None:
            missing.append((f"{name} (it is {str(value)[:LONGEST]!r})", "it is not shown"))
    for name in ("status", "ess", "k_hat", "seed"):
        if name not in own:
            missing.append((f"entry {name!r} of the meta data", "it is not shown"))
    return own


def _records(result: Result, missing: Missing) -> tuple[RoundRecord, ...]:
    without = "no log Z by batch, no calls by phase, no course of the run"
    made = missing.tried(
        "table of batches", without, lambda: tuple(_record(row) for row in rounds_of(result)) or None
    )
    return made or ()


def _record(row: Mapping[str, Any]) -> RoundRecord:
    """Read one row of the table; every number must be a number."""
    record = RoundRecord.from_dict(row)
    for each in fields(record):
        value = getattr(record, each.name)
        if each.name not in NO_NUMBERS and not isinstance(value, NUMBER):
            raise TypeError(f"{each.name} is {value!r}")
    return record


def _draws(result: Result, names: tuple[str, ...]) -> tuple[Array, Array] | None:
    """Parameters and log weights of the weighted draws, or of rows of equal weight if there are none."""
    frame = field_of(result, "nested_samples")
    weighted = isinstance(frame, pd.DataFrame) and {"weights", *names} <= set(frame)
    if not weighted:
        frame = result.posterior
    theta = frame[list(names)].to_numpy(dtype=np.float64)
    weights = frame["weights"].to_numpy(dtype=np.float64) if weighted else np.ones(len(theta))
    kept = (weights > 0.0) & np.isfinite(weights) & np.isfinite(theta).all(axis=1)
    return (theta[kept], np.log(weights[kept])) if kept.any() else None


def _injected(result: Result, name: str) -> float | None:
    try:
        return float((result.injection_parameters or {})[name])
    except (KeyError, TypeError, ValueError, IndexError):
        return None
