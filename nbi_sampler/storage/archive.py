"""One file of JSON text and plain arrays: replaced at once, and read without executing anything.

numpy's ``npz``, so that `numpy.load` shows what is in it. Called by `checkpoint`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ArchiveError", "is_placeholder", "read_archive", "write_archive"]

HEADER = "header"
SMALLEST = 22


class ArchiveError(Exception):
    """A file that is no archive, or no longer a whole one."""


def write_archive(path: Path, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a file so that whoever reads it finds the former one or this one, whole.

    Parameters
    ----------
    path : pathlib.Path
        Its folder is made where missing.
    header : mapping
        What JSON can hold; infinities and NaN as well.
    arrays : mapping of str to ndarray
        Of numbers.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as file:
            np.savez(file, **{HEADER: np.array(json.dumps(header))}, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read_archive(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and arrays of a file.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    dict, dict of str to ndarray

    Raises
    ------
    ArchiveError
        For anything but a whole file of `write_archive` that can be opened.
    """
    try:
        # numpy leaves a file open that it cannot read.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as contents:
            arrays = dict(contents)
        header = json.loads(str(arrays.pop(HEADER)))
    # What a broken file makes the readers of zip, arrays and JSON raise has no end.
    except Exception as error:
        raise ArchiveError(
            f"it is truncated, unreadable or another program's ({type(error).__name__}: {error})"
        ) from error
    if not isinstance(header, dict):
        raise ArchiveError("it is another program's")
    return header, arrays


def is_placeholder(path: Path) -> bool:
    """Whether a file is too short to hold anything: a scheduler makes those it expects beforehand.

    bilby_pipe makes them empty, or with an empty pickled dictionary; an archive has 22 bytes at least.
    """
    return path.stat().st_size < SMALLEST
