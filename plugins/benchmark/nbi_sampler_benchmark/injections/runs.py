"""Runs of the injections of a family, several at a time, in a file that can be resumed."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import bilby
import numpy as np

from nbi_sampler.networks.devices import limited_threads
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler_benchmark.injections.families import Family, load_family
from nbi_sampler_benchmark.runs.jobs import finished

__all__ = ["run_injection", "run_injections"]


def run_injections(
    source: str,
    n_injections: int,
    path: Path,
    *,
    n_effective: int,
    n_processes: int,
    options: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Run every injection that a file does not hold yet.

    Parameters
    ----------
    source : str
        See `families.load_family`.
    n_injections : int
    path : Path
        JSON-lines file, appended to as runs finish.
    n_effective : int
        Required effective samples of each run.
    n_processes : int
        Simultaneous runs, with one thread each.
    options : mapping
        Further keywords of the sampler.

    Returns
    -------
    list of dict
        Records of the injections, in their order.
    """
    asked = {"family": source, "n_effective": n_effective, "options": dict(options)}
    jobs = [asked | {"number": number} for number in range(n_injections)]
    return finished(jobs, _measured, path, n_processes, unit="run")


def _measured(job: Mapping[str, Any]) -> dict[str, Any]:
    return run_injection(job["family"], job["number"], job["n_effective"], job["options"])


def run_injection(source: str, number: int, n_effective: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """Draw parameters from the prior, simulate data with them, and run the sampler.

    All random numbers follow from the number of the injection. The call needs its own process, because
    families may draw their noise from global generators.

    Returns
    -------
    dict
        ``number``, ``injection``, ``levels`` (the mass of the posterior below each parameter of the
        injection), ``status``, ``k_hat``, ``calls``, ``ess``, ``log_evidence`` with its error, ``seconds`` of
        processor time.
    """
    family = _loaded(source)
    np.random.seed(number)
    bilby.core.utils.random.seed(number)
    names = ParameterSpace(family.priors).names
    injection = {name: float(value) for name, value in family.priors.sample().items()}
    likelihood = family.likelihood_of(injection)
    start = time.process_time()
    with tempfile.TemporaryDirectory() as outdir, limited_threads(1):
        result = bilby.run_sampler(
            likelihood,
            family.priors,
            sampler="nbi",
            n_effective=n_effective,
            seed=number,
            injection_parameters=injection,
            outdir=outdir,
            label="injection",
            print_method="none",
            save=False,
            **options,
        )
    own = result.meta_data["nbi"]
    record = {
        "number": number,
        "injection": injection,
        "levels": result.get_all_injection_credible_levels(list(names)),
        "log_evidence": result.log_evidence,
        "log_evidence_err": result.log_evidence_err,
        "calls": own["n_calls"],
        "seconds": time.process_time() - start,
        **{key: own[key] for key in ("status", "k_hat", "ess")},
    }
    return json.loads(json.dumps(record, default=float))


@lru_cache(maxsize=1)
def _loaded(source: str) -> Family:
    return load_family(source)
