"""Parameters whose posterior piles up at an edge of the prior."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from bilby.core.prior import JointPrior, Prior, PriorDict
from scipy.special import ndtr

from nbi_sampler.core.config import PRIOR_EDGES
from nbi_sampler.core.types import Array
from nbi_sampler.importance.weights import normalised_weights, weighted_quantiles

__all__ = ["Edge", "piled_up_edges"]


class Edge(NamedTuple):
    """An edge of a prior.

    Attributes
    ----------
    name : str
        Name of the parameter.
    side : str
        "lower" or "upper".
    value : float
        Value of the parameter at the edge.
    """

    name: str
    side: str
    value: float

    @property
    def sentence(self) -> str:
        """Describe the edge."""
        return (
            f"the posterior of {self.name} piles up at the {self.side} edge of its prior ({self.value:.6g})"
        )


def piled_up_edges(
    priors: PriorDict, names: tuple[str, ...], z: Array, theta: Array, log_weights: Array
) -> tuple[Edge, ...]:
    """Find the edges at which a posterior piles up.

    The posterior has its peak at the edge or next to it, and half of it lies within a fifth of the prior. The
    search leaves out parameters that the data hardly constrain, those of periodic, discrete, conditional and
    joint priors, and the ends of priors that only fade out. ``z`` and ``theta``, shapes (n, n_dim), are the
    draws of the result as standard normal quantiles of their priors and as parameters. Log weights have shape
    (n,).
    """
    counted = np.isfinite(log_weights)
    if not counted.any():
        return ()
    weights = normalised_weights(log_weights[counted])
    if 1.0 / np.square(weights).sum() < PRIOR_EDGES.fewest_effective:
        return ()
    found = []
    for i, name in enumerate(names):
        prior = priors[name]
        if not _has_edges(prior):
            continue
        values, latent = theta[counted, i], z[counted, i]
        # A prior may map its quantiles in descending order.
        if np.sign(np.cov(values, latent)[0, 1]) < 0.0:
            latent = -latent
        for side, value, sign in (("lower", prior.minimum, 1.0), ("upper", prior.maximum, -1.0)):
            distance = np.abs(values - float(value))
            if np.isfinite(value) and _piles_up(ndtr(sign * latent), distance, weights):
                found.append(Edge(name, side, float(value)))
    return tuple(found)


def _has_edges(prior: Prior) -> bool:
    plain = prior.boundary != "periodic" and not isinstance(prior, JointPrior)
    return plain and not getattr(prior, "required_variables", None)


def _piles_up(quantiles: Array, distance: Array, weights: Array) -> bool:
    """Return whether draws cluster at an edge, from their quantiles and distances from it."""
    columns = np.stack([quantiles, distance], axis=1)
    (_, median, _), (first, middle, third) = weighted_quantiles(columns, weights, [0.25, 0.5, 0.75])
    if median > PRIOR_EDGES.near or middle > PRIOR_EDGES.farthest * (third - first):
        return False
    return bool(weights[quantiles < median / 2.0].sum() >= PRIOR_EDGES.least_share)
