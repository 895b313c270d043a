"""HDF5 files below what HDF5 looks after: the first bytes, which hold a writer's mark, and room on the disk.

HDF5 opens a file with a writer's mark only in single-writer mode (SWMR), where it waits for minutes for parts
that are damaged, as they might be about to be written. And it does not survive a disk that is full.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

__all__ = ["UnmarkedFile", "checksum", "end_of", "forsaken", "give_back", "is_marked", "reserve"]

# Of version 3 of the superblock: its version, the marks, the end of the file, the checksum of all before it.
VERSION, MARKS, END, CHECKSUM = 8, 11, slice(28, 36), slice(44, 48)
SIZE = 48
WORD = 0xFFFFFFFF
# Of file systems that cannot reserve room.
UNABLE = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODEV)


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
    """Return whether a writer has the file open, or did not close it."""
    head = _head_of(path)
    return len(head) == SIZE and head[MARKS] != 0


def end_of(path: Path) -> int:
    """Size of the file when it was last closed, or made: beyond its size now for one that is too short."""
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


def reserve(descriptor: int, start: int, n_bytes: int, path: Path) -> None:
    """Take room in a file open for writing, if its file system can; the path is for the message.

    Raises
    ------
    OSError
        The disk is full, or a quota or limit is reached. The file holds what it held.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(descriptor, start, n_bytes)
    except OSError as error:
        if error.errno not in UNABLE:
            raise OSError(
                error.errno,
                f"path: no room for {n_bytes:,} bytes more in {path} ({error.strerror}); make some, or give "
                "another path, and run again: the rows that are committed are safe",
            ) from None


@contextlib.contextmanager
def forsaken(file: h5py.File) -> Iterator[None]:
    """Let nothing more be written, within this block, to a file that is closed after writes have failed.

    HDF5 keeps what it could not write, tries again when the file is closed, and breaks down when the process
    ends. What it holds back goes to a file without a name instead; that on disk is as after a kill.
    """
    with contextlib.suppress(OSError, RuntimeError, ValueError), tempfile.TemporaryFile() as nowhere:
        os.dup2(nowhere.fileno(), file.id.get_vfd_handle())
    with contextlib.suppress(OSError, RuntimeError, ValueError):
        yield


def give_back(path: Path) -> None:
    """Cut off room at the end of a file that was taken for rows and not needed, once HDF5 has closed it."""
    if not is_marked(path) and 0 < end_of(path) < path.stat().st_size:
        os.truncate(path, end_of(path))
