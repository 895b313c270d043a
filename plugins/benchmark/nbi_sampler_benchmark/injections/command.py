"""The command that makes a P-P test: `nbi-sampler benchmark pp FAMILY --injections 100`."""

from __future__ import annotations

import argparse
from pathlib import Path

from nbi_sampler_benchmark.injections.families import FAMILIES, known_family, load_family
from nbi_sampler_benchmark.injections.report import passes, pp_plot, pp_table
from nbi_sampler_benchmark.injections.runs import run_injections

__all__ = ["add_arguments", "pp_test"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to its parser."""
    parser.add_argument(
        "family",
        type=known_family,
        help=f"{', '.join(FAMILIES)}, or a script or module that defines priors and likelihood_of(injection)",
    )
    parser.add_argument("--injections", type=int, default=100, help="how many")
    parser.add_argument("--out", type=Path, help="folder (default: build/pp/FAMILY)")


def pp_test(given: argparse.Namespace) -> int:
    """Make missing runs, draw and print; return the exit code, which is 1 if the test fails."""
    out = given.out or Path("build/pp") / Path(given.family).stem
    records = run_injections(
        given.family,
        given.injections,
        out / "runs.jsonl",
        n_effective=given.n_effective,
        n_processes=given.processes,
        options=given.options,
    )
    p_values = pp_plot(records, load_family(given.family).priors, out / "pp.png")
    print(pp_table(records, p_values))
    print(out / "pp.png")
    return 0 if passes(p_values) else 1
