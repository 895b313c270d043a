"""The state of a run: all that its next step needs, and so all that a checkpoint holds.

Values, not behaviour: every step makes a new one. Made by `step` and `snpe`, kept by `checkpoint`, read by
`result`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.algorithm.history import Draws, History
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal
from nbi_sampler.algorithm.records import RoundRecord
from nbi_sampler.algorithm.rounds import FitInfo
from nbi_sampler.evaluation.batch import PartialBatch

__all__ = ["Best", "Pending", "State"]

Array = NDArray[np.float64]


class Best(NamedTuple):
    """A proposal and the record of the batch that was drawn from it when it was fitted."""

    proposal: MixtureProposal
    record: RoundRecord


@dataclass(frozen=True)
class Pending:
    """A batch in flight: its draws, and the fit that it tests.

    Attributes
    ----------
    proposal : MixtureProposal
    info : FitInfo, optional
    z : ndarray, shape (n, n_dim)
    log_ratio : ndarray, shape (n,)
        Of the proposal at the draws.
    seconds : float
        That the sampling took.
    partial : PartialBatch, optional
        As far as it is evaluated.
    """

    proposal: MixtureProposal
    info: FitInfo | None
    z: Array
    log_ratio: Array
    seconds: float
    partial: PartialBatch | None = None


@dataclass(frozen=True)
class State:
    """All that the next step needs.

    Attributes
    ----------
    history : History
        Draws that train proposals.
    final : tuple of Draws
        Draws of the result; each is independent of the training of the proposal that weights it.
    records : tuple of RoundRecord
    phase : str
        "model", "prior", "rounds", "refinement", "ascent", "climb", "final" or "done".
    best : Best, optional
        The most efficient proposal of the last phase that fitted any.
    n_stalls : int
        Refinements since the last one that gained.
    n_doubted : int
        Results that were complete and began anew, because their weights spoke against them.
    n_sims : int
        Draws of a round, chosen by the first step; 0 before.
    pending : Pending, optional
        The batch of the next step, where a run was stopped within it.
    """

    history: History = field(default_factory=History)
    final: tuple[Draws, ...] = ()
    records: tuple[RoundRecord, ...] = ()
    phase: str = "prior"
    best: Best | None = None
    n_stalls: int = 0
    n_doubted: int = 0
    n_sims: int = 0
    pending: Pending | None = None

    @property
    def n_calls(self) -> int:
        """Calls of the user's code so far."""
        return sum(record.n_calls for record in self.records)

    @property
    def final_log_weights(self) -> Array:
        """Log weights of the result's draws, shape (n_final,)."""
        return np.concatenate([draws.log_weights for draws in self.final]) if self.final else np.zeros(0)

    def count(self, phase: str) -> int:
        """Batches drawn in a phase."""
        return sum(record.phase == phase for record in self.records)

    def without_result(self) -> State:
        """The same state with a result that starts anew; its draws still train proposals."""
        return replace(self, final=(), records=tuple(replace(r, pooled=False) for r in self.records))

    def without_predictions(self, n_kept: int = 0) -> State:
        """The same state without the predictions of its batches, but for the last ``n_kept``.

        Some at draws of the result stay, by which the fit is judged.
        """
        spent = self.history.batches[: len(self.history.batches) - n_kept]
        of_result = {id(draws) for draws in self.final}
        lighter = {
            id(draws): draws.without_predictions(some=id(draws) in of_result)
            for draws in (*spent, *self.final)
            if draws.evaluation.predictions is not None
        }
        batches = tuple(lighter.get(id(draws), draws) for draws in self.history.batches)
        final = tuple(lighter.get(id(draws), draws) for draws in self.final)
        return replace(self, history=replace(self.history, batches=batches), final=final)
