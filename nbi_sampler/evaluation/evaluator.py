"""Log-likelihoods and predictions of batches of draws, in this process or in others.

`probing` finds the calls that a draw needs, `calls` makes them and `dispatch` sends them to processes. This
module assembles batches, and keeps the finished rows of an interrupted batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Literal

import numpy as np

from nbi_sampler.core.config import EVALUATION
from nbi_sampler.core.types import Array
from nbi_sampler.evaluation.batch import Batch, Evaluation, EvaluationError, PartialBatch, listed
from nbi_sampler.evaluation.calls import Calls, Done
from nbi_sampler.evaluation.dispatch import Chunk, ChunkDispatcher
from nbi_sampler.evaluation.pools import Pool
from nbi_sampler.evaluation.probing import probe
from nbi_sampler.forward import ForwardModel
from nbi_sampler.priors.space import ParameterSpace

__all__ = ["Evaluator"]

# Draws that cost less than this many seconds are evaluated faster than they are sent to another process. No
# result depends on this number.
CHEAPEST = 50e-6
SECONDS_BETWEEN_REPORTS = 0.2


class Evaluator:
    """Evaluate draws of a problem.

    Parameters
    ----------
    space : ParameterSpace
    log_likelihood : callable
        ``dict of parameters -> float``: the function whose evidence is wanted.
    forward : ForwardModel, optional
        Without a forward model there are no predictions.
    rng : numpy.random.Generator
        Generator of the draws from the prior that probe the problem.
    log_offset : float
        Added to the forward model's log-likelihood to give ``log_likelihood`` (minus the noise
        log-likelihood, for ratios).
    vectorized : {"auto", True, False}
        Call the user's functions with whole batches. With ``"auto"`` this requires that a probe agrees.
    pool : Pool, optional
        Processes for calls that take long enough. By default all calls are made in this process.
    between_calls : callable, optional
        Called between the calls of a batch, and during waits for processes. If it raises, the call that has
        just ended does not count, because the same signal may have interrupted the user's code.
    simulating : bool
        False if the run does not learn from simulations. Draws then cost a call of the likelihood alone, and
        no memory for predictions.

    Attributes
    ----------
    probe_values : ndarray, shape (n_probes,)
        Log-likelihoods at the probes. The same generator and problem give the same values.
    seconds_per_call : float
        Seconds of one call of the likelihood at the probes.
    note : str
        Text that says which calls a draw needs and which process makes them.
    """

    def __init__(
        self,
        space: ParameterSpace,
        log_likelihood: Callable[[dict[str, float]], float],
        forward: ForwardModel | None,
        rng: np.random.Generator,
        log_offset: float = 0.0,
        vectorized: Literal["auto"] | bool = "auto",
        pool: Pool | None = None,
        between_calls: Callable[[], None] | None = None,
        simulating: bool = True,
    ) -> None:
        self.space = space
        self.forward = forward
        n_tried = EVALUATION.tried_per_probe * EVALUATION.n_probes
        probes = space.to_theta(rng.normal(size=(n_tried, space.n_dim)))
        probes = probes[space.satisfies_constraints(probes)][: EVALUATION.n_probes]
        calls = Calls(space.names, space.fixed, log_likelihood, forward, log_offset)
        found = probe(calls, probes, vectorized)
        self.probe_values = found.values
        self.seconds_per_call = found.seconds_per_call
        alone = replace(found.calls, forward=None, shared=False, predict_at_once=None)
        self._calls = found.calls if simulating else alone
        self._between_calls = between_calls or (lambda: None)
        self._batch: Batch | None = None
        self._dispatcher: ChunkDispatcher | None = None
        where = "one process"
        if pool is not None and found.seconds_per_draw < CHEAPEST:
            where += f", as a draw takes {1e6 * found.seconds_per_draw:.0f} us, less than sending it"
        elif pool is not None:
            self._dispatcher = ChunkDispatcher(pool, self._calls, found.seconds_per_draw, self._between_calls)
            where = pool.name
        self.note = f"{found.describe()}; {where}"

    def __call__(
        self,
        z: Array,
        on_chunk: Callable[[int], None] | None = None,
        resume: PartialBatch | None = None,
    ) -> Evaluation:
        """Evaluate draws.

        Parameters
        ----------
        z : ndarray, shape (n, n_dim)
            Unbounded latent coordinates.
        on_chunk : callable, optional
            Called with the number of draws just finished, for progress.
        resume : PartialBatch, optional
            A partial evaluation of the same draws, whose finished rows are reused.

        Raises
        ------
        LikelihoodError
            If the user's code raises.
        WorkerError
            If processes die or hang repeatedly.
        ValueError
            If a log-likelihood is plus infinity.
        """
        n_data = len(self.forward.observed) if self.forward is not None and self.simulates else None
        batch = self._batch = Batch(z, self.space, n_data, resume)
        told, when = 0, time.perf_counter()
        try:
            for done in self._results(batch):
                self._between_calls()
                batch.take(*done)
                if on_chunk is not None and time.perf_counter() - when > SECONDS_BETWEEN_REPORTS:
                    finished = int(batch.finished.sum())
                    on_chunk(finished - told)
                    told, when = finished, time.perf_counter()
        except EvaluationError as error:
            error.partial = self.interrupted()
            raise
        if on_chunk is not None and told < len(z):
            on_chunk(len(z) - told)
        log_likelihood = self._log_likelihood(batch)
        _reject_plus_infinity(log_likelihood, batch.theta, self.space)
        n_nan = int(np.isnan(log_likelihood).sum())
        log_likelihood[~(log_likelihood > EVALUATION.impossible)] = -np.inf
        return Evaluation(
            batch.theta, log_likelihood, batch.predictions, int(batch.allowed.sum()), n_nan, batch.seconds
        )

    @property
    def simulates(self) -> bool:
        """True if draws have predictions."""
        return self._calls.forward is not None

    def interrupted(self) -> PartialBatch | None:
        """The last batch as far as it was evaluated; None before the first."""
        batch = self._batch
        if batch is None:
            return None
        finished = batch.finished.copy()
        return PartialBatch(
            z=batch.z,
            theta=batch.theta,
            finished=finished,
            log_likelihood=np.where(finished, self._log_likelihood(batch), -np.inf),
            predictions=None if batch.predictions is None else batch.predictions.copy(),
            n_calls=int((finished & batch.allowed).sum()),
            seconds=batch.seconds,
        )

    def _results(self, batch: Batch) -> Iterator[Done]:
        """Yield the missing rows of a batch as they are finished."""
        if self._dispatcher is not None and not self._calls.at_once:
            yield from self._dispatcher(self._dispatcher.chunks(np.flatnonzero(~batch.finished), batch.theta))
            return
        missing = (
            (piece, np.flatnonzero(~batch.finished[piece])) for piece in batch.pieces(EVALUATION.rows_at_once)
        )
        chunks = (Chunk(piece, batch.theta[piece], rows) for piece, rows in missing if len(rows))
        yield from self._dispatcher(chunks) if self._dispatcher is not None else self._made_here(chunks)

    def _made_here(self, chunks: Iterable[Chunk]) -> Iterator[Done]:
        for chunk in chunks:
            for done in self._calls(chunk.theta, chunk.rows):
                yield done._replace(rows=chunk.index[done.rows])

    def _log_likelihood(self, batch: Batch) -> Array:
        """Log-likelihoods of a batch, shape (n,), in its finished rows."""
        values = batch.log_likelihood.copy()
        if not self._calls.shared:
            return values
        assert batch.predictions is not None
        for piece in batch.pieces(EVALUATION.rows_at_once):
            rows = piece[batch.finished[piece]]
            values[rows] = self._calls.from_predictions(batch.predictions[rows], batch.theta[rows])
        return values


def _reject_plus_infinity(log_likelihood: Array, theta: Array, space: ParameterSpace) -> None:
    bad = np.flatnonzero(log_likelihood == np.inf)
    if len(bad):
        where = listed(space.row(theta[bad[0]]))
        raise ValueError(
            f"likelihood: expected finite values or -inf, got +inf for {len(bad)} of {len(theta)} draws, "
            f"first at {where}; with it the evidence is infinite; look for a division by zero there"
        )
