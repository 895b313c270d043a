"""Records of a run for people, one for each batch, and observers, which are told about its events.

Records are plain values. They go to the meta data of the result as dictionaries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from nbi_sampler.importance.weights import Evidence

if TYPE_CHECKING:
    from nbi_sampler.algorithm.history import Draws
    from nbi_sampler.algorithm.state import State

__all__ = ["FORMER_PHASES", "QUANTILES", "Observer", "Observers", "RoundRecord"]

# Quantiles of the draws of a batch: the median, and the limits of one and of two sigma of a Gaussian.
QUANTILES = (0.025, 0.16, 0.5, 0.84, 0.975)
# Names of phases in results and checkpoints of former versions.
FORMER_PHASES = {"climb": "mode search"}


@dataclass(frozen=True)
class RoundRecord:
    """One batch of draws and the fit before it.

    Attributes
    ----------
    phase : str
        "model", "initial", "prior", "rounds", "refinement", "ascent", "mode search" or "final".
    n_draws, n_calls, n_nan : int
        Numbers of draws, of calls of the user's code (draws that violate a constraint cost none) and of NaN
        log-likelihoods.
    n_eff : float
        ESS - 1, as in equation 2 of Zhang, Bloom & Hernitschek (2023, arXiv:2312.03824).
    ess, efficiency : float
        Under the proposal of this batch.
    log_evidence, log_evidence_err : float
        From this batch alone.
    exponent : float
        Power of the weights to which the proposal was fitted.
    out_of_distribution : float
        See `state.FitInfo`.
    pooled : bool
        True if these draws are part of the result.
    training_loss, validation_loss : tuple of float
        For each epoch; empty without a fit.
    quantiles : tuple of tuple of float, shape (n_dim, 5)
        Quantiles of each parameter over the draws without weights, at the probabilities `QUANTILES`. They
        show where the proposal draws.
    seconds_simulating, seconds_training, seconds_sampling : float
        Time in the user's code; time of the fit of the whole proposal; time for draws and densities.
    """

    phase: str
    n_draws: int
    n_calls: int
    n_nan: int
    ess: float
    efficiency: float
    log_evidence: float
    log_evidence_err: float
    exponent: float = 1.0
    out_of_distribution: float = 0.0
    pooled: bool = False
    training_loss: tuple[float, ...] = ()
    validation_loss: tuple[float, ...] = ()
    quantiles: tuple[tuple[float, ...], ...] = ()
    seconds_simulating: float = 0.0
    seconds_training: float = 0.0
    seconds_sampling: float = 0.0

    @property
    def evidence(self) -> Evidence:
        """Evidence from this batch alone."""
        return Evidence(self.log_evidence, self.log_evidence_err)

    @property
    def n_eff(self) -> float:
        """Effective size as the paper defines it."""
        return max(self.ess - 1.0, 0.0)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON and HDF5."""
        values = asdict(self)
        values["training_loss"] = list(self.training_loss)
        values["validation_loss"] = list(self.validation_loss)
        values["quantiles"] = [list(each) for each in self.quantiles]
        return {**values, "n_eff": self.n_eff}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RoundRecord:
        """The record from the values of `as_dict`, also after JSON or HDF5."""
        known = {each.name: values[each.name] for each in fields(cls) if each.name in values}
        known["phase"] = FORMER_PHASES.get(known["phase"], known["phase"])
        for name in ("training_loss", "validation_loss"):
            known[name] = tuple(map(float, known.get(name, ())))
        known["quantiles"] = tuple(tuple(map(float, each)) for each in known.get("quantiles", ()))
        return cls(**known)


class Observer:
    """An observer that is told about the events of a run, and ignores them."""

    def training_started(self, phase: str) -> None:
        """A fit begins."""

    def walked(self, power: float) -> None:
        """Walkers of a fit have reached this power of an approximate likelihood."""

    def epoch_finished(self, epoch: int, training_loss: float, validation_loss: float) -> None:
        """An epoch of the fit is complete."""

    def drawing_started(self, phase: str, n_draws: int) -> None:
        """A batch of draws is about to be evaluated."""

    def drawn(self, n_draws: int) -> None:
        """``n_draws`` more draws of the batch have been evaluated."""

    def simulations_drawn(self, phase: str, draws: Draws) -> None:
        """A batch of draws has been evaluated."""

    def round_finished(self, record: RoundRecord, effective: float) -> None:
        """A batch is complete. ``effective`` is the effective size of the result so far."""

    def state_changed(self, state: State) -> None:
        """The state is new: at the start, with a batch under way, or after a step."""


class Observers(Observer):
    """Several observers as one. They are told in order."""

    def __init__(self, *observers: Observer) -> None:
        def telling(event: str) -> Callable[..., None]:
            def tell(*details: Any, **named: Any) -> None:
                for observer in observers:
                    getattr(observer, event)(*details, **named)

            return tell

        for event in (name for name in vars(Observer) if not name.startswith("_")):
            setattr(self, event, telling(event))
