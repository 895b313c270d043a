"""Plain values for the plots of a run, from a result or from the state of a run.

The modules that draw use nothing else of a run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from nbi_sampler.algorithm.records import RoundRecord
from nbi_sampler.core.types import Array
from nbi_sampler.importance.pareto import pareto_k
from nbi_sampler.importance.weights import Evidence, normalised_weights, weighted_quantiles
from nbi_sampler.reports.meta_data import rounds_of
from nbi_sampler.reports.result import ResultDraws

if TYPE_CHECKING:
    from bilby.core.prior import PriorDict
    from bilby.core.result import Result

    from nbi_sampler.algorithm.state import State

__all__ = ["RunView", "parameter_labels", "parameter_units"]


@dataclass(frozen=True, eq=False)
class RunView:
    """The values of a run that its plots show.

    Attributes
    ----------
    label : str
    labels, units : tuple of str, length n_dim
        Labels of the parameters for axes; units may be empty.
    records : tuple of RoundRecord
    theta : ndarray, shape (n, n_dim)
        Draws of the result with non-zero weights.
    log_weights : ndarray, shape (n,)
        Log weights of these draws, up to a constant.
    status, message : str
        Status and message; empty while the run is in progress.
    truth : tuple of float or None, length n_dim
        Injected values, if known.
    """

    label: str
    labels: tuple[str, ...]
    records: tuple[RoundRecord, ...]
    theta: Array
    log_weights: Array
    status: str = ""
    message: str = ""
    truth: tuple[float | None, ...] = field(default=())
    units: tuple[str, ...] = field(default=())

    @classmethod
    def from_result(cls, result: Result) -> RunView:
        """Make the view of a finished run, which may have been read from JSON, HDF5 or pickle.

        Raises
        ------
        ValueError
            For a result of another sampler.
        """
        records = tuple(map(RoundRecord.from_dict, rounds_of(result)))
        own = result.meta_data["nbi"]
        names, frame = list(result.search_parameter_keys), result.nested_samples
        weights = frame["weights"].to_numpy(dtype=np.float64)
        known = result.injection_parameters or {}
        return cls(
            label=result.label,
            labels=parameter_labels(names, result.priors),
            records=records,
            theta=frame[names].to_numpy(dtype=np.float64),
            log_weights=np.log(weights),
            status=own["status"],
            message=own["message"],
            truth=tuple(known.get(name) for name in names),
            units=parameter_units(names, result.priors),
        )

    @classmethod
    def from_state(
        cls, state: State, label: str, names: tuple[str, ...], priors: PriorDict | None = None
    ) -> RunView:
        """Make the view of a run in progress with at least one record; names are those of the space."""
        draws = ResultDraws.of(state, len(names))
        finite = np.isfinite(draws.log_weights)
        return cls(
            label,
            parameter_labels(names, priors),
            state.records,
            draws.theta[finite],
            draws.log_weights[finite],
            units=parameter_units(names, priors),
        )

    @property
    def n_dim(self) -> int:
        """Number of sampled parameters."""
        return len(self.labels)

    def label_with_unit(self, i: int) -> str:
        """Label of parameter ``i``, with its unit in brackets if it has one."""
        unit = self.units[i] if self.units else ""
        return f"{self.labels[i]} [{unit}]" if unit else self.labels[i]

    @property
    def of_result(self) -> tuple[RoundRecord, ...]:
        """Records of the batches that make up the result: the pooled ones, or the best one so far."""
        pooled = tuple(record for record in self.records if record.pooled)
        return pooled or tuple(sorted(self.records, key=lambda record: -record.ess)[:1])

    @property
    def n_draws(self) -> int:
        """Number of draws of the result, including those of weight zero."""
        return max(sum(record.n_draws for record in self.of_result), len(self.log_weights))

    @property
    def weights(self) -> Array:
        """Weights of the draws, which sum to one, shape (n,)."""
        return normalised_weights(self.log_weights) if len(self.log_weights) else self.log_weights

    @property
    def k_hat(self) -> float:
        """See `pareto.pareto_k`."""
        return pareto_k(self.all_log_weights)

    @property
    def all_log_weights(self) -> Array:
        """Log weights of all draws of the result, shape (n_draws,), in no particular order."""
        return np.append(self.log_weights, np.full(self.n_draws - len(self.log_weights), -np.inf))

    @property
    def ess(self) -> float:
        """Kish's effective sample size of the result."""
        weights = self.weights
        return 1.0 / float(np.square(weights).sum()) if len(weights) else 0.0

    @property
    def evidence(self) -> Evidence:
        """Evidence of the result: the mean over its batches, weighted by their numbers of draws."""
        records, n_draws, ess = self.of_result, self.n_draws, self.ess
        values = [record.log_evidence + math.log(record.n_draws) for record in records]
        if not len(values) or not np.isfinite(np.max(values)) or ess == 0.0:
            return Evidence(-math.inf, math.inf)
        error = math.sqrt(max(n_draws - ess, 0.0) / (n_draws * ess))
        return Evidence(float(np.logaddexp.reduce(values)) - math.log(n_draws), error)

    def quantiles(self, i: int, probabilities: ArrayLike) -> Array:
        """Quantiles of parameter ``i`` over the weighted draws, with the shape of ``probabilities``."""
        return np.asarray(weighted_quantiles(self.theta[:, i : i + 1], self.weights, probabilities)[0])


def parameter_labels(names: Iterable[str], priors: PriorDict | None) -> tuple[str, ...]:
    """Labels of parameters on axes: those of their priors if matplotlib can draw them, or the names."""
    return tuple(_label(name, (priors or {}).get(name)) for name in names)


def parameter_units(names: Iterable[str], priors: PriorDict | None) -> tuple[str, ...]:
    """Units of parameters on axes: those of their priors, as plain or mathematical text."""
    return tuple(_unit(getattr((priors or {}).get(name), "unit", None)) for name in names)


def _label(name: str, prior: Any) -> str:
    label = getattr(prior, "latex_label", None)
    plain = name.replace("$", r"\$")
    if not isinstance(label, str) or label.count("$") < 2:
        return plain
    return label if _can_be_set(label) else plain


def _unit(unit: Any) -> str:
    if not isinstance(unit, str):
        return ""
    return unit if _can_be_set(unit) else unit.replace("$", r"\$")


def _can_be_set(text: str) -> bool:
    """Return whether matplotlib can draw the LaTeX in a text."""
    from matplotlib.mathtext import MathTextParser

    try:
        MathTextParser("agg").parse(text)
    except ValueError:
        return False
    return True
