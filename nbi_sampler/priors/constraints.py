"""Tests before the first call for constraints that never act, and for those that leave nothing to sample."""

from __future__ import annotations

import numpy as np
from bilby.core.prior import Constraint, PriorDict

from nbi_sampler.core.config import PRIORS
from nbi_sampler.core.guarded import users_settings
from nbi_sampler.priors.space import ParameterSpace

__all__ = ["check_constraints", "idle_constraints"]

# Points at which the conversion is called to see what it returns, and points in one call, which limit memory.
N_TRIED = 3
CHUNK = 50_000


def idle_constraints(priors: PriorDict, space: ParameterSpace) -> tuple[str, ...]:
    """Names of the ``Constraint`` priors that bilby ignores.

    ``PriorDict.evaluate_constraints`` looks for them in the output of the dictionary's conversion function,
    and treats missing ones as satisfied. A dictionary with its own method to evaluate constraints has none.
    """
    names = [name for name, prior in priors.items() if isinstance(prior, Constraint)]
    if not names or type(priors).evaluate_constraints is not PriorDict.evaluate_constraints:
        return ()
    made: set[str] = set()
    for row in np.linspace(-1.0, 1.0, N_TRIED)[:, None] * np.ones(space.n_dim):
        parameters = space.row(space.to_theta(row[None])[0])
        with users_settings(), np.errstate(all="ignore"):
            made.update(priors.conversion_function(parameters))
    return tuple(name for name in names if name not in made)


def check_constraints(space: ParameterSpace, priors: PriorDict) -> None:
    """Refuse constraints that almost no draw from the prior satisfies.

    Raises
    ------
    ValueError
        The message gives the share of the draws that satisfies each of them.
    """
    names = [name for name, prior in priors.items() if isinstance(prior, Constraint)]
    if not names and np.isinf(space.bounds).all():
        return
    rng = np.random.default_rng(PRIORS.test_seed)
    most = PRIORS.n_tested if space.constraints_at_once else PRIORS.n_tested_by_row
    n_draws = n_allowed = 0
    while n_allowed < PRIORS.n_allowed and n_draws < most:
        theta = space.to_theta(
            rng.normal(size=(min(CHUNK, most if n_draws else PRIORS.first_tested), space.n_dim))
        )
        n_draws += len(theta)
        n_allowed += int(space.satisfies_constraints(theta).sum())
    if n_allowed >= max(PRIORS.least_allowed * n_draws, 1.0):
        return
    satisfied = "none" if not n_allowed else f"only {n_allowed}"
    each = "; ".join(f"{name} for {_share(space, priors, name, rng)}" for name in names)
    which = (
        f"all of {', '.join(names)} (each by itself: {each})" if names else "the limits of the joint prior"
    )
    raise ValueError(
        "priors: expected constraints that hold somewhere in the prior, got "
        f"{satisfied} of {n_draws:,} draws from the prior that satisfy {which}; check their limits and the "
        "conversion function, narrow the other priors to the region in which they hold, or choose "
        "parameters in which the allowed region is not small"
    )


def _share(space: ParameterSpace, priors: PriorDict, name: str, rng: np.random.Generator) -> str:
    """Share of the draws that satisfy one constraint, as text."""
    n = 20_000 if space.constraints_at_once else 2_000
    theta = space.to_theta(rng.normal(size=(n, space.n_dim)))
    try:
        values = [
            priors.conversion_function(parameters)[name]
            for parameters in ([space.columns(theta)] if space.constraints_at_once else map(space.row, theta))
        ]
        held = np.mean(np.asarray(priors[name].prob(np.hstack(values))) > 0.0)
    # The conversion function is user code, and the message is useful without this part.
    except Exception:
        return "an unknown share"
    return f"{held:.2%}" if held else f"none of {n:,} draws"
