"""Which likelihood weighs the draws of a target: the user's own, or Gaussian errors on the data.

Called by the engine, with data as users give them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nbi_sampler.amortised.inference import LogLikelihood
from nbi_sampler.amortised.layout import DataLayout
from nbi_sampler.amortised.noise import Observation
from nbi_sampler.amortised.setup import Setup
from nbi_sampler.amortised.simulator import TargetModel, gaussian_log_likelihood

__all__ = ["sequential_target", "weighed"]

Array = NDArray[np.float64]


def weighed(
    function: Callable[..., ArrayLike] | None,
    noise: Any,
    layout: DataLayout,
    shape: tuple[int, ...],
    x: ArrayLike,
    x_err: ArrayLike | None,
    mask: ArrayLike | None,
) -> tuple[LogLikelihood, list[Observation]]:
    """Log-likelihood of simulations, and the data of every target as it takes them.

    Parameters
    ----------
    function : callable, optional
        The user's: ``function(x, y, observation) -> ndarray, shape (n,)``; Gaussian errors without.
    noise : object
        Of the engine: its standard deviation counts where there is no ``x_err``.
    layout : DataLayout
    shape : tuple of int
        Of one simulation.
    x : array_like, shape (n_targets, *data_shape)
    x_err, mask : array_like, optional

    Raises
    ------
    ValueError
        Without a function, where no errors are known or simulations have another shape than data.
    """
    if function is not None:
        return _by_user(function, layout, shape, x, x_err, mask)
    if tuple(shape) != layout.data_shape:
        raise ValueError(
            f"log_likelihood: expected a function, as simulations have shape {tuple(shape)} and data "
            f"{layout.data_shape}: there is nothing to compare point by point; pass log_likelihood="
        )
    return _by_errors(layout, x, _errors(noise, x_err), mask)


def _by_user(
    function: Callable[..., ArrayLike],
    layout: DataLayout,
    shape: tuple[int, ...],
    x: ArrayLike,
    x_err: ArrayLike | None,
    mask: ArrayLike | None,
) -> tuple[LogLikelihood, list[Observation]]:
    targets = replace(layout, has_uncertainty=x_err is not None, has_mask=True).targets(x, x_err, mask)
    errors: Any = [None] * len(targets.x) if targets.x_err is None else targets.x_err
    if targets.x_err is not None and set(layout.channels) == {"value"}:
        errors = targets.x_err.reshape(-1, *layout.data_shape)
    seen = np.asarray(x, dtype=float)
    observations = [Observation(*parts) for parts in zip(seen, errors, targets.mask, strict=True)]

    def log_likelihood(predictions: Array, y: Array, observation: Observation) -> ArrayLike:
        return function(predictions.reshape(-1, *shape), y, observation)

    return log_likelihood, observations


def _by_errors(
    layout: DataLayout, x: ArrayLike, x_err: ArrayLike, mask: ArrayLike | None
) -> tuple[LogLikelihood, list[Observation]]:
    targets = replace(layout, has_uncertainty=True, has_mask=True).targets(x, x_err, mask)
    values = [i for i, role in enumerate(layout.channels) if role == "value"]
    assert targets.x_err is not None
    observations = [Observation(*parts) for parts in zip(targets.x, targets.x_err, targets.mask, strict=True)]

    def log_likelihood(predictions: Array, y: Array, observation: Observation) -> Array:
        assert observation.x_err is not None and observation.mask is not None
        rows = predictions.reshape(len(y), len(layout.channels), -1)[:, values][:, :, observation.mask]
        observed = observation.x[values][:, observation.mask]
        errors = observation.x_err[:, observation.mask]
        return gaussian_log_likelihood(observed.ravel(), errors.ravel(), rows.reshape(len(y), -1))

    return log_likelihood, observations


def sequential_target(
    setup: Setup,
    x_obs: ArrayLike | None,
    x_err: ArrayLike | None,
    mask: ArrayLike | None,
    function: Callable[..., ArrayLike] | None,
) -> TargetModel:
    """One target as the rounds take it: points that are missing are left out of data and simulations.

    Raises
    ------
    ValueError
        Without data, a simulator, or anything that gives a likelihood.
    """
    if x_obs is None or setup.simulator is None:
        name = "x_obs" if x_obs is None else "simulator"
        raise ValueError(f"{name}: expected one for sequential rounds, got None; n_rounds=1 is amortised")
    x = np.asarray(x_obs, dtype=float)
    present = np.isfinite(x).reshape(-1, x.shape[-1]).all(0)
    present &= True if mask is None else np.asarray(mask, dtype=bool).reshape(-1)
    noise: Any = FirstOf(setup.noise) if callable(setup.noise) else setup.noise
    if function is None or noise is None:
        noise = np.broadcast_to(_errors(setup.noise, x_err), x.shape)
        present &= (np.isfinite(noise) & (noise > 0)).reshape(-1, x.shape[-1]).all(0)
        noise = noise[..., present]
    elif not callable(noise):
        noise = np.broadcast_to(noise, x.shape)[..., present]
    simulator = setup.simulator if present.all() else Present(setup.simulator, present)
    weigh = None if function is None else OfPresent(function, x, x_err, present)
    return TargetModel(simulator, noise, x[..., present], weigh, setup.space.names)


def _errors(noise: Any, x_err: ArrayLike | None) -> ArrayLike:
    if x_err is not None:
        return x_err
    if noise is None or callable(noise):
        raise ValueError(
            "x_err: expected uncertainties or a log-likelihood to weigh by, got neither; pass x_err= or "
            "log_likelihood=, or use `sample`, which does not weigh"
        )
    return np.asarray(noise, dtype=float)


class Present:
    """A simulator at the points that are present."""

    def __init__(self, simulator: Callable[[Any], ArrayLike], present: NDArray[np.bool_]) -> None:
        self.simulator = simulator
        self.present = present

    def __call__(self, parameters: Any) -> Array:
        """The simulation, shape (..., n_present)."""
        return np.asarray(self.simulator(parameters))[..., self.present]


class OfPresent:
    """A user's log-likelihood of one target, reduced to the points that are present."""

    def __init__(
        self,
        function: Callable[..., ArrayLike],
        x: Array,
        x_err: ArrayLike | None,
        present: NDArray[np.bool_],
    ) -> None:
        self.function = function
        errors = None if x_err is None else np.broadcast_to(np.asarray(x_err, dtype=float), x.shape)
        self.observation = Observation(
            x[..., present], None if errors is None else errors[..., present], present[present]
        )

    def __call__(self, predictions: Array, y: Array) -> ArrayLike:
        """Log-likelihoods of flat predictions, shape (n,)."""
        return self.function(predictions.reshape(-1, *self.observation.x.shape), y, self.observation)


class FirstOf:
    """The data alone of a noise function that draws uncertainties too."""

    def __init__(self, noise: Callable[..., Any]) -> None:
        self.noise = noise

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        """Data with noise."""
        made = self.noise(x, rng)
        return made[0] if isinstance(made, tuple) else made
