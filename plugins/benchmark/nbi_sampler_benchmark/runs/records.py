"""One run as it is compared with others: weighted draws, evidence and costs, from a result or a file.

`RunRecord` is all that the comparison knows of a run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bilby.core.result import Result
from numpy.typing import NDArray

from nbi_sampler_benchmark.runs.runner import draws_file, run_of

__all__ = [
    "RunRecord",
    "posterior_weights",
    "run_of_result",
    "save_draws",
    "stored",
    "stored_run",
    "weighted_size",
]

Array = NDArray[np.float64]

# Draws that together weigh less than this tell nothing, and fill files and plots.
NEGLIGIBLE = 1e-6


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A run.

    Parameters
    ----------
    sampler : str
        Name for people.
    names : tuple of str
        Sampled parameters.
    theta : ndarray, shape (n, n_dim)
    weights : ndarray, shape (n,)
        Summing to one.
    log_evidence, log_evidence_err : float
        NaN where the sampler gives none.
    calls : float
        Of the likelihood; NaN where unknown, as all that follows.
    seconds, cpu_seconds, likelihood_seconds : float
        Of the whole run by the clock, of the processor, and within the likelihood.
    peak_memory : float
        MB.
    sleep : float
        Seconds that were added to each call.
    seed : int, optional
    status : str, optional
        What the sampler says of its own result.
    """

    sampler: str
    names: tuple[str, ...]
    theta: Array
    weights: Array
    log_evidence: float = math.nan
    log_evidence_err: float = math.nan
    calls: float = math.nan
    seconds: float = math.nan
    cpu_seconds: float = math.nan
    likelihood_seconds: float = math.nan
    peak_memory: float = math.nan
    sleep: float = 0.0
    seed: int | None = None
    status: str | None = None

    @property
    def ess(self) -> float:
        """Kish's effective sample size."""
        return weighted_size(self.weights)

    @property
    def calls_per_ess(self) -> float:
        """Calls of the likelihood for each effective sample, all of the run's."""
        return self.calls / self.ess

    @property
    def overhead(self) -> float:
        """Seconds outside of the likelihood; of the whole run where those within are unknown."""
        return self.seconds - (0.0 if math.isnan(self.likelihood_seconds) else self.likelihood_seconds)


def weighted_size(weights: Array) -> float:
    """Kish's effective sample size of non-negative weights, shape (n,); 0 without any."""
    squares = float(np.square(weights).sum())
    return float(weights.sum() ** 2) / squares if squares > 0 else 0.0


def posterior_weights(result: Result) -> Array:
    """Weights of the nested samples, shape (n,); equal ones of the posterior samples where there are none."""
    nested = stored(result, "nested_samples")
    if nested is not None:
        return np.asarray(nested["weights"], dtype=np.float64)
    return np.full(len(result.posterior), 1.0 / len(result.posterior))


def save_draws(path: Path, result: Result) -> None:
    """Write the weighted draws of a result, without those of negligible weight, as ``.npz``."""
    draws = run_of_result(result)
    np.savez_compressed(path, names=draws.names, theta=draws.theta, weights=draws.weights)


def stored_run(record: Mapping[str, Any], folder: Path) -> RunRecord:
    """The run of a line of a benchmark file, whose draws are in a folder."""
    with np.load(folder / draws_file(run_of(dict(record)))) as saved:
        theta, weights = saved["theta"], saved["weights"]
        names = tuple(str(name) for name in saved["names"])
    keys = ("log_evidence", "log_evidence_err", "calls", "seconds", "cpu_seconds", "likelihood_seconds")
    numbers: dict[str, Any] = {
        key: math.nan if record.get(key) is None else float(record[key]) for key in keys
    }
    return RunRecord(
        sampler=record["sampler"],
        names=names,
        theta=theta,
        weights=weights,
        peak_memory=float(record["peak_memory"]),
        sleep=record["sleep"],
        seed=record["seed"],
        status=record["status"],
        **numbers,
    )


def run_of_result(
    result: Result, sampler: str | None = None, names: Sequence[str] | None = None
) -> RunRecord:
    """The run of a result of bilby, whatever its sampler.

    Parameters
    ----------
    result : bilby.core.result.Result
    sampler : str, optional
        Name for people; that of the result's sampler by default.
    names : sequence of str, optional
        Parameters; those that were sampled by default.
    """
    nested = stored(result, "nested_samples")
    frame = result.posterior if nested is None else nested
    chosen = tuple(names or result.search_parameter_keys)
    weights = posterior_weights(result)
    kept = _not_negligible(weights)
    elapsed = result.sampling_time
    seconds = elapsed.total_seconds() if hasattr(elapsed, "total_seconds") else elapsed
    own = (result.meta_data or {}).get("nbi", {})
    return RunRecord(
        sampler=sampler or str(result.sampler),
        names=chosen,
        theta=frame[list(chosen)].to_numpy(dtype=np.float64)[kept],
        weights=weights[kept] / weights[kept].sum(),
        log_evidence=_number(result.log_evidence),
        log_evidence_err=_number(result.log_evidence_err),
        calls=_number(stored(result, "num_likelihood_evaluations")),
        seconds=_number(seconds),
        status=own.get("status"),
    )


def stored(result: Result, name: str) -> Any:
    """Attribute of a result, or None: bilby raises where a sampler has left one out."""
    try:
        return getattr(result, name)
    except ValueError:
        return None


def _not_negligible(weights: Array) -> NDArray[np.intp]:
    """Indices of the draws without the lightest, which together have a negligible share."""
    order = np.argsort(weights)
    light = np.cumsum(weights[order]) <= NEGLIGIBLE * weights.sum()
    return np.sort(order[~light])


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
