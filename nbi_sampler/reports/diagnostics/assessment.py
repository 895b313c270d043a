"""All numbers that simulated targets give about an amortised posterior; `page` plots them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from nbi_sampler.core.types import Array
from nbi_sampler.reports.diagnostics.ranks import (
    calibration_ranks,
    highest_density_ranks,
    tarp_ranks,
    uniformity,
)

__all__ = ["Assessment", "assess"]


@dataclass(frozen=True)
class Assessment:
    """Ranks of the truth, which are uniform on (0, 1) if the posteriors are right.

    Attributes
    ----------
    names : tuple of str
        Names of the parameters.
    calibration : ndarray, shape (n_targets, n_dim)
        See `ranks.calibration_ranks`.
    tarp : ndarray, shape (n_targets,)
        See `ranks.tarp_ranks`.
    highest_density : ndarray, shape (n_targets,), or None
        See `ranks.highest_density_ranks`; None if there are no densities.
    """

    names: tuple[str, ...]
    calibration: Array
    tarp: Array
    highest_density: Array | None

    @property
    def p_values(self) -> dict[str, float]:
        """P-values for the uniformity of each kind of rank."""
        values = dict(zip(self.names, uniformity(self.calibration).tolist(), strict=True))
        values["TARP"] = float(uniformity(self.tarp))
        if self.highest_density is not None:
            values["highest density"] = float(uniformity(self.highest_density))
        return values

    @property
    def p_value(self) -> float:
        """P-value over all tests (Bonferroni) if the posteriors are right; small values contradict this."""
        values = self.p_values.values()
        return min(1.0, len(values) * min(values))


def assess(
    samples: ArrayLike,
    truths: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    weights: ArrayLike | None = None,
    truth_weights: ArrayLike | None = None,
    log_density: ArrayLike | None = None,
    log_density_truth: ArrayLike | None = None,
    rng: np.random.Generator,
) -> Assessment:
    """Test calibration, TARP and, with densities, coverage of highest-density regions.

    Parameters
    ----------
    samples : array_like, shape (n_targets, n_samples, n_dim)
        Posterior draws for targets that were simulated from the truths.
    truths : array_like, shape (n_targets, n_dim)
        True parameters, drawn from the prior.
    names : sequence of str, optional
        Names of the parameters; numbers by default.
    weights, truth_weights, rng
        See `ranks.fractional_ranks`.
    log_density, log_density_truth : array_like, shapes (n_targets, n_samples) and (n_targets,), optional
        Densities of the tested posterior.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> narrow = 0.5 * rng.normal(size=(300, 100, 1))
    >>> assess(narrow, rng.normal(size=(300, 1)), names=["a"], rng=rng).p_value < 1e-3
    True
    """
    calibration = calibration_ranks(samples, truths, weights, truth_weights, rng=rng)
    n_dim = calibration.shape[1]
    labels = tuple(f"parameter {d}" for d in range(n_dim)) if names is None else tuple(names)
    if len(labels) != n_dim:
        raise ValueError(f"names: expected {n_dim} of them, got {len(labels)}")
    tarp = tarp_ranks(samples, truths, weights, truth_weights, rng=rng)
    if log_density is None or log_density_truth is None:
        return Assessment(labels, calibration, tarp, None)
    highest = highest_density_ranks(log_density, log_density_truth, weights, truth_weights, rng=rng)
    return Assessment(labels, calibration, tarp, highest)
