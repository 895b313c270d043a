"""Contents of a result, of any sampler, version and file format; what it lacks is named and never raised."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from bilby.core.result import Result
from numpy.typing import NDArray

from nbi_sampler.algorithm.records import RoundRecord
from nbi_sampler.importance.weights import Evidence
from nbi_sampler.reports.meta_data import rounds_of
from nbi_sampler.reports.plots.view import RunView, parameter_labels

__all__ = ["Contents", "Missing", "contents_of"]

Array = NDArray[np.float64]
Value = TypeVar("Value")


class Missing(list[tuple[str, str]]):
    """What a result lacks, each with what the page therefore does not show."""

    def tried(self, what: str, consequence: str, make: Callable[[], Value]) -> Value | None:
        """Return what ``make`` gives, or None, which is noted, where it raises or gives None."""
        try:
            made = make()
        # A file may be of any version and changed by anybody, so that anything may be raised.
        except Exception as error:
            self.append((f"{what} ({type(error).__name__}: {error})", consequence))
            return None
        if made is None:
            self.append((what, consequence))
        return made


@dataclass(frozen=True, eq=False)
class Contents:
    """What there is in a result.

    Attributes
    ----------
    result : bilby.core.result.Result
    view : RunView
        Its draws and records; without any where the result has none.
    names : tuple of str
        Of the sampled parameters, as in the priors.
    own : mapping
        Meta data of this sampler; empty where another one made the result.
    missing : Missing
    """

    result: Result
    view: RunView
    names: tuple[str, ...]
    own: Mapping[str, Any]
    missing: Missing

    @property
    def of_nbi(self) -> bool:
        """True for a result of this sampler, with the meta data that it leaves."""
        return bool(self.own)

    @property
    def evidence(self) -> Evidence:
        """As the result says it; NaN where it does not."""
        try:
            return Evidence(float(self.result.log_evidence), float(self.result.log_evidence_err))
        except (TypeError, ValueError):
            return Evidence(math.nan, math.nan)


def contents_of(result: Result) -> Contents:
    """Take from a result what it has."""
    missing = Missing()
    names = tuple(map(str, result.search_parameter_keys or ()))
    own = (result.meta_data or {}).get("nbi") if isinstance(result.meta_data, Mapping) else None
    own = own if isinstance(own, Mapping) else {}
    if not own:
        missing.append(
            (
                f"meta data of nbi: this is a result of sampler {str(result.sampler)!r}",
                "no status, no k-hat, no predictive check, no log Z by batch, no calls by phase",
            )
        )
    records = _records(result, missing) if own else ()
    draws = missing.tried(
        "weighted draws (nested_samples) or a posterior",
        "no posterior, no corner plot, no weights",
        lambda: _draws(result, names),
    )
    theta, log_weights = draws if draws is not None else (np.zeros((0, len(names))), np.zeros(0))
    labels = missing.tried(
        "labels of the parameters", "their names instead", lambda: parameter_labels(names, result.priors)
    )
    view = RunView(
        label=str(result.label),
        labels=labels or tuple(name.replace("$", r"\$") for name in names),
        records=records,
        theta=theta,
        log_weights=log_weights,
        status=str(own.get("status", "")),
        message=str(own.get("message", "")),
        truth=tuple(_injected(result, name) for name in names),
    )
    return Contents(result, view, names, own, missing)


def _records(result: Result, missing: Missing) -> tuple[RoundRecord, ...]:
    without = "no log Z by batch, no calls by phase, no course of the run"
    made = missing.tried(
        "table of batches", without, lambda: tuple(map(RoundRecord.from_dict, rounds_of(result))) or None
    )
    return made or ()


def _draws(result: Result, names: tuple[str, ...]) -> tuple[Array, Array] | None:
    """Parameters and log weights of the weighted draws; where there are none, of rows of equal weight."""
    try:
        frame = result.nested_samples
    # bilby's way to say that there are none.
    except ValueError:
        frame = None
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
    except (KeyError, TypeError, ValueError):
        return None
