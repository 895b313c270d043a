"""Parts that all HTML pages share: template, style, the way to a file, and a frame for notebooks."""

from __future__ import annotations

import os
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["framed", "style", "template", "written"]

FOLDER = Path(__file__).parent


@cache
def template(path: Path) -> Template:
    """Template in a file. It may import the macros of this folder."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.from_string(path.read_text(encoding="utf-8"))


def style() -> str:
    """The style sheet of all pages."""
    return (FOLDER / "page.css").read_text(encoding="utf-8")


def written(html: str, path: str | os.PathLike[str]) -> Path:
    """Write a page to a file, which is replaced. Missing folders are made.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    place = Path(path)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(html, encoding="utf-8")
    except OSError as error:
        raise type(error)(
            f"path: expected a file that can be written, got {str(place)!r} "
            f"({error.strerror or error}); pass another one"
        ) from error
    return place


def framed(html: str, title: str) -> str:
    """A page in a frame, so that its style does not affect a notebook."""
    return (
        f'<iframe title="{escape(title)}" sandbox="" srcdoc="{escape(html)}" '
        'style="width: 100%; height: 85vh; min-height: 600px; border: 1px solid #8884"></iframe>'
    )
