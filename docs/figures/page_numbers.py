"""Numbers on the pages of the documentation, as phrases made from the output of runs.

A phrase is looked for in the section that names the script, with any line breaks between
its words. When a run gives other numbers, they replace those of the phrase, and its
paragraph is filled.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["NUMBER", "Fact", "has", "phrases", "replaced"]

NUMBER = r"([-+]?\d[\d,]*\.?\d*(?:e[-+]\d+)?)"
WIDTH = 118


@dataclass(frozen=True)
class Fact:
    """A phrase on a page, and the part of an output that gives its numbers.

    Attributes
    ----------
    pattern : str
        Regular expression in which ``#`` stands for a number.
    phrase : callable
        Takes the numbers, and returns the phrase.
    page : str
        File name in docs/.
    """

    pattern: str
    phrase: Callable[..., str]
    page: str = "gallery.md"


def phrases(facts: Sequence[Fact], printed: str) -> list[list[str]]:
    """Page and phrase of each fact.

    Raises
    ------
    ValueError
        If the output does not contain a fact.
    """
    found = []
    for fact in facts:
        match = re.search(fact.pattern.replace("#", NUMBER), printed, flags=re.DOTALL)
        if match is None:
            raise ValueError(f"output: expected {fact.pattern!r}, which is not in it")
        numbers = [float(group.replace(",", "")) for group in match.groups()]
        found.append([fact.page, fact.phrase(*numbers)])
    return found


def section(text: str, name: str) -> tuple[int, int]:
    """Start and end of the section of a page that names a script.

    Raises
    ------
    ValueError
        If there is no such section.
    """
    place = max(text.find(f"/{name}.py)"), text.find(f"/{name}.py`"))
    if place < 0:
        raise ValueError(f"page: expected a section with /{name}.py, got none")
    end = text.find("\n## ", place)
    return text.rfind("\n## ", 0, place) + 1, len(text) if end < 0 else end


def pattern_of(phrase: str, number: str = "") -> str:
    """Regular expression that finds a phrase, if requested with any other numbers."""
    words = []
    for word in phrase.split():
        parts = re.split(NUMBER, word)[::2] if number else [word]
        words.append(number.join(map(re.escape, parts)))
    return r"\s+".join(words)


def has(text: str, name: str, phrase: str) -> bool:
    """Return whether the section of a script contains a phrase."""
    start, end = section(text, name)
    return re.search(pattern_of(phrase), text[start:end]) is not None


def replaced(text: str, name: str, phrase: str) -> str:
    """Text with the numbers of a phrase in the section of a script.

    Raises
    ------
    ValueError
        If the phrase is not there, with any numbers.
    """
    if has(text, name, phrase):
        return text
    first, last = section(text, name)
    anything = pattern_of(phrase, r"[-+]?\d[\d,]*\.?\d*(?:e[-+]\d+)?")
    match = re.search(anything, text[first:last])
    if match is None:
        raise ValueError(f"section of {name}: expected {phrase!r}, got no such phrase")
    begin, end = first + match.start(), first + match.end()
    start, stop = text.rfind("\n\n", 0, begin) + 2, text.find("\n\n", end)
    stop = len(text) if stop < 0 else stop
    return (
        text[:start] + filled(text[start:begin] + phrase + text[end:stop]) + text[stop:]
    )


def filled(paragraph: str) -> str:
    """Fill the lines of a paragraph, or of each item of a list.

    A per cent sign stays with its number, because a line that begins with it is a comment.
    """
    items = re.split(r"\n(?=- )", paragraph)
    return "\n".join(
        textwrap.fill(
            " ".join(item.split()).replace(" %", "\u00a0%"),
            WIDTH,
            subsequent_indent="  " if item.startswith("- ") else "",
            break_long_words=False,
            break_on_hyphens=False,
        ).replace("\u00a0%", " %")
        for item in items
    )
