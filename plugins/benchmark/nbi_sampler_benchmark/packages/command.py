"""The command that trains several packages on the same simulations.

Results are kept, so the command continues after an interruption and adds only what is new.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from nbi_sampler_benchmark.arguments import integers, names
from nbi_sampler_benchmark.packages.catalogue import PACKAGES, Package, package_named
from nbi_sampler_benchmark.packages.environments import EnvironmentMissing, cache_folder, python_for
from nbi_sampler_benchmark.packages.report import packages_table, rows_of, write_report
from nbi_sampler_benchmark.packages.runs import PackageRun, Sizes, densities_of, make_run, records_of
from nbi_sampler_benchmark.packages.simulations import SimulatedProblem
from nbi_sampler_benchmark.problems.loader import describe, known_problem, load_problem

__all__ = ["add_package_arguments", "compare_packages"]


def add_package_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "problem", type=known_problem, help="name of a problem, script or module; see compare"
    )
    parser.add_argument(
        "--packages",
        type=_packages,
        default=list(PACKAGES.values()),
        help=f"with commas; the first is compared with the others: {', '.join(PACKAGES)}, or adapters (.py)",
    )
    parser.add_argument("--n-sims", type=integers, default=[1000, 10_000], help="simulations, with commas")
    parser.add_argument("--seeds", type=integers, default=[1], help="with commas")
    parser.add_argument("--latent", action="store_true", help="give all packages our coordinates")
    parser.add_argument(
        "--options", type=json.loads, default={}, help='JSON: {"sbi-nsf": {"embedding": "fc"}}'
    )
    parser.add_argument("--held-out", type=int, default=Sizes.n_held_out, help="simulations for the NLL")
    parser.add_argument("--targets", type=int, default=Sizes.n_targets, help="number with draws")
    parser.add_argument("--draws", type=int, default=Sizes.n_draws, help="for each target")
    parser.add_argument("--environments", type=Path, default=cache_folder(), help="folder (%(default)s)")
    parser.add_argument("--no-install", action="store_true", help="do not make missing environments")
    parser.add_argument("--minutes", type=float, help="time limit of a run")
    parser.add_argument("--out", type=Path, help="folder (default: build/packages/PROBLEM)")


def _packages(text: str) -> list[Package]:
    try:
        return [package_named(name) for name in names(text)]
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def compare_packages(given: argparse.Namespace) -> int:
    """Make missing runs, write the report, and return the exit code, which is 1 if any run failed."""
    out = given.out or Path("build/packages") / Path(given.problem).stem
    out.mkdir(parents=True, exist_ok=True)
    pythons, missing = _environments(given.packages, given.environments, not given.no_install)
    packages = [package for package in given.packages if package.name in pythons]
    # bilby's own likelihoods cause these warnings, which would precede every report.
    warnings.filterwarnings("ignore", "Parameter attribute queried", FutureWarning)
    problem = load_problem(given.problem)
    simulated, digest = SimulatedProblem(problem), describe(problem)["digest"]
    wanted = [
        (_run(given, package, n_sims, seed, digest), package)
        for n_sims in given.n_sims
        for seed in given.seeds
        for package in packages
    ]
    runs = [run for run, _ in wanted]
    made = {_key(record) for record in records_of(runs, out)}
    limit = None if given.minutes is None else 60 * given.minutes
    failed = False
    for run, package in wanted:
        if (run.package, run.n_sims, run.seed) in made:
            continue
        name = f"{run.package}, {run.n_sims:,} simulations, seed {run.seed}"
        print(f"{name}: training", file=sys.stderr, flush=True)
        done = make_run(run, package, pythons[package.name], simulated, out, limit)
        if isinstance(done, str):
            failed, missing[name] = True, "the run failed"
        print(f"{name}: {done if isinstance(done, str) else _in_short(done)}", flush=True)
    records = records_of(runs, out)
    if not records:
        print("no run to report on", file=sys.stderr)
        return 1
    rows = rows_of(records, [densities_of(record, out) for record in records], packages[0].name)
    print(packages_table(rows))
    for path in write_report(out, f"{problem.name}: the same simulations", rows, missing):
        print(path)
    return 1 if failed else 0


def _environments(
    packages: Sequence[Package], folder: Path, install: bool
) -> tuple[dict[str, Path], dict[str, str]]:
    """Interpreters by package, and the reasons for missing ones."""
    pythons, missing = {}, {}
    for package in packages:
        try:
            pythons[package.name] = python_for(package.requirements, folder, install)
        except EnvironmentMissing as error:
            missing[package.name] = str(error)
            print(f"{package.name}: {error}", file=sys.stderr)
    return pythons, missing


def _run(given: argparse.Namespace, package: Package, n_sims: int, seed: int, digest: str) -> PackageRun:
    return PackageRun(
        problem=given.problem,
        digest=digest,
        package=package.name,
        requirements=package.requirements,
        options={**package.options, **given.options.get(package.name, {})},
        latent=package.latent or given.latent,
        n_sims=n_sims,
        seed=seed,
        sizes=Sizes(n_held_out=given.held_out, n_targets=given.targets, n_draws=given.draws),
    )


def _key(record: dict) -> tuple[str, int, int]:
    return record["package"], record["n_sims"], record["seed"]


def _in_short(record: dict) -> str:
    return (
        f"NLL {record['nll']:.2f}, efficiency {record['efficiency']:.3f}, "
        f"{record['training']['cpu_seconds']:.0f} s of the processor"
    )
