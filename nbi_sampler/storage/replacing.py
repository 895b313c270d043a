"""A new file in the place of another, on systems too that refuse this while the other is open."""

from __future__ import annotations

import sys
import time
from pathlib import Path

__all__ = ["put_in_place"]

# Of waiting for whoever has a file open, a virus scanner for example.
SECONDS_TRIED = 2.0
SECONDS_BETWEEN = 0.05


def put_in_place(new: Path, path: Path) -> None:
    """Rename a file to ``path``, whose file it replaces.

    Windows refuses while any process has that file open, so there it is tried again for a while.

    Raises
    ------
    OSError
        The system refuses.
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
