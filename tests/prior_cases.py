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


GRID = np.linspace(0.0, 3.0, 50)

CONTINUOUS = {
    "Uniform": lambda: bp.Uniform(-1.0, 3.0),
    "PowerLaw": lambda: bp.PowerLaw(2.0, 1.0, 5.0),
    "PowerLaw-1": lambda: bp.PowerLaw(-1, 1.0, 5.0),
    "LogUniform": lambda: bp.LogUniform(1e-4, 1e3),
    "SymmetricLogUniform": lambda: bp.SymmetricLogUniform(1e-2, 1e2),
    "Cosine": lambda: bp.Cosine(),
    "Sine": lambda: bp.Sine(),
    "Gaussian": lambda: bp.Gaussian(3.0, 0.5),
    "Normal": lambda: bp.Normal(3.0, 0.5),
    "TruncatedGaussian": lambda: bp.TruncatedGaussian(0.0, 1.0, -0.5, 2.0),
    "TruncatedNormal": lambda: bp.TruncatedNormal(0.0, 1.0, -0.5, 2.0),
    "HalfGaussian": lambda: bp.HalfGaussian(2.0),
    "HalfNormal": lambda: bp.HalfNormal(2.0),
    "LogNormal": lambda: bp.LogNormal(0.5, 0.7),
    "LogGaussian": lambda: bp.LogGaussian(0.5, 0.7),
    "Exponential": lambda: bp.Exponential(2.0),
    "StudentT": lambda: bp.StudentT(3.0, 1.0, 2.0),
    "Beta": lambda: bp.Beta(2.0, 3.0, minimum=-1.0, maximum=4.0),
    "Logistic": lambda: bp.Logistic(1.0, 0.5),
    "Cauchy": lambda: bp.Cauchy(1.0, 0.5),
    "Lorentzian": lambda: bp.Lorentzian(1.0, 0.5),
    "Gamma": lambda: bp.Gamma(2.5, 1.5),
    "ChiSquared": lambda: bp.ChiSquared(4),
    "FermiDirac": lambda: bp.FermiDirac(1.0, mu=5.0),
    "Triangular": lambda: bp.Triangular(0.5, 0.0, 2.0),
    "Interped": lambda: bp.Interped(GRID, 1.0 + np.sin(GRID)),
}
DISCRETE = {
    "WeightedDiscreteValues": lambda: bp.WeightedDiscreteValues([3.0, -1.0, 7.0], weights=[1, 2, 3]),
    "DiscreteValues": lambda: bp.DiscreteValues([0.1, 0.2, 0.3, 0.7]),
    "WeightedCategorical": lambda: bp.WeightedCategorical(3, weights=[0.2, 0.5, 0.3]),
    "Categorical": lambda: bp.Categorical(5),
    "SlabSpikePrior": lambda: bp.SlabSpikePrior(bp.Uniform(0.0, 1.0), spike_location=0.3, spike_height=0.2),
}
