"""Affine maps between latent coordinates and the standardised coordinates of a fit."""

from __future__ import annotations

import numpy as np

from nbi_sampler.core.types import Array

__all__ = ["AffineMap", "spread_of"]


def spread_of(points: Array) -> Array:
    """Standard deviation of each coordinate of points, shape (n, n_dim), always positive.

    If all points agree in a coordinate, it is of the order of the rounding error. The points are finite, and
    there is at least one.
    """
    largest = np.abs(points).max(axis=0)
    largest = np.where(largest > 0.0, largest, 1.0)
    # Relative to the largest, so that no square overflows.
    deviation = (points / largest).std(axis=0)
    return np.asarray(largest * np.maximum(deviation, 1e-15))


class AffineMap:
    """z = mean + factor y with a lower-triangular factor.

    Parameters
    ----------
    mean : ndarray, shape (n_dim,)
    factor : ndarray, shape (n_dim, n_dim)
    """

    def __init__(self, mean: Array, factor: Array) -> None:
        self.mean = mean
        self.factor = factor
        self.inverse = np.linalg.inv(factor)
        self.log_det = float(np.log(np.abs(np.diag(factor))).sum())

    @classmethod
    def standardising(cls, z: Array, weights: Array) -> AffineMap:
        """The map from a standard normal to the mean and covariance of draws z, shape (n, n_dim).

        Their weights, shape (n,), sum to 1.
        """
        mean = weights @ z
        centred = z - mean
        return cls.of_moments(mean, centred.T @ (centred * weights[:, None]))

    @classmethod
    def of_moments(cls, mean: Array, covariance: Array) -> AffineMap:
        """The map from a standard normal to a mean, shape (n_dim,), and a covariance, (n_dim, n_dim)."""
        variance = np.diag(covariance) + 1e-300
        ridge = np.diag(1e-9 * variance + 1e-18)
        return cls(mean, np.asarray(np.linalg.cholesky(covariance + ridge), dtype=np.float64))

    def forward(self, y: Array) -> Array:
        """Map y to z, both of shape (n, n_dim)."""
        return y @ self.factor.T + self.mean

    def backward(self, z: Array) -> Array:
        """Map z to y, both of shape (n, n_dim)."""
        return (z - self.mean) @ self.inverse.T
