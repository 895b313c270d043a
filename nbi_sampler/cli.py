"""The command ``nbi-sampler``: page and evidence of a result, what is installed, commands of others.

A distribution adds a command by an entry point of the group ``nbi_sampler.commands``: a function that takes
the words after its name and returns an exit code. It is imported only when it is used.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from nbi_sampler import __version__

if TYPE_CHECKING:
    from nbi_sampler.plugins.manager import Plugin
    from nbi_sampler.plugins.registry import Registry

__all__ = ["OWN", "main", "plugin_report"]

# What the package offers under each hook of names, written here so that listing it imports no network.
OWN = {
    "featurizers": ("pca", "svd", "mlp", "resnet-gru", "resnet", "gru", "attention", "resnet2d", "joined"),
    "flows": ("maf", "nsf", "mdn"),
    "losses": ("nll", "apt"),
}

_COMMANDS = "nbi_sampler.commands"
# Commands of this project that come with a distribution of their own.
_ELSEWHERE = {"benchmark": "nbi-sampler-benchmark"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words after the name of the command; those of this process by default.

    Returns
    -------
    int
        Exit code: 1 where a plugin is broken, a result cannot be read, its page cannot be written or its
        evidence is not to be relied on, or a command failed; 2 where a command is not installed.
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
    """Plugins that are installed, the package first, those that cannot be loaded last.

    Returns
    -------
    list of dict
        With ``"name"``, ``"distribution"`` and ``"version"``; and with ``"error"``, or with ``"provides"``:
        for each hook the names that are offered, or a line of documentation.
    """
    from nbi_sampler.plugins.manager import CORE, installed

    plugins = installed()
    offers = {hook: _offers(hook) for hook in OWN}
    models = "Likelihoods of bilby whose code is bilby's own, and joint ones of parts that anybody knows."
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
    """Offers under a hook; networks are imported only where a plugin offers objects of their classes."""
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
    listing = commands.add_parser("plugins", help="list what is installed and what each plugin provides")
    listing.add_argument("--json", action="store_true", help="as JSON")
    page = commands.add_parser("report", help="write a result as one HTML page that needs nothing else")
    page.add_argument("result", metavar="RESULT", help="file of a result of bilby: JSON, HDF5 or a pickle")
    page.add_argument(
        "-o", "--out", metavar="FILE", help="the page; LABEL_report.html beside the result if omitted"
    )
    page.add_argument(
        "--parameters",
        metavar="A,B",
        type=_names,
        help="in the corner plot; all, or the eight that depend most on each other, if omitted",
    )
    _add_evidence(commands)
    for name, command in others.items():
        origin = command.dist.name if command.dist else command.module
        commands.add_parser(name, help=f"of {origin}; see nbi-sampler {name} --help")
    for name, distribution in _ELSEWHERE.items():
        if name not in others:
            commands.add_parser(name, help=f"not installed; pip install {distribution}")
    return parser


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _write_report(result: str, out: str | None, parameters: list[str] | None) -> int:
    """Write the page of a result and say where it is and what it says; an error in one line otherwise."""
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
        "evidence", help="log Z of the samples of any sampler, by importance sampling from a fit to them"
    )
    evidence.add_argument(
        "result", metavar="RESULT", help="file of a result of bilby: JSON, HDF5 or a pickle"
    )
    evidence.add_argument(
        "--script",
        metavar="SCRIPT",
        required=True,
        help="script or module that defines likelihood and priors, or hands them to bilby.run_sampler",
    )
    evidence.add_argument("--n-effective", metavar="N", type=float, help="effective samples (2500)")
    evidence.add_argument("--seed", metavar="N", type=int, help="same seed, same evidence")
    evidence.add_argument("--npool", metavar="N", type=int, help="processes that evaluate the likelihood")
    evidence.add_argument("--outdir", metavar="FOLDER", help="of the new result; that of RESULT if omitted")
    evidence.add_argument("--label", metavar="NAME", help="of the new result; that of RESULT and _evidence")


def _tell_evidence(given: argparse.Namespace) -> int:
    """Print log Z with its error, status, k-hat and calls; an error in one line otherwise."""
    from nbi_sampler.importance.reliability import Status
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
    return 0 if own["status"] in (Status.OK, Status.POOR_FIT) else 1


def _table(rows: list[dict[str, Any]]) -> str:
    """One line for every hook of every plugin."""
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
    padded = [[*map(str.ljust, line[:-1], widths), line[-1]] for line in lines]
    return "\n".join("  ".join(line).rstrip() for line in padded)


if __name__ == "__main__":
    sys.exit(main())
