"""Batches of parameters to predictions and log-likelihoods: the only place that calls the user's code.

Chooses once, by probing, how a draw is paid for: one call of the user's model that serves training and
weighting, or a call of the likelihood (and one of the simulator beside it).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.forward import ForwardModel
from nbi_sampler.space import ParameterSpace

__all__ = ["Evaluation", "Evaluator", "LikelihoodError"]

logger = logging.getLogger(__name__)

Array = NDArray[np.float64]

CHUNK = 200
N_PROBE = 6


class LikelihoodError(RuntimeError):
    """The user's likelihood or model raised.

    Attributes
    ----------
    parameters : dict of str to float
        Where it was called.
    """

    def __init__(self, parameters: Mapping[str, float], error: Exception) -> None:
        self.parameters = dict(parameters)
        values = ", ".join(f"{name}={value:.6g}" for name, value in self.parameters.items())
        super().__init__(
            f"likelihood: raised {type(error).__name__}: {error}; at {values}. Make it return -inf (or nan) "
            "where the model does not exist, or narrow the prior"
        )


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


class Evaluator:
    """Evaluate draws of a problem.

    Parameters
    ----------
    space : ParameterSpace
    log_likelihood : callable
        ``dict of parameters -> float``: the function whose evidence is wanted.
    forward : ForwardModel, optional
        Where absent, no predictions are made.
    log_offset : float
        Added to the forward model's log-likelihood to give ``log_likelihood`` (minus the noise
        log-likelihood, for ratios).
    vectorized : {"auto", True, False}
        Whether the model function is called with whole batches; ``"auto"`` when a probe agrees.
    rng : numpy.random.Generator
        For the probe.
    """

    def __init__(
        self,
        space: ParameterSpace,
        log_likelihood: Callable[[dict[str, float]], float],
        forward: ForwardModel | None,
        rng: np.random.Generator,
        log_offset: float = 0.0,
        vectorized: Literal["auto"] | bool = "auto",
    ) -> None:
        self.space = space
        self.forward = forward
        self.seconds_per_call = 0.0
        self.note = "likelihood only: no forward model is known for it"
        self._log_likelihood = log_likelihood
        self._log_offset = log_offset
        self._shared = False
        self._batched = False
        self._probe(rng, vectorized)

    def __call__(self, z: Array, on_chunk: Callable[[int], None] | None = None) -> Evaluation:
        """Evaluate draws.

        Parameters
        ----------
        z : ndarray, shape (n, n_dim)
            Uncut latent coordinates.
        on_chunk : callable, optional
            Called with the number of draws just finished, for progress.

        Raises
        ------
        LikelihoodError
            When the user's code raises.
        ValueError
            When a log-likelihood is plus infinity.
        """
        start = time.perf_counter()
        theta = self.space.to_theta(z)
        allowed = self.space.satisfies_constraints(theta)
        log_likelihood = np.full(len(z), -np.inf)
        predictions = None
        if self.forward is not None:
            predictions = np.full((len(z), len(self.forward.observed)), np.nan)
        for first in range(0, len(z), CHUNK):
            rows = first + np.flatnonzero(allowed[first : first + CHUNK])
            log_likelihood[rows], made = self._evaluate(theta[rows])
            if predictions is not None:
                predictions[rows] = made
            if on_chunk is not None:
                on_chunk(min(CHUNK, len(z) - first))
        _reject_plus_infinity(log_likelihood, theta, self.space)
        n_nan = int(np.isnan(log_likelihood).sum())
        log_likelihood[np.isnan(log_likelihood)] = -np.inf
        seconds = time.perf_counter() - start
        return Evaluation(theta, log_likelihood, predictions, int(allowed.sum()), n_nan, seconds)

    def _evaluate(self, theta: Array) -> tuple[Array, Array | None]:
        if not len(theta):
            return np.zeros(0), None if self.forward is None else np.zeros((0, len(self.forward.observed)))
        predictions = None if self.forward is None else self._predictions(theta)
        if predictions is not None and self._shared:
            assert self.forward is not None
            with np.errstate(all="ignore"):
                values = self.forward.log_likelihood(predictions, self.space.columns(theta))
            return values + self._log_offset, predictions
        values = np.empty(len(theta))
        for i, row in enumerate(theta):
            values[i] = self._called(self._log_likelihood, row)
        return values, predictions

    def _predictions(self, theta: Array) -> Array:
        assert self.forward is not None
        if self._batched:
            with np.errstate(all="ignore"):
                return self.forward.simulate_batch(self.space.columns(theta))
        predictions = np.empty((len(theta), len(self.forward.observed)))
        for i, row in enumerate(theta):
            predictions[i] = self._called(self.forward.simulate, row)
        return predictions

    def _called(self, function: Callable[[dict[str, float]], Any], row: Array) -> Any:
        parameters = self.space.row(row)
        try:
            with np.errstate(all="ignore"):
                return function(parameters)
        except Exception as error:
            raise LikelihoodError(self.space.row(row), error) from error

    def _probe(self, rng: np.random.Generator, vectorized: Literal["auto"] | bool) -> None:
        theta = self.space.to_theta(rng.normal(size=(8 * N_PROBE, self.space.n_dim)))
        theta = theta[self.space.satisfies_constraints(theta)][:N_PROBE]
        if not len(theta):
            return
        start = time.perf_counter()
        truth = np.array([self._called(self._log_likelihood, row) for row in theta], dtype=np.float64)
        self.seconds_per_call = (time.perf_counter() - start) / len(theta)
        if self.forward is None:
            return
        predictions = self._predictions(theta)
        if self.forward.has_log_likelihood:
            with np.errstate(all="ignore"):
                own = self.forward.log_likelihood(predictions, self.space.columns(theta)) + self._log_offset
            self._shared = _agree(own, truth)
        self._batched = vectorized is not False and self._broadcasts(theta, predictions)
        if vectorized is True and not self._batched:
            raise ValueError(
                "vectorized: expected a model function that broadcasts over parameters of shape (n, 1), but "
                "its batch disagrees with single calls; use vectorized='auto' or False"
            )
        self.note = self._describe()

    def _broadcasts(self, theta: Array, predictions: Array) -> bool:
        assert self.forward is not None
        try:
            with np.errstate(all="ignore"):
                batch = self.forward.simulate_batch(self.space.columns(theta))
        except Exception:
            return False
        return batch.shape == predictions.shape and _agree(batch, predictions)

    def _describe(self) -> str:
        assert self.forward is not None
        text = f"forward model: {self.forward.name}"
        if not self._shared:
            reason = "differs from" if self.forward.has_log_likelihood else "does not define"
            text += f"; it {reason} the likelihood, which is called separately for the weights"
        return text + ("; the model function is called in batches" if self._batched else "")


def _agree(a: Array, b: Array) -> bool:
    return bool(np.allclose(a, b, rtol=1e-8, atol=1e-8, equal_nan=True))


def _reject_plus_infinity(log_likelihood: Array, theta: Array, space: ParameterSpace) -> None:
    bad = np.flatnonzero(log_likelihood == np.inf)
    if len(bad):
        values = ", ".join(f"{name}={value:.6g}" for name, value in space.row(theta[bad[0]]).items())
        raise ValueError(
            f"likelihood: expected finite values or -inf, got +inf for {len(bad)} of {len(theta)} draws, first "
            f"at {values}; a log-likelihood of +inf has no evidence: look for a division by zero there"
        )
