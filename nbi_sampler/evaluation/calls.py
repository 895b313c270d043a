"""The calls of the user's code for a draw. No other module makes such calls.

They run in this process or in worker processes, which receive parameters and return predictions and
log-likelihoods.
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
from nbi_sampler.core.types import Array
from nbi_sampler.evaluation.batch import LikelihoodError
from nbi_sampler.evaluation.batched_calls import BatchFunction, agrees
from nbi_sampler.forward import ForwardModel
from nbi_sampler.priors.names import named_columns, named_row

__all__ = ["Calls", "Done", "as_number", "likelihood_function", "quiet_about_state"]


Rows = NDArray[np.intp]


class Done(NamedTuple):
    """Finished rows.

    Attributes
    ----------
    rows : ndarray of int, shape (n,)
    predictions : ndarray, shape (n, n_data), or None
    log_likelihood : ndarray, shape (n,), or None
        None if it follows from the predictions.
    """

    rows: Rows
    predictions: Array | None
    log_likelihood: Array | None


@dataclass(frozen=True)
class Calls:
    """The calls that each draw needs.

    Attributes
    ----------
    names : tuple of str
        Sampled parameters, the columns of theta.
    fixed : mapping of str to float
    log_likelihood : callable
        ``dict of parameters -> float``.
    forward : ForwardModel, optional
        If it is None, there are no predictions.
    log_offset : float
        Added to the forward model's log-likelihood to give ``log_likelihood``.
    shared : bool
        True if the log-likelihood follows from the prediction and needs no call of its own.
    predict_at_once, log_likelihood_at_once : callable, optional
        The same for many draws in one call: columns to shape (n, n_data) and (n,).
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
        """Call the user's code for ``rows`` of theta, and yield finished rows as soon as possible.

        An error of the user's code is raised as a `LikelihoodError`.
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
        """True if one call evaluates many draws; the rounding then depends on the draws in it."""
        return not (self.predict_at_once is None and self.log_likelihood_at_once is None)

    def number(self, theta_row: Array) -> float:
        """Log-likelihood of one draw."""
        return self._called(lambda parameters: as_number(self.log_likelihood(parameters)), theta_row)

    def prediction(self, theta_row: Array) -> Array:
        """Prediction of one draw, shape (n_data,)."""
        assert self.forward is not None
        return self._called(self.forward.simulate, theta_row)

    def from_predictions(self, predictions: Array, theta: Array) -> Array:
        """Log-likelihoods that follow from predictions, shape (n,), without a call of the user's code."""
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
        """Values of all draws from one call of a batched function; None if single calls disagree.

        A function that broadcasts may still combine its arguments, as in ``if np.any(...)``. So draws for
        which it fails are evaluated singly, and so is one other draw, for comparison.
        """
        if function is None:
            return None
        try:
            with users_settings(), users_errors():
                values = function(self.columns(theta))
            finite = np.isfinite(values).reshape(len(theta), -1).all(axis=1)
        # This is the user's code. Row by row it may succeed, or the error may name the parameters.
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

    def _called(self, function: Callable[[dict[str, float]], Any], theta_row: Array) -> Any:
        try:
            with users_settings(), users_errors():
                return function(self.row(theta_row))
        except Exception as error:
            raise LikelihoodError(self.row(theta_row), error) from error


def as_number(returned: Any) -> float:
    """Convert the value that a likelihood returned to a float.

    A TypeError is raised if it is not a real number, such as the None of a function without ``return``.
    """
    # A masked value would otherwise be read as the number under its mask.
    value = np.ma.filled(returned, np.nan)
    if value.size != 1 or value.dtype.kind not in "fiub":
        got = f"an array of shape {value.shape}" if value.ndim else type(value.item()).__name__
        raise TypeError(f"expected a number to be returned, got {got}")
    return float(value.item())


def _rows(values: Array | None, rows: Rows) -> Array | None:
    return None if values is None else values[rows]


def likelihood_function(likelihood: Likelihood, use_ratio: bool) -> Callable[[dict[str, float]], float]:
    """Log-likelihood, or log-likelihood ratio, as a function of a dictionary of parameters.

    The signature decides once how it is called. Methods that take ``parameters`` get the sampled and fixed
    ones. Methods of older likelihoods (all of bilby 2.7) read ``likelihood.parameters``, which is updated
    first. The ratio of bilby 2.8's base class takes ``parameters`` even if ``log_likelihood`` does not, and
    then loses them; so both methods must take them.
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
    """Suppress bilby's warning about ``likelihood.parameters``, which it already gave for the class."""
    with warnings.catch_warnings():
        for category in (FutureWarning, DeprecationWarning):
            warnings.filterwarnings("ignore", message="(?s).*bilby/parameters", category=category)
        yield
