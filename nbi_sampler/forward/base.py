"""The forward model: the way from parameters to data that a likelihood describes.

Splits a likelihood into an expensive part, the noiseless prediction made by the user's function, and a cheap
one, the noise law, which training redraws in every epoch. Imports numpy and torch, not bilby.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nbi_sampler.forward.arrays import Array, channels_and_length
from nbi_sampler.plugins.manager import Plugin

__all__ = ["ForwardModel"]


class ForwardModel(ABC):
    """Prediction, noise law, observed data and log-likelihood of one problem.

    Parameters
    ----------
    name : str
        One phrase for logs.
    observed : ndarray
        Finite observed data; flattened here.
    shape : tuple of int
        Channels and length of one data set, for networks that read sequences.
    noise_parameters : tuple of str
        Parameters that enter the noise law and no prediction.
    prediction_parameters : tuple of str, optional
        Parameters that enter the prediction; None where that is not known.

    Attributes
    ----------
    name : str
    observed : ndarray, shape (n_data,)
    shape : tuple of int
        ``(n_channels, length)``, whose product is ``n_data``.
    noise_parameters, prediction_parameters : tuple of str
    has_log_likelihood : bool
        True where `log_likelihood` can be called.
    plugins : frozenset of Plugin
        Those that made it, or a part of it; empty for the package's own models and the user's. Set by
        `forward_model_for`.

    Notes
    -----
    Everywhere ``parameters`` and ``columns`` hold all parameters, sampled and fixed; more names do no harm.
    """

    has_log_likelihood: bool = True
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
        # Worker processes need the model, and must not be sent tensors that may live on a GPU.
        return {**self.__dict__, "_tensors": {}}

    @property
    def noise_is_known(self) -> bool:
        """True where `simulate` and `noise` are the law of the observed data, so that it can judge a fit.

        By default where `log_likelihood` can be called. A model whose simulations only help to find the
        posterior, or whose noise level is a rough estimate, says no.
        """
        return self.has_log_likelihood

    @property
    def sequences(self) -> tuple[NDArray[np.intp], ...]:
        """Data points in the order of their independent variable: index arrays, none where there is no order.

        Neighbours in a sequence are compared to find what a model leaves over.
        """
        return ()

    @property
    def uncertainty(self) -> Array | None:
        """Standard deviation of every data point, shape (n_data,), where noise is Gaussian and that known."""
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
            A new array; may hold NaN where the model fails.
        """

    def simulate_at(self, x: Array, parameters: Mapping[str, float]) -> Array | None:
        """Noiseless prediction at other values of the independent variable, for plots; one call.

        It may raise whatever the user's code raises, and what it gives at the data may differ from `simulate`
        where that code looks at more than x.

        Parameters
        ----------
        x : ndarray, shape (n,)
        parameters : mapping of str to float

        Returns
        -------
        ndarray, shape (n,), or None
            None where there is no such variable.
        """
        return None

    def simulate_batch(self, columns: Mapping[str, Array]) -> Array:
        """Noiseless predictions of many draws by one broadcasting call of the user's model function.

        The function sees parameters of shape ``(n, 1)``. The caller has to probe whether it broadcasts:
        compare a few rows with `simulate`, and take any exception for a no.

        Parameters
        ----------
        columns : mapping of str to ndarray, shape (n,)

        Returns
        -------
        ndarray, shape (n, n_data)

        Raises
        ------
        NotImplementedError
            Where such a call makes no sense.
        """
        raise NotImplementedError(f"{self.name}: no broadcasting call; simulate one draw at a time.")

    def replacing_function(
        self, wrap: Callable[[Callable[[Any], Any]], Callable[[Any], Any]]
    ) -> ForwardModel:
        """A copy whose `simulate_batch` calls ``wrap(function)`` instead of the user's model function.

        Parameters
        ----------
        wrap : callable
            Given a function of a mapping of parameters that returns what the user's own function returns,
            untouched, gives one that takes parameters of shape (n, 1) and returns n of these.

        Returns
        -------
        ForwardModel
            This one where it has no such function.
        """
        return self

    @abstractmethod
    def log_likelihood(self, predictions: Array, columns: Mapping[str, Array]) -> Array:
        """Log-likelihood of the observed data from predictions already made; the user's model is not called.

        Parameters
        ----------
        predictions : ndarray, shape (n, n_data)
            What `simulate` returned, a row for each draw.
        columns : mapping of str to ndarray, shape (n,)

        Returns
        -------
        ndarray, shape (n,)
            What ``likelihood.log_likelihood`` returns for each draw; NaN where a prediction holds NaN.
        """

    @abstractmethod
    def noise(self, predictions: Tensor, columns: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        """Draw one synthetic data set for each prediction.

        Parameters
        ----------
        predictions : Tensor, shape (n, n_data)
            Floating point, on any device; left unchanged.
        columns : mapping of str to Tensor, shape (n,)
        generator : torch.Generator
            Source of every random number, on the device of ``predictions``.

        Returns
        -------
        Tensor, shape (n, n_data)
            In the dtype of ``predictions``; NaN where the noise law does not exist for a prediction.
        """

    @abstractmethod
    def stabilise(self, data: Tensor) -> Tensor:
        """Variance-stabilised and whitened data for the networks, relative to the observed data.

        Noise has a scale of about one in the result, and the observed data become zero; rely on the first and
        not on the second. Data whose offset or scale single precision does not resolve should come in as
        float64 and be rounded afterwards.

        Parameters
        ----------
        data : Tensor, shape (n, n_data)
            Observed or synthetic data, or noiseless predictions.

        Returns
        -------
        Tensor, shape (n, n_data)
        """

    def white_noise_scale(self, columns: Mapping[str, Tensor]) -> Tensor | None:
        """Scale of the stabilised noise where that is white, Gaussian and independent of the prediction.

        A value ``s`` promises ``stabilise(noise(m)) = stabilise(m) + s N(0, I)`` in distribution, so that
        training may stabilise once and add noise afterwards.

        Parameters
        ----------
        columns : mapping of str to Tensor, shape (n,)

        Returns
        -------
        Tensor, shape (n,), or None
            None where the promise cannot be given.
        """
        return None

    def normal_residuals(
        self, predictions: Tensor, columns: Mapping[str, Tensor], rng: np.random.Generator
    ) -> Array | None:
        """Residuals of the observed data that are N(0, I) where prediction and noise are right.

        Parameters
        ----------
        predictions : Tensor, shape (n, n_data)
            In double precision.
        columns : mapping of str to Tensor, shape (n,)
        rng : numpy.random.Generator
            For laws of counts, whose residuals are made continuous by a random number.

        Returns
        -------
        ndarray, shape (n, n_residuals), or None
            One for each data point, or fewer where data depend on each other. None where the law has none in
            closed form; `noise` and `stabilise` then serve instead.
        """
        scale = self.white_noise_scale(columns)
        if scale is None:
            return None
        observed = self._constant("observed", predictions)[None]
        deviations = self.stabilise(observed) - self.stabilise(predictions)
        return (deviations / scale.to(predictions)[:, None]).numpy()

    def is_whitened(self, names: Collection[str]) -> bool:
        """Return whether `white_noise_scale` is one in every row, given the names of all parameters."""
        return False

    def _constant(self, attribute: str, like: Tensor) -> Tensor:
        """Array attribute as a tensor of the dtype and on the device of another, made once for each."""
        key = (attribute, like.dtype, like.device)
        if key not in self._tensors:
            self._tensors[key] = torch.tensor(getattr(self, attribute), dtype=like.dtype, device=like.device)
        return self._tensors[key]
