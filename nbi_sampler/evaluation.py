"""Batches of parameters to predictions and log-likelihoods: the only place that calls the user's code.

Chooses once, by probing, how a draw is paid for: one call of the user's model that serves training and
weighting, or a call of the likelihood (and one of the simulator beside it).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.batch import Batch, Evaluation, LikelihoodError, PartialBatch
from nbi_sampler.forward import ForwardModel
from nbi_sampler.space import ParameterSpace

__all__ = ["Evaluator"]

Array = NDArray[np.float64]

CHUNK = 200
N_PROBE = 6


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
        self._batch: Batch | None = None
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
        predictions = None if self.forward is None else np.full((len(z), len(self.forward.observed)), np.nan)
        unmarked = np.zeros((2, len(z)), dtype=bool)
        batch = Batch(z, theta, np.full(len(z), -np.inf), predictions, *unmarked)
        self._batch = batch
        for first in range(0, len(z), CHUNK):
            part = slice(first, first + CHUNK)
            batch.finished[part] = ~allowed[part]
            self._evaluate(batch, first + np.flatnonzero(allowed[part]))
            if on_chunk is not None:
                on_chunk(min(CHUNK, len(z) - first))
        log_likelihood = batch.log_likelihood
        _reject_plus_infinity(log_likelihood, theta, self.space)
        n_nan = int(np.isnan(log_likelihood).sum())
        log_likelihood[np.isnan(log_likelihood)] = -np.inf
        self._batch = None
        seconds = time.perf_counter() - start
        return Evaluation(theta, log_likelihood, predictions, int(allowed.sum()), n_nan, seconds)

    def interrupted(self) -> PartialBatch | None:
        """What is finished of a batch that has not ended, by an error or yet; None between batches."""
        batch = self._batch
        if batch is None:
            return None
        log_likelihood, finished = batch.log_likelihood.copy(), batch.finished.copy()
        if self._shared:
            rows = np.flatnonzero(batch.predicted & ~finished)
            log_likelihood[rows], finished[rows] = self._from_predictions(batch, rows), True
        return PartialBatch(batch.z[finished], batch.theta[finished], log_likelihood[finished])

    def _evaluate(self, batch: Batch, rows: NDArray[np.intp]) -> None:
        """Fill in ``rows`` of a batch."""
        try:
            self._call_each(batch, rows, with_model=not self._predict_at_once(batch, rows))
        except LikelihoodError as error:
            error.partial = self.interrupted()
            raise
        if self._shared:
            batch.log_likelihood[rows] = self._from_predictions(batch, rows)
            batch.finished[rows] = True

    def _predict_at_once(self, batch: Batch, rows: NDArray[np.intp]) -> bool:
        """Predict by one call of the model, and tell whether that worked."""
        if not (self._batched and len(rows)):
            return False
        assert self.forward is not None and batch.predictions is not None
        try:
            with np.errstate(all="ignore"):
                batch.predictions[rows] = self.forward.simulate_batch(self.space.columns(batch.theta[rows]))
        # The model is user code; row by row it may work, or name the parameters at which it does not.
        except Exception:
            return False
        batch.predicted[rows] = True
        return True

    def _call_each(self, batch: Batch, rows: NDArray[np.intp], with_model: bool) -> None:
        """Call the model and the likelihood, as far as they have to be, for one draw after the other."""
        for i in rows if with_model or not self._shared else ():
            if with_model and self.forward is not None:
                assert batch.predictions is not None
                batch.predictions[i] = self._called(self.forward.simulate, batch.theta[i])
                batch.predicted[i] = True
            if not self._shared:
                batch.log_likelihood[i] = self._called(self._number, batch.theta[i])
                batch.finished[i] = True

    def _from_predictions(self, batch: Batch, rows: NDArray[np.intp]) -> Array:
        assert self.forward is not None and batch.predictions is not None
        if not len(rows):
            return np.zeros(0)
        columns = self.space.columns(batch.theta[rows])
        with np.errstate(all="ignore"):
            return self.forward.log_likelihood(batch.predictions[rows], columns) + self._log_offset

    def _number(self, parameters: dict[str, float]) -> float:
        value = np.asarray(self._log_likelihood(parameters))
        if value.size != 1 or value.dtype.kind not in "fiub":
            raise TypeError(f"expected a number to be returned, got {type(value.tolist()).__name__}")
        return float(value.item())

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
            if self.forward is not None:
                self.note = self._describe()
            return
        start = time.perf_counter()
        truth = np.array([self._called(self._number, row) for row in theta])
        self.seconds_per_call = (time.perf_counter() - start) / len(theta)
        if self.forward is None:
            return
        predictions = np.stack([self._called(self.forward.simulate, row) for row in theta])
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
    """Whether two arrays are equal but for rounding, at one finite number at least."""
    compared = np.isfinite(a) & np.isfinite(b)
    return bool(compared.any() and np.allclose(a, b, rtol=1e-8, atol=1e-8, equal_nan=True))


def _reject_plus_infinity(log_likelihood: Array, theta: Array, space: ParameterSpace) -> None:
    bad = np.flatnonzero(log_likelihood == np.inf)
    if len(bad):
        values = ", ".join(f"{name}={value:.6g}" for name, value in space.row(theta[bad[0]]).items())
        raise ValueError(
            f"likelihood: expected finite values or -inf, got +inf for {len(bad)} of {len(theta)} draws, "
            f"first at {values}; a log-likelihood of +inf has no evidence: look for a division by zero there"
        )
