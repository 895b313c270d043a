"""Read the next piece of a file while the last one is in use. Called by the simulation store."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["read_ahead"]

Piece = TypeVar("Piece")


def read_ahead(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """The same pieces in the same order, each made by a thread while the one before is in use.

    Parameters
    ----------
    pieces : iterator
        Never None. Whoever stops early finds the thread ended: one piece more may have been made.

    Examples
    --------
    >>> list(read_ahead(iter(range(3))))
    [0, 1, 2]
    """
    with ThreadPoolExecutor(1, thread_name_prefix="nbi-read") as thread:
        following = thread.submit(next, pieces, None)
        while (piece := following.result()) is not None:
            following = thread.submit(next, pieces, None)
            yield piece
