"""Forward model of a user's own simulator and noise, for likelihoods that are not recognised."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from nbi_sampler.core.config import FORWARD
from nbi_sampler.forward.arrays import (
    Array,
    as_numbers,
    as_observed,
    as_real_numbers,
    channel_shape,
    from_channels,
    robust_scale,
    to_channels,
)
from nbi_sampler.forward.base import ForwardModel
from nbi_sampler.forward.draws import normal_like, numpy_generator
from nbi_sampler.forward.noise_function import NoiseFunction

__all__ = ["UserModel"]


class UserModel(ForwardModel):
    """Simulator, noise and observed data from the user, without a log-likelihood.

    Parameters
    ----------
    simulator : callable
        ``simulator(parameters: dict) -> ndarray`` of the shape of ``x_obs``. It adds no noise unless
        ``noise`` is None.
    noise : float or ndarray or callable or None
        Standard deviation of Gaussian noise: a number or an array that broadcasts to ``x_obs``. Or a function
        ``noise(prediction: ndarray, rng: numpy.random.Generator) -> ndarray`` that returns a noisy copy of
        the prediction (`NoiseFunction` lists other signatures). Or None if the simulator adds its own noise.
    x_obs : array_like, shape (length,) or (n_channels, length)
        Observed data, real or complex. For complex data, a standard deviation applies to the real and to the
        imaginary part, and simulations and the noise function are complex too.

    Attributes
    ----------
    data_shape : tuple of int
        Shape of ``x_obs``.
    is_complex : bool
        True if ``x_obs`` is complex. Everywhere else in a forward model complex data are real: the real parts
        of all channels, then the imaginary parts.

    Raises
    ------
    TypeError
        If ``simulator`` cannot be called.
    ValueError
        If the observed data are not finite, or the standard deviation is not positive.

    Notes
    -----
    A noise function is called row by row in numpy. It is called several times near ``x_obs`` when the model
    is made, to learn the noise scale.

    Examples
    --------
    >>> model = UserModel(lambda p: p["a"] * np.arange(3.0), 0.1, [0.0, 1.0, 2.0])
    >>> model.simulate({"a": 2.0})
    array([0., 2., 4.])
    """

    has_log_likelihood = False

    def __init__(
        self,
        simulator: Callable[[dict[str, float]], ArrayLike],
        noise: float | ArrayLike | Callable[[Array, np.random.Generator], ArrayLike] | None,
        x_obs: ArrayLike,
    ) -> None:
        if not callable(simulator):
            raise TypeError(
                f"simulator: expected a function of a dictionary of parameters, got "
                f"{type(simulator).__name__}; pass the function itself, not its value."
            )
        observed = as_observed(x_obs, "x_obs", allow_complex=True)
        self.data_shape = observed.shape
        self.is_complex = bool(np.iscomplexobj(observed))
        self._simulator = simulator
        self._wrapped: Callable[[Any], Any] | None = None
        self._noise = NoiseFunction(noise) if callable(noise) else None
        self._is_gaussian = noise is not None and not callable(noise)
        name = (
            "Gaussian noise" if self._is_gaussian else "noise function" if callable(noise) else "stochastic"
        )
        super().__init__(
            f"user's simulator, {name}",
            to_channels(observed[None], self.data_shape)[0],
            shape=channel_shape(self.data_shape, self.is_complex),
        )
        self._scale = self._reference_scale() if noise is None or callable(noise) else self._sigma(noise)

    @property
    def noise_is_known(self) -> bool:
        """True if noise was given; a simulator that adds its own does not tell its size."""
        return self._is_gaussian or self._noise is not None

    @property
    def sequences(self) -> tuple[NDArray[np.intp], ...]:
        """Each channel in its own order; see `ForwardModel.sequences`."""
        return tuple(np.arange(self.observed.size).reshape(self.shape))

    @property
    def uncertainty(self) -> Array | None:
        """The standard deviation that was given as noise; see `ForwardModel.uncertainty`."""
        return self._scale if self._is_gaussian else None

    def simulate(self, parameters: Mapping[str, float]) -> Array:
        """One call of the simulator with a new dictionary; see `ForwardModel.simulate`."""
        return self._flat(self._simulator(dict(parameters)), "simulator")

    def simulate_batch(self, columns: Mapping[str, Array]) -> Array:
        """One call for one channel and a simulator without noise; see `ForwardModel.simulate_batch`."""
        n = len(next(iter(columns.values())))
        arguments: dict[str, Any] = {key: np.asarray(value)[:, None] for key, value in columns.items()}
        # Draws of a stochastic simulator might share their noise in one call, and no comparison would reveal
        # it.
        if not (self._is_gaussian or self._noise) or (self._wrapped is None and len(self.data_shape) > 1):
            return super().simulate_batch(columns)
        if self._wrapped is not None:
            made, shape = self._wrapped(arguments), (n, *self.data_shape)
        else:
            made, shape = self._simulator(arguments), (n, int(np.prod(self.data_shape)))
        return self._as_real(np.broadcast_to(as_numbers(made, "simulator"), shape), "simulator")

    def as_data(self, predictions: Array) -> Any:
        """Predictions in the shape that the simulator returns, shape (n, *data_shape)."""
        return from_channels(predictions, self.data_shape, self.is_complex)

    def replacing_function(self, wrap: Callable[[Callable[[Any], Any]], Callable[[Any], Any]]) -> UserModel:
        """A copy that calls ``wrap(simulator)``; see `ForwardModel.replacing_function`."""
        model = copy.copy(self)
        model._wrapped = wrap(self._simulator)
        return model

    def log_likelihood(self, predictions: Array, columns: Mapping[str, Array]) -> Array:
        """Raise NotImplementedError, because there is no likelihood.

        Raises
        ------
        NotImplementedError
            Always.
        """
        raise NotImplementedError(
            "a simulator and a noise give no log-likelihood; importance sampling needs one: "
            "pass a bilby likelihood, and evaluate it separately."
        )

    def noise(self, predictions: Tensor, columns: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        """Add the user's noise; see `ForwardModel.noise`."""
        if self._is_gaussian:
            return predictions + self._constant("_scale", predictions) * normal_like(predictions, generator)
        if self._noise is None:
            return predictions.clone()
        rng = numpy_generator(generator)
        rows = predictions.detach().to("cpu", torch.float64).numpy()
        parameters = self._parameters_of(
            {name: each.cpu().numpy() for name, each in columns.items()}, len(rows)
        )
        noisy = [self._noisy(row, rng, each) for row, each in zip(rows, parameters, strict=True)]
        made = np.stack(noisy) if len(rows) else rows
        return torch.tensor(made, dtype=predictions.dtype, device=predictions.device)

    def stabilise(self, data: Tensor) -> Tensor:
        """Residuals from the observed data in units of the noise; see `ForwardModel.stabilise`."""
        return (data - self._constant("observed", data)) / self._constant("_scale", data)

    def white_noise_scale(self, columns: Mapping[str, Tensor]) -> Tensor | None:
        """One in every row for Gaussian noise; see `ForwardModel.white_noise_scale`."""
        return torch.ones_like(next(iter(columns.values()))) if self._is_gaussian else None

    def is_whitened(self, names: Collection[str]) -> bool:
        """Return whether the noise is Gaussian; see `ForwardModel.is_whitened`."""
        return self._is_gaussian

    def _parameters_of(self, columns: Mapping[str, Array], n: int) -> Sequence[Any]:
        """Parameters of n simulations by name, as a noise function takes them."""
        return [{name: float(values[i]) for name, values in columns.items()} for i in range(n)]

    def _sigma(self, noise: ArrayLike) -> Array:
        sigma = as_real_numbers(noise, "noise")
        n_bad = int(np.count_nonzero(~(np.isfinite(sigma) & (sigma > 0))))
        if n_bad:
            raise ValueError(
                f"noise: expected positive finite standard deviations, got {n_bad} other value(s) of "
                f"{sigma.size}; leave those data points out, or pass None if the simulator adds noise itself."
            )
        try:
            each = np.broadcast_to(sigma, self.data_shape).reshape(-1)
        except ValueError as error:
            raise ValueError(
                f"noise: expected a number or an array that broadcasts to x_obs {self.data_shape}, got "
                f"shape {sigma.shape}; give one standard deviation for each data point."
            ) from error
        return np.tile(each, 2) if self.is_complex else each.copy()

    def _flat(self, values: ArrayLike, argument: str) -> Array:
        """Checked copy of the value of a user's function, as real numbers and flattened."""
        array = as_numbers(values, argument)
        if np.squeeze(array).shape != np.squeeze(np.empty(self.data_shape)).shape:
            raise ValueError(
                f"{argument}: expected an array of the shape of x_obs {self.data_shape}, got {array.shape}; "
                "return one value for each observed data point."
            )
        return self._as_real(array[None], argument)[0]

    def _as_real(self, values: Any, argument: str) -> Array:
        """A copy of data of shape (n, ...) as real numbers, shape (n, n_data)."""
        n = len(values)
        if not self.is_complex:
            if np.iscomplexobj(values):
                raise TypeError(
                    f"{argument}: expected real numbers, because x_obs is real, got complex ones; give "
                    "complex x_obs, or return the real part or the modulus"
                )
            return np.array(values, dtype=np.float64).reshape(n, -1)
        # A real model of complex data has a zero imaginary part.
        rows = np.asarray(values, dtype=complex).reshape(n, *self.data_shape)
        return to_channels(rows, self.data_shape).reshape(n, -1)

    def _noisy(self, row: Array, rng: np.random.Generator, parameters: Any = None) -> Array:
        if self._noise is None:
            return row
        # A copy is made because a function may add its noise in place.
        data = self.as_data(row[None].copy())[0]
        return self._flat(self._noise(data, rng, parameters)[0], "noise")

    def _reference_scale(self) -> Array:
        """Noise scale of each data point; if it is zero, the scale of the data of its channel."""
        channels = self.observed.reshape(self.shape)
        rough = np.repeat([robust_scale(channel) for channel in channels], self.shape[1])
        if self._noise is not None and self._noise.takes_parameters:
            # The parameters of the observed data are not known.
            return rough
        rng = np.random.default_rng(0)
        drawn = np.std([self._noisy(self.observed, rng) for _ in range(FORWARD.n_scale_draws)], axis=0)
        return np.where(np.isfinite(drawn) & (drawn > 0), drawn, rough)
