"""A batch of draws: while it is evaluated, when it is complete, and when an error or a signal cut it short.

Values made by the evaluator, kept by the history, saved by the sampler.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Batch", "Evaluation", "LikelihoodError", "PartialBatch"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
    """What a batch of draws gave.

    Attributes
    ----------
    theta : ndarray, shape (n, n_dim)
    log_likelihood : ndarray, shape (n,)
        Minus infinity for NaN and where a constraint is violated.
    predictions : ndarray, shape (n, n_data), or None
        NaN in rows that were not evaluated.
    n_calls : int
        Calls of the user's likelihood or model.
    n_nan : int
        Draws whose log-likelihood was NaN.
    seconds : float
    """

    theta: Array
    log_likelihood: Array
    predictions: Array | None
    n_calls: int
    n_nan: int
    seconds: float


@dataclass(frozen=True)
class PartialBatch:
    """The rows of an interrupted batch that are paid for.

    Attributes
    ----------
    z, theta : ndarray, shape (n_finished, n_dim)
    log_likelihood : ndarray, shape (n_finished,)
    """

    z: Array
    theta: Array
    log_likelihood: Array

    def __len__(self) -> int:
        return len(self.z)


class LikelihoodError(RuntimeError):
    """The user's likelihood or model raised, or did not return a number.

    Attributes
    ----------
    parameters : dict of str to float
        Where it was called.
    partial : PartialBatch or None
        What was finished of the batch before.
    """

    def __init__(self, parameters: Mapping[str, float], error: Exception) -> None:
        self.parameters = dict(parameters)
        self.partial: PartialBatch | None = None
        values = ", ".join(f"{name}={value:.6g}" for name, value in self.parameters.items())
        super().__init__(f"likelihood: raised {type(error).__name__}: {error}; at {values}. {_remedy(error)}")


def _remedy(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"If {error} is a parameter, give it a prior or a fixed value"
    return (
        "Check that data, model and priors fit together; where the model does not exist, make it return -inf "
        "(or nan), or narrow the prior"
    )


@dataclass
class Batch:
    """A batch while it is evaluated: rows are filled in and marked as they are paid for."""

    z: Array
    theta: Array
    log_likelihood: Array
    predictions: Array | None
    predicted: NDArray[np.bool_]
    finished: NDArray[np.bool_]
