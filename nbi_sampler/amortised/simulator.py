"""The user's simulator as a forward model, alone for a training set, or with the data of one target.

The evaluator of the sampler handles batches, pools and draws that fail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nbi_sampler.core.guarded import users_errors, users_settings
from nbi_sampler.core.randomness import stage_generator
from nbi_sampler.core.types import Array
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.evaluation.pools import Pool
from nbi_sampler.forward import UserModel
from nbi_sampler.forward.arrays import as_numbers, as_real_numbers
from nbi_sampler.priors.space import ParameterSpace

__all__ = [
    "TargetModel",
    "VectorSimulator",
    "gaussian_log_likelihood",
    "simulating_evaluator",
    "target_evaluator",
]


class VectorSimulator:
    """A simulator that takes a vector of parameters, as a function of a mapping.

    Parameters
    ----------
    function : callable
        ``function(theta) -> ndarray``, theta of shape (n_dim,), or (n_dim, n, 1) where it broadcasts.
    names : sequence of str
    """

    def __init__(self, function: Callable[[Array], ArrayLike], names: Sequence[str]) -> None:
        self.function = function
        self.names = tuple(names)

    def __call__(self, parameters: Mapping[str, Any]) -> ArrayLike:
        """The simulation at parameters of any common shape."""
        return self.function(np.array([parameters[name] for name in self.names]))


class TargetModel(UserModel):
    """A simulator and the data of one target, whose likelihood follows from the simulation already made.

    Parameters
    ----------
    simulator : callable
    noise : float, ndarray or callable
        See `UserModel`.
    x_obs : array_like
    log_likelihood : callable, optional
        ``(x, y) -> ndarray, shape (n,)`` with simulations x, shape (n, *shape), of parameters y, shape
        (n, n_dim); Gaussian errors of size ``noise`` without.
    names : sequence of str
        Of the columns of y.
    """

    has_log_likelihood = True

    def __init__(
        self,
        simulator: Callable[[dict[str, float]], ArrayLike],
        noise: Any,
        x_obs: ArrayLike,
        log_likelihood: Callable[[Array, Array], ArrayLike] | None = None,
        names: Sequence[str] = (),
    ) -> None:
        super().__init__(simulator, noise, x_obs)
        self._weigh = log_likelihood
        self._names = tuple(names)

    def _parameters_of(self, columns: Mapping[str, Array], n: int) -> Sequence[Any]:
        """Vectors where the names are known, as the noise functions of an engine have it."""
        if not self._names:
            return super()._parameters_of(columns, n)
        return list(np.stack([np.broadcast_to(columns[name], n) for name in self._names], 1))

    def log_likelihood(self, predictions: Array, columns: Mapping[str, Array]) -> Array:
        """Log-likelihood from predictions; see `ForwardModel.log_likelihood`."""
        if self._weigh is None:
            return gaussian_log_likelihood(self.observed, self._scale, predictions)
        y = np.stack([np.broadcast_to(columns[name], len(predictions)) for name in self._names], 1)
        return as_real_numbers(self._weigh(self.as_data(predictions), y), "log_likelihood")

    def of_parameters(self, parameters: dict[str, float]) -> float:
        """Log-likelihood of one parameter set."""
        columns = {name: np.array([value]) for name, value in parameters.items()}
        return float(self.log_likelihood(self.simulate(parameters)[None], columns)[0])


def gaussian_log_likelihood(observed: Array, x_err: Array, predictions: Array) -> Array:
    r"""Log-likelihood of independent Gaussian errors, shape (n,).

    .. math:: -\frac12 \sum_i \left[ (x_i - m_i)^2 / \sigma_i^2 + \log 2 \pi \sigma_i^2 \right]

    Parameters
    ----------
    observed, x_err : ndarray, shape (n_data,)
    predictions : ndarray, shape (n, n_data)
    """
    with np.errstate(over="ignore", invalid="ignore"):
        square = (((observed - predictions) / x_err) ** 2).sum(1)
    return -0.5 * square - 0.5 * float(np.log(2.0 * np.pi * x_err**2).sum())


def target_evaluator(model: TargetModel, space: ParameterSpace, pool: Pool | None = None) -> Evaluator:
    """Evaluator that simulates and weighs draws of z for one target."""
    return Evaluator(space, model.of_parameters, model, stage_generator(0, "probe"), pool=pool)


def simulating_evaluator(
    simulator: Callable[[dict[str, float]], ArrayLike], space: ParameterSpace, pool: Pool | None = None
) -> tuple[Evaluator, TargetModel]:
    """Evaluator that makes simulations at draws of z, and the model that knows their form.

    Parameters
    ----------
    simulator : callable
        Of a mapping of parameters, sampled and fixed.
    space : ParameterSpace
    pool : Pool, optional

    Returns
    -------
    Evaluator
        Its predictions are the simulations, flat; its log-likelihoods mean nothing.
    TargetModel
    """
    middle = space.row(space.to_theta(np.zeros((1, space.n_dim)))[0])
    with users_settings(), users_errors():
        simulated = simulator(middle)
    first = np.atleast_1d(as_numbers(simulated, "simulator"))
    if not first.size:
        raise ValueError("simulator: expected a simulation of one number at least, got an empty array")
    model = TargetModel(simulator, 1.0, np.zeros_like(first))
    return target_evaluator(model, space, pool), model
