"""Arguments that are lists with commas: each function is a ``type`` of argparse, or makes one."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection
from pathlib import Path

__all__ = ["existing_file", "integers", "names", "names_among", "numbers"]


def existing_file(text: str) -> Path:
    """Path of a file to read."""
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"expected an existing file, got {text!r}")
    return Path(text)


def names(text: str) -> list[str]:
    """Any words."""
    return text.split(",")


def integers(text: str) -> list[int]:
    """Integers, such as seeds and sizes."""
    return [int(word) for word in names(text)]


def numbers(text: str) -> list[float]:
    """Numbers."""
    return [float(word) for word in names(text)]


def names_among(known: Collection[str]) -> Callable[[str], list[str]]:
    """Make a reader of names that refuses unknown ones."""

    def known_names(text: str) -> list[str]:
        for name in names(text):
            if name not in known:
                raise argparse.ArgumentTypeError(f"expected names among {', '.join(known)}, got {name!r}")
        return names(text)

    return known_names
