"""One measured run of one sampler on one problem, in its own process, which `runner.py` starts."""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import bilby
import numpy as np
import torch

from nbi_sampler.evaluation.worker_process import end_with
from nbi_sampler.reports.meta_data import rounds_of
from nbi_sampler_benchmark.problems.loader import describe, load_problem
from nbi_sampler_benchmark.problems.registry import Problem
from nbi_sampler_benchmark.runs.metering import Meter, cpu_seconds, peak_memory
from nbi_sampler_benchmark.runs.peers import run_peer
from nbi_sampler_benchmark.runs.records import posterior_weights, save_draws, stored, weighted_size
from nbi_sampler_benchmark.runs.runner import Run

__all__ = ["main", "measure", "run_problem", "serve_one_sampler"]

PHASES = ("simulating", "training", "sampling")


def run_problem(run: Run, draws: Path | None = None, calls: Path | None = None) -> dict[str, Any]:
    """Run a sampler on a problem, and measure its cost and its result.

    Parameters
    ----------
    run : Run
    draws : Path, optional
        File for the weighted draws, which `records` reads.
    calls : Path, optional
        File for the number of calls so far.

    Returns
    -------
    dict
        The record, in values that JSON can hold.

    Raises
    ------
    ValueError
        If the problem does not match the run's digest.
    """
    problem = load_problem(run.problem)
    if run.digest and run.digest != describe(problem)["digest"]:
        raise ValueError(
            f"problem: expected {run.problem} to define the same likelihood and priors each time it is run, "
            "got different ones; seed the generator of its data"
        )
    meter = Meter(run.sleep)
    own = {"n_effective": run.n_effective} if run.sampler == "nbi" else {}
    shown = nullcontext() if calls is None else meter.shown_in(calls)
    with tempfile.TemporaryDirectory() as outdir, meter.attached_to(problem.likelihood), shown:
        cpu, start = cpu_seconds(), time.perf_counter()
        result = run_peer(
            run.sampler,
            problem.likelihood,
            problem.priors,
            seed=run.seed,
            outdir=outdir,
            options=own | run.options,
        )
        seconds, cpu = time.perf_counter() - start, cpu_seconds() - cpu
    if draws is not None:
        save_draws(draws, result)
    cost = {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "likelihood_seconds": meter.seconds,
        "peak_memory": peak_memory(),
    }
    return asdict(run) | measure(result, problem, calls=meter.calls) | cost


def measure(result: bilby.core.result.Result, problem: Problem, calls: int = 0) -> dict[str, Any]:
    """Compare a finished result with the reference, and compute its costs.

    The effective sample size is (sum w)^2 / sum w^2 for the weights of the nested samples, or the number of
    posterior samples if there are no weights. The pull is the error of log Z in units of the combined error
    of the result and the reference. The number of calls is the larger of the counted one and the one that the
    sampler reports, because a function that jax traces is called less often than it is computed.

    Parameters
    ----------
    result : bilby.core.result.Result
        Result of any sampler.
    problem : Problem
        The sampled problem.
    calls : int
        Number of calls counted in the likelihood.

    Returns
    -------
    dict
        Measured values. Values that are unknown, or that only `nbi` reports, are None.
    """
    ess = weighted_size(posterior_weights(result))
    reported = stored(result, "num_likelihood_evaluations")
    calls = max(calls, int(reported or 0))
    own = (result.meta_data or {}).get("nbi", {})
    rounds = rounds_of(result) if own else []
    error = float(result.log_evidence) - problem.log_evidence
    spread = math.hypot(float(result.log_evidence_err), problem.log_evidence_err)
    record = {
        "status": own.get("status"),
        "efficiency": own.get("efficiency"),
        "k_hat": own.get("k_hat"),
        "n_rounds": len(rounds) if own else None,
        "calls": calls,
        "calls_reported": None if reported is None else int(reported),
        "ess": ess,
        "calls_per_ess": calls / ess,
        "log_evidence": float(result.log_evidence),
        "log_evidence_err": float(result.log_evidence_err),
        "log_evidence_error": None if math.isnan(error) else error,
        "pull": error / spread if spread > 0 else None,
    }
    return record | {f"seconds_{phase}": _total(rounds, f"seconds_{phase}") for phase in PHASES}


def _total(rounds: list[dict[str, Any]], key: str) -> float | None:
    values = [float(row[key]) for row in rounds if row.get(key) is not None]
    return sum(values) if values else None


def serve_one_sampler(seed: int, parent: int | None) -> None:
    """Prepare this process for one sampler only, and end it with its parent.

    Some samplers ignore their seed and draw from the global generators.
    """
    if parent is not None:
        end_with(parent)
    bilby.core.utils.random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(1)


def main(arguments: list[str] | None = None) -> None:
    """Command line of one run, which writes its record as JSON."""
    name = "python -m nbi_sampler_benchmark.runs.single"
    parser = argparse.ArgumentParser(prog=name, description=main.__doc__)
    parser.add_argument("run", type=json.loads, help="fields of a Run as JSON")
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--draws", type=Path)
    parser.add_argument("--calls", type=Path)
    parser.add_argument("--parent", type=int, help="process whose end also ends this one")
    given = parser.parse_args(arguments)
    run = Run(**given.run)
    serve_one_sampler(run.seed, given.parent)
    record = run_problem(run, given.draws, given.calls)
    given.record.write_text(json.dumps(record, default=float), encoding="utf-8")


if __name__ == "__main__":
    main()
