"""The state of a run: all that the next stage needs, and all that a checkpoint holds.

A state never changes. Each stage makes a new one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Literal, NamedTuple

import numpy as np

from nbi_sampler.algorithm.history import Draws, History
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal
from nbi_sampler.algorithm.records import RoundRecord
from nbi_sampler.core.types import Array
from nbi_sampler.evaluation.batch import PartialBatch
from nbi_sampler.networks.training.fit import TrainingInfo

__all__ = ["Best", "FitInfo", "Pending", "State"]

Reason = Literal["mode reached", "falls short", "ess dropped", "unreliable"]


@dataclass(frozen=True)
class FitInfo:
    """The outcome of a fit, for people.

    Attributes
    ----------
    training : TrainingInfo
    exponent : float
        Power of the weights in the fit; 1 for the posterior itself.
    out_of_distribution : float
        Distance of the observed inputs from the range of the simulated ones, in units of this range. It is 0
        inside, and for fits without data.
    expected : float, optional
        Efficiency that the fit itself expects of its proposal.
    """

    training: TrainingInfo
    exponent: float = 1.0
    out_of_distribution: float = 0.0
    expected: float | None = None


class Best(NamedTuple):
    """A proposal, and the record of the first batch that was drawn from it."""

    proposal: MixtureProposal
    record: RoundRecord


@dataclass(frozen=True)
class Pending:
    """A batch under way: its draws, and the fit that made its proposal.

    Attributes
    ----------
    proposal : MixtureProposal
    info : FitInfo, optional
    z : ndarray, shape (n, n_dim)
    log_ratio : ndarray, shape (n,)
        Log ratio of the proposal at the draws.
    seconds : float
        Time of the sampling.
    partial : PartialBatch, optional
        The part that has been evaluated.
    """

    proposal: MixtureProposal
    info: FitInfo | None
    z: Array
    log_ratio: Array
    seconds: float
    partial: PartialBatch | None = None


@dataclass(frozen=True)
class State:
    """All that the next stage needs.

    Attributes
    ----------
    history : History
        Draws that train proposals.
    final : tuple of Draws
        Draws of the result. No proposal was trained on its own draws.
    records : tuple of RoundRecord
    phase : str
        "model", "initial", "prior", "rounds", "refinement", "ascent", "mode search", "final" or "done".
    best : Best, optional
        The most efficient proposal of the last phase with fits.
    n_stalls : int
        Refinements since the last one that gained.
    n_unreliable : int
        Number of complete results that restarted because they were unreliable.
    n_sims : int
        Draws of a round, chosen by the first stage; 0 before it.
    pending : Pending, optional
        The batch of the next stage, if a run was interrupted within it.
    n_checked : int
        Number of former samples at which the likelihood was compared with the former one.
    former_offset : float, optional
        Log-likelihood minus that of the former run, if the difference is the same at all of these samples.
    has_moved : bool
        True if the posterior has moved so far from the former one that its samples propose no draws of it.
    """

    history: History = field(default_factory=History)
    final: tuple[Draws, ...] = ()
    records: tuple[RoundRecord, ...] = ()
    phase: str = "prior"
    best: Best | None = None
    n_stalls: int = 0
    n_unreliable: int = 0
    n_sims: int = 0
    pending: Pending | None = None
    n_checked: int = 0
    former_offset: float | None = None
    has_moved: bool = False

    @property
    def n_calls(self) -> int:
        """Calls of the user's code so far."""
        return self.n_checked + sum(record.n_calls for record in self.records)

    @property
    def final_log_weights(self) -> Array:
        """Log weights of the draws of the result, shape (n_final,)."""
        return np.concatenate([draws.log_weights for draws in self.final]) if self.final else np.zeros(0)

    def count(self, phase: str) -> int:
        """Number of batches drawn in a phase."""
        return sum(record.phase == phase for record in self.records)

    @property
    def final_batches(self) -> tuple[RoundRecord, ...]:
        """Records of the final draws since the last batch of another phase, latest first."""
        return tuple(takewhile(lambda record: record.phase == "final", reversed(self.records)))

    def without_result(self, n_kept: int = 0) -> State:
        """The same state with an empty result, or with the last ``n_kept`` batches of the result.

        The draws that are left out still train proposals.
        """
        pooled = [i for i, record in enumerate(self.records) if record.pooled]
        kept = pooled[len(pooled) - n_kept :]
        records = tuple(replace(record, pooled=i in kept) for i, record in enumerate(self.records))
        return replace(self, final=self.final[len(self.final) - n_kept :], records=records)

    def restarted(self, reason: Reason) -> State:
        """The state from which the refinement restarts. Its history includes the latest final draws.

        If the result itself is the reason, it restarts too: the weights of its draws would not improve.
        """
        history = self.history
        for draws in self.final[len(self.final) - len(self.final_batches) :]:
            assert self.best is not None
            history = history.extended(draws, self.best.proposal)
        kept = self if reason in ("mode reached", "falls short") else self.without_result()
        return replace(
            kept,
            history=history,
            phase="refinement",
            best=None,
            n_stalls=0,
            n_unreliable=self.n_unreliable + (reason == "unreliable"),
        )

    def better_by_all_draws(self, latest: Best) -> Best:
        """The best proposal so far or the latest, whichever is more efficient by all draws.

        A batch overestimates the efficiency of its proposal if it missed a thin tail by chance, and
        underestimates it if it hit the tail.
        """
        if self.best is None or self.best.proposal is latest.proposal:
            return latest
        return max((self.best, latest), key=lambda each: self.history.efficiency_of(each.proposal))

    def without_predictions(self, n_kept: int = 0) -> State:
        """The same state with predictions only for the last ``n_kept`` batches.

        A few predictions at draws of the result stay, because they show how well the model fits.
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
