"""One bilby prior as a map between a standard normal coordinate and a physical parameter.

This module knows bilby's prior objects, but no dictionaries, constraints or networks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from bilby.core.prior import Prior, SlabSpikePrior, WeightedDiscreteValues
from scipy.special import ndtr, ndtri

from nbi_sampler.core.config import PRIORS
from nbi_sampler.priors.column_function import ColumnFunction, Conditions, agree, take_rows
from nbi_sampler.priors.discrete import flat_intervals
from nbi_sampler.priors.tails import CLOSED_FORMS

__all__ = ["UNIT_MAXIMUM", "UNIT_MINIMUM", "PriorMap", "clip_unit"]

# The lower end may be far below the spacing of doubles at one: a uniform prior keeps its relative
# resolution.
UNIT_MINIMUM = 1e-100
UNIT_MAXIMUM = 1.0 - 2.0**-53
# More bisections than a double has bits.
_N_BISECTIONS = 64


def clip_unit(u: np.ndarray) -> np.ndarray:
    """Move values of the unit interval into the open interval."""
    return np.clip(u, UNIT_MINIMUM, UNIT_MAXIMUM)


def _condition(prior: Any, conditions: Conditions) -> None:
    if hasattr(prior, "update_conditions"):
        prior.update_conditions(**conditions)


def _rescale(prior: Any, u: Any, conditions: Conditions) -> Any:
    if isinstance(prior, WeightedDiscreteValues):
        # bilby's cumulative weights may end an ulp or more below one. bilby has no value above their end.
        u = np.minimum(u, 1.0 - 1e-12)
    return prior.rescale(u, **conditions)


def _cdf(prior: Any, theta: Any, conditions: Conditions) -> Any:
    # bilby's masks for values beyond the limits do not broadcast if the limits differ from row to row.
    _condition(prior, conditions)
    return prior.cdf(np.clip(theta, prior.minimum, prior.maximum), **conditions)


class PriorMap:
    """z <-> theta of one prior, conditional or not, theta = rescale(ndtr(z)).

    Priors with unbounded tails use closed forms (`tails`), which resolve values beyond 8 sigma. The inverse
    is this form if there is one, ``prior.cdf`` if it inverts ``prior.rescale``, and bisection of ``rescale``
    in z otherwise. A value of finite probability (discrete priors, spikes) maps to the middle of its range of
    quantiles. A ``rescale`` may decrease, but one that is not monotonic has no inverse.

    Parameters
    ----------
    name : str
    prior : bilby.core.prior.Prior
    z : ndarray, shape (n_probes, 1)
        Probes.
    conditions : mapping of str to ndarray, shape (n_probes,), or float

    Raises
    ------
    ValueError
        If ``rescale`` fails, or gives values that are not finite or differ from call to call.
    """

    def __init__(self, name: str, prior: Prior, z: np.ndarray, conditions: Conditions) -> None:
        self.names = (name,)
        self._prior, self._conditional = prior, bool(conditions)
        u, probes = clip_unit(ndtr(z[:, 0])), z[:, 0]
        try:
            self._rescale = ColumnFunction(prior, _rescale, u, conditions)
        except Exception as error:
            raise _unusable(name, prior, f"an error ({type(error).__name__}: {error})") from error
        theta = self._rescale.at_probes
        wrong = theta[~np.isfinite(theta)]
        if wrong.size:
            raise _unusable(name, prior, f"values that are not finite (for example {wrong[0]})")
        if not agree(self._rescale(u, conditions), theta):
            raise _unusable(name, prior, "different values for the same input")
        self._closed_form: tuple[ColumnFunction, ColumnFunction] | None = None
        for prior_class, forward, inverse in CLOSED_FORMS:
            if isinstance(prior, prior_class):
                exact = ColumnFunction(prior, forward, probes, conditions)
                # The formula of the parent does not apply if a subclass has its own rescale.
                if agree(exact.at_probes, theta, tolerance=PRIORS.closed_form):
                    self._closed_form = exact, ColumnFunction(prior, inverse, theta, conditions)
        self._cdf = self._usable_cdf(prior, probes, theta, conditions)
        discrete = isinstance(prior, WeightedDiscreteValues)
        self._values = np.sort(np.asarray(prior.values, dtype=float)) if discrete else np.zeros(0)

    def to_theta(self, z: np.ndarray, conditions: Conditions) -> np.ndarray:
        """Map standard normal to physical, shapes (n, 1); conditions have shape (n,) or one value for all."""
        if self._closed_form is not None:
            return self._closed_form[0](z[:, 0], conditions)[:, None]
        return self._rescale_finite(z[:, 0], conditions)[:, None]

    def to_z(
        self, theta: np.ndarray, conditions: Conditions, rng: np.random.Generator | None = None
    ) -> np.ndarray:
        """Invert `to_theta`; values beyond the support map to its edge.

        With a generator, a value of finite probability maps to a random point of its range of quantiles
        instead of the middle.
        """
        if self._closed_form is not None:
            return self._closed_form[1](theta[:, 0], conditions)[:, None]
        if self._cdf is not None:
            return ndtri(clip_unit(self._cdf(theta[:, 0], conditions)))[:, None]
        return self._bisect(self._snapped(theta[:, 0]), conditions, rng)[:, None]

    def flat_parts(self) -> tuple[np.ndarray, np.ndarray]:
        """`discrete.flat_intervals` of the prior; none if it is conditional."""
        if self._closed_form is not None or self._conditional:
            return np.zeros(0), np.zeros(0)
        known = np.zeros(0)
        if isinstance(self._prior, SlabSpikePrior):
            known = np.array([self._prior.spike_location], dtype=float)
        elif isinstance(self._prior, WeightedDiscreteValues):
            known = np.ravel(self._prior.values).astype(float)
        middles = np.asarray(ndtr(self._bisect(known, {}, None))).tolist() if len(known) else ()
        return flat_intervals(lambda u: self._rescale_finite(ndtri(clip_unit(u)), {}), middles)

    @staticmethod
    def _usable_cdf(
        prior: Prior, z: np.ndarray, theta: np.ndarray, conditions: Conditions
    ) -> ColumnFunction | None:
        if isinstance(prior, (WeightedDiscreteValues, SlabSpikePrior)):
            return None
        try:
            cdf = ColumnFunction(prior, _cdf, theta, conditions)
        # bilby's generic cdf raises for infinite support and is a coarse sum otherwise. Bisection replaces
        # it.
        except Exception:
            return None
        return cdf if agree(ndtri(clip_unit(cdf.at_probes)), z, tolerance=PRIORS.cdf) else None

    def _snapped(self, theta: np.ndarray) -> np.ndarray:
        """Replace values that single precision has moved by those of a discrete prior."""
        if not len(self._values):
            return theta
        nearest = self._values[np.abs(theta[:, None] - self._values).argmin(1)]
        slack = PRIORS.single_precision * np.maximum(np.abs(nearest), np.ptp(self._values))
        return np.where(np.abs(theta - nearest) <= slack, nearest, theta)

    def _rescale_finite(self, z: np.ndarray, conditions: Conditions) -> np.ndarray:
        u = clip_unit(ndtr(z))
        theta = self._rescale(u, conditions)
        # Several of bilby's formulae round to infinity in the last few quantiles. Step inwards until they are
        # finite.
        for margin in 10.0 ** np.arange(-16, -8):
            wrong = ~np.isfinite(theta)
            if not wrong.any():
                break
            inside = np.clip(u[wrong], margin, 1.0 - margin)
            theta[wrong] = self._rescale(inside, take_rows(conditions, wrong))
        return theta

    def _bisect(
        self, theta: np.ndarray, conditions: Conditions, rng: np.random.Generator | None
    ) -> np.ndarray:
        ends = [np.full(len(theta), float(ndtri(end))) for end in (UNIT_MINIMUM, UNIT_MAXIMUM)]
        values = [self._rescale_finite(end, conditions) for end in ends]
        direction = np.where(values[1] >= values[0], 1.0, -1.0)
        # Values that were computed with other rounding than the prior's belong to the same step.
        slack = 4.0 * np.finfo(float).eps * np.abs(theta)
        edges = []
        for sign in (-1.0, 1.0):
            low, high = ends[0].copy(), ends[1].copy()
            for _ in range(_N_BISECTIONS):
                middle = 0.5 * (low + high)
                distance = direction * (self._rescale_finite(middle, conditions) - theta)
                below = distance < -slack if sign < 0 else distance <= slack
                low, high = np.where(below, middle, low), np.where(below, high, middle)
            edges.append(ndtr(0.5 * (low + high)))
        share = 0.5 if rng is None else rng.random(len(theta))
        return ndtri(clip_unit(edges[0] + share * (edges[1] - edges[0])))


def _unusable(name: str, prior: Prior, got: str) -> ValueError:
    return ValueError(
        f"priors[{name!r}] ({type(prior).__name__}): expected rescale() to map the unit interval to finite "
        f"values, the same at every call; got {got}. Use a proper prior with finite limits or a normalised "
        "density, without random numbers inside rescale()."
    )
