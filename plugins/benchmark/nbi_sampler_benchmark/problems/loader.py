"""Loader of problems from names of the benchmark, scripts or modules.

It is called in a separate process, because it runs a user's script.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbi_sampler.evaluation.calls import likelihood_function
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.reports.plots.view import parameter_labels
from nbi_sampler.sampler import script
from nbi_sampler.sampler.problem import probe_generator
from nbi_sampler.storage.fingerprint import RUN_KEYWORDS, fingerprint
from nbi_sampler_benchmark.json_values import without_unknown
from nbi_sampler_benchmark.problems.registry import Problem, get_problem, is_problem

__all__ = ["ProblemError", "describe", "known_problem", "load_problem", "names_of"]

RUN_NAME = "nbi_benchmark"


class ProblemError(ValueError):
    """There is no problem, script or module with that name, or it defines none."""


def known_problem(name: str) -> str:
    """Check the name of a problem, an existing script or a module: a ``type`` of argparse."""
    path = Path(name)
    if is_problem(name) or (path.is_file() if path.suffix == ".py" else script.is_module(name)):
        return name
    raise argparse.ArgumentTypeError(_no_problem(name))


def load_problem(name: str) -> Problem:
    """Likelihood and priors from the name of a problem, the path of a script, or the name of a module.

    A script runs under another name than ``__main__``. If it calls ``bilby.run_sampler`` all the same, it
    ends there, and the arguments of the call are used.

    Parameters
    ----------
    name : str
        ``"linear"``, ``"path/to/script.py"`` or ``"package.module"``.

    Returns
    -------
    Problem
        The evidence is unknown (NaN) unless the problem is the benchmark's own. The truth of a script is its
        ``injection_parameters`` or ``truth``.

    Raises
    ------
    ProblemError
        If there is no such name, or it defines no likelihood and priors.
    """
    if is_problem(name):
        return get_problem(name)
    names = names_of(name)
    try:
        # bilby adds defaults for missing priors; without this it would do so in each run.
        likelihood, priors = script.defined_in(names, name)
    except script.ScriptError as error:
        raise ProblemError(str(error)) from error
    truth = names.get("injection_parameters", names.get("truth"))
    return Problem(
        name=Path(name).stem,
        likelihood=likelihood,
        priors=priors,
        truth=dict(truth) if isinstance(truth, Mapping) else None,
    )


def describe(problem: Problem) -> dict[str, Any]:
    """Description of a problem in values that JSON can hold, for people and for the table of runs.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    dict
        ``name``, ``names`` and ``labels`` of the sampled parameters, ``truth``, ``log_evidence`` and its
        error, ``seconds_per_call`` of the likelihood, and a ``digest``, which changes with the data, the
        model and the priors.
    """
    space = ParameterSpace(problem.priors)
    function = likelihood_function(problem.likelihood, use_ratio=False)
    evaluator = Evaluator(space, function, None, probe_generator())
    keywords = dict.fromkeys(RUN_KEYWORDS)
    identity = fingerprint(problem.priors, problem.likelihood, keywords, False, evaluator)
    values = {key: value for key, value in identity.items() if not key.startswith("version")}
    truth = problem.truth or {}
    return {
        "name": problem.name,
        "names": list(space.names),
        "labels": dict(zip(space.names, parameter_labels(space.names, problem.priors), strict=True)),
        "truth": {name: float(truth[name]) for name in space.names if name in truth},
        "log_evidence": problem.log_evidence,
        "log_evidence_err": problem.log_evidence_err,
        "seconds_per_call": evaluator.seconds_per_call,
        "digest": hashlib.sha256(json.dumps(values).encode()).hexdigest()[:12],
    }


def names_of(name: str) -> dict[str, Any]:
    """Names that a script or a module defines, or passes to bilby."""
    try:
        return script.names_of(name, RUN_NAME)
    except script.ScriptError as error:
        raise ProblemError(f"problem: {_no_problem(name)}") from error


def _no_problem(name: str) -> str:
    return f"expected the name of a problem, an existing script (.py) or a module, got {name!r}"


if __name__ == "__main__":
    try:
        described = without_unknown(describe(load_problem(sys.argv[1])))
    except ProblemError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    print(json.dumps(described))
