"""Entries of a bilby prior dictionary: sampled, fixed and constrained parameters, and their dependences.

Entries that would give wrong results without an error are refused here.
"""

from __future__ import annotations

from numbers import Real

import numpy as np
from bilby.core.prior import ConditionalPriorDict, Constraint, DeltaFunction, JointPrior, Prior, PriorDict

__all__ = ["check_dictionary_rescale", "dependence_order", "joint_bounds", "joint_names", "sort_entries"]


def sort_entries(priors: PriorDict) -> tuple[tuple[str, ...], dict[str, float], bool]:
    """Find the names of the sampled parameters, the fixed values, and whether there are constraints."""
    if not isinstance(priors, PriorDict):
        raise TypeError(
            f"priors: expected a bilby PriorDict, got {type(priors).__name__}; "
            "wrap a dictionary in bilby.core.prior.PriorDict or ConditionalPriorDict."
        )
    names, fixed, has_constraints = [], {}, False
    for name, prior in priors.items():
        if isinstance(prior, Constraint):
            has_constraints = True
        elif isinstance(prior, DeltaFunction):
            if getattr(prior, "required_variables", None):
                raise ValueError(
                    f"priors[{name!r}]: expected a fixed value, got a DeltaFunction that depends on "
                    f"{list(prior.required_variables)}, which bilby fixes at its reference value; compute "
                    "the parameter in the likelihood or in a conversion function."
                )
            fixed[name] = float(prior.peak)
        elif isinstance(prior, Prior) and not prior.is_fixed:
            names.append(name)
        elif isinstance(prior, Real):
            fixed[name] = float(prior)
        else:
            raise TypeError(
                f"priors[{name!r}]: expected a prior or a number, got {prior!r} ({type(prior).__name__}); "
                "check the spelling of the prior class."
            )
    if not names:
        given = "only fixed values or constraints; give one of them a prior" if priors else "none at all"
        raise ValueError(f"priors: expected at least one parameter to sample, got {given}.")
    return tuple(names), fixed, has_constraints


def dependence_order(priors: PriorDict, names: tuple[str, ...], fixed: dict[str, float]) -> list[str]:
    """Order the sampled parameters so that each follows those that its condition needs."""
    order: list[str] = []
    conditional = isinstance(priors, ConditionalPriorDict)
    for name in priors.sorted_keys if conditional else names:
        required = getattr(priors[name], "required_variables", None) or ()
        if required and not conditional:
            raise ValueError(
                f"priors[{name!r}]: expected a ConditionalPriorDict around a prior that depends on "
                f"{list(required)}, got {type(priors).__name__}, which ignores the dependence; "
                "use bilby.core.prior.ConditionalPriorDict."
            )
        if name in names and all(key in order or key in fixed for key in required):
            order.append(name)
    missing = sorted(set(names) - set(order))
    if missing:
        raise ValueError(
            "priors: expected every condition to be met by other parameters, got unresolved conditions of "
            f"{missing}; add the parameters that they depend on, and avoid cycles."
        )
    return order


def joint_names(priors: PriorDict, name: str) -> tuple[str, ...]:
    """List the parameters that are mapped with ``name``, in the order of their joint distribution."""
    if not isinstance(priors[name], JointPrior):
        return (name,)
    dist = priors[name].dist
    missing = [each for each in dist.names if getattr(priors.get(each), "dist", None) is not dist]
    if missing:
        raise ValueError(
            f"priors[{name!r}]: expected every parameter of its joint distribution {list(dist.names)} with "
            f"the same distribution object, got none for {missing}; add them, or "
            "take the marginal distribution."
        )
    return tuple(dist.names)


def joint_bounds(prior: Prior) -> tuple[float, float]:
    """Return the bounds of one parameter of a joint distribution; none for any other prior."""
    return (prior.minimum, prior.maximum) if isinstance(prior, JointPrior) else (-np.inf, np.inf)


def check_dictionary_rescale(
    priors: PriorDict, names: tuple[str, ...], u: np.ndarray, theta: np.ndarray
) -> None:
    """Refuse a dictionary whose own ``rescale`` does more than apply its priors one by one.

    Parameters
    ----------
    priors : bilby.core.prior.PriorDict
    names : tuple of str
    u, theta : ndarray, shape (n_probes, n_dim)
        Points of the unit cube, and their images under the single priors.

    Raises
    ------
    TypeError
        If the dictionary's class overrides ``rescale`` and maps the points elsewhere.
    """
    if type(priors).rescale in (PriorDict.rescale, ConditionalPriorDict.rescale):
        return
    own = [np.hstack(priors.rescale(list(names), row)) for row in u]
    if not np.allclose(own, theta, rtol=1e-8):
        raise TypeError(
            "priors: expected a dictionary that maps each parameter by its own prior, got "
            f"{type(priors).__name__} with a rescale() that gives other values; express it by "
            "conditional or joint priors."
        )
