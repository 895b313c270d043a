"""A short summary of the data themselves, for the question whether observed data are like the simulations.

Features that were trained for the parameters may be blind to what has nothing to do with them; so this one
looks at principal components of the data and at what they leave over. Called by the estimator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.amortised.layout import DataLayout, Targets

__all__ = ["DataSummary"]

Array = NDArray[np.float64]

MOST_COMPONENTS = 32
# Components that hold this share of the variance hold the signal.
SHARE = 0.999


@dataclass(frozen=True)
class DataSummary:
    """Principal components of scaled data, and the size of what they leave over.

    Attributes
    ----------
    mean : ndarray, shape (n_data,)
    components : ndarray, shape (n_data, k)
    """

    mean: Array
    components: Array

    @classmethod
    def learnt(cls, layout: DataLayout, targets: Targets) -> DataSummary:
        """Learn the components from simulations with noise."""
        data = _flat(layout, targets)
        mean = data.mean(0)
        _, singular, vectors = np.linalg.svd(data - mean, full_matrices=False)
        held = np.cumsum(singular**2) / max(float(np.sum(singular**2)), 1e-300)
        n_kept = min(int(np.searchsorted(held, SHARE)) + 1, MOST_COMPONENTS, len(singular))
        return cls(mean, vectors[:n_kept].T.copy())

    def __call__(self, layout: DataLayout, targets: Targets) -> Array:
        """Coefficients and the logarithm of what is left, per point, shape (n, k + 1 or k + 2).

        Where there are uncertainties, what is left is measured in units of these too.
        """
        data = _flat(layout, targets)
        coefficients = (data - self.mean) @ self.components
        left = (data - self.mean - coefficients @ self.components.T).reshape(len(data), *layout.shape)
        values = [i for i, role in enumerate(layout.roles) if role == "value"]
        present = targets.mask[:, None]
        n_present = len(values) * np.maximum(targets.mask.sum(1), 1)
        square = np.where(present, left[:, values], 0.0) ** 2
        columns = [coefficients, _log_mean(square, n_present)]
        if targets.x_err is not None:
            columns.append(_log_mean(square * (layout.scale[values] / targets.x_err) ** 2, n_present))
        return np.concatenate(columns, 1)


def _flat(layout: DataLayout, targets: Targets) -> Array:
    return layout.encode(targets, clip=False).reshape(len(targets.x), -1).astype(float)


def _log_mean(square: Array, n_present: NDArray[np.int_]) -> Array:
    return np.log(square.sum((1, 2)) / n_present + 1e-12)[:, None]
