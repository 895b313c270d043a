"""Reading bilby's likelihoods across its versions: constants, and which code computes the value."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from bilby.core.likelihood import Likelihood

__all__ = ["behaves_like", "known_value", "parameter_or_known", "value_of_class"]

# Neither changes the value of the log-likelihood.
_HARMLESS = frozenset({"noise_log_likelihood", "log_likelihood_ratio"})

T = TypeVar("T")


def known_value(likelihood: Likelihood, name: str) -> Any:
    """Constant given to a likelihood's constructor, such as ``sigma``; None where it is to be a parameter.

    The public property of bilby 2 looks into ``likelihood.parameters``, which warns and is gone from bilby 3.
    """
    return vars(likelihood)[f"_{name}"] if f"_{name}" in vars(likelihood) else getattr(likelihood, name)


def parameter_or_known(columns: Mapping[str, T], name: str, known: T | None) -> T:
    """Parameter where there is one of that name, else the known constant: bilby's rule.

    Parameters
    ----------
    columns : mapping of str to array
        All parameters, sampled and fixed.
    name : str
    known : array or None
        The constant; None where only a parameter can say.

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
    """Return whether an object computes its log-likelihood by the own code of a class of bilby.

    A subclass with its own constructor or own extra methods does; one that overrides a method or a property
    of ``reference``, on the class or on the instance, does not.
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
    """Value kept for the first class of which `behaves_like` holds; None where it holds for none.

    Parameters
    ----------
    likelihood : object
    values : iterable of (type, object)
        Classes of bilby, each with its value.
    """
    return next((value for reference, value in values if behaves_like(likelihood, reference)), None)
