"""Former samples in any accepted form (bilby's files and objects, frames, dictionaries) as one table."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from bilby.core.prior import PriorDict
from bilby.core.result import Result
from numpy.typing import NDArray

from nbi_sampler.core.types import Array
from nbi_sampler.reports.html.contents import field_of
from nbi_sampler.reports.html.source import source_of

__all__ = ["FormerTable", "priors_of", "read_table"]

ARGUMENT = "initial_result"
# Columns that are not parameters: bilby's, ours, and the names that packages give to weights.
LOG_LIKELIHOOD, LOG_PRIOR, WEIGHTS = "log_likelihood", "log_prior", ("weights", "weight")


@dataclass(frozen=True, eq=False)
class FormerTable:
    """Samples of a former posterior, with one column for each parameter.

    Attributes
    ----------
    columns : dict of str to ndarray, shape (n,)
    weights : ndarray, shape (n,)
        Weights that sum to 1.
    log_likelihood, log_prior : ndarray, shape (n,), optional
    source : str
        Origin of the samples, for messages.
    priors : bilby.core.prior.PriorDict, optional
        Priors of the former run.
    conversions : tuple of callable
        Conversion functions of these priors.
    """

    columns: dict[str, Array]
    weights: Array
    source: str
    log_likelihood: Array | None = None
    log_prior: Array | None = None
    priors: PriorDict | None = None
    conversions: tuple[Callable[..., Any], ...] = field(default=())


def read_table(given: object) -> FormerTable:
    """Read former samples in any accepted form.

    A result with weighted samples gives these, because they are all different.

    Parameters
    ----------
    given : str, os.PathLike, bilby.core.result.Result, pandas.DataFrame or mapping
        A file of a result is JSON, HDF5 or pickle.

    Raises
    ------
    TypeError, ValueError, OSError
        If there are no samples; the message says what was expected and what was given.
    """
    if isinstance(given, Result):
        return _of_result(given, f"the result {given.label!r}")
    if isinstance(given, str | os.PathLike):
        return _of_result(source_of(given, ARGUMENT).result, f"the result {os.fsdecode(given)}")
    if isinstance(given, pd.DataFrame):
        return _of_columns({str(name): given[name].to_numpy() for name in given}, "a data frame")
    if isinstance(given, Mapping):
        return _of_columns({str(name): np.asarray(each) for name, each in given.items()}, "a dictionary")
    raise TypeError(
        f"{ARGUMENT}: expected a bilby Result or the path of its file, a data frame or a dictionary of "
        f"arrays, got {type(given).__module__}.{type(given).__qualname__}; name the columns of an array: "
        "pandas.DataFrame(samples, columns=names)"
    )


def _of_result(result: Result, source: str) -> FormerTable:
    weighted, equal = field_of(result, "nested_samples"), result._posterior
    frame = weighted if _is_weighted(weighted) and _has_all(weighted, result, equal) else equal
    if not isinstance(frame, pd.DataFrame):
        raise ValueError(
            f"{ARGUMENT}: expected a result with samples, got {source} without a posterior; is the run that "
            "made it complete?"
        )
    priors = priors_of(result)
    conversion = getattr(priors, "conversion_function", None)
    columns = {str(name): frame[name].to_numpy() for name in frame}
    return _of_columns(columns, source, priors, (conversion,) if callable(conversion) else ())


def priors_of(result: Result) -> PriorDict | None:
    """Priors of a result, None where it has none."""
    priors = field_of(result, "priors")
    return priors if isinstance(priors, PriorDict) else None


def _is_weighted(frame: object) -> bool:
    return isinstance(frame, pd.DataFrame) and len(frame) > 0 and bool(set(WEIGHTS) & set(frame))


def _has_all(frame: pd.DataFrame, result: Result, other: object) -> bool:
    """Return whether the weighted samples hold all sampled parameters."""
    return not isinstance(other, pd.DataFrame) or set(result.search_parameter_keys or ()) <= set(frame)


def _of_columns(
    given: Mapping[str, NDArray[Any]],
    source: str,
    priors: PriorDict | None = None,
    conversions: tuple[Callable[..., Any], ...] = (),
) -> FormerTable:
    columns = {name: values for name, each in given.items() if (values := _as_numbers(each)) is not None}
    lengths = {name: len(each) for name, each in columns.items()}
    if given and not columns:
        kinds = ", ".join(f"{name} ({each.dtype} of shape {each.shape})" for name, each in given.items())
        raise ValueError(
            f"{ARGUMENT}: expected a one-dimensional array of numbers for each parameter, got {source} with "
            f"{kinds}; pass the samples by parameter, as result.posterior has them"
        )
    if not lengths or not max(lengths.values()):
        raise ValueError(
            f"{ARGUMENT}: expected samples, got {source} with none; is the run that made it complete?"
        )
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"{ARGUMENT}: expected columns of one length, got {lengths}; each row is one sample of all "
            "parameters"
        )
    weights = next((columns.pop(name) for name in WEIGHTS if name in columns), None)
    return FormerTable(
        columns={name: each for name, each in columns.items() if name not in (LOG_LIKELIHOOD, LOG_PRIOR)},
        weights=_checked_weights(weights, next(iter(lengths.values()))),
        log_likelihood=columns.get(LOG_LIKELIHOOD),
        log_prior=columns.get(LOG_PRIOR),
        source=source,
        priors=priors,
        conversions=conversions,
    )


def _as_numbers(values: NDArray[Any]) -> Array | None:
    """A column of numbers, or None for a column of text, complex numbers or arrays."""
    if values.ndim != 1 or np.iscomplexobj(values):
        return None
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return None


def _checked_weights(weights: Array | None, n: int) -> Array:
    if weights is None:
        return np.full(n, 1.0 / n)
    if not np.isfinite(weights).all() or weights.min() < 0.0 or weights.sum() <= 0.0:
        raise ValueError(
            f"{ARGUMENT}: expected weights that are finite, at least 0 and not all 0, got "
            f"{float(np.min(weights)):g} to {float(np.max(weights)):g}; leave the column out for samples of "
            "equal weight"
        )
    return weights / weights.sum()
