"""The parameter space: latent z in R^D <-> unit cube <-> theta, for any bilby prior dictionary.

In z the prior is exactly N(0, I). A proposal therefore cannot leave the support of the prior, and weights
need no prior density. Networks work with z, and users with theta.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

import numpy as np
from bilby.core.prior import JointPrior, PriorDict
from bilby.core.utils import random as bilby_random
from scipy.special import ndtr, ndtri

from nbi_sampler.core.config import PRIORS
from nbi_sampler.core.guarded import users_settings
from nbi_sampler.priors.column_function import Conditions, works_at_once
from nbi_sampler.priors.discrete import DiscreteParts
from nbi_sampler.priors.entries import (
    check_dictionary_rescale,
    dependence_order,
    joint_bounds,
    joint_names,
    sort_entries,
)
from nbi_sampler.priors.joint_maps import GaussianMap, GaussianMixtureMap, JointMap, make_joint_map
from nbi_sampler.priors.maps import PriorMap, clip_unit
from nbi_sampler.priors.names import named_columns, named_row

__all__ = ["ParameterSpace"]


class ParameterSpace:
    """Maps between z, the unit cube and theta: theta_i = F_i^(-1)(ndtr(z_i)) for prior distributions F_i.

    Conditional priors are evaluated in the order of their dependence, joint priors as one block. A prior maps
    whole columns if this agrees with single rows at a few probes, and row by row otherwise. No query changes
    the priors or draws a random number.

    Parameters
    ----------
    priors : bilby.core.prior.PriorDict
        The priors, which must not be changed afterwards.
    names : tuple of str, optional
        The sampled parameters in the order of the columns; bilby's search order by default.

    Attributes
    ----------
    names : tuple of str
        Sampled parameters in the order of the columns.
    fixed : dict of str to float
    n_dim : int
    periodic : ndarray of bool, shape (n_dim,)
    constraints_at_once : bool
        True if one call evaluates the constraints of many points.

    Raises
    ------
    TypeError
        An entry is neither a prior nor a number, or the dictionary has its own way to map priors.
    ValueError
        No parameter is sampled, a condition or a joint prior is incomplete, or a prior cannot be used because
        it is improper or random.

    Examples
    --------
    >>> import bilby, numpy as np
    >>> space = ParameterSpace(bilby.core.prior.PriorDict({"a": bilby.core.prior.Uniform(0, 2), "b": 3.0}))
    >>> space.columns(space.to_theta(np.zeros((1, 1))))
    {'b': array([3.]), 'a': array([1.])}
    """

    def __init__(self, priors: PriorDict, names: tuple[str, ...] | None = None) -> None:
        found, self.fixed, self._has_constraints = sort_entries(priors)
        if names is not None and sorted(names) != sorted(found):
            raise ValueError(f"names: expected the sampled parameters {list(found)}, got {list(names)}")
        self.names = found if names is None else names
        self.n_dim = len(self.names)
        self.periodic = np.array([priors[name].boundary == "periodic" for name in self.names])
        self._priors = priors
        self._index = {name: i for i, name in enumerate(self.names)}
        bounds = [joint_bounds(priors[name]) for name in self.names]
        self._lower, self._upper = np.array(bounds, dtype=float).T
        self._maps: list[PriorMap | GaussianMap | GaussianMixtureMap | JointMap] = []
        with _unchanged_random_state():
            probes = np.random.default_rng(PRIORS.probe_seed).standard_normal((PRIORS.n_probes, self.n_dim))
            theta = self._make_maps(probes)
            check_dictionary_rescale(priors, self.names, ndtr(probes), theta)
            self.constraints_at_once = not self._has_constraints or works_at_once(
                lambda: self._constraints_at_once(theta), self._constraints_by_row(theta), np.array_equal
            )

    @cached_property
    def discrete(self) -> DiscreteParts:
        """Values of finite probability of discrete priors and spikes; conditional priors have none."""
        parts = {name: (np.zeros(0), np.zeros(0)) for name in self.names}
        with _unchanged_random_state():
            for block in self._maps:
                if isinstance(block, PriorMap):
                    parts[block.names[0]] = block.flat_parts()
        return DiscreteParts(
            tuple(parts[name][0] for name in self.names), tuple(parts[name][1] for name in self.names)
        )

    def signature(self) -> np.ndarray:
        """Theta at fixed draws of z, shape (n_probes, n_dim), which identifies the priors."""
        return self.to_theta(np.random.default_rng(0).normal(size=(PRIORS.n_signed, self.n_dim)))

    def differs_from(self, signature: np.ndarray) -> list[str]:
        """Names of the parameters with other priors, according to a signature of as many parameters."""
        now = self.signature()
        return self._unlike(signature.reshape(now.shape), now)

    def differences(self, other: ParameterSpace) -> list[str]:
        """Describe the differences from another space; empty if z means the same in both."""
        if self.names != other.names:
            what = "order of parameters" if set(self.names) == set(other.names) else "parameters"
            return [f"{what} ({', '.join(self.names)}, now {', '.join(other.names)})"]
        differing = [
            f"fixed value of {name} ({self.fixed.get(name)}, now {other.fixed.get(name)})"
            for name in {**self.fixed, **other.fixed}
            if self.fixed.get(name) != other.fixed.get(name)
        ]
        shown = np.repeat(ndtri([0.05, 0.95])[:, None], self.n_dim, axis=1)
        both = [np.concatenate([each.to_theta(shown), each.signature()]) for each in (self, other)]
        for name in self._unlike(*both):
            column = self._index[name]
            before, now = (f"{each[0, column]:.4g} to {each[1, column]:.4g}" for each in both)
            differing.append(f"prior of {name} (its central 90 % are {before}, now {now})")
        return differing

    def to_theta(self, z: np.ndarray) -> np.ndarray:
        """Map standard normal to physical: finite z, shape (n, n_dim), to theta of the same shape."""
        z = self._checked(z, "z", finite=True)
        theta = np.empty_like(z)
        for block in self._maps:
            where = [self._index[name] for name in block.names]
            theta[:, where] = block.to_theta(z[:, where], self._conditions(block.names, theta))
        return theta

    def to_z(self, theta: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        """Invert :meth:`to_theta`.

        Theta outside the support maps to its edge, and a discrete value to the middle of its range of
        quantiles.

        Parameters
        ----------
        theta : ndarray, shape (n, n_dim)
            Finite values.
        rng : numpy.random.Generator, optional
            A discrete value then maps to a random point of its range instead. If theta follows the prior, z
            is standard normal.

        Raises
        ------
        NotImplementedError
            If there is a joint prior other than the multivariate Gaussian.
        """
        theta = self._checked(theta, "theta", finite=True)
        z = np.empty_like(theta)
        for block in self._maps:
            where = [self._index[name] for name in block.names]
            given = theta[:, where], self._conditions(block.names, theta)
            z[:, where] = block.to_z(*given, rng) if isinstance(block, PriorMap) else block.to_z(*given)
        return z

    def completed(
        self, theta: np.ndarray, is_known: Sequence[bool], rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Replace the unknown parameters of theta by draws from the prior given the known ones.

        The parameters of a joint prior are all drawn unless all are known.

        Parameters
        ----------
        theta : ndarray, shape (n, n_dim)
            The unknown columns may have any values.
        is_known : sequence of bool, of length n_dim

        Returns
        -------
        ndarray, shape (n, n_dim)
        ndarray of bool, shape (n_dim,)
            The known columns are unchanged.
        """
        theta, known = self._checked(theta, "theta").copy(), np.array(is_known, dtype=bool)
        z = rng.normal(size=theta.shape)
        for block in self._maps:
            where = [self._index[name] for name in block.names]
            if not known[where].all():
                theta[:, where] = block.to_theta(z[:, where], self._conditions(block.names, theta))
                known[where] = False
        return theta, known

    def in_support(self, theta: np.ndarray) -> np.ndarray:
        """Mark the values of finite theta, shape (n, n_dim), that the prior allows, apart from constraints.

        The map to z and back does not return other values.
        """
        theta = self._checked(theta, "theta", finite=True)
        low, high = (self.to_theta(np.full((1, self.n_dim), edge)) for edge in (-2.0, 2.0))
        priors = [self._priors[name] for name in self.names]
        bounded = [bool(np.all(np.isfinite(each.minimum) & np.isfinite(each.maximum))) for each in priors]
        # Far out in an infinite tail, neighbouring quantiles of double precision are far apart.
        span = [
            float(np.max(p.maximum - p.minimum)) if b else 0.0 for p, b in zip(priors, bounded, strict=True)
        ]
        share = PRIORS.round_trip
        tolerance = share * np.maximum(np.abs(high - low), span) + np.where(bounded, 1e-12, share) * np.abs(
            theta
        )
        return np.abs(self.to_theta(self.to_z(theta)) - theta) <= tolerance

    def unit_to_theta(self, u: np.ndarray) -> np.ndarray:
        """Map the unit cube to physical, shapes (n, n_dim); edges of the cube are moved inside."""
        return self.to_theta(ndtri(clip_unit(self._checked(u, "u", finite=True))))

    def satisfies_constraints(self, theta: np.ndarray) -> np.ndarray:
        """Mark the points that satisfy every ``Constraint``, after the dictionary's conversion function.

        Each row of theta, shape (n, n_dim), has one value. The bounds of joint priors count as constraints,
        because bilby's density includes them and its ``rescale`` does not.
        """
        theta = self._checked(theta, "theta")
        allowed = np.all((theta >= self._lower) & (theta <= self._upper), axis=1)
        if self._has_constraints and len(theta):
            evaluate = self._constraints_at_once if self.constraints_at_once else self._constraints_by_row
            allowed &= evaluate(theta)
        return allowed

    @property
    def bounds(self) -> np.ndarray:
        """Limits of joint priors, which count as constraints; infinite for others, shape (2, n_dim)."""
        return np.stack([self._lower, self._upper])

    def columns(self, theta: np.ndarray) -> dict[str, np.ndarray]:
        """Fixed and sampled parameters by name, as copies of shape (n,), for theta of shape (n, n_dim)."""
        return named_columns(self._checked(theta, "theta"), self.names, self.fixed)

    def row(self, theta_row: np.ndarray) -> dict[str, float]:
        """Fixed and sampled parameters by name, for one point of shape (n_dim,)."""
        theta = self._checked(np.asarray(theta_row)[None, ...], "theta_row[None]")
        return named_row(theta[0], self.names, self.fixed)

    def _unlike(self, before: np.ndarray, now: np.ndarray) -> list[str]:
        slack = PRIORS.same_prior * np.ptp(now, axis=0)
        alike = np.isclose(before, now, rtol=0.0, atol=slack).all(axis=0)
        return [name for name, each in zip(self.names, alike, strict=True) if not each]

    def _make_maps(self, z: np.ndarray) -> np.ndarray:
        """Make a map for each prior or joint distribution, in the order of dependence, and map the probes."""
        theta = np.empty_like(z)
        joint: set[str] = set()
        for name in dependence_order(self._priors, self.names, self.fixed):
            if name in joint:
                continue
            prior = self._priors[name]
            names = joint_names(self._priors, name)
            joint.update(names)
            where = [self._index[each] for each in names]
            conditions = self._conditions(names, theta)
            block = (
                make_joint_map(prior.dist, z[:, where])
                if isinstance(prior, JointPrior)
                else PriorMap(name, prior, z[:, where], conditions)
            )
            theta[:, where] = block.to_theta(z[:, where], conditions)
            self._maps.append(block)
        return theta

    def _conditions(self, names: tuple[str, ...], theta: np.ndarray) -> Conditions:
        required = getattr(self._priors[names[0]], "required_variables", None) or ()
        return {k: theta[:, self._index[k]] if k in self._index else self.fixed[k] for k in required}

    def _constraints_at_once(self, theta: np.ndarray) -> np.ndarray:
        # bilby takes the shape from the first value, and bilby.gw makes fixed values scalars again.
        columns = self.columns(theta)
        columns = {name: columns[name] for name in (*self.names, *self.fixed)}
        with users_settings(), np.errstate(all="ignore"):
            allowed = np.asarray(self._priors.evaluate_constraints(columns), dtype=bool)
        if allowed.shape != (len(theta),):
            raise ValueError(f"constraints gave shape {allowed.shape} for {len(theta)} points")
        return allowed

    def _constraints_by_row(self, theta: np.ndarray) -> np.ndarray:
        with users_settings(), np.errstate(all="ignore"):
            rows = [np.all(self._priors.evaluate_constraints(self.row(point))) for point in theta]
        return np.array(rows, dtype=bool)

    def _checked(self, values: np.ndarray, argument: str, finite: bool = False) -> np.ndarray:
        array = np.asarray(values, dtype=float)
        if array.ndim != 2 or array.shape[1] != self.n_dim:
            raise ValueError(
                f"{argument}: expected shape (n, {self.n_dim}), got {array.shape}; "
                f"one column for each of {list(self.names)}, and [None, :] for a single point."
            )
        if finite and not np.all(np.isfinite(array)):
            raise ValueError(f"{argument}: expected finite values, got NaN or infinity; drop those rows.")
        return array


@contextmanager
def _unchanged_random_state() -> Iterator[None]:
    """Restore numpy's and bilby's global generators, which a random ``rescale`` would advance."""
    numpy_state = np.random.get_state()
    bilby_state = bilby_random.rng.bit_generator.state
    try:
        yield
    finally:
        np.random.set_state(numpy_state)
        bilby_random.rng.bit_generator.state = bilby_state
