"""Parts of HDF5 files that HDF5 does not handle itself: the mark of a writer, and disk space.

If a file has the mark of a writer, HDF5 opens it only in single-writer mode (SWMR). In this mode it waits for
minutes for damaged parts, because they might still be written. HDF5 also does not survive a full disk.
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

# Superblock of version 3: its version, the marks, the end of the file, and the checksum of all before it.
VERSION, MARKS, END, CHECKSUM = 8, 11, slice(28, 36), slice(44, 48)
SIZE = 48
WORD = 0xFFFFFFFF
# Errors of file systems that cannot reserve space.
UNABLE = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODEV)


class UnmarkedFile(io.FileIO):
    """A file to read, whose superblock then shows no writer, with its true end."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "r")
        head = bytearray(self.read(SIZE))
        # A damaged superblock stays damaged.
        if len(head) == SIZE and head[VERSION] == 3 and head[CHECKSUM] == checksum(head[: CHECKSUM.start]):
            head[MARKS] = 0
            head[END] = self.seek(0, io.SEEK_END).to_bytes(8, "little")
            head[CHECKSUM] = checksum(head[: CHECKSUM.start])
        self._head = bytes(head)
        self.seek(0)

    def readinto(self, buffer: Any) -> int:
        """Read bytes from the current position."""
        start = self.tell()
        view = memoryview(buffer).cast("B")
        n_read = 0
        while n_read < len(view) and (more := super().readinto(view[n_read:])):
            n_read += more
        n_head = max(min(len(self._head) - start, n_read), 0)
        view[:n_head] = self._head[start : start + n_head]
        return n_read


def is_marked(path: Path) -> bool:
    """Return whether a writer has the file open, or was killed without closing it."""
    head = _head_of(path)
    return len(head) == SIZE and head[MARKS] != 0


def end_of(path: Path) -> int:
    """Size of the file when it was last closed or made; a file that is too short is smaller."""
    head = _head_of(path)
    return int.from_bytes(head[END], "little") if len(head) == SIZE else SIZE


def checksum(data: bytes | bytearray) -> bytes:
    """Checksum of HDF5's metadata, "lookup3".

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
                # Each round is the previous one with the names shifted.
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
    """Reserve space in a file open for writing, if its file system can; the path is for the message.

    Raises
    ------
    OSError
        If the disk is full, or a quota or limit is reached. The file is unchanged.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(descriptor, start, n_bytes)
    except OSError as error:
        if error.errno not in UNABLE:
            raise OSError(
                error.errno,
                f"path: no room for {n_bytes:,} bytes more in {path} ({error.strerror}); make room, or give "
                "another path, and run again; committed rows are safe",
            ) from None


@contextlib.contextmanager
def forsaken(file: h5py.File) -> Iterator[None]:
    """Prevent further writes within this block to a file that is closed after a failed write.

    HDF5 keeps what it could not write, tries again when the file is closed, and crashes when the process
    ends. The pending writes go to an unnamed file instead. The file on disk is then as after a kill.
    """
    with contextlib.suppress(OSError, RuntimeError, ValueError), tempfile.TemporaryFile() as nowhere:
        os.dup2(nowhere.fileno(), file.id.get_vfd_handle())
    with contextlib.suppress(OSError, RuntimeError, ValueError):
        yield


def give_back(path: Path) -> None:
    """Cut off unused reserved space at the end of a file after HDF5 has closed it."""
    if not is_marked(path) and 0 < end_of(path) < path.stat().st_size:
        os.truncate(path, end_of(path))
