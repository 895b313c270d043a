"""A check of the built pages: none of them fetches a script, a style, a font or a picture from a network."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

# Attributes of elements that a browser fetches by itself; links that a reader follows are none of them.
FETCHED = {
    "script": "src",
    "link": "href",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "object": "data",
    "use": "href",
}
# Relations of a link element that name another page and fetch nothing.
NAMES_A_PAGE = {
    "canonical",
    "alternate",
    "next",
    "prev",
    "index",
    "search",
    "author",
    "license",
}
EXTERNAL = re.compile(r"\s*(?:https?:)?//", re.IGNORECASE)
IN_STYLE = re.compile(
    r"""(?:url\(|@import)\s*['"]?\s*((?:https?:)?//[^'")\s;]+)""", re.IGNORECASE
)
IMPORTED = re.compile(r"""\b(?:import|from)\s*\(?\s*['"]((?:https?:)?//[^'"]+)""")


class _Fetched(HTMLParser):
    """Collector of the addresses that a page fetches."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the address of an element that fetches something."""
        values = dict(attrs)
        address = values.get(FETCHED.get(tag, ""))
        relations = set((values.get("rel") or "").lower().split())
        if address and EXTERNAL.match(address) and not relations & NAMES_A_PAGE:
            self.addresses.append(address)


def fetched(page: str) -> list[str]:
    """External addresses that a browser fetches when it shows a page of HTML."""
    collector = _Fetched()
    collector.feed(page)
    return [*collector.addresses, *IN_STYLE.findall(page), *IMPORTED.findall(page)]


def fetched_by_folder(folder: Path) -> dict[str, list[str]]:
    """External addresses that pages and style sheets of a folder fetch, by file."""
    found = {}
    for path in sorted([*folder.rglob("*.html"), *folder.rglob("*.css")]):
        text = path.read_text(encoding="utf-8")
        addresses = fetched(text) if path.suffix == ".html" else IN_STYLE.findall(text)
        if addresses:
            found[path.relative_to(folder).as_posix()] = addresses
    return found


def check(app: Sphinx, error: Exception | None) -> None:
    """Stop the build where a page needs the network."""
    if error is None and app.builder.format == "html":
        found = fetched_by_folder(Path(app.outdir))
        if found:
            lines = (
                f"{name}: {', '.join(addresses)}" for name, addresses in found.items()
            )
            raise RuntimeError(
                "pages fetch what a reader without a network lacks:\n"
                + "\n".join(lines)
            )


def setup(app: Sphinx) -> dict[str, bool]:
    """Check once everything is written."""
    app.connect("build-finished", check, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
