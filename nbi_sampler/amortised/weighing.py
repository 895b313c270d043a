"""Which likelihood weighs the draws of a target: the user's own, or Gaussian errors on the data.

Called by the engine, with data as users give them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nbi_sampler.amortised.data_format import DataLayout, Targets
from nbi_sampler.amortised.inference import LogLikelihood
from nbi_sampler.amortised.noise import Observation
from nbi_sampler.amortised.setup import Setup
from nbi_sampler.amortised.simulator import TargetModel, gaussian_log_likelihood
from nbi_sampler.core.guarded import users_errors, users_settings
from nbi_sampler.forward import UserModel
from nbi_sampler.forward.arrays import as_mask, as_numbers, as_real_numbers

__all__ = ["sequential_target", "weighed"]

Array = NDArray[np.float64]


def weighed(
    function: Callable[..., ArrayLike] | None,
    noise: Any,
    layout: DataLayout,
    model: UserModel,
    x: NDArray[Any],
    x_err: Array | None,
    mask: NDArray[np.bool_] | None,
) -> tuple[LogLikelihood, list[Observation]]:
    """Log-likelihood of simulations, and the data of every target as it takes them.

    Parameters
    ----------
    function : callable, optional
        The user's: ``function(x, y, observation) -> ndarray, shape (n,)``; Gaussian errors without.
    noise : object
        Of the engine: its standard deviation counts where there is no ``x_err``.
    layout : DataLayout
    model : UserModel
        Of which the simulations are.
    x : array_like, shape (n_targets, *data_shape)
    x_err, mask : array_like, optional

    Raises
    ------
    ValueError
        Without a function, where no errors are known or simulations have another shape than data.
    """
    # Points that only weights take as missing would be known to the networks.
    layout = replace(layout, has_uncertainty=x_err is not None)
    if layout.has_mask and mask is None:
        mask = np.asarray(np.isfinite(layout.as_checked(x)).all(1))
    if function is not None:
        return _by_user(function, layout, model, x, x_err, mask)
    if model.data_shape != layout.data_shape or (model.is_complex and not layout.is_complex):
        raise ValueError(
            f"log_likelihood: expected a function, as simulations have shape {model.data_shape} and data "
            f"{layout.data_shape}{' and are real' if model.is_complex else ''}: there is nothing to compare "
            "point by point; pass log_likelihood="
        )
    layout = replace(layout, has_uncertainty=True)
    return _by_errors(layout, model, layout.targets(x, _errors(noise, x_err), mask))


def _by_user(
    function: Callable[..., ArrayLike],
    layout: DataLayout,
    model: UserModel,
    x: NDArray[Any],
    x_err: Array | None,
    mask: NDArray[np.bool_] | None,
) -> tuple[LogLikelihood, list[Observation]]:
    targets = layout.targets(x, x_err, mask)
    errors: Any = [None] * len(targets.x) if targets.x_err is None else targets.x_err
    if targets.x_err is not None and set(layout.channels) == {"value"}:
        errors = layout.as_errors(targets.x_err)
    observations = [Observation(*parts) for parts in zip(x, errors, targets.mask, strict=True)]

    def log_likelihood(predictions: Array, y: Array, observation: Observation) -> ArrayLike:
        with users_settings(), users_errors():
            return function(model.as_data(predictions), y, observation)

    return log_likelihood, observations


def _by_errors(
    layout: DataLayout, model: UserModel, targets: Targets
) -> tuple[LogLikelihood, list[Observation]]:
    values = [i for i, role in enumerate(layout.channels) if role == "value"]
    assert targets.x_err is not None
    observations = [Observation(*parts) for parts in zip(targets.x, targets.x_err, targets.mask, strict=True)]

    def log_likelihood(predictions: Array, y: Array, observation: Observation) -> Array:
        assert observation.x_err is not None and observation.mask is not None
        made = layout.as_channels(model.as_data(predictions))
        rows = made[:, values][:, :, observation.mask]
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
    x = np.atleast_1d(as_numbers(x_obs, "x_obs"))
    x_err = None if x_err is None else as_real_numbers(x_err, "x_err")
    present = np.isfinite(x).reshape(-1, x.shape[-1]).all(0)
    present &= True if mask is None else as_mask(mask, "x_mask").reshape(-1)
    noise: Any = setup.noise
    if function is None or noise is None:
        errors = _errors(setup.noise, x_err)
        try:
            noise = np.broadcast_to(errors, x.shape)
        except ValueError as error:
            raise ValueError(
                f"x_err: expected uncertainties that broadcast to x_obs {x.shape}, got shape {errors.shape}"
            ) from error
        present &= (np.isfinite(noise) & (noise > 0)).reshape(-1, x.shape[-1]).all(0)
        noise = noise[..., present]
    elif not callable(noise):
        noise = np.broadcast_to(as_real_numbers(noise, "noise"), x.shape)[..., present]
    if not present.any():
        raise ValueError(
            "x_obs: expected a point that is present, finite and has a positive uncertainty, got none"
        )
    simulator = setup.simulator if present.all() else Present(setup.simulator, present)
    weigh = None if function is None else OfPresent(function, x, x_err, present)
    return TargetModel(simulator, noise, x[..., present], weigh, setup.space.names)


def _errors(noise: Any, x_err: Array | None) -> Array:
    if x_err is not None:
        return x_err
    if noise is None or callable(noise):
        raise ValueError(
            "x_err: expected uncertainties or a log-likelihood to weigh by, got neither; pass x_err= or "
            "log_likelihood=, or use `sample`, which does not weigh"
        )
    return as_real_numbers(noise, "noise")


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
        x: NDArray[Any],
        x_err: Array | None,
        present: NDArray[np.bool_],
    ) -> None:
        self.function = function
        errors = None if x_err is None else np.broadcast_to(x_err, x.shape)
        self.observation = Observation(
            x[..., present], None if errors is None else errors[..., present], present[present]
        )

    def __call__(self, x: NDArray[Any], y: Array) -> ArrayLike:
        """Log-likelihoods of simulations, shape (n,)."""
        with users_settings(), users_errors():
            return self.function(x, y, self.observation)
