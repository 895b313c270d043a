"""Likelihoods that are hard on a sampler: the evidence is right, or the status says that it is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from bilby.core.likelihood import GaussianLikelihood, Likelihood
from bilby.core.prior import Gaussian, LogUniform, PriorDict, Uniform
from scipy import stats
from small_runs import N_SIGMA, run_nbi

WIDTH = 1e-4
HALF_WIDTH = 1000.0


@dataclass(frozen=True)
class Hostile:
    """A log-likelihood over the unit cube: a function of theta, shape (n_dim,), and its log evidence."""

    log_likelihood: Callable[[np.ndarray], float]
    log_evidence: float
    n_dim: int


class Written(Likelihood):
    """A likelihood made of a function of an array, with nothing else to learn from."""

    def __init__(self, function, names):
        super().__init__()
        self._function, self._names = function, names

    def log_likelihood(self, parameters):
        return float(self._function(np.array([parameters[name] for name in self._names])))


def cube(n_dim, low=0.0, high=1.0):
    return PriorDict({f"p{i}": Uniform(low, high) for i in range(n_dim)})


def peak(centre, width):
    """Normalised Gaussian well inside the unit cube: an evidence of one."""
    constant = -len(centre) * np.log(width * np.sqrt(2 * np.pi))
    return lambda theta: constant - 0.5 * np.sum(np.square((theta - centre) / width))


def scattered(bad):
    """``bad`` at 30 % of all points, which their neighbours do not reveal."""
    good = peak(np.full(3, 0.4), 0.05)

    def log_likelihood(theta):
        share = (np.sin(theta @ (12.9898, 78.233, 37.719)) * 43758.5453) % 1.0
        return bad if share < 0.3 else good(theta)

    return Hostile(log_likelihood, np.log(0.7), 3)


def cut(bad):
    """``bad`` beyond an edge that leaves 70 % of the peak."""
    good, edge = peak(np.array([0.4, 0.6]), 0.05), 0.4 + 0.05 * stats.norm.ppf(0.7)
    return Hostile(lambda theta: bad if theta[0] > edge else good(theta), np.log(0.7), 2)


def box(share, n_dim, outside=-np.inf):
    """A plateau in a box that holds ``share`` of the prior."""
    side = share ** (1 / n_dim)

    def log_likelihood(theta):
        return 0.0 if np.all(np.abs(theta - 0.37) < side / 2) else outside

    return Hostile(log_likelihood, np.log(share + (1 - share) * np.exp(outside)), n_dim)


def bimodal(width, n_dim):
    """Two far peaks, of 80 and 20 % of the evidence."""
    large, small = peak(np.full(n_dim, 0.2), width), peak(np.full(n_dim, 0.83), width)

    def log_likelihood(theta):
        return np.logaddexp(large(theta) + np.log(0.8), small(theta) + np.log(0.2))

    return Hostile(log_likelihood, 0.0, n_dim)


def spike_on_a_floor(width):
    """Half of the evidence in a peak, half in a plain that does not lead to it."""
    spike = peak(np.array([0.37]), width)
    return Hostile(lambda theta: np.logaddexp(spike(theta), 0.0), np.log(2.0), 1)


def cauchy(n_dim):
    """Heavy tails: a narrow Cauchy in each parameter, in a prior a thousand times as wide."""
    scale = 1.0 / (2 * HALF_WIDTH)
    mass = n_dim * np.log(np.ptp(stats.cauchy.cdf([0.0, 1.0], 0.51, scale)))

    def log_likelihood(theta):
        return -np.sum(np.log(np.pi * scale * (1 + np.square((theta - 0.51) / scale))))

    return Hostile(log_likelihood, mass, n_dim)


HOSTILE = {
    "nan at 30 %, scattered": scattered(np.nan),
    "-inf at 30 %, beyond an edge": cut(-np.inf),
    "step": box(0.01, 1, outside=-20.0),
    "-inf outside a thousandth": box(0.001, 1),
    "spike of width 1e-4": Hostile(peak(np.array([0.37]), WIDTH), 0.0, 1),
    "spike on a floor": spike_on_a_floor(1e-3),
    "two narrow modes": bimodal(1e-3, 2),
    "cauchy, 1-d": cauchy(1),
    "cauchy, 2-d": cauchy(2),
    "log L of a billion": Hostile(lambda theta: peak(np.array([0.4]), 0.05)(theta) + 1e9, 1e9, 1),
}
HARD_TO_FIT = {"nan at 30 %, scattered", "spike on a floor", "two narrow modes", "cauchy, 2-d"}


def run(likelihood, priors, tmp_path, **keywords):
    return run_nbi(likelihood, priors, tmp_path, **({"n_sims": "auto", "use_ratio": False} | keywords))


def assert_right(result, log_evidence):
    own = result.meta_data["nbi"]
    assert own["status"] == "ok", own["message"]
    assert result.log_evidence_err < 0.1
    assert abs(result.log_evidence - log_evidence) < N_SIGMA * result.log_evidence_err


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_evidence_of_a_hostile_likelihood_is_right(name, tmp_path, request):
    """With proposals as they are shipped if these have to be good, and else with few kernels."""
    hostile = HOSTILE[name]
    if name not in HARD_TO_FIT:
        request.getfixturevalue("small_fits")
    priors = cube(hostile.n_dim)
    assert_right(run(Written(hostile.log_likelihood, list(priors)), priors, tmp_path), hostile.log_evidence)


def test_equal_likelihoods_give_their_value_and_the_prior_but_may_hide_a_step(tmp_path):
    """A step up without draws looks the same: log Z was 41 too low under "ok" (step4)."""
    hidden = box(1e-9, 3, outside=-3.0)
    assert hidden.log_likelihood(np.full(3, 0.37)) == 0.0
    result = run(Written(hidden.log_likelihood, ["p0", "p1", "p2"]), cube(3), tmp_path)
    own = result.meta_data["nbi"]
    assert own["status"] == "missing mass" and "log L is the same at all of" in own["message"]
    assert result.log_evidence == pytest.approx(-3.0, abs=1e-12)
    assert result.log_evidence_err == 0.0
    assert stats.kstest(result.samples[:, 0], "uniform").pvalue > 1e-4


@pytest.mark.slow
def test_spike_of_a_forward_model_is_found_by_rounds(tmp_path):
    truth = np.array([0.37, 0.81])
    likelihood = GaussianLikelihood(np.arange(2), truth, lambda x, p0, p1: p0 + (p1 - p0) * x, sigma=WIDTH)
    assert_right(run(likelihood, cube(2), tmp_path), 0.0)


@pytest.mark.slow
def test_priors_over_sixty_decades(tmp_path):
    priors = PriorDict({"p0": LogUniform(1e-30, 1e30), "p1": Gaussian(0, 1e-20), "p2": Uniform(-1e15, 1e15)})

    def log_likelihood(theta):
        scaled = np.array([(np.log10(theta[0]) - 7.0) / 0.5, (theta[1] * 1e20 - 0.5) / 0.2, theta[2] / 1e14])
        return -0.5 * scaled @ scaled

    widths = np.array([0.5 / 60, 0.2, 1e14 / 2e15])
    exact = np.sum(np.log(widths * np.sqrt(2 * np.pi))) + stats.norm.logpdf(0.5, 0, np.hypot(1, 0.2))
    assert_right(run(Written(log_likelihood, list(priors)), priors, tmp_path), exact)


@pytest.mark.slow
def test_noise_in_the_likelihood_is_averaged(tmp_path):
    # The weights are right on average: the evidence is that of the mean likelihood, not of the mean log L.
    noise, scatter = np.random.default_rng(3), 0.7
    good = peak(np.array([0.4, 0.6]), 0.05)
    likelihood = Written(lambda theta: good(theta) + scatter * noise.normal(), ["p0", "p1"])
    assert_right(run(likelihood, cube(2), tmp_path), scatter**2 / 2)


@pytest.mark.takes_seconds
@pytest.mark.usefixtures("small_fits")
def test_noise_that_drowns_the_likelihood_is_not_called_ok(tmp_path):
    noise = np.random.default_rng(3)
    good = peak(np.array([0.4, 0.6]), 0.1)
    likelihood = Written(lambda theta: good(theta) + 4.0 * noise.normal(), ["p0", "p1"])
    result = run(likelihood, cube(2), tmp_path, n_sims=300, max_likelihood_calls=2500)
    own = result.meta_data["nbi"]
    assert own["status"] in ("unreliable weights", "few distinct samples", "missing mass")
    assert "raise" in own["message"]


def test_a_likelihood_that_is_finite_almost_nowhere_is_no_answer(tmp_path):
    hostile = box(1e-9, 2)
    result = run(Written(hostile.log_likelihood, ["p0", "p1"]), cube(2), tmp_path, n_sims=300)
    own = result.meta_data["nbi"]
    assert own["status"] == "no finite likelihood"
    assert "narrow the priors" in own["message"]
    assert result.log_evidence == -np.inf
