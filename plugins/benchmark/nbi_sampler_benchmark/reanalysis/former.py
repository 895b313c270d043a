"""The former results that later runs start from, one file of bilby each, made on first use."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nbi_sampler_benchmark.json_values import digest_of
from nbi_sampler_benchmark.problems.loader import load_problem
from nbi_sampler_benchmark.runs.metering import Meter
from nbi_sampler_benchmark.runs.peers import run_peer
from nbi_sampler_benchmark.runs.records import stored
from nbi_sampler_benchmark.runs.single import serve_one_sampler

__all__ = ["Former", "file_of", "main", "make"]


@dataclass(frozen=True, kw_only=True)
class Former:
    """A former result.

    Parameters
    ----------
    problem : str
    sampler : str
        Name of the sampler in bilby.
    seed : int
        Its seed.
    n_rows : int, optional
        Number of rows of its posterior to keep, without other samples; the default keeps the result as it is.
    options : mapping
        Keywords for the sampler.
    """

    problem: str
    sampler: str = "nbi"
    seed: int = 101
    n_rows: int | None = 1000
    options: Mapping[str, Any] = field(default_factory=dict)


def file_of(former: Former, folder: Path) -> Path:
    """Path of the result of a former run, which is equal for equal runs."""
    digest = digest_of(asdict(former))[:8]
    return folder / f"{Path(former.problem).stem}-{former.sampler}-{former.seed}-{digest}_result.json"


def make(former: Former, path: Path) -> None:
    """Run the sampler, and write its result as JSON.

    Raises
    ------
    ValueError
        If the posterior has fewer rows than required.
    """
    problem = load_problem(former.problem)
    meter = Meter()
    with TemporaryDirectory() as outdir, meter.attached_to(problem.likelihood):
        result = run_peer(
            former.sampler,
            problem.likelihood,
            problem.priors,
            seed=former.seed,
            outdir=outdir,
            options=former.options,
        )
    result.num_likelihood_evaluations = max(meter.calls, stored(result, "num_likelihood_evaluations") or 0)
    if former.n_rows is not None:
        n = len(result.posterior)
        if n < former.n_rows:
            raise ValueError(f"n_rows: expected at most {n} rows, as the posterior has, got {former.n_rows}")
        result.posterior = result.posterior.iloc[: former.n_rows].reset_index(drop=True)
        result.nested_samples = None
        result.samples = result.posterior[result.search_parameter_keys].to_numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    result.save_to_file(filename=str(path), overwrite=True)


def main(arguments: list[str] | None = None) -> None:
    """Command line of one former run."""
    name = "python -m nbi_sampler_benchmark.reanalysis.former"
    parser = argparse.ArgumentParser(prog=name, description=main.__doc__)
    parser.add_argument("former", type=json.loads, help="fields of a Former as JSON")
    parser.add_argument("path", type=Path)
    parser.add_argument("--parent", type=int, help="process whose end also ends this one")
    given = parser.parse_args(arguments)
    former = Former(**given.former)
    serve_one_sampler(former.seed, given.parent)
    make(former, given.path)


if __name__ == "__main__":
    main()
