"""The forward model: how a likelihood gets from parameters to data.

It splits a likelihood into an expensive and a cheap part. The expensive one is the noiseless prediction by
the user's function. The cheap one is the noise law, which training draws again in every epoch. This module
imports numpy and torch, but not bilby.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nbi_sampler.core.types import Array
from nbi_sampler.forward.arrays import channels_and_length
from nbi_sampler.plugins.manager import Plugin

__all__ = ["ForwardModel"]


class ForwardModel(ABC):
    """Prediction, noise law, observed data and log-likelihood of one problem.

    Parameters
    ----------
    name : str
        Description in log lines.
    observed : ndarray
        Finite observed data, which are flattened here.
    shape : tuple of int
        Channels and length of one data set, for networks that read sequences.
    noise_parameters : tuple of str
        Parameters of the noise law that do not affect the prediction.
    prediction_parameters : tuple of str, optional
        Parameters that affect the prediction; None if they are not known.

    Attributes
    ----------
    name : str
    observed : ndarray, shape (n_data,)
    shape : tuple of int
        ``(n_channels, length)`` with the product ``n_data``.
    noise_parameters, prediction_parameters : tuple of str
    has_log_likelihood : bool
        True if `log_likelihood` can be called.
    has_approximation : bool
        True if `approximation` can be called. The run then explores it instead of training on simulations.
    plugins : frozenset of Plugin
        Plugins that made the model or a part of it; empty for the package's own models and the user's.
        `forward_model_for` sets it.

    Notes
    -----
    In all methods ``parameters`` and ``columns`` hold all sampled and fixed parameters; additional names are
    harmless.
    """

    has_log_likelihood: bool = True
    has_approximation: bool = False
    plugins: frozenset[Plugin] = frozenset()

    def __init__(
        self,
        name: str,
        observed: Array,
        *,
        shape: tuple[int, int] | None = None,
        noise_parameters: tuple[str, ...] = (),
        prediction_parameters: tuple[str, ...] | None = None,
    ) -> None:
        self.name = name
        self.observed = np.array(observed, dtype=np.float64).reshape(-1)
        self.shape = channels_and_length(np.shape(observed)) if shape is None else shape
        self.noise_parameters = noise_parameters
        self.prediction_parameters = prediction_parameters
        self._tensors: dict[tuple[str, torch.dtype, torch.device], Tensor] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}; {self.shape[0]} x {self.shape[1]} data points)"

    def __getstate__(self) -> dict[str, Any]:
        # Worker processes need the model, but must not be sent tensors, which may be on a GPU.
        return {**self.__dict__, "_tensors": {}}

    @property
    def noise_is_known(self) -> bool:
        """True if `simulate` and `noise` describe the observed data well enough to test a fit.

        By default this is so if `log_likelihood` can be called. It is false for a model whose simulations
        only help to find the posterior, and for one whose noise level is a rough estimate.
        """
        return self.has_log_likelihood

    @property
    def sequences(self) -> tuple[NDArray[np.intp], ...]:
        """Index arrays that order data points by their independent variable; none if there is no order.

        The tests of residuals compare neighbours in each sequence.
        """
        return ()

    @property
    def uncertainty(self) -> Array | None:
        """Standard deviation of every data point, shape (n_data,), if noise is Gaussian with known scale."""
        return None

    @abstractmethod
    def simulate(self, parameters: Mapping[str, float]) -> Array:
        """Noiseless prediction: one call of the user's model function.

        Parameters
        ----------
        parameters : mapping of str to float

        Returns
        -------
        ndarray, shape (n_data,)
            A new array. It may contain NaN if the model fails.
        """

    def simulate_at(self, x: Array, parameters: Mapping[str, float]) -> Array | None:
        """Noiseless prediction at other values of the independent variable, for plots; one call.

        It may raise any error of the user's code. If that code uses more than x, the values at the data may
        differ from those of `simulate`.

        Parameters
        ----------
        x : ndarray, shape (n,)
        parameters : mapping of str to float

        Returns
        -------
        ndarray, shape (n,), or None
            None if there is no such variable.
        """
        return None

    def simulate_batch(self, columns: Mapping[str, Array]) -> Array:
        """Noiseless predictions by one broadcasting call of the user's model function, shape (n, n_data).

        The function gets parameters of shape ``(n, 1)``. The caller has to test that it broadcasts: a few
        rows must agree with `simulate`, and any exception means that it does not.

        Parameters
        ----------
        columns : mapping of str to ndarray, shape (n,)

        Raises
        ------
        NotImplementedError
            If such a call is impossible.
        """
        raise NotImplementedError(f"{self.name}: no broadcasting call; simulate one draw at a time.")

    def replacing_function(
        self, wrap: Callable[[Callable[[Any], Any]], Callable[[Any], Any]]
    ) -> ForwardModel:
        """A copy whose `simulate_batch` calls ``wrap(function)`` instead of the user's model function.

        Parameters
        ----------
        wrap : callable
            Takes a function of a mapping of parameters that returns what the user's function returns. Returns
            a function that takes parameters of shape (n, 1) and returns n such values.

        Returns
        -------
        ForwardModel
            The model itself if it has no such function.
        """
        return self

    @abstractmethod
    def log_likelihood(self, predictions: Array, columns: Mapping[str, Array]) -> Array:
        """Log-likelihood of the observed data from existing predictions, without a call of the user's model.

        Parameters
        ----------
        predictions : ndarray, shape (n, n_data)
            Values that `simulate` returned, one row for each draw.
        columns : mapping of str to ndarray, shape (n,)

        Returns
        -------
        ndarray, shape (n,)
            Value of ``likelihood.log_likelihood`` for each draw; NaN if the prediction contains NaN.
        """

    def approximation(self, about: Mapping[str, float]) -> Callable[[Mapping[str, Array]], Array]:
        """An approximate log-likelihood that takes much less time than a call of the user's code.

        It places proposals. The weights come from the likelihood itself, so errors cost draws and do not bias
        a result.

        Parameters
        ----------
        about : mapping of str to float
            Parameters of a draw of high likelihood, near which the approximation has to be good.

        Returns
        -------
        callable
            Maps parameters of many draws, by name and of shape (n,), to their log-likelihoods up to one
            constant, of shape (n,); NaN where there is none.

        Raises
        ------
        NotImplementedError
            If `has_approximation` is False.
        """
        raise NotImplementedError(f"{self.name}: no approximation; call the likelihood itself.")

    @abstractmethod
    def noise(self, predictions: Tensor, columns: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        """Draw one synthetic data set for each prediction.

        Parameters
        ----------
        predictions : Tensor, shape (n, n_data)
            Floating point, on any device. It is not changed.
        columns : mapping of str to Tensor, shape (n,)
        generator : torch.Generator
            Source of all random numbers, on the device of ``predictions``.

        Returns
        -------
        Tensor, shape (n, n_data)
            In the dtype of ``predictions``; NaN if the noise law is undefined for a prediction.
        """

    @abstractmethod
    def stabilise(self, data: Tensor) -> Tensor:
        """Variance-stabilised and whitened data, relative to the observed data, shape (n, n_data).

        In the result, the noise has a scale of about one and the observed data are zero. Only the second is
        guaranteed. If single precision does not resolve the offset or scale of the data, pass float64 and
        round the result.

        Parameters
        ----------
        data : Tensor, shape (n, n_data)
            Observed or synthetic data, or noiseless predictions.
        """

    def white_noise_scale(self, columns: Mapping[str, Tensor]) -> Tensor | None:
        """Scale of the stabilised noise if it is white, Gaussian and independent of the prediction.

        A value ``s`` guarantees ``stabilise(noise(m)) = stabilise(m) + s N(0, I)`` in distribution. Training
        can then stabilise once and add noise afterwards.

        Parameters
        ----------
        columns : mapping of str to Tensor, shape (n,)

        Returns
        -------
        Tensor, shape (n,), or None
            None if there is no such guarantee.
        """
        return None

    def normal_residuals(
        self, predictions: Tensor, columns: Mapping[str, Tensor], rng: np.random.Generator
    ) -> Array | None:
        """Residuals of the observed data, which are N(0, I) if prediction and noise are right.

        Parameters
        ----------
        predictions : Tensor, shape (n, n_data)
            In double precision.
        columns : mapping of str to Tensor, shape (n,)
        rng : numpy.random.Generator
            Random numbers that make the residuals of counts continuous.

        Returns
        -------
        ndarray, shape (n, n_residuals), or None
            One residual for each data point, or fewer if data depend on each other. None if the noise law has
            no closed form; `noise` and `stabilise` then replace it.
        """
        scale = self.white_noise_scale(columns)
        if scale is None:
            return None
        observed = self._constant("observed", predictions)[None]
        deviations = self.stabilise(observed) - self.stabilise(predictions)
        return (deviations / scale.to(predictions)[:, None]).numpy()

    def is_whitened(self, names: Collection[str]) -> bool:
        """Return whether `white_noise_scale` is one in every row if these are the names of all parameters."""
        return False

    def _constant(self, attribute: str, like: Tensor) -> Tensor:
        """Array attribute as a tensor of the dtype and on the device of another; each is created once."""
        key = (attribute, like.dtype, like.device)
        if key not in self._tensors:
            self._tensors[key] = torch.tensor(getattr(self, attribute), dtype=like.dtype, device=like.device)
        return self._tensors[key]
