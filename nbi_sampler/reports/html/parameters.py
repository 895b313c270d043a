"""Comparison of prior and posterior, with one row for each parameter."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from bilby.core.prior import Constraint, DeltaFunction, JointPrior

from nbi_sampler.algorithm.records import QUANTILES
from nbi_sampler.core.types import Array
from nbi_sampler.reports.html.contents import Contents
from nbi_sampler.reports.html.numbers import Interval, Number, rounded, shortened
from nbi_sampler.reports.meta_data import describable

__all__ = ["Parameter", "fixed_of", "parameters_of"]

# The name of a prior does not affect a number.
LABELS = ("name", "latex_label", "unit")


@dataclass(frozen=True)
class Parameter:
    """Prior and posterior of one parameter.

    Attributes
    ----------
    name, law : str
        Prior, as written in a script.
    prior, posterior : Interval, optional
        Medians and central intervals of 68 %.
    narrowed : Number
        Width of the prior's interval in units of the posterior's.
    places : tuple of float, length 5
        Quantiles of the prior, between 0 and 1, at which the posterior's quantiles `QUANTILES` are; empty if
        they are unknown.
    truth : Number, optional
        Injected value.
    edge : str
        Edge at which the posterior piles up, if there is one.
    """

    name: str
    law: str
    prior: Interval | None
    posterior: Interval | None
    narrowed: Number
    places: tuple[float, ...]
    truth: Number | None
    edge: str


def parameters_of(contents: Contents) -> list[Parameter]:
    """Return a row for each sampled parameter, in the order of the result."""
    view, priors = contents.view, contents.priors
    edges = contents.own.get("at_prior_edge", {})
    first = view.records[0] if view.records and view.records[0].phase == "prior" else None
    rows = []
    for i, name in enumerate(contents.names):
        prior = priors.get(name)
        seen = first.quantiles[i] if first is not None and len(first.quantiles) > i else ()
        before = np.array(seen) if len(seen) else _quantiles(prior)
        after = view.quantiles(i, QUANTILES) if len(view.theta) else np.zeros(0)
        rows.append(
            Parameter(
                name=name,
                law=law_of(prior),
                prior=_interval(before),
                posterior=_interval(after),
                narrowed=_narrowed(before, after),
                places=_places(prior, after),
                truth=None if view.truth[i] is None else rounded(view.truth[i], 6),
                edge=str(edges.get(name, "")),
            )
        )
    return rows


def fixed_of(contents: Contents) -> list[tuple[str, str]]:
    """Fixed parameters and constraints, as written in a script."""
    priors = contents.priors
    kept = {name: prior for name, prior in priors.items() if name not in contents.names}
    return [
        (str(name), law_of(prior))
        for name, prior in kept.items()
        if isinstance(prior, DeltaFunction | Constraint)
    ]


def law_of(prior: Any) -> str:
    """Write a prior as in a script, without its name and labels.

    Examples
    --------
    >>> from bilby.core.prior import Uniform
    >>> law_of(Uniform(0, 5, latex_label="$m$"))
    'Uniform(minimum=0, maximum=5)'
    """
    if prior is None:
        return "not known"
    try:
        given = prior.get_instantiation_dict()
    # A prior may be the user's own, or a number.
    except Exception:
        return shortened(str(prior))
    values = {name: value for name, value in given.items() if name not in LABELS and value is not None}
    inner = ", ".join(f"{name}={_value(value)}" for name, value in values.items())
    return shortened(f"{type(prior).__name__}({inner})")


def _value(value: Any) -> str:
    plain = isinstance(value, str | int | float | np.number)
    return (
        repr(value.item() if isinstance(value, np.generic) else value) if plain else str(describable(value))
    )


def _plain(prior: Any) -> bool:
    """Return whether a prior does not depend on other parameters."""
    return not isinstance(prior, JointPrior) and not getattr(prior, "required_variables", None)


def _of_prior(make: Callable[[], Any]) -> Array:
    """Values of a prior; None if the user's own prior raises an error."""
    try:
        with np.errstate(all="ignore"):
            values = np.asarray(make(), dtype=np.float64)
    except Exception:
        return np.zeros(0)
    return values if values.shape == (len(QUANTILES),) and np.isfinite(values).all() else np.zeros(0)


def _quantiles(prior: Any) -> Array:
    return _of_prior(lambda: prior.rescale(np.array(QUANTILES))) if _plain(prior) else np.zeros(0)


def _places(prior: Any, after: Array) -> tuple[float, ...]:
    if not len(after) or not _plain(prior):
        return ()
    return tuple(float(each) for each in np.clip(np.sort(_of_prior(lambda: prior.cdf(after))), 0.0, 1.0))


def _interval(quantiles: Array) -> Interval | None:
    if not len(quantiles):
        return None
    low, middle, high = map(float, sorted(quantiles[1:4]))
    return Interval(middle, low, high)


def _narrowed(before: Array, after: Array) -> Number:
    if not len(before) or not len(after) or after[3] == after[1]:
        return rounded(math.nan)
    return rounded(abs(before[3] - before[1]) / abs(after[3] - after[1]))
