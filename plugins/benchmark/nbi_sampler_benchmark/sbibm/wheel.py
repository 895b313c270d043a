"""Observations, true parameters and reference draws of sbibm, read from its wheel without installing it."""

from __future__ import annotations

import bz2
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch

from nbi_sampler_benchmark.problems.loader import ProblemError

__all__ = ["VERSION", "Wheel", "find_wheel"]

VERSION = "1.1.0"


class Wheel:
    """Files of the tasks in the wheel, which is a zip archive.

    Parameters
    ----------
    path : Path
        Path of the wheel.

    Raises
    ------
    ProblemError
        If it is not a zip archive. All methods raise it if a file is missing or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not zipfile.is_zipfile(path):
            raise ProblemError(
                f"--wheel: expected the wheel of sbibm, a zip archive, got {str(path)!r}; leave out the "
                "argument to download it"
            )

    def numbers(self, folder: str, observation: int, name: str) -> np.ndarray:
        """Read a table of one observation.

        Parameters
        ----------
        folder : str
            Folder of the task.
        observation : int
            Number of the observation, from one.
        name : str
            Name of the file; a file that ends in ``.bz2`` is decompressed.

        Returns
        -------
        ndarray, shape (n_rows, n_columns)
            The numbers below the line of names.
        """
        member = f"num_observation_{observation}/{name}"
        content = self._content(folder, member)
        try:
            text = bz2.decompress(content) if name.endswith(".bz2") else content
            return np.loadtxt(io.BytesIO(text), delimiter=",", skiprows=1, ndmin=2)
        except (OSError, ValueError) as error:
            raise ProblemError(
                f"{self.path}: expected {member} of {folder} to be a table of numbers with commas below one "
                f"line of names, got {error}; delete the wheel to download it again"
            ) from error

    def tensor(self, folder: str, name: str) -> np.ndarray:
        """Read an array that torch has saved and that belongs to all observations of a task."""
        content = self._content(folder, name)
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        return np.asarray(loaded.numpy())

    def _content(self, folder: str, member: str) -> bytes:
        name = f"sbibm/tasks/{folder}/files/{member}"
        with zipfile.ZipFile(self.path) as archive:
            try:
                return archive.read(name)
            except KeyError:
                raise ProblemError(
                    f"{self.path}: expected {name} in it, got a wheel without that file; take that of sbibm "
                    f"{VERSION}, and observations from 1 to 10"
                ) from None


def find_wheel(given: Path | None, cache: Path) -> Path:
    """Path of the wheel: the given one, the cached one, or one that pip downloads without dependencies.

    Raises
    ------
    ProblemError
        If pip fails.
    """
    if given is not None:
        return given
    pattern = f"sbibm-{VERSION}-*.whl"
    if not any(cache.glob(pattern)):
        wanted = [f"sbibm=={VERSION}", "--no-deps", "--only-binary", ":all:", "-d", str(cache)]
        command = [sys.executable, "-m", "pip", "download", "--quiet", *wanted]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        if process.returncode != 0 or not any(cache.glob(pattern)):
            raise ProblemError(
                f"wheel of sbibm {VERSION}: expected pip to download it to {cache}, got exit code "
                f"{process.returncode}; download it elsewhere and pass --wheel PATH\n{process.stderr[-1000:]}"
            )
    return next(iter(sorted(cache.glob(pattern))))
