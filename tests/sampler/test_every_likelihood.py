"""Every likelihood class of bilby through a whole run: evidence and means against quadratures.

Those of gravitational waves need data, detectors and a waveform generator: a plugin's business, and that of
`test_bilby_pipe`.
"""

from __future__ import annotations

import bilby.hyper.likelihood as hyper
import numpy as np
import pandas as pd
import pytest
from bilby.core import likelihood as bl
from bilby.core.prior import DeltaFunction, PriorDict, Uniform
from forward_cases import LIKELIHOODS, line
from small_runs import assert_agrees, run_nbi, weighted

RECOGNISED = {
    "GaussianLikelihood": "gaussian, unknown sigma",
    "PoissonLikelihood": "poisson",
    "ExponentialLikelihood": "exponential",
    "StudentTLikelihood": "student-t, unknown nu",
    "Multinomial": "multinomial",
    "AnalyticalMultidimensionalCovariantGaussian": "covariant",
    "AnalyticalMultidimensionalBimodalCovariantGaussian": "bimodal",
    "JointLikelihood": "joint, shared sigma",
}
GAUSSIAN_PROCESSES = {"CeleriteLikelihood", "GeorgeLikelihood"}
BASES = {"Likelihood", "Analytical1DLikelihood", "_GPLikelihood"}

TIMES = np.linspace(0.0, 4.0, 15)
FLUXES = 0.4 * TIMES + 0.5 + 0.3 * np.random.default_rng(3).normal(size=15)


def exact_answer(likelihood, box, fixed=None):
    """Gauss-Legendre quadrature over a box, by the likelihood's own calls.

    Its error is less than 1e-7 where the likelihood is smooth, and about 0.01 in the log-evidence and in the
    means, well within the errors of a run, for the roughest: the length scale of a Gaussian process.
    """
    n_nodes = {1: 400, 2: 40, 3: 20}[len(box)]
    x, w = np.polynomial.legendre.leggauss(n_nodes)
    grids = np.meshgrid(*[low + (high - low) * (x + 1) / 2 for low, high in box.values()], indexing="ij")
    columns = {name: grid.ravel() for name, grid in zip(box, grids, strict=True)}
    weights = np.prod(np.meshgrid(*[w] * len(box), indexing="ij"), axis=0).ravel()
    rows = zip(*[column.tolist() for column in columns.values()], strict=True)
    log_likelihood = [
        likelihood.log_likelihood(parameters={**(fixed or {}), **dict(zip(box, row, strict=True))})
        for row in rows
    ]
    return weighted(columns, np.array(log_likelihood, dtype=float), weights)


def uniform(box):
    return PriorDict({name: Uniform(*bounds) for name, bounds in box.items()})


def classes_of(module):
    classes = {name: value for name, value in vars(module).items() if isinstance(value, type)}
    return {name for name, value in classes.items() if issubclass(value, bl.Likelihood)}


def test_tables_have_every_likelihood_class_of_bilby():
    known = {*RECOGNISED, *GAUSSIAN_PROCESSES, *BASES, "ZeroLikelihood"}
    assert classes_of(bl) == known, "add a forward model of a new class as CONTRIBUTING.md says, and its row"
    assert classes_of(hyper) == {"Likelihood", "HyperparameterLikelihood"}


@pytest.mark.takes_seconds
@pytest.mark.parametrize("name", RECOGNISED)
def test_evidence_and_means_of_a_recognised_likelihood(name, tmp_path):
    case = LIKELIHOODS[RECOGNISED[name]]
    likelihood = case.make(case.data)
    assert type(likelihood).__name__ == name
    result = run_nbi(likelihood, uniform(case.box), tmp_path, use_ratio=False)
    assert "forward model" in result.meta_data["nbi"]["tier"]
    assert_agrees(result, exact_answer(likelihood, case.box))


def test_the_zero_likelihood_gives_back_the_prior(tmp_path):
    case = LIKELIHOODS["gaussian"]
    likelihood = bl.ZeroLikelihood(case.make(case.data))
    result = run_nbi(likelihood, uniform(case.box), tmp_path)
    assert result.meta_data["nbi"]["efficiency"] == pytest.approx(1.0, abs=0.1)
    assert_agrees(result, exact_answer(likelihood, case.box))


def celerite_likelihood():
    kernel = pytest.importorskip("celerite").terms.RealTerm(log_a=-2.0, log_c=0.0)
    mean = bl.function_to_celerite_mean_model(line)(m=0.4, c=0.5)
    box = {"kernel:log_c": (-2.0, 2.0), "mean:m": (-0.5, 1.5), "mean:c": (-1.0, 2.0)}
    return bl.CeleriteLikelihood(kernel, mean, TIMES, FLUXES, yerr=0.3), box, {"kernel:log_a": -2.0}


def george_likelihood():
    kernel = 0.1 * pytest.importorskip("george").kernels.ExpSquaredKernel(metric=1.0)
    mean = bl.function_to_george_mean_model(line)(m=0.4, c=0.5)
    kernel_box = {"kernel:k1:log_constant": (-6.0, 0.0), "kernel:k2:metric:log_M_0_0": (-2.0, 2.0)}
    box = {"mean:c": (-1.0, 2.0)} | kernel_box
    return bl.GeorgeLikelihood(kernel, mean, TIMES, FLUXES, yerr=0.3), box, {"mean:m": 0.4}


@pytest.mark.takes_seconds
@pytest.mark.parametrize("make", [celerite_likelihood, george_likelihood])
def test_evidence_and_means_of_gaussian_processes_which_read_values_in_bilbys_order(make, tmp_path):
    likelihood, box, fixed = make()
    assert (*fixed, *box) == likelihood.gp.get_parameter_names()
    priors = uniform(box)
    priors.update({name: DeltaFunction(value) for name, value in fixed.items()})
    assert_agrees(run_nbi(likelihood, priors, tmp_path), exact_answer(likelihood, box, fixed))


@pytest.mark.takes_seconds
def test_evidence_and_means_of_the_hyperparameter_likelihood(tmp_path):
    rng = np.random.default_rng(6)
    events = [pd.DataFrame({"x": rng.normal(rng.normal(1.0, 0.7), 0.3, 300), "prior": 1.0}) for _ in range(8)]

    def population(dataset, mu, sigma):
        return np.exp(-0.5 * ((dataset["x"] - mu) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))

    state = np.random.get_state()
    likelihood = hyper.HyperparameterLikelihood(events, population, log_evidences=[-1.0] * 8)
    # It draws from numpy's own generator when it is made.
    np.random.set_state(state)
    box = {"mu": (-1.0, 3.0), "sigma": (0.2, 3.0)}
    result = run_nbi(likelihood, uniform(box), tmp_path, use_ratio=True)
    assert_agrees(result, exact_answer(likelihood, box))
    assert result.log_noise_evidence == -8.0
