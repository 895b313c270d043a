"""Priors of bilby, conditional and joint ones too, for the tests of the latent space."""

from __future__ import annotations

import numpy as np
from bilby.core import prior as bp
from scipy.special import ndtr


def _normal(n, n_dim, seed=1):
    return np.random.default_rng(seed).standard_normal((n, n_dim))


def _scalar_path(priors, z):
    return np.array(
        [np.hstack(priors.rescale(list(priors.non_fixed_keys), row)) for row in ndtr(z)], dtype=float
    )


def _below(reference_params, a):
    return {"minimum": reference_params["minimum"], "maximum": a}


def _conditional(**entries):
    # The dependent parameters come first, so that the order of the dictionary is not that of dependence.
    return bp.ConditionalPriorDict(entries | {"k": 0.5, "a": bp.Uniform(1.0, 4.0)})


def _joint(names=("p", "q"), **options):
    dist = bp.MultivariateGaussianDist(list(names), **options)
    return {name: bp.MultivariateGaussian(dist, name) for name in names}


ONE_MODE = {"mus": [1.0, -2.0], "covs": [[4.0, 1.0], [1.0, 0.5]]}


TWO_MODES = {
    "nmodes": 2, "mus": [[-3.0, 0.0], [2.0, 1.0]], "weights": [1.0, 3.0],
    "covs": [[[1.0, 0.5], [0.5, 1.0]], [[0.3, -0.1], [-0.1, 2.0]]],
}  # fmt: skip
