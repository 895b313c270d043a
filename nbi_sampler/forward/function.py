"""Base of the adapters for bilby's ``Analytical1DLikelihood``, which has a function of one variable."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from bilby.core.likelihood import Analytical1DLikelihood
from numpy.typing import NDArray
from torch import Tensor

from nbi_sampler.core.types import Array
from nbi_sampler.forward.arrays import as_observed
from nbi_sampler.forward.base import ForwardModel
from nbi_sampler.forward.compat import parameter_or_known

__all__ = ["FunctionModel"]


class FunctionModel(ForwardModel):
    """Predictions by a function ``func(x, **parameters, **kwargs)`` of an independent variable.

    Parameters
    ----------
    likelihood : bilby.core.likelihood.Analytical1DLikelihood
        Its function, independent variable, data and additional keywords are read once.
    name : str
        Description in log lines.
    noise_parameter : str, optional
        Unknown parameter of the noise law. It is dropped if the function takes it as well.

    Raises
    ------
    ValueError
        If the data are not finite, complete and real.
    """

    # The likelihood's own value of the parameter of the noise law, and the noise scale of each datum.
    _known: Array | None = None
    _scale: Array

    def __init__(
        self, likelihood: Analytical1DLikelihood, name: str, noise_parameter: str | None = None
    ) -> None:
        observed = as_observed(likelihood.y, "y")
        keys = tuple(likelihood.function_keys)
        super().__init__(
            name,
            observed,
            noise_parameters=tuple(each for each in (noise_parameter,) if each and each not in keys),
            prediction_parameters=keys,
        )
        self._keys = keys
        self._data_shape = observed.shape
        self._function = likelihood.func
        self._x = likelihood.x
        self._keywords = dict(likelihood.kwargs)
        self._wrapped: Callable[[Any], Any] | None = None

    @property
    def sequences(self) -> tuple[NDArray[np.intp], ...]:
        """Each channel in the order of x, or in its own order if x has none; see `ForwardModel.sequences`."""
        n_channels, length = self.shape
        try:
            x = np.asarray(self._x, dtype=np.float64)
        except (TypeError, ValueError):
            x = np.zeros(0)
        order = np.argsort(x, kind="stable") if x.shape == (length,) else np.arange(length)
        return tuple(channel * length + order for channel in range(n_channels))

    def simulate(self, parameters: Mapping[str, float]) -> Array:
        """Noiseless prediction: one call of the user's function; see `ForwardModel.simulate`."""
        return self._complete(self._call(parameters), self._data_shape).reshape(-1)

    def simulate_at(self, x: Array, parameters: Mapping[str, float]) -> Array | None:
        """Prediction at other values of x; see `ForwardModel.simulate_at`."""
        if len(self._data_shape) != 1 or np.shape(self._x) != self._data_shape:
            return None
        values = {key: parameters[key] for key in self._keys}
        predicted = np.asarray(self._function(x, **values, **self._keywords), dtype=np.float64)
        return predicted if predicted.shape == x.shape else None

    def simulate_batch(self, columns: Mapping[str, Array]) -> Array:
        """One call with parameters of shape ``(n, 1)``; see `ForwardModel.simulate_batch`."""
        n = len(next(iter(columns.values())))
        arguments = {key: np.asarray(columns[key], dtype=np.float64)[:, None] for key in self._keys}
        if self._wrapped is not None:
            return self._complete(self._wrapped(arguments), (n, *self._data_shape)).reshape(n, -1)
        if self.shape[0] > 1 or len(self._data_shape) > 2:
            return super().simulate_batch(columns)
        return self._complete(self._call(arguments), (n, self.observed.size))

    def replacing_function(
        self, wrap: Callable[[Callable[[Any], Any]], Callable[[Any], Any]]
    ) -> FunctionModel:
        """A copy that calls ``wrap(function)``; see `ForwardModel.replacing_function`."""
        model = copy.copy(self)
        model._wrapped = wrap(self._call)
        return model

    def stabilise(self, data: Tensor) -> Tensor:
        """Residuals from the observed data in units of the scale; see `ForwardModel.stabilise`."""
        return (data - self._constant("observed", data)) / self._constant("_scale", data)

    def _value(self, columns: Mapping[str, Any], name: str) -> Array:
        """Parameter of the noise law, for each row or as known; it broadcasts to predictions."""
        value = np.asarray(parameter_or_known(columns, name, self._known), dtype=np.float64)
        return value[:, None] if name in columns else value

    def _tensor(self, columns: Mapping[str, Tensor], name: str, like: Tensor) -> Tensor:
        """The same as a tensor of the dtype and on the device of another."""
        if name in columns:
            return columns[name].to(like)[:, None]
        parameter_or_known(columns, name, self._known)
        return self._constant("_known", like)

    def _call(self, parameters: Mapping[str, Any]) -> Any:
        """Value of the user's function for numbers or columns."""
        return self._function(self._x, **{key: parameters[key] for key in self._keys}, **self._keywords)

    def _complete(self, prediction: Any, shape: tuple[int, ...]) -> Array:
        """Checked copy of a prediction, with one value for each data point."""
        self._check(prediction)
        try:
            view = np.broadcast_to(prediction, shape)
        except ValueError as error:
            raise ValueError(
                f"func: expected a prediction of shape {shape}, one value for each data point, got shape "
                f"{np.shape(prediction)}; make the function return an array like x."
            ) from error
        # A copy is made because a function may return the same buffer every time.
        return np.array(view, dtype=np.float64)

    def _check(self, prediction: Any) -> None:
        """Refuse a prediction that the likelihood would refuse; the adapters add their own conditions."""
        if np.iscomplexobj(prediction):
            raise ValueError("func: expected a real prediction, got complex; return real values.")

    def _per_point(self, values: Any, argument: str) -> Array:
        """Positive scale for each data point, shape (n_data,), from a number or an array."""
        scale = np.abs(np.asarray(values, dtype=np.float64))
        n_bad = int(np.count_nonzero(~(np.isfinite(scale) & (scale > 0))))
        if n_bad:
            raise ValueError(
                f"{argument}: expected finite values other than zero, got {n_bad} of {scale.size} that are "
                "not; leave those data points out of x, y and the scale."
            )
        return np.array(np.broadcast_to(scale, self._data_shape)).reshape(-1)
