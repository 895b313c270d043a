"""Room on a disk, taken before HDF5 writes: it does not survive a disk that is full."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import h5py

__all__ = ["forsaken", "reserve"]

# Of file systems that cannot reserve room.
UNABLE = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODEV)


def reserve(descriptor: int, start: int, n_bytes: int, path: Path) -> None:
    """Take room in a file, if its file system can.

    Parameters
    ----------
    descriptor : int
        Of the file, open for writing.
    start, n_bytes : int
    path : pathlib.Path
        For the message.

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
    """Within this block, closing a file whose writes have failed writes nothing more to it.

    HDF5 keeps what it could not write, tries again when the file is closed, and breaks down when the process
    ends. What it holds back goes to a file without a name instead; that on disk is as after a kill.
    """
    with contextlib.suppress(OSError, RuntimeError, ValueError), tempfile.TemporaryFile() as nowhere:
        os.dup2(nowhere.fileno(), file.id.get_vfd_handle())
    with contextlib.suppress(OSError, RuntimeError, ValueError):
        yield
