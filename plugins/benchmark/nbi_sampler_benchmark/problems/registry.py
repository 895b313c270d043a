"""The inference problems of the benchmark for bilby; `get_problem(name)` builds one.

Data and seeds never change, because `references.json` belongs to exactly these. Each problem imports its own
heavy packages.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import resources

import bilby
import numpy as np
from bilby.core.likelihood import AnalyticalMultidimensionalCovariantGaussian, GaussianLikelihood
from bilby.core.prior import LogUniform, PriorDict, Uniform

from nbi_sampler_benchmark.problems import models
from nbi_sampler_benchmark.problems.gravitational_waves import binary_black_hole
from nbi_sampler_benchmark.problems.growing import growing_problem
from nbi_sampler_benchmark.problems.hard_shapes.by_name import hard_shape
from nbi_sampler_benchmark.problems.random_mixtures import mixture_named

__all__ = ["CALIBRATION_PROBLEMS", "PROBLEMS", "Problem", "get_problem", "is_problem"]

Parts = tuple[bilby.Likelihood, PriorDict, "dict[str, float] | None"]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A likelihood, its priors, and the known answer.

    Parameters
    ----------
    name : str
        Name in the registry.
    likelihood : bilby.Likelihood
    priors : PriorDict
        Priors of the sampled and fixed parameters.
    truth : dict or None
        Parameters of the simulated data, if there are data.
    log_evidence, log_evidence_err : float
        Reference value of log Z and its error; NaN if it is unknown.
    """

    name: str
    likelihood: bilby.Likelihood
    priors: PriorDict
    truth: dict[str, float] | None
    log_evidence: float = math.nan
    log_evidence_err: float = math.nan


def _gaussian_data(
    x: np.ndarray, function: Callable[..., np.ndarray], truth: dict[str, float], sigma: float, seed: int
) -> GaussianLikelihood:
    noise = np.random.default_rng(seed).normal(size=len(x)) * sigma
    return GaussianLikelihood(x, function(x, **truth) + noise, function, sigma)


def _sine_priors() -> PriorDict:
    return PriorDict(
        dict(
            phi0=Uniform(0, 2 * np.pi, boundary="periodic"),
            A=Uniform(-4, 4),
            omega=Uniform(2 * np.pi, 12 * np.pi),
        )
    )


def _sine() -> Parts:
    truth = dict(phi0=3.45, A=1.72, omega=25.2)
    likelihood = _gaussian_data(np.linspace(0, 1, 50), models.sine_model, truth, 0.2, 0)
    return likelihood, _sine_priors(), truth


def _sine_demo() -> Parts:
    # The legacy generator with this order of calls gives the data of the paper's demo.
    generator = np.random.RandomState(4)
    bounds = dict(phi0=(0, 2 * np.pi), A=(-4, 8), omega=(2 * np.pi, 10 * np.pi))
    truth = {key: low + width * float(generator.uniform()) for key, (low, width) in bounds.items()}
    t = np.linspace(0, 1, 50)
    y = models.sine_model(t, **truth) + generator.normal(size=50) * 0.1
    return GaussianLikelihood(t, y, models.sine_model, 0.1), _sine_priors(), truth


def _linear() -> Parts:
    truth = dict(m=0.5, c=0.2)
    likelihood = _gaussian_data(np.linspace(0, 10, 100), models.line_model, truth, 1.0, 1)
    return likelihood, PriorDict(dict(m=Uniform(0, 5), c=Uniform(-2, 2))), truth


def _transit() -> Parts:
    truth = dict(t0=0.01, rp=0.1, a=9.0, b=0.3, u1=0.35, u2=0.2, f0=1.0)
    priors = dict(
        t0=Uniform(-0.1, 0.1),
        rp=Uniform(0.02, 0.2),
        a=Uniform(3, 15),
        b=Uniform(0, 1),
        u1=Uniform(0, 0.7),
        u2=Uniform(0, 0.5),
        f0=Uniform(0.99, 1.01),
    )
    likelihood = _gaussian_data(np.linspace(-0.15, 0.15, 300), models.transit_model, truth, 5e-4, 2)
    return likelihood, PriorDict(priors), truth


def _microlensing() -> Parts:
    truth = dict(t0=50.0, u0=0.2, tE=15.0, fs=1.0, fb=0.5)
    priors = dict(
        t0=Uniform(0, 100),
        u0=LogUniform(0.01, 2),
        tE=LogUniform(1, 100),
        fs=Uniform(0, 5),
        fb=Uniform(-1, 5),
    )
    t = np.sort(np.random.default_rng(5).uniform(0, 100, 200))
    return _gaussian_data(t, models.microlensing_model, truth, 0.1, 3), PriorDict(priors), truth


def _radial_velocity() -> Parts:
    truth = dict(P=37.0, K=25.0, e=0.3, w=1.2, M0=2.0, gamma=3.0)
    priors = dict(
        P=LogUniform(5, 100),
        K=LogUniform(1, 100),
        e=Uniform(0, 0.9),
        w=Uniform(0, 2 * np.pi, boundary="periodic"),
        M0=Uniform(0, 2 * np.pi, boundary="periodic"),
        gamma=Uniform(-50, 50),
        sigma=LogUniform(1, 20),
    )
    t = np.sort(np.random.default_rng(7).uniform(0, 200, 40))
    y = models.radial_velocity_model(t, **truth) + np.random.default_rng(4).normal(size=40) * 4.0
    return GaussianLikelihood(t, y, models.radial_velocity_model, None), PriorDict(priors), truth


def _spectrum() -> Parts:
    truth = dict(c0=1.0, c1=0.05, d1=0.4, m1=-0.3, s1=0.05, d2=0.2, m2=0.35, s2=0.1)
    priors = dict(
        c0=Uniform(0.5, 1.5),
        c1=Uniform(-0.3, 0.3),
        d1=Uniform(0, 0.9),
        m1=Uniform(-1, 0),
        s1=LogUniform(0.01, 0.3),
        d2=Uniform(0, 0.9),
        m2=Uniform(0, 1),
        s2=LogUniform(0.01, 0.3),
    )
    likelihood = _gaussian_data(np.linspace(-1, 1, 1000), models.spectrum_model, truth, 0.05, 6)
    return likelihood, PriorDict(priors), truth


def _gaussian(n_dim: int) -> Parts:
    factor = np.random.default_rng(n_dim).normal(size=(n_dim, n_dim))
    correlation = factor @ factor.T / n_dim
    scale = np.sqrt(np.diag(correlation))
    correlation = correlation / np.outer(scale, scale)
    covariance = 0.045 * (0.7 * np.eye(n_dim) + 0.3 * correlation)
    keys = [f"x{i}" for i in range(n_dim)]
    likelihood = AnalyticalMultidimensionalCovariantGaussian(np.zeros(n_dim), covariance)
    return likelihood, PriorDict({key: Uniform(-5, 5) for key in keys}), dict.fromkeys(keys, 0.0)


def _rosenbrock() -> Parts:
    keys = [f"x{i}" for i in range(4)]
    likelihood = models.FunctionLikelihood(keys, models.rosenbrock_log_likelihood)
    return likelihood, PriorDict({key: Uniform(-5, 5) for key in keys}), None


def _eggbox() -> Parts:
    keys = ["x0", "x1"]
    likelihood = models.FunctionLikelihood(keys, models.eggbox_log_likelihood)
    return likelihood, PriorDict({key: Uniform(0, 10 * np.pi) for key in keys}), None


_BUILDERS: dict[str, Callable[[], Parts]] = {
    "linear": _linear,
    "microlensing": _microlensing,
    "spectrum": _spectrum,
    "rosenbrock": _rosenbrock,
    "gaussian15d": partial(_gaussian, 15),
    "sine_demo": _sine_demo,
    "sine": _sine,
    "transit": _transit,
    "gw_fast": binary_black_hole,
    "radial_velocity": _radial_velocity,
    "eggbox": _eggbox,
    "gaussian5d": partial(_gaussian, 5),
}


def get_problem(name: str) -> Problem:
    """Build one problem of the benchmark.

    Parameters
    ----------
    name : str
        One of `PROBLEMS` or `CALIBRATION_PROBLEMS`, a random mixture, ``"mixture17"`` or ``"uneven17"``, one
        that grows, such as ``"modes8"`` (see `growing`), or a hard shape, ``"funnel10"`` (see `hard_shapes`).

    Returns
    -------
    Problem
        The likelihood and priors are new objects.

    Raises
    ------
    ValueError
        If there is no such problem.

    Examples
    --------
    >>> get_problem("eggbox").log_evidence
    235.85594
    """
    found = _of_known_evidence(name)
    if found is not None:
        return found
    if name not in _BUILDERS:
        raise ValueError(f"name: expected one of {', '.join(_BUILDERS)}, got {name!r}")
    references = (resources.files(__package__) / "references.json").read_text(encoding="utf-8")
    reference = json.loads(references)[name]
    likelihood, priors, truth = _BUILDERS[name]()
    return Problem(
        name=name,
        likelihood=likelihood,
        priors=priors,
        truth=truth,
        log_evidence=reference["log_evidence"],
        log_evidence_err=reference["error"],
    )


def is_problem(name: str) -> bool:
    """Return whether `get_problem` knows a name."""
    return name in _BUILDERS or _of_known_evidence(name) is not None


def _of_known_evidence(name: str) -> Problem | None:
    """A random mixture, a problem of a growing family or a hard shape; None for another name."""
    mixture = mixture_named(name)
    known = growing_problem(name) or hard_shape(name)
    found = known if mixture is None else (*mixture, mixture[0].log_evidence)
    if found is None:
        return None
    likelihood, priors, log_evidence, *_ = found
    exact = {"log_evidence": log_evidence, "log_evidence_err": 0.0}
    return Problem(name=name, likelihood=likelihood, priors=priors, truth=None, **exact)


PROBLEMS: dict[str, Callable[[], Problem]] = {
    name: partial(get_problem, name) for name in _BUILDERS if name != "gaussian5d"
}
# Problems of exactly known evidence: a posterior inside its prior, a Gaussian, many modes, and a curved ridge
# that the prior truncates.
CALIBRATION_PROBLEMS = ("linear", "gaussian5d", "eggbox", "rosenbrock")
