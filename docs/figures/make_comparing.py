"""Put the numbers of sampler comparisons into docs/comparing.md.

    nbi-sampler benchmark compare linear --samplers nbi,dynesty,nautilus,pocomc
    nbi-sampler benchmark compare sine_demo --samplers nbi,dynesty
    python docs/figures/make_comparing.py build/compare/*/report.json

The numbers go to docs/figures/comparing.json and to the first table of the page. Samplers
that a report does not have keep their numbers. A test compares the page with the file.
"""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parent / "comparing.md"
NUMBERS = HERE / "comparing.json"
FIELDS = ("calls", "ess", "cpu_seconds", "peak_memory")


def main(reports: list[Path]) -> None:
    """Read reports, write their numbers, and replace the table."""
    known = json.loads(NUMBERS.read_text())
    for path in reports:
        report = json.loads(path.read_text())
        for run in report["runs"]:
            found = {name: run[name] for name in FIELDS}
            found["error"] = run["log_evidence"] - report["log_evidence"]
            found["error_err"] = math.hypot(
                run["log_evidence_err"], report["log_evidence_err"]
            )
            known[path.parent.name][run["sampler"]] = found
    NUMBERS.write_text(json.dumps(known, indent=2) + "\n")
    PAGE.write_text(with_table(PAGE.read_text(), known))


def with_table(page: str, known: dict[str, dict[str, Any]]) -> str:
    """Page with the rows of the first table and the shares below it from the numbers."""
    head = page.index("| problem | sampler | calls |")
    start = page.index("\n", page.index("\n", head) + 1) + 1
    page = page[:start] + "\n".join(rows_of(known)) + page[page.index("\n\n", start) :]
    for words, share in shares(known["linear"]).items():
        after = r"\s+".join(["%", *words.split()])
        page = re.sub(rf"\d+(?= {after})", f"{100 * share:.0f}", page)
    return page


def shares(runs: dict[str, Any]) -> dict[str, float]:
    """Shares in the text below the table, by the words that follow their numbers."""
    ours = runs["nbi"]
    return {
        "of the CPU time of nautilus": ours["cpu_seconds"]
        / runs["nautilus"]["cpu_seconds"],
        "of that of dynesty": ours["cpu_seconds"] / runs["dynesty"]["cpu_seconds"],
        "as many effective samples": runs["dynesty"]["ess"] / ours["ess"],
    }


def rows_of(known: dict[str, dict[str, Any]]) -> list[str]:
    """Rows of the table, one for each problem and sampler."""
    return [
        f"| {problem} | {sampler} | {run['calls']:,.0f} | {run['ess']:,.0f} | "
        f"{three_digits(run['calls'] / run['ess'])} | {run['cpu_seconds']:.0f} | "
        f"{run['peak_memory']:.0f} | {run['error']:+.3f} &plusmn; "
        f"{run['error_err']:.3f} | {pull(sampler, runs):+.1f} |"
        for problem, runs in known.items()
        for sampler, run in runs.items()
    ]


def three_digits(value: float) -> str:
    """A number with three significant digits, at least all before the point."""
    return f"{value:.{max(2 - int(math.log10(max(value, 1.0))), 0)}f}"


def pull(sampler: str, runs: dict[str, Any]) -> float:
    """Difference from the weighted mean of the other samplers, in units of both errors."""
    others = [run for name, run in runs.items() if name != sampler]
    weights = [run["error_err"] ** -2.0 for run in others]
    mean = sum(w * run["error"] for w, run in zip(weights, others, strict=True))
    mean /= sum(weights)
    own = runs[sampler]
    return float(
        (own["error"] - mean) / math.hypot(own["error_err"], sum(weights) ** -0.5)
    )


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
