"""A problem whose data can be simulated: simulations for training, and the likelihood of each data set.

Parameters come from the priors of the problem, and noise comes from its likelihood.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nbi_sampler.core.randomness import stage_generator, torch_generator
from nbi_sampler.evaluation.calls import likelihood_function
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.forward.base import ForwardModel
from nbi_sampler.forward.gaussian import GaussianModel
from nbi_sampler.forward.recognise import forward_model_for
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler_benchmark.problems.registry import Problem

__all__ = ["SimulatedProblem", "Simulations"]

Array = NDArray[np.float64]

# Each block has its own random stream, so fewer simulations are the first of more.
BLOCK = 500


@dataclass(frozen=True)
class Simulations:
    """Simulated data with their parameters.

    Attributes
    ----------
    z, theta : ndarray, shape (n, n_dim)
        Parameters; z is standard normal under the prior.
    predictions : ndarray, shape (n, n_data)
    x : ndarray, shape (n, n_data)
        Predictions with noise.
    sigma : ndarray, shape (n, n_data), or None
        Standard deviations of the noise, if it is Gaussian.
    """

    z: Array
    theta: Array
    predictions: Array
    x: Array
    sigma: Array | None


class SimulatedProblem:
    """A problem whose priors and likelihood simulate data, and whose likelihood gives weights.

    Parameters
    ----------
    problem : Problem
        A problem whose likelihood holds its data as ``y``, as bilby's likelihoods of one variable do.

    Attributes
    ----------
    space : ParameterSpace
    observed : ndarray, shape (n_data,)
        The problem's own data.

    Raises
    ------
    ValueError
        If the likelihood cannot simulate data.
    """

    def __init__(self, problem: Problem) -> None:
        forward = forward_model_for(problem.likelihood)
        if forward is None or not hasattr(problem.likelihood, "y"):
            raise ValueError(
                f"problem: expected a likelihood of bilby's with data `y`, of Gaussian noise, counts or the "
                f"like, got {type(problem.likelihood).__name__}; its data cannot be simulated"
            )
        self.problem = problem
        self.space = ParameterSpace(problem.priors)
        self.observed = forward.observed
        self._forward = forward
        self._simulate = self.evaluator(self.observed)
        self._blocks: dict[tuple[int, str], list[Simulations]] = {}

    def simulations(self, n: int, seed: int, purpose: str) -> Simulations:
        """Parameters from the prior and data from the likelihood, if the prediction is finite.

        Simulations are cached, and fewer simulations are the first of more.

        Parameters
        ----------
        n : int
        seed : int
        purpose : str
            Another seed gives other simulations.
        """
        blocks = self._blocks.setdefault((seed, purpose), [])
        while sum(len(block.z) for block in blocks) < n:
            blocks.append(self._block(stage_generator(seed, purpose, len(blocks))))
        return _joined(blocks, n)

    def evaluator(self, x: Array) -> Evaluator:
        """Make the log-likelihood of draws of z for the data ``x``, shape (n_data,)."""
        likelihood = copy.copy(self.problem.likelihood)
        likelihood.y = x.astype(np.asarray(likelihood.y).dtype).reshape(np.shape(likelihood.y))
        function = likelihood_function(likelihood, use_ratio=False)
        return Evaluator(self.space, function, forward_model_for(likelihood), stage_generator(0, "probe"))

    def log_prior(self, theta: Array) -> Array:
        """Log prior density, shape (n,), of theta, shape (n, n_dim); minus infinity outside."""
        columns = {name: theta[:, i] for i, name in enumerate(self.space.names)}
        with np.errstate(divide="ignore"):
            density = self.problem.priors.ln_prob(columns, axis=0, normalized=False)
        return np.where(self.space.satisfies_constraints(theta), density, -np.inf)

    def _block(self, rng: np.random.Generator) -> Simulations:
        z = rng.normal(size=(BLOCK, self.space.n_dim))
        made = self._simulate(z)
        assert made.predictions is not None
        whole = np.isfinite(made.predictions).all(1)
        theta, predictions = made.theta[whole], made.predictions[whole]
        columns = self.space.columns(theta)
        tensors = {name: torch.as_tensor(column) for name, column in columns.items()}
        x = self._forward.noise(torch.as_tensor(predictions), tensors, torch_generator(rng)).numpy()
        return Simulations(z[whole], theta, predictions, x, _sigma(self._forward, columns, x.shape))


def _sigma(forward: ForwardModel, columns: dict[str, Array], shape: tuple[int, ...]) -> Array | None:
    """Standard deviations of Gaussian noise, constant or a parameter; None for other noise."""
    if isinstance(forward, GaussianModel) and "sigma" in columns:
        return np.broadcast_to(np.abs(columns["sigma"])[:, None], shape)
    return None if forward.uncertainty is None else np.broadcast_to(forward.uncertainty, shape)


def _joined(blocks: list[Simulations], n: int) -> Simulations:
    columns = zip(*(vars(block).values() for block in blocks), strict=True)
    joined: Any = (None if column[0] is None else np.concatenate(column)[:n] for column in columns)
    return Simulations(*joined)
