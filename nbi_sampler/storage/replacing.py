"""Replacement of a file by a new one, also on systems that refuse this while the file is open."""

from __future__ import annotations

import sys
import time
from pathlib import Path

__all__ = ["put_in_place"]

# Seconds to wait for a process that has a file open, for example a virus scanner.
SECONDS_TRIED = 2.0
SECONDS_BETWEEN = 0.05


def put_in_place(new: Path, path: Path) -> None:
    """Rename a file to ``path``, and replace the file there.

    Windows refuses this while any process has the file open, so it is tried repeatedly there.

    Raises
    ------
    OSError
        If the system refuses.
    """
    end = time.monotonic() + SECONDS_TRIED
    while True:
        try:
            new.replace(path)
            return
        except PermissionError:
            if sys.platform != "win32" or time.monotonic() > end:
                raise
            time.sleep(SECONDS_BETWEEN)
