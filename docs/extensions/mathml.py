"""Formulas as MathML, written at build time: browsers draw them without a script and without a network."""

from __future__ import annotations

import re
import shutil
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from latex2mathml.converter import convert

if TYPE_CHECKING:
    from sphinx.application import Sphinx

FONT = "STIXTwoMath-Regular.ttf"
# Names of functions, such as log, before anything but a bracket: there a thin space belongs.
FUNCTION = re.compile(r"(<mi>(?:log|ln|exp|sin|cos)</mi>)(?!<mo)")


def mathml(formula: str, display: str) -> str:
    """LaTeX as a MathML element; ``display`` is "inline" or "block"."""
    if "\\\\" in formula and "\\begin" not in formula:
        formula = f"\\begin{{aligned}}{formula}\\end{{aligned}}"
    return FUNCTION.sub(
        r'\1<mspace width="0.17em"></mspace>', convert(formula.strip(), display=display)
    )


def visit_inline(self: Any, node: nodes.math) -> None:
    """Write a formula within a line."""
    self.body.append(mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def visit_block(self: Any, node: nodes.math_block) -> None:
    """Write a formula in a line of its own."""
    self.body.append(f'<div class="math">{mathml(node.astext(), "block")}</div>\n')
    raise nodes.SkipNode


def copy_font(app: Sphinx, error: Exception | None) -> None:
    """Put a font for formulas beside the style sheets, for browsers on systems that have none."""
    if error is None and app.builder.format == "html":
        folder = Path(app.outdir) / "_static"
        folder.mkdir(exist_ok=True)
        with as_file(files("ziamath") / "fonts" / FONT) as path:
            shutil.copy(path, folder / FONT)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer, which conf.py chooses by its name."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.connect("build-finished", copy_font)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
