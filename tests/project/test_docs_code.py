"""No line of code on a page of the documentation is cut."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *DOCS.glob("reference/*.md"), ROOT / "README.md"])
# What fits beside the menus on a window of 1,400 pixels.
WIDEST = 88


def code_of(text):
    """Lines of code on a page of Markdown, fenced or indented, with their numbers. Output is no code."""
    fence, code, paragraph = None, False, False
    for number, line in enumerate(text.splitlines(), 1):
        opened = re.match(r"\s*(`{3,}|:{3,})(.*)", line)
        if fence:
            if line.strip() == fence:
                fence = None
            elif code:
                yield number, line
        elif opened and opened[1].startswith("`"):
            fence, code = opened[1], opened[2] != "text"
        elif line.startswith("    ") and not paragraph:
            yield number, line[4:]
        paragraph = bool(line.strip()) and (paragraph or not line.startswith("    "))


def test_code_is_told_from_text():
    text = "text\n    goes on\n\n    code = 1\n    more\n\n```python\nfenced\n```\n- item\n"
    assert [line for _, line in code_of(text)] == ["code = 1", "more", "fenced"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_line_of_code_is_cut(page):
    wide = [f"{n}: {line}" for n, line in code_of(page.read_text()) if len(line) > WIDEST]
    assert not wide, "\n".join(wide)
