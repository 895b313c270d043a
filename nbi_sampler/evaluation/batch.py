"""A batch of draws: in progress, complete, or interrupted by an error or a signal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.core.types import Array
from nbi_sampler.priors.space import ParameterSpace

__all__ = [
    "Batch",
    "Evaluation",
    "EvaluationError",
    "LikelihoodError",
    "PartialBatch",
    "Predicted",
    "WorkerError",
    "listed",
]

Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Predicted:
    """Predictions at some draws of a batch, each with the same share of its weight.

    Attributes
    ----------
    rows : ndarray of int, shape (n,)
        Rows of the batch; a heavy draw may occur more than once.
    predictions : ndarray, shape (n, n_data)
    """

    rows: Rows
    predictions: Array


@dataclass(frozen=True)
class Evaluation:
    """A complete batch of draws.

    Attributes
    ----------
    theta : ndarray, shape (n, n_dim)
    log_likelihood : ndarray, shape (n,)
        Minus infinity for NaN, for values below -1e100, and where a constraint is violated.
    predictions : ndarray, shape (n, n_data), or None
        NaN in rows that were not evaluated.
    n_calls : int
        Number of calls of the user's likelihood or model.
    n_nan : int
        Number of draws whose log-likelihood was NaN.
    seconds : float
        Elapsed time, for any number of processes.
    predicted : Predicted, optional
        Predictions that are kept for a batch of the result once no fit needs them.
    """

    theta: Array
    log_likelihood: Array
    predictions: Array | None
    n_calls: int
    n_nan: int
    seconds: float
    predicted: Predicted | None = None


@dataclass(frozen=True)
class PartialBatch:
    """An unfinished batch: all of its rows, and a mask of the finished ones.

    Attributes
    ----------
    z, theta : ndarray, shape (n, n_dim)
    finished : ndarray of bool, shape (n,)
        Rows that need no more calls.
    log_likelihood : ndarray, shape (n,)
        Value from the user's code, which may be NaN; minus infinity in unfinished rows.
    predictions : ndarray, shape (n, n_data), or None
        NaN in unfinished rows. Full precision is needed to continue with the same numbers.
    n_calls : int
        Calls of the user's likelihood or model for the finished rows.
    seconds : float
    """

    z: Array
    theta: Array
    finished: NDArray[np.bool_]
    log_likelihood: Array
    predictions: Array | None
    n_calls: int
    seconds: float


class EvaluationError(RuntimeError):
    """A batch could not be completed.

    Attributes
    ----------
    partial : PartialBatch or None
        Finished rows of the batch.
    """

    partial: PartialBatch | None = None


class LikelihoodError(EvaluationError):
    """The user's likelihood or model raised an error, or did not return a number.

    Attributes
    ----------
    parameters : dict of str to float
        Parameters of the call.
    """

    def __init__(self, parameters: Mapping[str, float], error: Exception) -> None:
        self.parameters = dict(parameters)
        self.error = error
        what, where = f"{type(error).__name__}: {error}", listed(self.parameters)
        super().__init__(f"likelihood: raised {what}; at {where}. {_remedy(error)}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.parameters, self.error)


class WorkerError(EvaluationError):
    """Worker processes died or hung repeatedly, or the problem cannot be sent to them."""


def listed(parameters: Mapping[str, float]) -> str:
    """Format parameters as one line of text."""
    return ", ".join(f"{name}={value:.6g}" for name, value in parameters.items())


def _remedy(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"If {error} is a parameter, give it a prior or a fixed value"
    return (
        "Check that data, model and priors fit together; where the model is undefined, make it return -inf "
        "(or nan), or narrow the prior"
    )


class Batch:
    """A batch during its evaluation: rows are filled in and marked as they are finished."""

    def __init__(
        self, z: Array, space: ParameterSpace, n_data: int | None, resume: PartialBatch | None = None
    ) -> None:
        self._start = time.perf_counter()
        self.z = z
        self.theta = space.to_theta(z)
        self.allowed = space.satisfies_constraints(self.theta)
        self.finished = ~self.allowed
        self.log_likelihood = np.full(len(z), -np.inf)
        self.predictions = None if n_data is None else np.full((len(z), n_data), np.nan)
        self._seconds_before = 0.0
        if resume is not None:
            self._go_on(resume)

    @property
    def seconds(self) -> float:
        """Time spent on the batch so far, including time before an interruption."""
        return self._seconds_before + time.perf_counter() - self._start

    def pieces(self, size: int) -> Iterator[Rows]:
        """Rows that satisfy the constraints, in pieces that do not depend on the progress of the batch."""
        for first in range(0, len(self.z), size):
            rows = first + np.flatnonzero(self.allowed[first : first + size])
            if len(rows):
                yield rows

    def take(self, rows: Rows, predictions: Array | None, log_likelihood: Array | None) -> None:
        """Fill in rows; a log-likelihood of None will be computed from the predictions."""
        if self.predictions is not None:
            self.predictions[rows] = predictions
        if log_likelihood is not None:
            self.log_likelihood[rows] = log_likelihood
        self.finished[rows] = True

    def _go_on(self, before: PartialBatch) -> None:
        if not np.array_equal(before.z, self.z):
            raise ValueError(
                f"resume: expected the {len(self.z)} draws of the interrupted batch, got {len(before.z)} "
                "different ones; resume with the same z"
            )
        rows = np.flatnonzero(before.finished & self.allowed)
        predictions = None if before.predictions is None else before.predictions[rows]
        self.take(rows, predictions, before.log_likelihood[rows])
        self._seconds_before = before.seconds
