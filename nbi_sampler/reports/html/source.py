"""The result for a page: an object, or a file of bilby in any of its formats."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from bilby.core.result import Result, read_in_result

__all__ = ["Source", "source_of"]

# File endings of bilby's results.
ENDINGS = (".json", ".json.gz", ".hdf5", ".h5", ".pkl")


@dataclass(frozen=True)
class Source:
    """A result and its origin.

    Attributes
    ----------
    result : bilby.core.result.Result
    path : pathlib.Path, optional
        Path of its file.
    n_bytes : int
        Size of the file.
    digest : str
        SHA-256 of the file; empty without a file.
    """

    result: Result
    path: Path | None = None
    n_bytes: int = 0
    digest: str = ""

    @property
    def page(self) -> Path:
        """Default path of the page: beside the file, or in the folder of the result."""
        if self.path is None:
            name, folder = str(self.result.label).replace("/", "_").replace(os.sep, "_"), self.result.outdir
            return Path(folder if isinstance(folder, str) else ".") / f"{name}_report.html"
        ending = next(each for each in ENDINGS if self.path.name.endswith(each))
        stem = self.path.name.removesuffix(ending)
        return self.path.with_name(f"{stem.removesuffix('_result')}_report.html")


def source_of(result: object, argument: str = "result") -> Source:
    """Find the result for a page.

    Parameters
    ----------
    result : bilby.core.result.Result, str or os.PathLike
    argument : str
        Name of the argument in errors.

    Raises
    ------
    TypeError
        For other objects.
    FileNotFoundError, IsADirectoryError
        If there is no such file.
    ValueError
        If the file is not a result.
    """
    if isinstance(result, Result):
        return Source(result)
    if not isinstance(result, str | os.PathLike):
        raise TypeError(
            f"{argument}: expected a bilby Result or the path of its file, got an object of "
            f"{type(result).__module__}.{type(result).__qualname__}; {_remedy(result)}"
        )
    path = Path(os.fsdecode(result))
    if path.is_dir():
        found = sorted(each.name for each in path.glob("*_result*") if each.name.endswith(ENDINGS))
        remedy = f"name one of {', '.join(found[:6])}" if found else "it holds no file *_result.json"
        raise IsADirectoryError(f"{argument}: expected the file of a result, got the folder {path}; {remedy}")
    if not path.is_file():
        raise FileNotFoundError(
            f"{argument}: expected the file of a result, got {path}, which does not exist; name the file "
            "that bilby wrote, {outdir}/{label}_result.json"
        )
    if not path.name.endswith(ENDINGS):
        raise ValueError(
            f"{argument}: expected a file that ends with {', '.join(ENDINGS)}, got {path.name!r}; name the "
            "file that bilby wrote, {outdir}/{label}_result.json"
        )
    # bilby raises any error of the parser for each format, and other files may fail anywhere.
    try:
        read = read_in_result(filename=str(path))
    except Exception as error:
        raise ValueError(
            f"{argument}: expected a result of bilby, got {path}, which cannot be read as one "
            f"({type(error).__name__}: {error}); save it again with result.save_to_file()"
        ) from error
    return Source(read, path, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())


def _remedy(given: object) -> str:
    if type(given).__module__.split(".")[:2] == ["nbi_sampler", "amortised"]:
        return (
            "an NBI and its inferences hold no weighted run: print() an Inference, or get a result with "
            'bilby.run_sampler(..., sampler="nbi", model=engine)'
        )
    if isinstance(given, dict | list):
        return "pass what bilby.run_sampler returned, or bilby.read_in_result(filename)"
    return "pass what bilby.run_sampler returned"
