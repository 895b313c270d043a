"""The command ``nbi-sampler``: reports and evidences of results, installed plugins, and added commands.

A distribution adds a command by an entry point of the group ``nbi_sampler.commands``. The entry point is a
function that takes the words after the name of the command and returns an exit code. It is imported only
when the command is used.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from nbi_sampler import __version__

if TYPE_CHECKING:
    from nbi_sampler.plugins.manager import Plugin
    from nbi_sampler.plugins.registry import Registry

__all__ = ["OWN", "main", "plugin_report"]

# Names that the package offers under each hook. They are written here so that the list needs no network.
OWN = {
    "featurizers": (
        "pca",
        "svd",
        "mlp",
        "resnet-gru",
        "resnet",
        "gru",
        "attention",
        "resnet2d",
        "joined",
        "ensemble",
    ),
    "flows": ("maf", "nsf", "mdn", "ensemble"),
    "losses": ("nll", "apt"),
}

# Fewest letters of a line in the last column of the list of plugins.
NARROWEST = 30
_COMMANDS = "nbi_sampler.commands"
# Commands of this project that are installed with a separate distribution.
_ELSEWHERE = {"benchmark": "nbi-sampler-benchmark"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the command line names.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words after ``nbi-sampler``. The default is the command line of this process.

    Returns
    -------
    int
        Exit code. It is 1 if a plugin is broken, a result cannot be read, its page cannot be written, its
        evidence is unreliable or a command failed. It is 2 if a command is not installed.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    commands = {each.name: each for each in entry_points(group=_COMMANDS)}
    if words and words[0] in commands:
        return int(commands[words[0]].load()(words[1:]) or 0)
    if words and words[0] in _ELSEWHERE:
        print(f"nbi-sampler {words[0]}: not installed; pip install {_ELSEWHERE[words[0]]}", file=sys.stderr)
        return 2
    given = _parser(commands).parse_args(words)
    if given.command == "report":
        return _write_report(given.result, given.out, given.parameters)
    if given.command == "evidence":
        return _tell_evidence(given)
    rows = plugin_report()
    print(json.dumps(rows, indent=2) if given.json else _table(rows))
    return 1 if any("error" in row for row in rows) else 0


def plugin_report() -> list[dict[str, Any]]:
    """List the installed plugins: the package first, broken plugins last.

    Returns
    -------
    list of dict
        Each has ``"name"``, ``"distribution"`` and ``"version"``. A broken plugin has ``"error"``. Others
        have ``"provides"``: the names that the plugin offers under each hook, or one line of documentation.
    """
    from nbi_sampler.plugins.manager import CORE, installed

    plugins = installed()
    offers = {hook: _offers(hook) for hook in OWN}
    models = "Likelihoods of bilby itself, and joint likelihoods of recognised parts."
    own = {"forward_model": models, **dict.fromkeys(offers, "")}
    rows = []
    for plugin in (CORE, *plugins.loaded):
        provides: dict[str, Any] = dict(own if plugin is CORE else plugins.hooks(plugin))
        for hook in set(offers) & set(provides):
            provides[hook] = [name for name, (owner, _) in offers[hook].items() if owner == plugin]
        rows.append({**asdict(plugin), "provides": provides})
    rows += [{**asdict(plugin), "error": error} for plugin, error in plugins.broken.items()]
    return rows


def _offers(hook: str) -> Mapping[str, tuple[Plugin, object]]:
    """List what a plugin offers under a hook; networks are imported only if it offers network classes."""
    from nbi_sampler.plugins.manager import CORE, installed

    named = installed().named(hook, object, {name: (CORE, name) for name in OWN[hook]})
    if all(isinstance(offer, str) for _, offer in named.values()):
        return named
    from nbi_sampler.networks.featurizers import FEATURIZERS
    from nbi_sampler.networks.flows import FLOWS
    from nbi_sampler.networks.training.losses import LOSSES

    registries: Sequence[Registry[Any]] = (FEATURIZERS, FLOWS, LOSSES)
    return next(registry.offers() for registry in registries if registry.hook == hook)


def _parser(others: Mapping[str, EntryPoint]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nbi-sampler", description="Plugins and commands of nbi-sampler.")
    parser.add_argument("--version", action="version", version=f"nbi-sampler {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    listing = commands.add_parser("plugins", help="list the installed plugins and what each provides")
    listing.add_argument("--json", action="store_true", help="as JSON")
    page = commands.add_parser("report", help="write a result as one self-contained HTML page")
    page.add_argument("result", metavar="RESULT", help="file with a bilby result: JSON, HDF5 or pickle")
    page.add_argument(
        "-o", "--out", metavar="FILE", help="file of the page (default: LABEL_report.html beside the result)"
    )
    page.add_argument(
        "--parameters",
        metavar="A,B",
        type=_names,
        help="parameters in the corner plot (default: all, or the eight that depend most on each other)",
    )
    _add_evidence(commands)
    for name, command in others.items():
        origin = command.dist.name if command.dist else command.module
        commands.add_parser(name, help=f"from {origin}; see nbi-sampler {name} --help")
    for name, distribution in _ELSEWHERE.items():
        if name not in others:
            commands.add_parser(name, help=f"not installed; pip install {distribution}")
    return parser


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _write_report(result: str, out: str | None, parameters: list[str] | None) -> int:
    """Write the page of a result and print its path and status; print an error on one line."""
    from nbi_sampler.reports.html import report

    try:
        page = report(result, parameters=parameters)
        print(f"{page.save(out)}: {page.status}")
    except (OSError, TypeError, ValueError) as error:
        print(f"nbi-sampler report: {error}", file=sys.stderr)
        return 1
    return 0


def _add_evidence(commands: Any) -> None:
    evidence = commands.add_parser(
        "evidence",
        help="compute log Z from the samples of any sampler, by importance sampling from a fit to them",
    )
    evidence.add_argument("result", metavar="RESULT", help="file with a bilby result: JSON, HDF5 or pickle")
    evidence.add_argument(
        "--script",
        metavar="SCRIPT",
        required=True,
        help="script or module that defines likelihood and priors, or passes them to bilby.run_sampler",
    )
    evidence.add_argument("--n-effective", metavar="N", type=float, help="effective samples (2500)")
    evidence.add_argument(
        "--seed",
        metavar="N",
        type=int,
        help="seed of the random numbers; the same seed gives the same evidence",
    )
    evidence.add_argument(
        "--npool", metavar="N", type=int, help="number of processes that evaluate the likelihood"
    )
    evidence.add_argument(
        "--outdir", metavar="FOLDER", help="folder of the new result (default: that of RESULT)"
    )
    evidence.add_argument(
        "--label", metavar="NAME", help="label of the new result (default: that of RESULT with _evidence)"
    )


def _tell_evidence(given: argparse.Namespace) -> int:
    """Print log Z with its error, status, k-hat and calls; print an error on one line."""
    from nbi_sampler.importance.reliability import FINISHED
    from nbi_sampler.sampler.evidence import evidence_of
    from nbi_sampler.sampler.script import problem_of

    asked = {name: getattr(given, name) for name in ("n_effective", "seed", "npool", "outdir", "label")}
    try:
        likelihood, priors = problem_of(given.script)
        keywords = {name: value for name, value in asked.items() if value is not None}
        result = evidence_of(given.result, likelihood, priors, **keywords)
    except (OSError, TypeError, ValueError) as error:
        print(f"nbi-sampler evidence: {error}", file=sys.stderr)
        return 1
    own = result.meta_data["nbi"]
    print(
        f"log Z = {result.log_evidence:.4f} +- {result.log_evidence_err:.4f}, k-hat {own['k_hat']:.2f}, "
        f"{own['n_calls']:,} likelihood calls: {own['status']}\n{own['message']}"
    )
    return 0 if own["status"] in FINISHED else 1


def _table(rows: list[dict[str, Any]]) -> str:
    """Format one line for every hook of every plugin."""
    head = ("plugin", "distribution", "hook", "provides")
    lines = [head]
    for row in rows:
        who = (row["name"], f"{row['distribution']} {row['version']}".strip())
        if "error" in row:
            lines.append((*who, "BROKEN", row["error"]))
        for hook, what in row.get("provides", {}).items():
            lines.append((*who, hook, what if isinstance(what, str) else ", ".join(what)))
            who = ("", "")
    widths = [max(len(line[column]) for line in lines) for column in range(len(head) - 1)]
    padded = ["  ".join([*map(str.ljust, line[:-1], widths), line[-1]]).rstrip() for line in lines]
    # What is not shown in a terminal keeps one line for each hook.
    if not sys.stdout.isatty():
        return "\n".join(padded)
    start = sum(widths) + 2 * len(widths)
    width = max(shutil.get_terminal_size().columns, start + NARROWEST)
    wrap = textwrap.TextWrapper(width, subsequent_indent=" " * start, break_on_hyphens=False)
    return "\n".join(map(wrap.fill, padded))


if __name__ == "__main__":
    sys.exit(main())
