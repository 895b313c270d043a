"""One run of one sampler on one problem, measured; `runner.py` starts it in a process of its own."""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import bilby
import numpy as np

from nbi_sampler.benchmark.problems import Problem, get_problem

__all__ = ["main", "measure", "run_problem"]

PHASES = ("simulating", "training", "sampling")


def run_problem(
    name: str, *, seed: int, n_effective: int, sampler: str, options: dict[str, Any]
) -> dict[str, Any]:
    """Run a sampler on a problem and measure what it cost and achieved.

    Parameters
    ----------
    name : str
        Problem of the registry.
    seed, n_effective : int
        Handed to the sampler; `n_effective` to `nbi` only.
    sampler : str
        Name that bilby knows.
    options : dict
        Further keywords for the sampler.

    Returns
    -------
    dict
        The record, ready for JSON.
    """
    problem = get_problem(name)
    own = {"seed": seed, "n_effective": n_effective} if sampler == "nbi" else {"seed": seed}
    with tempfile.TemporaryDirectory() as outdir:
        start = time.perf_counter()
        result = bilby.run_sampler(
            likelihood=problem.likelihood,
            priors=problem.priors,
            sampler=sampler,
            outdir=outdir,
            label=name,
            resume=False,
            **(own | options),
        )
        seconds = time.perf_counter() - start
    asked = {
        "problem": name,
        "sampler": sampler,
        "seed": seed,
        "n_effective": n_effective,
        "options": options,
    }
    return asked | measure(result, problem) | {"seconds": seconds}


def measure(result: bilby.core.result.Result, problem: Problem) -> dict[str, Any]:
    """Compare a finished result with the reference and count its cost.

    The effective sample size is (sum w)^2 / sum w^2 of the nested samples' weights; the pull is the error of
    log Z in units of its own and the reference's errors together.

    Parameters
    ----------
    result : bilby.core.result.Result
        Of any sampler that returns weighted nested samples.
    problem : Problem
        What was sampled.

    Returns
    -------
    dict
        Measured values; what only `nbi` reports is None for other samplers.
    """
    weights = np.asarray(result.nested_samples["weights"], dtype=float)
    ess = float(weights.sum() ** 2 / np.sum(weights**2))
    calls = result.num_likelihood_evaluations
    own = (result.meta_data or {}).get("nbi", {})
    error = float(result.log_evidence) - problem.log_evidence
    spread = math.hypot(float(result.log_evidence_err), problem.log_evidence_err)
    record = {
        "status": own.get("status"),
        "efficiency": own.get("efficiency"),
        "k_hat": own.get("k_hat"),
        "n_rounds": len(own["rounds"]) if "rounds" in own else None,
        "calls": int(calls),
        "ess": ess,
        "calls_per_ess": calls / ess,
        "log_evidence": float(result.log_evidence),
        "log_evidence_err": float(result.log_evidence_err),
        "log_evidence_error": error,
        "pull": error / spread if spread > 0 else math.nan,
    }
    rounds = own.get("rounds", [])
    return record | {f"seconds_{phase}": _total(rounds, f"seconds_{phase}") for phase in PHASES}


def _total(rounds: list[dict[str, Any]], key: str) -> float | None:
    values = [float(row[key]) for row in rounds if row.get(key) is not None]
    return sum(values) if values else None


def main(arguments: list[str] | None = None) -> None:
    """Command line of one run: measure it and write the record as JSON."""
    parser = argparse.ArgumentParser(prog="python -m nbi_sampler.benchmark.single", description=main.__doc__)
    parser.add_argument("--problem", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--n-effective", type=int, required=True)
    parser.add_argument("--sampler", default="nbi")
    parser.add_argument("--options", type=json.loads, default={})
    parser.add_argument("--record", type=Path, required=True)
    given = parser.parse_args(arguments)
    record = run_problem(
        given.problem,
        seed=given.seed,
        n_effective=given.n_effective,
        sampler=given.sampler,
        options=given.options,
    )
    given.record.write_text(json.dumps(record, default=float))


if __name__ == "__main__":
    main()
