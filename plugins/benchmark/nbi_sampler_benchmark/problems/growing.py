"""Problems of any size with known evidence: `growing_problem("modes8")` has eight dimensions.

There are three families: Gaussian modes and curved valleys grow in the number of parameters, and a straight
line grows in the number of its data. `scaling` runs them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from string import digits
from typing import NamedTuple

import bilby
import numpy as np
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import PriorDict, Uniform
from scipy.integrate import quad
from scipy.special import ndtr

from nbi_sampler_benchmark.problems.models import FunctionLikelihood, line_model
from nbi_sampler_benchmark.problems.random_mixtures import GaussianMixture

__all__ = ["FAMILIES", "GrowingProblem", "growing_problem"]

# Widths of the modes, in units of the prior's width. From four dimensions on the modes are well separated.
MASSES = (0.5, 0.3, 0.2)
WIDTH = 0.05
CENTRES_WITHIN = (0.2, 0.8)
# Width of the valleys, in every direction.
HALF_WIDTH = 5.0
# Slope and offset of the line, and their priors; the noise is 1.
SLOPE, SLOPES = 0.5, (0.0, 5.0)
OFFSET, OFFSETS = 0.2, (-2.0, 2.0)


class GrowingProblem(NamedTuple):
    """A problem of one size.

    Attributes
    ----------
    likelihood : bilby.Likelihood
    priors : PriorDict
    log_evidence : float
        The exact value.
    """

    likelihood: bilby.Likelihood
    priors: PriorDict
    log_evidence: float


def growing_problem(name: str) -> GrowingProblem | None:
    """Likelihood, priors and evidence of one problem of a family; equal names give equal problems.

    Parameters
    ----------
    name : str
        A family and a size, such as ``"modes8"``, ``"valleys8"`` (an even number) or ``"line1000"``.

    Returns
    -------
    GrowingProblem
        None for a name of another form.
    """
    family = name.rstrip(digits)
    size = name[len(family) :]
    if family not in FAMILIES or not size or int(size) < 2:
        return None
    return FAMILIES[family](int(size))


def _modes(n_dim: int) -> GrowingProblem:
    """Three separate Gaussian modes with different masses; the sampler knows only the likelihood."""
    centres = np.random.default_rng([20231206, n_dim]).uniform(*CENTRES_WITHIN, (len(MASSES), n_dim))
    mixture = GaussianMixture(np.array(MASSES), centres, np.full(len(MASSES), WIDTH))
    priors = PriorDict({name: Uniform(0.0, 1.0) for name in mixture.names})
    return GrowingProblem(mixture, priors, mixture.log_evidence)


def _valleys(n_dim: int) -> GrowingProblem | None:
    """Rosenbrock's curved valley in each pair of parameters, truncated by the edge of the prior.

    The pairs are independent, so the evidence is a power of that of one pair.
    """
    if n_dim % 2:
        return None
    keys = [f"x{d}" for d in range(n_dim)]
    box = PriorDict({key: Uniform(-HALF_WIDTH, HALF_WIDTH) for key in keys})
    log_of_one = math.log(quad(_valley_density, -HALF_WIDTH, HALF_WIDTH, epsabs=0.0, limit=200)[0])
    return GrowingProblem(FunctionLikelihood(keys, _valleys_log_likelihood), box, n_dim // 2 * log_of_one)


def _valleys_log_likelihood(x: np.ndarray) -> float:
    first, second = x[::2], x[1::2]
    return -0.5 * float(np.sum(100.0 * (second - first**2) ** 2 + (1.0 - first) ** 2))


def _valley_density(x: float) -> float:
    """Mean likelihood of a pair over the prior of its second parameter, by the density of the first."""
    inside = ndtr(10.0 * (HALF_WIDTH - x**2)) - ndtr(-10.0 * (HALF_WIDTH + x**2))
    height = math.exp(-0.5 * (1.0 - x) ** 2) * math.sqrt(2.0 * math.pi) / 10.0
    return float(height * inside / (2.0 * HALF_WIDTH) ** 2)


def _line(n_data: int) -> GrowingProblem:
    """A straight line with known noise; the posterior narrows as the square root of the number of data."""
    x = np.linspace(0.0, 10.0, n_data)
    y = line_model(x, SLOPE, OFFSET) + np.random.default_rng([1, n_data]).normal(size=n_data)
    priors = PriorDict(dict(m=Uniform(*SLOPES), c=Uniform(*OFFSETS)))
    design = np.stack([x, np.ones(n_data)], axis=1)
    best = np.linalg.lstsq(design, y, rcond=None)[0]
    # With a hundred data or more, the posterior is at least nine of its widths inside the prior.
    log_peak = -0.5 * float(np.sum((y - design @ best) ** 2)) - 0.5 * n_data * math.log(2.0 * math.pi)
    log_volume = math.log(2.0 * math.pi) - 0.5 * float(np.linalg.slogdet(design.T @ design)[1])
    log_prior = -math.log((SLOPES[1] - SLOPES[0]) * (OFFSETS[1] - OFFSETS[0]))
    return GrowingProblem(
        GaussianLikelihood(x, y, line_model, 1.0), priors, log_peak + log_volume + log_prior
    )


FAMILIES: dict[str, Callable[[int], GrowingProblem | None]] = {
    "modes": _modes,
    "valleys": _valleys,
    "line": _line,
}
