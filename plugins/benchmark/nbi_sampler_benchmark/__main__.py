"""Problems of known evidence, comparisons of samplers, and costs of growing problems.

nbi-sampler benchmark [run] --problems linear,sine --seeds 1,2,3 --processes 2
nbi-sampler benchmark report build/benchmark.jsonl
nbi-sampler benchmark calibration --seeds 100 --processes 2
nbi-sampler benchmark search --runs 200 --processes 2
nbi-sampler benchmark compare script.py --samplers nbi,dynesty,nautilus
nbi-sampler benchmark packages sine_demo --packages nbi_sampler,sbi-nsf --n-sims 1000,10000
nbi-sampler benchmark amortised --parts small,sequential
nbi-sampler benchmark losses
nbi-sampler benchmark gpu --featurizers resnet-gru,pca
nbi-sampler benchmark pp microlensing --injections 100 --processes 2
nbi-sampler benchmark sbibm --tasks two_moons,sir --observations 1,2,3
nbi-sampler benchmark networks --tasks two_moons,slcp --n-sims 1000,10000
nbi-sampler benchmark shapes --shapes funnel10,shells10 --seeds 1,2,3,4,5
nbi-sampler benchmark reanalysis --problems linear,sine --former dynesty --rows 0
nbi-sampler benchmark scaling --what dimension,length,draws --figure build/scaling.png
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from nbi_sampler_benchmark.arguments import existing_file, integers, names_among
from nbi_sampler_benchmark.engine.amortised import PARTS, amortised_table, measure
from nbi_sampler_benchmark.engine.losses import losses_table
from nbi_sampler_benchmark.engine.training_speed import add_arguments as add_speed_arguments
from nbi_sampler_benchmark.engine.training_speed import measured_speeds, speeds_table
from nbi_sampler_benchmark.injections.command import add_arguments as add_pp_arguments
from nbi_sampler_benchmark.injections.command import pp_test
from nbi_sampler_benchmark.packages.command import add_package_arguments, compare_packages
from nbi_sampler_benchmark.problems.loader import ProblemError
from nbi_sampler_benchmark.problems.random_mixtures import EVEN, UNEVEN, search_table
from nbi_sampler_benchmark.problems.registry import CALIBRATION_PROBLEMS, PROBLEMS
from nbi_sampler_benchmark.reanalysis.command import add_arguments as add_reanalysis_arguments
from nbi_sampler_benchmark.reanalysis.command import measure_reanalysis
from nbi_sampler_benchmark.reports.calibration import calibration_table
from nbi_sampler_benchmark.reports.required import benchmark_table
from nbi_sampler_benchmark.runs.runner import Run, read_records, run_all, run_of
from nbi_sampler_benchmark.samplers.command import add_arguments, side_by_side
from nbi_sampler_benchmark.sbibm.command import add_arguments as add_sbibm_arguments
from nbi_sampler_benchmark.sbibm.command import (
    add_network_arguments,
    compare_networks,
    compare_with_references,
)
from nbi_sampler_benchmark.scaling.command import add_arguments as add_scaling_arguments
from nbi_sampler_benchmark.scaling.command import measure_scaling
from nbi_sampler_benchmark.shapes.command import add_arguments as add_shape_arguments
from nbi_sampler_benchmark.shapes.command import run_shapes

__all__ = ["main"]

COMMANDS = (
    "run",
    "report",
    "calibration",
    "search",
    "compare",
    "amortised",
    "losses",
    "gpu",
    "scaling",
    "packages",
    "pp",
    "sbibm",
    "networks",
    "shapes",
    "reanalysis",
)
# Former names of commands, which still work.
FORMER = {"growth": "scaling", "horizontal": "packages"}


def _common(n_effective: int) -> argparse.ArgumentParser:
    """Options of every command that runs samplers; one instance would share its defaults."""
    common = argparse.ArgumentParser(add_help=False)
    help_ = "required effective samples of each run"
    common.add_argument("--n-effective", type=int, default=n_effective, help=help_)
    common.add_argument("--processes", type=int, default=1, help="runs at a time")
    common.add_argument("--sampler", default="nbi", help="any nested sampler that bilby finds")
    common.add_argument("--options", type=json.loads, default={}, help="sampler keywords as JSON")
    return common


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nbi-sampler benchmark",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    run = commands.add_parser("run", parents=[_common(5000)], help="run problems (the default), then report")
    run.add_argument(
        "--problems", type=names_among(PROBLEMS), default=list(PROBLEMS), help="names, with commas"
    )
    run.add_argument("--seeds", type=integers, default=[1, 2, 3], help="seeds, with commas")
    run.add_argument("--out", type=Path, default=Path("build/benchmark.jsonl"), help="file of records")
    report = commands.add_parser("report", help="print the table of a file")
    report.add_argument("path", type=existing_file)
    calibration = commands.add_parser("calibration", parents=[_common(5000)], help="test the errors of log Z")
    calibration.add_argument("--seeds", type=int, default=100, help="how many")
    calibration.add_argument("--out", type=Path, default=Path("build/calibration.jsonl"))
    search = commands.add_parser(
        "search", parents=[_common(1000)], help="search for wrong evidences with status ok"
    )
    search.add_argument("--runs", type=int, default=200, help="number of random mixtures")
    search.add_argument("--uneven", action="store_true", help="use mixtures whose modes differ in width")
    search.add_argument("--out", type=Path, default=Path("build/search.jsonl"))
    amortised = commands.add_parser("amortised", help="measure the amortised engine")
    amortised.add_argument("--parts", type=names_among(PARTS), default=list(PARTS), help="names, with commas")
    commands.add_parser("losses", help="compare nll with apt, round by round")
    help_ = "measure training steps per second on a GPU and on the CPU"
    add_speed_arguments(commands.add_parser("gpu", help=help_))
    scaling = commands.add_parser("scaling", parents=[_common(2000)], help="costs of growing problems")
    add_scaling_arguments(scaling)
    same = "train other packages on the same simulations, in separate environments"
    add_package_arguments(commands.add_parser("packages", help=same))
    pp = commands.add_parser("pp", parents=[_common(1000)], help="P-P test with injections from the prior")
    add_pp_arguments(pp)
    sbibm = commands.add_parser("sbibm", parents=[_common(10_000)], help="posteriors beside those of sbibm")
    add_sbibm_arguments(sbibm)
    help_ = "networks of several packages on the tasks of sbibm, without weights"
    add_network_arguments(commands.add_parser("networks", help=help_))
    shapes = commands.add_parser("shapes", help="run samplers on hard shapes of known evidence")
    add_shape_arguments(shapes)
    reanalysis = commands.add_parser("reanalysis", help="start runs from former results")
    add_reanalysis_arguments(reanalysis)
    compare = commands.add_parser("compare", help="run several samplers on one problem and compare them")
    add_arguments(compare)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command of the command line, and return the exit code.

    It is 1 if any run failed, and 2 if a file cannot be read or written.
    """
    try:
        return _done(arguments)
    except (OSError, ProblemError) as error:
        print(f"nbi-sampler benchmark: error: {error}", file=sys.stderr)
        return 2


def _done(arguments: list[str] | None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    words[:1] = [FORMER.get(word, word) for word in words[:1]]
    if not words or (words[0] not in COMMANDS and words[0] not in ("-h", "--help")):
        words = ["run", *words]
    given = _parser().parse_args(words)
    if given.command == "report":
        print(benchmark_table(read_records(given.path)))
        return 0
    if given.command == "gpu":
        print(speeds_table(measured_speeds(given)))
        return 0
    if given.command == "scaling":
        return measure_scaling(given)
    if given.command == "pp":
        return pp_test(given)
    if given.command == "sbibm":
        return compare_with_references(given)
    if given.command == "networks":
        return compare_networks(given)
    if given.command == "shapes":
        return run_shapes(given)
    if given.command == "reanalysis":
        return measure_reanalysis(given)
    if given.command == "compare":
        return side_by_side(given)
    if given.command == "packages":
        return compare_packages(given)
    if given.command in ("amortised", "losses"):
        figures = list(measure(given.parts)) if given.command == "amortised" else None
        print(losses_table() if figures is None else amortised_table(figures))
        return 0
    shared = {"n_effective": given.n_effective, "sampler": given.sampler, "options": given.options}
    runs = [Run(problem=problem, seed=seed, **shared) for problem, seed in _asked(given)]
    failed = run_all(runs, given.out, n_processes=given.processes)
    tables = {"run": benchmark_table, "calibration": calibration_table, "search": search_table}
    print(tables[given.command]([record for record in read_records(given.out) if run_of(record) in runs]))
    return 1 if failed else 0


def _asked(given: argparse.Namespace) -> list[tuple[str, int]]:
    """Problems and seeds of a command."""
    if given.command == "search":
        kind = UNEVEN if given.uneven else EVEN
        return [(f"{kind}{number}", number) for number in range(1, given.runs + 1)]
    calibrating = given.command == "calibration"
    problems = CALIBRATION_PROBLEMS if calibrating else given.problems
    seeds = range(1, given.seeds + 1) if calibrating else given.seeds
    return [(problem, seed) for seed in seeds for problem in problems]


if __name__ == "__main__":
    sys.exit(main())
