"""Packages written for tests, whose posterior is exact, and what they answer."""

from __future__ import annotations

from nbi_sampler_benchmark.packages.inside.worker import answer
from nbi_sampler_benchmark.packages.scoring import make_task

# The posterior of a straight line with errors of one: exact but for the edges of the prior.
EXACT = """
import json
from pathlib import Path
import numpy as np

GRID = np.linspace(0, 10, 100)
DESIGN = np.stack([GRID, np.ones(100)], 1)
COVARIANCE = np.linalg.inv(DESIGN.T @ DESIGN)

class Exact:
    about = {"epochs": 7}

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def log_prob(self, theta, x):
        residual = theta - x @ DESIGN @ COVARIANCE
        chi_squared = np.einsum("ni,ij,nj->n", residual, np.linalg.inv(COVARIANCE), residual)
        return -0.5 * chi_squared - 0.5 * np.linalg.slogdet(2 * np.pi * COVARIANCE)[1]

    def sample(self, x, n):
        return self.rng.multivariate_normal(x @ DESIGN @ COVARIANCE, COVARIANCE, n)

def train(task, options):
    with Path(__file__).with_suffix(".log").open("a") as file:
        file.write(f"{len(task.theta)} {json.dumps(options)}\\n")
    assert np.allclose(task.sigma, 1.0) and task.x.shape == task.predictions.shape
    return Exact(int(task.seed))
"""
# The same in z: theta = low + width Phi(z).
EXACT_IN_Z = (
    EXACT
    + """
from scipy.stats import norm

LOW, WIDTH = np.array([0.0, -2.0]), np.array([5.0, 4.0])

class InZ(Exact):
    def log_prob(self, z, x):
        return super().log_prob(LOW + WIDTH * norm.cdf(z), x) + (np.log(WIDTH) + norm.logpdf(z)).sum(1)

    def sample(self, x, n):
        u = (super().sample(x, 50 * n) - LOW) / WIDTH
        return norm.ppf(u[((u > 0) & (u < 1)).all(1)][:n])

def train(task, options):
    return InZ(int(task.seed))
"""
)
SIZES = {"n_targets": 10, "n_draws": 400}


def answered(simulated, path, latent, options=None, n_sims=300):
    training = simulated.simulations(n_sims, 1, "training")
    held_out = simulated.simulations(300, 1, "held out")
    task = make_task(simulated, training, held_out, latent=latent, seed=1, **SIZES)
    return task, held_out, answer(task, path, options or {})
