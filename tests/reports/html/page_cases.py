"""A page as a browser reads it: elements, numbers and text."""

from __future__ import annotations

import copy
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "hr", "input", "link", "rect", "circle"}


def line(x, slope, offset):
    return slope * x + offset


class PageParser(HTMLParser):
    """Every element with its attributes, its text, and whether each is closed where it should be."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.texts, self._open = [], [], []
        self.feed(html)
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, text):
        if "style" not in self._open:
            self.texts.append(text)

    @property
    def text(self):
        """The text of a page, with single spaces."""
        return " ".join("".join(self.texts).split())

    def all(self, tag):
        """Attributes of every element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def numbers(self):
        """Every number with all its digits, in the order of the page."""
        return [float(each["value"]) for each in self.all("data")]


def changed(result, **own):
    """Return a copy of a result with other entries in its meta data; an ellipsis takes one out."""
    copied = copy.copy(result)
    entries = {**result.meta_data["nbi"], **own}
    kept = {name: value for name, value in entries.items() if value is not ...}
    copied.meta_data = {**result.meta_data, "nbi": kept}
    return copied
