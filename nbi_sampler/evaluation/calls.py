"""The calls of the user's code that a draw costs: the only place that makes them.

They run in this process, or are sent to worker processes, which get parameters and give predictions and
log-likelihoods back.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from bilby.core.likelihood import Likelihood
from numpy.typing import NDArray

from nbi_sampler.core.guarded import users_errors, users_settings
from nbi_sampler.evaluation.batch import LikelihoodError
from nbi_sampler.evaluation.batched_calls import BatchFunction, agrees
from nbi_sampler.forward import ForwardModel
from nbi_sampler.priors.names import named_columns, named_row

__all__ = ["Calls", "Done", "as_number", "likelihood_function", "quiet_about_state"]


Array = NDArray[np.float64]

Rows = NDArray[np.intp]


class Done(NamedTuple):
    """Rows that are finished.

    Attributes
    ----------
    rows : ndarray of int, shape (n,)
    predictions : ndarray, shape (n, n_data), or None
    log_likelihood : ndarray, shape (n,), or None
        None where it follows from the predictions.
    """

    rows: Rows
    predictions: Array | None
    log_likelihood: Array | None


@dataclass(frozen=True)
class Calls:
    """The calls for each draw.

    Attributes
    ----------
    names : tuple of str
        Sampled parameters, the columns of theta.
    fixed : mapping of str to float
    log_likelihood : callable
        ``dict of parameters -> float``.
    forward : ForwardModel, optional
        Where absent, no predictions are made.
    log_offset : float
        Added to the forward model's log-likelihood to give ``log_likelihood``.
    shared : bool
        The log-likelihood follows from the prediction, so that it needs no call of its own.
    predict_at_once, log_likelihood_at_once : callable, optional
        The same for many draws by one call: columns to shape (n, n_data) and (n,).
    """

    names: tuple[str, ...]
    fixed: Mapping[str, float]
    log_likelihood: Callable[[dict[str, float]], float]
    forward: ForwardModel | None = None
    log_offset: float = 0.0
    shared: bool = False
    predict_at_once: BatchFunction | None = None
    log_likelihood_at_once: BatchFunction | None = None

    def __call__(self, theta: Array, rows: Rows) -> Iterator[Done]:
        """Call the user's code for ``rows`` of theta, and hand over what is finished as soon as it is.

        What the user's code raises becomes a `LikelihoodError`.
        """
        predictions = self._at_once(self.predict_at_once, self.prediction, theta)
        numbers = None if self.shared else self._at_once(self.log_likelihood_at_once, self.number, theta)
        needs_prediction = self.forward is not None and predictions is None
        needs_number = not self.shared and numbers is None
        groups = rows[:, None] if needs_prediction or needs_number else [rows]
        for group in groups:
            yield Done(
                group,
                self._each(self.prediction, theta[group]) if needs_prediction else _rows(predictions, group),
                self._each(self.number, theta[group]) if needs_number else _rows(numbers, group),
            )

    @property
    def at_once(self) -> bool:
        """True where a call is made for many draws at once: its rounding depends on which these are."""
        return not (self.predict_at_once is None and self.log_likelihood_at_once is None)

    def number(self, theta_row: Array) -> float:
        """Log-likelihood of one draw."""
        return self._called(self._checked_number, theta_row)

    def prediction(self, theta_row: Array) -> Array:
        """Prediction of one draw, shape (n_data,)."""
        assert self.forward is not None
        return self._called(self.forward.simulate, theta_row)

    def weighed(self, predictions: Array, theta: Array) -> Array:
        """Log-likelihoods that follow from predictions, shape (n,); calls no code of the user."""
        assert self.forward is not None
        with np.errstate(all="ignore"):
            return self.forward.log_likelihood(predictions, self.columns(theta)) + self.log_offset

    def columns(self, theta: Array) -> dict[str, Array]:
        """All parameters by name, each of shape (n,)."""
        return named_columns(theta, self.names, self.fixed)

    def row(self, theta_row: Array) -> dict[str, float]:
        """All parameters of one draw by name."""
        return named_row(theta_row, self.names, self.fixed)

    def _at_once(
        self, function: BatchFunction | None, single: Callable[[Array], Any], theta: Array
    ) -> Array | None:
        """Values of all draws by one call of a batched function; None where single calls disagree.

        A function that broadcasts may still look at its arguments together: ``if np.any(...)``. So draws that
        it gives up on are called singly, and one of the others too, for comparison.
        """
        if function is None:
            return None
        try:
            with users_settings(), users_errors():
                values = function(self.columns(theta))
            finite = np.isfinite(values).reshape(len(theta), -1).all(axis=1)
        # This is user code; row by row it may work, or name the parameters at which it does not.
        except Exception:
            return None
        for i in np.flatnonzero(finite)[:1]:
            if not agrees(values[i : i + 1], np.array([single(theta[i])])):
                return None
        if not finite.all():
            values = np.array(values)
        for i in np.flatnonzero(~finite):
            values[i] = single(theta[i])
        return values

    @staticmethod
    def _each(function: Callable[[Array], Any], theta: Array) -> Array:
        return np.array([function(row) for row in theta])

    def _checked_number(self, parameters: dict[str, float]) -> float:
        return as_number(self.log_likelihood(parameters))

    def _called(self, function: Callable[[dict[str, float]], Any], theta_row: Array) -> Any:
        try:
            with users_settings(), users_errors():
                return function(self.row(theta_row))
        except Exception as error:
            raise LikelihoodError(self.row(theta_row), error) from error


def as_number(returned: Any) -> float:
    """Value that a likelihood returned, as a float.

    A TypeError for what is no real number, such as the None of a function without ``return``.
    """
    # A masked value would pass for the number beneath its mask.
    value = np.ma.filled(returned, np.nan)
    if value.size != 1 or value.dtype.kind not in "fiub":
        got = f"an array of shape {value.shape}" if value.ndim else type(value.item()).__name__
        raise TypeError(f"expected a number to be returned, got {got}")
    return float(value.item())


def _rows(values: Array | None, rows: Rows) -> Array | None:
    return None if values is None else values[rows]


def likelihood_function(likelihood: Likelihood, use_ratio: bool) -> Callable[[dict[str, float]], float]:
    """Log-likelihood, or log-likelihood ratio, as a function of a dictionary of parameters.

    The signature decides once how it is called: methods that take ``parameters`` get them, sampled and fixed;
    those of older likelihoods (all of bilby 2.7) read ``likelihood.parameters``, which is updated first.
    The ratio of bilby 2.8's base class takes ``parameters`` even where ``log_likelihood`` does not, and then
    loses them; so both have to take them.
    """
    method = likelihood.log_likelihood_ratio if use_ratio else likelihood.log_likelihood
    if _takes_parameters(method) and _takes_parameters(likelihood.log_likelihood):
        return lambda parameters: method(parameters=parameters)

    def from_state(parameters: dict[str, float]) -> float:
        with quiet_about_state():
            likelihood.parameters.update(parameters)
            return method()

    return from_state


def _takes_parameters(method: Callable[..., float]) -> bool:
    return "parameters" in inspect.signature(method).parameters


@contextmanager
def quiet_about_state() -> Iterator[None]:
    """Silence bilby's own word on ``likelihood.parameters``, which it has given when the class was made."""
    with warnings.catch_warnings():
        for category in (FutureWarning, DeprecationWarning):
            warnings.filterwarnings("ignore", message="(?s).*bilby/parameters", category=category)
        yield
