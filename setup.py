"""The long description for a package index: README.md without links that would be dead there.

A relative link leads nowhere on a package index. If setup.cfg gives the address of the built
documentation, as `Documentation` in `project_urls`, links to pages and pictures of docs/ lead to it.
Without an address, and for files that the documentation lacks, the words stay and the link goes.
A picture without an address is left out.
"""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
LINK = re.compile(r"(?P<mark>!?)\[(?P<words>[^]]*)\](?:\((?P<target>[^)]+)\)|\[(?P<name>[^]]*)\])")
DEFINITION = re.compile(r"^\[([^]]+)\]: (\S+)\n", re.MULTILINE)
SITE = re.compile(r"^\s+Documentation\s*=\s*(\S+)$", re.MULTILINE)
CODE = re.compile(r"(^```.*?^```\n)", re.MULTILINE | re.DOTALL)
# Files of the repository, and where Sphinx puts them.
PLACES = ((r"docs/(\w+)\.md(#.*)?", r"\1.html\2"), (r"docs/figures/(\w+\.png)", r"_images/\1"))


def address(target: str, site: str | None) -> str | None:
    """Address of what a README links to, or None if it has none."""
    if re.match(r"https?:|#", target):
        return target
    for pattern, place in PLACES if site else ():
        if found := re.fullmatch(pattern, target):
            return f"{str(site).rstrip('/')}/{found.expand(place)}"
    return None


def description(readme: str, site: str | None) -> str:
    """Text of a README in which every link has an address."""
    targets = dict(DEFINITION.findall(readme))

    def rewritten(link: re.Match[str]) -> str:
        target = link["target"] or targets.get(link["name"] or link["words"])
        if target is None:  # brackets of code
            return link[0]
        place = address(target, site)
        if place is None:
            return "" if link["mark"] else link["words"]
        return f"{link['mark']}[{link['words']}]({place})"

    parts = CODE.split(DEFINITION.sub("", readme))
    parts[::2] = [LINK.sub(rewritten, part) for part in parts[::2]]
    return re.sub(r"\n{3,}", "\n\n", "".join(parts)).rstrip() + "\n"


if __name__ == "__main__":
    from setuptools import setup

    site = SITE.search((HERE / "setup.cfg").read_text(encoding="utf-8"))
    setup(
        long_description=description((HERE / "README.md").read_text(encoding="utf-8"), site and site[1]),
        long_description_content_type="text/markdown",
    )
