"""The draws of a checkpoint as plain arrays, for people: what a run that ended early has paid for.

Called by nobody here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.persistence.checkpoint import FORMAT
from nbi_sampler.storage.archive import ArchiveError, check_seal, read_archive

__all__ = ["read_draws"]


def read_draws(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """All draws in a checkpoint, finished ones of a batch in flight included.

    Parameters
    ----------
    path : path
        ``{outdir}/nbi_{label}/checkpoint.npz``.

    Returns
    -------
    dict of str to ndarray
        ``names`` of shape (n_dim,); ``z`` and ``theta`` of shape (n, n_dim); ``log_likelihood`` and
        ``log_ratio`` (log q - log prior) of shape (n,). ``log_likelihood - log_ratio`` are log weights, each
        batch by its own proposal.

    Raises
    ------
    nbi_sampler.storage.archive.ArchiveError
        When the file is no checkpoint, or damaged; names it.
    """
    try:
        return _draws_in(*read_archive(Path(path)))
    except ArchiveError as error:
        raise ArchiveError(f"{path}: expected a whole checkpoint of this package; {error}") from error
    # A file that was tampered with may break what reads it in any way.
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ArchiveError(
            f"{path}: expected a whole checkpoint of this package; it is damaged ({type(error).__name__}: "
            f"{error})"
        ) from error


def _draws_in(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    if header.get("format") != FORMAT:
        raise ArchiveError("it is another program's")
    check_seal(header)
    objects = {each["name"]: each for each in header["objects"]}
    columns = ("log_likelihood", "log_ratio", "z", "theta")
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in columns}
    for each in header["objects"]:
        fields = each.get("arguments", {})
        inner = fields.get({"Draws": "evaluation", "Pending": "partial"}.get(each.get("kind"), ""))
        if inner is None:
            continue
        fields = {**objects[inner["object"]]["arguments"], **fields}
        found = {name: arrays[fields[name]["array"]] for name in columns}
        n, n_dim = found["z"].shape
        for name, array in found.items():
            if array.shape != ((n, n_dim) if name in ("z", "theta") else (n,)):
                raise ArchiveError(
                    f"it is damaged: its field '{each['name']}.{name}' is of shape {array.shape}"
                )
        finished = arrays[fields["finished"]["array"]] if "finished" in fields else slice(None)
        for name, array in found.items():
            parts[name].append(array[finished])
    return {
        "names": np.array(header["names"]),
        **{name: np.concatenate(parts[name]) for name in ("z", "theta", "log_likelihood", "log_ratio")},
    }
