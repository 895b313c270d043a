"""Constraints that can never act, because nothing makes the parameter that they limit."""

from __future__ import annotations

import numpy as np
from bilby.core.prior import Constraint, PriorDict

from nbi_sampler.priors.space import ParameterSpace

__all__ = ["idle_constraints"]

# Draws at which the conversion is tried.
N_TRIED = 3


def idle_constraints(priors: PriorDict, space: ParameterSpace) -> tuple[str, ...]:
    """Names of the ``Constraint`` priors that bilby passes over.

    ``PriorDict.evaluate_constraints`` looks for them among what the dictionary's conversion function returns,
    and takes those that it does not find for satisfied.

    Parameters
    ----------
    priors : bilby.core.prior.PriorDict
    space : ParameterSpace
        Of the priors.

    Returns
    -------
    tuple of str
        None where the dictionary evaluates constraints in a way of its own.
    """
    names = [name for name, prior in priors.items() if isinstance(prior, Constraint)]
    if not names or type(priors).evaluate_constraints is not PriorDict.evaluate_constraints:
        return ()
    made: set[str] = set()
    for row in np.linspace(-1.0, 1.0, N_TRIED)[:, None] * np.ones(space.n_dim):
        made.update(priors.conversion_function(space.row(space.to_theta(row[None])[0])))
    return tuple(name for name in names if name not in made)
