"""Parts of the benchmark's pages: a self-contained page, tables, marked cells, plots."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Iterable, Sequence
from html import escape
from importlib import resources
from typing import TYPE_CHECKING

from nbi_sampler.reports.plots.style import own_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["best_of", "cell", "image", "page_of", "table"]


def page_of(title: str, parts: Iterable[str]) -> str:
    """A complete page; the title is plain text, and the parts are HTML."""
    style = (resources.files("nbi_sampler_benchmark.reports") / "page.css").read_text(encoding="utf-8")
    body = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the header is plain text, and the cells are HTML."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "\n".join("<tr>" + "".join(f"<td>{content}</td>" for content in row) + "</tr>" for row in rows)
    content = f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>"
    return f'<div class="wide"><table>\n{content}</table></div>\n'


def cell(text: str, kind: str) -> str:
    """Text marked as "best" or "off"; unchanged without a kind."""
    return f'<span class="{kind}">{text}</span>' if kind else text


def best_of(values: Iterable[float], better: str) -> float:
    """The best of the known values; NaN if there is only one, or if no value is better."""
    known = [value for value in values if math.isfinite(value)]
    if not better or len(known) < 2:
        return math.nan
    return min(known) if better == "low" else max(known)


def image(draw: Callable[[], Figure], text: str) -> str:
    """An embedded figure in our style; the text is for readers who cannot see it."""
    with own_style():
        content = io.BytesIO()
        draw().savefig(content, format="png", dpi=130)
    data = base64.b64encode(content.getvalue()).decode()
    return f'<img alt="{escape(text)}" src="data:image/png;base64,{data}">\n'
