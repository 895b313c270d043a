"""Access to likelihoods of all supported versions of bilby: their constants and the origin of their code."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from bilby.core.likelihood import Likelihood

__all__ = ["behaves_like", "known_value", "parameter_or_known", "value_of_class"]

# Neither attribute changes the value of the log-likelihood.
_HARMLESS = frozenset({"noise_log_likelihood", "log_likelihood_ratio"})

T = TypeVar("T")


def known_value(likelihood: Likelihood, name: str) -> Any:
    """Constant that a likelihood's constructor was given, such as ``sigma``; None if it is a parameter.

    The public property of bilby 2 reads ``likelihood.parameters``, which warns; bilby 3 does not have it.
    """
    return vars(likelihood)[f"_{name}"] if f"_{name}" in vars(likelihood) else getattr(likelihood, name)


def parameter_or_known(columns: Mapping[str, T], name: str, known: T | None) -> T:
    """The parameter of that name if there is one, otherwise the known constant; bilby uses the same rule.

    Parameters
    ----------
    columns : mapping of str to array
        All sampled and fixed parameters.
    name : str
    known : array or None
        The constant; None if only a parameter can give the value.

    Raises
    ------
    ValueError
        If there is neither.
    """
    if name in columns:
        return columns[name]
    if known is None:
        raise ValueError(
            f"{name}: expected a parameter of that name because the likelihood has {name}=None, "
            f"got parameters {sorted(columns)}; give {name!r} a prior, or its value to the likelihood."
        )
    return known


def behaves_like(likelihood: object, reference: type[Likelihood]) -> bool:
    """Return whether an object computes its log-likelihood by the original code of a class of bilby.

    A subclass with its own constructor or additional methods does. A subclass or an instance that overrides a
    method or a property of ``reference`` does not.
    """
    if not isinstance(likelihood, reference):
        return False
    names = {
        name
        for cls in reference.__mro__
        if issubclass(cls, Likelihood) and cls is not Likelihood
        for name in vars(cls)
        if not name.startswith("__") and name not in _HARMLESS
    }
    return not any(name in vars(likelihood) for name in names) and all(
        inspect.getattr_static(type(likelihood), name) is inspect.getattr_static(reference, name)
        for name in names
    )


def value_of_class(likelihood: object, values: Iterable[tuple[type[Likelihood], T]]) -> T | None:
    """Value for the first class that satisfies `behaves_like`; None if no class does.

    Parameters
    ----------
    likelihood : object
    values : iterable of (type, object)
        Classes of bilby, with a value for each.
    """
    return next((value for reference, value in values if behaves_like(likelihood, reference)), None)
