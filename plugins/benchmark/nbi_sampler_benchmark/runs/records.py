"""One run for a comparison: weighted draws, evidence and costs, from a result or a file.

A comparison uses only `RunRecord`.
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

# Draws whose weights sum to less than this give no information, and fill files and plots.
NEGLIGIBLE = 1e-6


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A run.

    Parameters
    ----------
    sampler : str
        Name in reports.
    names : tuple of str
        Sampled parameters.
    theta : ndarray, shape (n, n_dim)
    weights : ndarray, shape (n,)
        Weights that sum to one.
    log_evidence, log_evidence_err : float
        NaN if the sampler gives no evidence.
    calls : float
        Number of likelihood calls; NaN if it is unknown, like all fields below.
    seconds, cpu_seconds, likelihood_seconds : float
        Elapsed seconds of the whole run, processor seconds, and seconds within the likelihood.
    peak_memory : float
        MB.
    sleep : float
        Seconds added to each call.
    seed : int, optional
    status : str, optional
        Status that the sampler gives its own result.
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
        """Likelihood calls for each effective sample, over the whole run."""
        return self.calls / self.ess

    @property
    def overhead(self) -> float:
        """Seconds outside of the likelihood; those of the whole run if the others are unknown."""
        return self.seconds - (0.0 if math.isnan(self.likelihood_seconds) else self.likelihood_seconds)


def weighted_size(weights: Array) -> float:
    """Kish's effective sample size of non-negative weights, shape (n,); 0 if there are none."""
    squares = float(np.square(weights).sum())
    return float(weights.sum() ** 2) / squares if squares > 0 else 0.0


def posterior_weights(result: Result) -> Array:
    """Weights of the nested samples, shape (n,); equal weights of posterior samples if there are none."""
    nested = stored(result, "nested_samples")
    if nested is not None:
        return np.asarray(nested["weights"], dtype=np.float64)
    return np.full(len(result.posterior), 1.0 / len(result.posterior))


def save_draws(path: Path, result: Result) -> None:
    """Write the weighted draws of a result as ``.npz``, without those of negligible weight."""
    draws = run_of_result(result)
    np.savez_compressed(path, names=draws.names, theta=draws.theta, weights=draws.weights)


def stored_run(record: Mapping[str, Any], folder: Path) -> RunRecord:
    """The run of a record in a benchmark file, with its draws in a folder."""
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
    """The run of a bilby result of any sampler.

    Parameters
    ----------
    result : bilby.core.result.Result
    sampler : str, optional
        Name in reports; the default is the name of the sampler.
    names : sequence of str, optional
        Names of the parameters; the default is all sampled ones.
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
    """Attribute of a result, or None, because bilby raises if a sampler has not set it."""
    try:
        return getattr(result, name)
    except ValueError:
        return None


def _not_negligible(weights: Array) -> NDArray[np.intp]:
    """Indices of the draws without the lightest ones, whose total share is negligible."""
    order = np.argsort(weights)
    light = np.cumsum(weights[order]) <= NEGLIGIBLE * weights.sum()
    return np.sort(order[~light])


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
