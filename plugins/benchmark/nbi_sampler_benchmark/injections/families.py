"""Families of problems with parameters from the prior and a likelihood for each injection."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bilby.core.likelihood import GaussianLikelihood, Likelihood
from bilby.core.prior import Normal, PriorDict, Uniform
from bilby.core.utils import random

from nbi_sampler_benchmark.problems import models
from nbi_sampler_benchmark.problems.gravitational_waves import injected_black_hole, mass_and_distance_priors
from nbi_sampler_benchmark.problems.loader import ProblemError, known_problem, names_of
from nbi_sampler_benchmark.problems.registry import get_problem

__all__ = ["FAMILIES", "Family", "known_family", "load_family"]

LikelihoodOf = Callable[[Mapping[str, float]], Likelihood]


@dataclass(frozen=True)
class Family:
    """Problems that differ in the parameters of their data.

    Attributes
    ----------
    priors : PriorDict
        Priors from which the parameters are drawn.
    likelihood_of : callable
        ``(injection) -> Likelihood`` of new data, with noise from bilby's or numpy's generator.
    """

    priors: PriorDict
    likelihood_of: LikelihoodOf


def _microlensing() -> Family:
    """Light curve with known noise, five parameters."""
    problem = get_problem("microlensing")
    times, sigma = problem.likelihood.x, problem.likelihood.sigma

    def likelihood_of(injection: Mapping[str, float]) -> Likelihood:
        noise = sigma * random.rng.normal(size=len(times))
        flux = models.microlensing_model(times, **{name: injection[name] for name in problem.priors})
        return GaussianLikelihood(times, flux + noise, models.microlensing_model, sigma)

    return Family(problem.priors, likelihood_of)


def _two_modes() -> Family:
    """A likelihood alone of the square of a parameter, with two modes unless it is small."""
    priors = {"a": Uniform(-3, 3), "b": Normal(0, 1), "c": Uniform(-2, 2)}

    def expected(theta: np.ndarray) -> np.ndarray:
        a, b, c = theta
        return np.array([a**2, b + 0.3 * a, b * c])

    def likelihood_of(injection: Mapping[str, float]) -> Likelihood:
        sigma = np.array([0.3, 0.2, 0.4])
        truth = np.array([injection[name] for name in priors])
        data = expected(truth) + sigma * random.rng.normal(size=3)

        def log_likelihood(theta: np.ndarray) -> float:
            return float(-0.5 * np.square((data - expected(theta)) / sigma).sum())

        return models.FunctionLikelihood(list(priors), log_likelihood)

    return Family(PriorDict(priors), likelihood_of)


def _gw_fast() -> Family:
    """Black holes with free masses, distance and inclination, in two detectors."""
    return Family(mass_and_distance_priors(), injected_black_hole)


FAMILIES: dict[str, Callable[[], Family]] = {
    "microlensing": _microlensing,
    "two_modes": _two_modes,
    "gw_fast": _gw_fast,
}


def known_family(source: str) -> str:
    """Return the name of a family, an existing script or a module: a ``type`` of argparse."""
    if source in FAMILIES:
        return source
    try:
        return known_problem(source)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}; families: {', '.join(FAMILIES)}") from None


def load_family(source: str) -> Family:
    """Find a family by its name, or in a script or module that defines ``priors`` and ``likelihood_of``.

    Raises
    ------
    ProblemError
        If these are not defined.
    """
    if source in FAMILIES:
        return FAMILIES[source]()
    names = names_of(source)
    priors, likelihood_of = names.get("priors"), names.get("likelihood_of")
    if not isinstance(priors, dict) or not callable(likelihood_of):
        raise ProblemError(
            f"{source}: expected it to define priors (a PriorDict) and likelihood_of(injection), which makes "
            "data of a dictionary of parameters and returns their likelihood; define both at the level of "
            f"the module (or take one of {', '.join(FAMILIES)}); got {type(priors).__name__} and "
            f"{type(likelihood_of).__name__} from {Path(source).name}"
        )
    return Family(priors if isinstance(priors, PriorDict) else PriorDict(priors), likelihood_of)
