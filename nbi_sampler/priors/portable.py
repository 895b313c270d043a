"""Priors of an engine: distributions of scipy as bilby priors, and conversion of priors to JSON and back.

Reading executes no code. It creates only classes of bilby that are listed here and distributions of scipy,
from plain numbers.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import bilby
import numpy as np
from bilby.core.prior import Constraint, Prior, PriorDict
from scipy import stats

__all__ = ["FrozenPrior", "NotPortable", "priors_from", "priors_from_json", "priors_to_json"]

_MODULES = ("bilby.core.prior.analytical", "bilby.core.prior.base", "bilby.core.prior.interpolated")
# This class reads another file, whose name a malicious file could choose.
_NOT_MADE = ("FromFile", "Prior")
PORTABLE: dict[str, type[Prior]] = {
    name: kind
    for name, kind in vars(bilby.core.prior).items()
    if inspect.isclass(kind)
    and issubclass(kind, Prior)
    and kind.__module__ in _MODULES
    and name not in _NOT_MADE
}
_KINDS_OF_DISTRIBUTION = (stats.rv_continuous, stats.rv_discrete)


class NotPortable(ValueError):
    """Priors that JSON cannot hold, because only a program can make their classes or functions."""


class FrozenPrior(Prior):
    """A frozen distribution of `scipy.stats` as a bilby prior.

    Parameters
    ----------
    distribution : scipy.stats.rv_frozen
        For example ``scipy.stats.gamma(2.0)``.
    name, latex_label : str, optional
    """

    def __init__(self, distribution: Any, name: str | None = None, latex_label: str | None = None) -> None:
        low, high = (float(end) for end in distribution.support())
        super().__init__(name=name, latex_label=latex_label, minimum=low, maximum=high)
        self.distribution = distribution

    def __repr__(self) -> str:
        kind, arguments, keywords = _described(self.distribution)
        return f"FrozenPrior({kind}, {arguments}, {keywords}, name={self.name!r})"

    def rescale(self, val: Any) -> Any:
        """Quantiles ``val``."""
        return self.distribution.ppf(val)

    def prob(self, val: Any) -> Any:
        """Density."""
        return np.exp(self.ln_prob(val))

    def ln_prob(self, val: Any) -> Any:
        """Log density."""
        law = self.distribution
        return law.logpdf(val) if hasattr(law.dist, "logpdf") else law.logpmf(val)

    def cdf(self, val: Any) -> Any:
        """Probability of less than ``val``."""
        return self.distribution.cdf(val)


def priors_from(priors: Any, labels: Sequence[str] | None = None) -> PriorDict:
    """Make a bilby prior dictionary from a user's priors.

    Parameters
    ----------
    priors : PriorDict, dict, or sequence of scipy.stats.rv_frozen
    labels : sequence of str, optional
        Names for a sequence of distributions; ``theta_0``, ``theta_1``, ... by default.

    Raises
    ------
    TypeError, ValueError
    """
    if isinstance(priors, PriorDict):
        return priors
    if isinstance(priors, Mapping):
        return PriorDict(dict(priors))
    if isinstance(priors, str) or not isinstance(priors, Sequence):
        raise TypeError(
            f"priors: expected a bilby PriorDict or a list of scipy.stats distributions, got "
            f"{type(priors).__name__}"
        )
    wrong = [each for each in priors if not hasattr(each, "ppf") or not hasattr(each, "dist")]
    if wrong or not priors:
        raise TypeError(
            f"priors: expected frozen scipy.stats distributions, got {wrong[:1] or 'none'}; write "
            "scipy.stats.uniform(loc, scale), with its arguments"
        )
    names = [f"theta_{i}" for i in range(len(priors))] if labels is None else list(labels)
    if len(names) != len(priors) or len(set(names)) != len(names):
        raise ValueError(f"labels: expected {len(priors)} different names, got {names}")
    return PriorDict({name: FrozenPrior(law, name) for name, law in zip(names, priors, strict=True)})


def priors_to_json(priors: PriorDict) -> dict[str, Any]:
    """Convert a prior dictionary to values that JSON can hold.

    Raises
    ------
    NotPortable
        For joint or conditional priors, classes of other packages, and constraints on converted parameters.
    """
    constrained = any(isinstance(prior, Constraint) for prior in priors.values())
    default = PriorDict().conversion_function
    # Each dictionary has its own bound method. The function beneath it shows whether it is the user's.
    own = getattr(priors.conversion_function, "__func__", priors.conversion_function)
    if constrained and own is not getattr(default, "__func__", default):
        raise NotPortable("constraints on parameters that a function of the program converts")
    return {name: _to_json(name, prior) for name, prior in priors.items()}


def priors_from_json(saved: Mapping[str, Mapping[str, Any]]) -> PriorDict:
    """Make a prior dictionary from the output of `priors_to_json`.

    Raises
    ------
    NotPortable
        For any class that is not listed here.
    """
    return PriorDict({name: _from_json(each) for name, each in saved.items()})


def _to_json(name: str, prior: Any) -> dict[str, Any]:
    if type(prior) is FrozenPrior:
        kind, arguments, keywords = _described(prior.distribution)
        if not isinstance(getattr(stats, kind, None), _KINDS_OF_DISTRIBUTION):
            raise NotPortable(f"{name}: {kind} is not a distribution of scipy.stats")
        given = {"name": prior.name, "latex_label": prior.latex_label}
        return {
            "scipy": kind,
            "arguments": _plain(name, arguments),
            "keywords": _plain(name, keywords),
            **given,
        }
    kind = type(prior).__name__
    if PORTABLE.get(kind) is not type(prior):
        raise NotPortable(f"{name}: {type(prior).__module__}.{kind}")
    accepted = set(inspect.signature(type(prior).__init__).parameters)
    given = {key: value for key, value in prior.get_instantiation_dict().items() if key in accepted}
    return {"bilby": kind, "arguments": _plain(name, given)}


def _from_json(saved: Mapping[str, Any]) -> Prior:
    if "scipy" in saved:
        law = getattr(stats, saved["scipy"], None)
        if not isinstance(law, _KINDS_OF_DISTRIBUTION):
            raise NotPortable(f"{saved['scipy']!r} is not a distribution of scipy.stats")
        frozen = law(*saved["arguments"], **saved["keywords"])
        return FrozenPrior(frozen, saved["name"], saved["latex_label"])
    kind = PORTABLE.get(saved["bilby"])
    if kind is None:
        raise NotPortable(f"{saved['bilby']!r} is not a prior of bilby that a file may contain")
    return kind(**saved["arguments"])


def _described(distribution: Any) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """Name and arguments of a frozen distribution."""
    return distribution.dist.name, tuple(distribution.args), dict(distribution.kwds)


def _plain(name: str, value: Any) -> Any:
    """Check that arguments are numbers, text, or lists and dictionaries of these."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(name, each) for each in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(name, each) for key, each in value.items()}
    raise NotPortable(f"{name}: an argument of type {type(value).__name__}")
