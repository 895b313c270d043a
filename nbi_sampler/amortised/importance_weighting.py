"""Likelihoods for the importance weights: a function of the user, or Gaussian errors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nbi_sampler.amortised.data_format import DataFormat, Observation
from nbi_sampler.amortised.inference import LogLikelihood
from nbi_sampler.amortised.setup import Setup
from nbi_sampler.amortised.simulator import TargetModel, gaussian_log_likelihood
from nbi_sampler.core.guarded import users_errors, users_settings
from nbi_sampler.core.types import Array
from nbi_sampler.forward import UserModel
from nbi_sampler.forward.arrays import as_numbers, as_real_numbers

__all__ = ["errors_of_noise", "target_likelihood", "target_model"]


def target_likelihood(
    function: Callable[..., ArrayLike] | None,
    data_format: DataFormat,
    model: UserModel,
    observation: Observation,
    x_obs: ArrayLike,
) -> tuple[LogLikelihood, list[Observation]]:
    """Return the log-likelihood of simulations, and the data of each target in the form that it takes.

    Parameters
    ----------
    function : callable, optional
        The user's ``function(x, y, observation) -> ndarray, shape (n,)``. Without it, errors are Gaussian.
    data_format : DataFormat
    model : UserModel
        The model that makes the simulations.
    observation : Observation
        Checked data of all targets. They need uncertainties if there is no function.
    x_obs : array_like
        Data as the user passed them. The function gets missing points unchanged.

    Raises
    ------
    ValueError
        If there is no function, and simulations and data differ in shape.
    """
    x, x_err, mask = observation
    if function is not None:
        x = as_numbers(x_obs, "x_obs").reshape(-1, *data_format.data_shape)
        if x_err is not None and set(data_format.channels) == {"value"}:
            x_err = data_format.as_errors(x_err)
    elif model.data_shape != data_format.data_shape or (model.is_complex and not data_format.is_complex):
        raise ValueError(
            f"log_likelihood: expected a function, as simulations have shape {model.data_shape} and data "
            f"{data_format.data_shape}{' and are real' if model.is_complex else ''}: there is nothing to "
            "compare point by point; pass log_likelihood="
        )
    errors: Any = [None] * len(x) if x_err is None else x_err
    targets = [Observation(*parts) for parts in zip(x, errors, mask, strict=True)]
    values = [i for i, role in enumerate(data_format.channels) if role == "value"]

    def by_function(predictions: Array, y: Array, target: Observation) -> ArrayLike:
        assert function is not None
        return _by_user(function, target, model.as_data(predictions), y)

    def by_errors(predictions: Array, y: Array, target: Observation) -> Array:
        made = data_format.as_channels(model.as_data(predictions))[:, values][:, :, target.mask]
        observed, errors = target.x[values][:, target.mask], target.x_err[:, target.mask]
        return gaussian_log_likelihood(observed.ravel(), errors.ravel(), made.reshape(len(y), -1))

    return by_errors if function is None else by_function, targets


def target_model(
    setup: Setup, given: Observation, function: Callable[..., ArrayLike] | None = None
) -> TargetModel:
    """Return a target for sequential rounds, with missing points removed from its data and simulations.

    Parameters
    ----------
    setup : Setup
    given : Observation
        Data as the user passed them.
    function : callable, optional
        The user's log-likelihood.

    Raises
    ------
    ValueError
        If there is no simulator, if nothing gives a likelihood, or if no point is usable.
    """
    if setup.simulator is None:
        raise ValueError("simulator: expected one for sequential rounds, got None; n_rounds=1 is amortised")
    x, x_err = np.atleast_1d(given.x), given.x_err
    present = np.isfinite(x).reshape(-1, x.shape[-1]).all(0)
    present &= True if given.mask is None else given.mask.reshape(-1)
    noise: Any = setup.noise
    if function is None or noise is None:
        errors = errors_of_noise(setup.noise) if x_err is None else x_err
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
    simulator, weigh = setup.simulator, None
    if not present.all():
        simulator = partial(_at_points, simulator, present)
    if function is not None:
        errors = None if x_err is None else np.broadcast_to(x_err, x.shape)[..., present]
        weigh = partial(_by_user, function, Observation(x[..., present], errors, present[present]))
    return TargetModel(simulator, noise, x[..., present], weigh, setup.space.names)


def errors_of_noise(noise: Any) -> Array:
    """Return the noise of an engine, a number or an array, as the uncertainties of all data.

    Raises
    ------
    ValueError
        If the noise is None or a function.
    """
    if noise is None or callable(noise):
        raise ValueError(
            "x_err: expected uncertainties or a log-likelihood to weigh by, got neither; pass x_err= or "
            "log_likelihood=, or use `sample`, which does not weigh"
        )
    return as_real_numbers(noise, "noise")


def _at_points(
    simulator: Callable[[Any], ArrayLike], present: NDArray[np.bool_], parameters: Any
) -> NDArray[Any]:
    """Simulate the points that are present, shape (..., n_present)."""
    return np.asarray(simulator(parameters))[..., present]


def _by_user(
    function: Callable[..., ArrayLike], observation: Observation, x: NDArray[Any], y: Array
) -> ArrayLike:
    """Call the user's log-likelihood for simulations of the points that are present, shape (n,)."""
    with users_settings(), users_errors():
        return function(x, y, observation)
