"""The command ``nbi-sampler``: what is installed, and the benchmark.

Calls the rooms that do the work, and imports them only when they are asked for.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from nbi_sampler import __version__

__all__ = ["main", "plugin_report"]

# Hooks whose answers have names.
_NAMED = ("featurizers", "flows", "losses")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words after the name of the command; those of this process by default.

    Returns
    -------
    int
        Exit code: 1 where a plugin is broken or a benchmark run failed.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["benchmark"]:
        # The benchmark has a command line of its own.
        from nbi_sampler.benchmark.__main__ import main as benchmark

        return benchmark(words[1:])
    given = _parser().parse_args(words)
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
    offers = {hook: plugins.named(hook, object) for hook in _NAMED}
    rows = []
    for plugin in (CORE, *plugins.loaded):
        provides: dict[str, Any] = dict(plugins.hooks(plugin))
        for hook in set(_NAMED) & set(provides):
            provides[hook] = [name for name, (owner, _) in offers[hook].items() if owner == plugin]
        rows.append({**asdict(plugin), "provides": provides})
    rows += [{**asdict(plugin), "error": error} for plugin, error in plugins.broken.items()]
    return rows


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nbi-sampler", description="Plugins and benchmark of nbi-sampler.")
    parser.add_argument("--version", action="version", version=f"nbi-sampler {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("plugins", help="list what is installed and what each plugin provides")
    listing.add_argument("--json", action="store_true", help="as JSON")
    commands.add_parser("benchmark", help="problems of known evidence; see nbi-sampler benchmark --help")
    return parser


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
