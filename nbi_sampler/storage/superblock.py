"""The first bytes of an HDF5 file: whether a writer has marked it, and the same file as if none had.

HDF5 opens a file with a writer's mark only in single-writer mode (SWMR), where it waits for minutes for parts
that are damaged, as they might be about to be written.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

__all__ = ["UnmarkedFile", "end_of", "is_marked"]

# Of version 3 of the superblock: its version, the marks, the end of the file, the checksum of all before it.
VERSION, MARKS, END, CHECKSUM = 8, 11, slice(28, 36), slice(44, 48)
SIZE = 48
WORD = 0xFFFFFFFF


class UnmarkedFile(io.FileIO):
    """A file opened to be read, whose superblock says that no writer has it open, and where it ends.

    Parameters
    ----------
    path : pathlib.Path
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "r")
        head = bytearray(self.read(SIZE))
        # One that was damaged stays so.
        if len(head) == SIZE and head[VERSION] == 3 and head[CHECKSUM] == checksum(head[: CHECKSUM.start]):
            head[MARKS] = 0
            head[END] = self.seek(0, io.SEEK_END).to_bytes(8, "little")
            head[CHECKSUM] = checksum(head[: CHECKSUM.start])
        self._head = bytes(head)
        self.seek(0)

    def readinto(self, buffer: Any) -> int:
        """Bytes from where the file stands."""
        start = self.tell()
        view = memoryview(buffer).cast("B")
        n_read = 0
        while n_read < len(view) and (more := super().readinto(view[n_read:])):
            n_read += more
        n_head = max(min(len(self._head) - start, n_read), 0)
        view[:n_head] = self._head[start : start + n_head]
        return n_read


def is_marked(path: Path) -> bool:
    """Whether a writer has the file open, or did not close it."""
    head = _head_of(path)
    return len(head) == SIZE and head[MARKS] != 0


def end_of(path: Path) -> int:
    """Where the file ended when it was last closed, or made; beyond its size for one that is too short."""
    head = _head_of(path)
    return int.from_bytes(head[END], "little") if len(head) == SIZE else SIZE


def checksum(data: bytes | bytearray) -> bytes:
    """That of HDF5's metadata, "lookup3".

    References
    ----------
    Jenkins (2006), https://burtleburtle.net/bob/c/lookup3.c (``hashlittle``); HDF5 file format specification,
    version 3, section II.A.
    """
    a = b = c = (0xDEADBEEF + len(data)) & WORD
    padded = bytes(data) + bytes(-len(data) % 12)
    words = [int.from_bytes(padded[i : i + 4], "little") for i in range(0, len(padded), 4)]
    for i in range(0, len(words), 3):
        a, b, c = ((x + y) & WORD for x, y in zip((a, b, c), words[i : i + 3], strict=True))
        if i + 3 < len(words):
            for turn in (4, 6, 8, 16, 19, 4):
                # Each round is that of the one before with the names moved on.
                a = ((a - c) & WORD) ^ _turned(c, turn)
                c = (c + b) & WORD
                a, b, c = b, c, a
    for turn in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - _turned(b, turn)) & WORD
        a, b, c = b, c, a
    return b.to_bytes(4, "little")


def _turned(word: int, n_bits: int) -> int:
    return ((word << n_bits) | (word >> (32 - n_bits))) & WORD


def _head_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(SIZE)
