"""Run the scripts of the README and of docs/own_likelihood.md, and write what they found to numbers.json.

    python docs/figures/make_numbers.py

Takes two minutes. A test compares the numbers on the pages with the file.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import bilby
from matplotlib import use

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def main() -> None:
    """Run every script in a folder of its own."""
    use("Agg")
    scripts = {
        "readme": script_of(ROOT / "README.md"),
        "with_simulator": (own := script_of(ROOT / "docs" / "own_likelihood.md")),
        "without_simulator": own.replace(
            "    simulator=predict,\n    noise=0.1,\n", ""
        ),
    }
    found = {name: numbers_of(run(script)) for name, script in scripts.items()}
    (HERE / "numbers.json").write_text(json.dumps(found, indent=2) + "\n")


def script_of(page: Path) -> str:
    """First block of Python on a page."""
    match = re.search(
        r"^```python\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE
    )
    assert match, page
    return match[1]


def run(script: str) -> bilby.core.result.Result:
    """Result of a script, whose files go to a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        names: dict[str, Any] = {}
        placed = script.replace('sampler="nbi",', f'sampler="nbi", outdir={folder!r},')
        exec(compile(placed, "script", "exec"), names)
        return names["result"]


def numbers_of(result: bilby.core.result.Result) -> dict[str, Any]:
    """Status, message, calls and evidence."""
    return {
        "status": result.meta_data["nbi"]["status"],
        "message": result.meta_data["nbi"]["message"],
        "calls": int(result.num_likelihood_evaluations),
        "log_evidence": float(result.log_evidence),
        "log_evidence_err": float(result.log_evidence_err),
    }


if __name__ == "__main__":
    main()
