"""The commands that compare posteriors with those of sbibm: of the sampler, and of networks alone."""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path

from nbi_sampler_benchmark.arguments import existing_file, integers, names_among
from nbi_sampler_benchmark.packages.catalogue import PACKAGES
from nbi_sampler_benchmark.packages.environments import cache_folder
from nbi_sampler_benchmark.runs.jobs import finished
from nbi_sampler_benchmark.sbibm.networks import networks_table, run_networks
from nbi_sampler_benchmark.sbibm.report import passes, sbibm_table
from nbi_sampler_benchmark.sbibm.runs import compare_draws, compare_halves, run_task
from nbi_sampler_benchmark.sbibm.simulators import SIMULATORS
from nbi_sampler_benchmark.sbibm.tasks import TASKS
from nbi_sampler_benchmark.sbibm.wheel import find_wheel

__all__ = ["add_arguments", "add_network_arguments", "compare_networks", "compare_with_references"]

N_OBSERVATIONS = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to its parser."""
    parser.add_argument("--tasks", type=names_among(TASKS), default=list(TASKS), help="names, with commas")
    numbers = f"numbers from 1 to {N_OBSERVATIONS}, with commas"
    parser.add_argument("--observations", type=_observations, default=[1, 2, 3], help=numbers)
    help_ = "wheel of sbibm (default: pip downloads it to the folder --cache)"
    parser.add_argument("--wheel", type=existing_file, help=help_)
    parser.add_argument("--cache", type=Path, default=Path("build/sbibm"), help="folder (build/sbibm)")
    parser.add_argument("--out", type=Path, default=Path("build/sbibm"), help="folder (build/sbibm)")
    help_ = "stop the training of classifiers by held-out draws, which saves minutes in ten dimensions"
    parser.add_argument("--early-stopping", action="store_true", help=help_)
    help_ = "also compare halves of every reference, which gives the noise of the test"
    parser.add_argument("--halves", action="store_true", help=help_)


def compare_with_references(given: argparse.Namespace) -> int:
    """Make missing runs and tests, and print; return the exit code: 1 if a requirement is not met."""
    wheel, draws = find_wheel(given.wheel, given.cache), given.out / "draws"
    stopping = {"early_stopping": given.early_stopping}
    settings = {"n_effective": given.n_effective, "options": given.options}
    problems = [
        {"task": task, "observation": observation}
        for task in given.tasks
        for observation in given.observations
    ]
    jobs = [problem | settings for problem in problems]
    do = partial(finished, n_processes=given.processes)
    runs = do(jobs, partial(run_task, wheel, draws), given.out / "runs.jsonl")
    jobs = [job | stopping for job in jobs]
    tests = do(jobs, partial(compare_draws, wheel, draws), given.out / "tests.jsonl")
    jobs = [problem | stopping for problem in problems if given.halves]
    halves = do(jobs, partial(compare_halves, wheel), given.out / "halves.jsonl")
    print(sbibm_table(runs, tests, halves))
    return 0 if passes(runs, tests) else 1


def add_network_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command that compares networks alone to its parser."""
    tasks = ["two_moons", "gaussian_linear", "slcp", "gaussian_mixture", "sir", "lotka_volterra"]
    parser.add_argument("--tasks", type=names_among(SIMULATORS), default=tasks, help="names, with commas")
    parser.add_argument(
        "--packages",
        type=names_among(PACKAGES),
        default=["nbi_sampler-defaults", "sbi-maf", "sbi-nsf"],
        help=f"with commas: {', '.join(PACKAGES)}",
    )
    parser.add_argument("--n-sims", type=integers, default=[1000, 10_000], help="simulations, with commas")
    numbers = f"numbers from 1 to {N_OBSERVATIONS}, with commas"
    parser.add_argument("--observations", type=_observations, default=[1], help=numbers)
    parser.add_argument("--seed", type=int, default=1)
    help_ = "of sbibm; left out, it is downloaded by pip to the folder --cache"
    parser.add_argument("--wheel", type=existing_file, help=help_)
    parser.add_argument("--cache", type=Path, default=Path("build/sbibm"), help="folder (build/sbibm)")
    parser.add_argument("--out", type=Path, default=Path("build/sbibm"), help="folder (build/sbibm)")
    parser.add_argument("--environments", type=Path, default=cache_folder(), help="folder (%(default)s)")
    help_ = 'of the adapters, as JSON: {"nbi_sampler-defaults": {"n_ensemble": 5}}'
    parser.add_argument("--options", type=json.loads, default={}, help=help_)


def compare_networks(given: argparse.Namespace) -> int:
    """Train and test what has not been, and print; return the exit code, 1 if a package failed."""
    jobs = [
        {
            "task": task,
            "package": package,
            "n_sims": n_sims,
            "observations": given.observations,
            "seed": given.seed,
            "options": given.options.get(package, {}),
            "early_stopping": True,
        }
        for n_sims in given.n_sims
        for task in given.tasks
        for package in given.packages
    ]
    wheel = find_wheel(given.wheel, given.cache)
    records = run_networks(wheel, given.environments, given.out, jobs)
    print(networks_table(records))
    return 1 if any("failure" in record for record in records) else 0


def _observations(text: str) -> list[int]:
    found = integers(text)
    if not all(1 <= number <= N_OBSERVATIONS for number in found):
        raise argparse.ArgumentTypeError(
            f"expected numbers from 1 to {N_OBSERVATIONS}, with commas, got {text!r}"
        )
    return found
