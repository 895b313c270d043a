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
from nbi_sampler.storage.archive import ArchiveError, read_archive

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
        When the file is no checkpoint.
    """
    header, arrays = read_archive(Path(path))
    if header.get("format") != FORMAT:
        raise ArchiveError(f"{path}: expected a checkpoint of this package; it is another program's")
    objects = {each["name"]: each for each in header["objects"]}
    parts: dict[str, list[NDArray[Any]]] = {"z": [], "theta": [], "log_likelihood": [], "log_ratio": []}
    for each in header["objects"]:
        fields = each.get("arguments", {})
        inner = fields.get({"Draws": "evaluation", "Pending": "partial"}.get(each.get("kind"), ""))
        if inner is None:
            continue
        fields = {**objects[inner["object"]]["arguments"], **fields}
        finished = arrays[fields["finished"]["array"]] if "finished" in fields else slice(None)
        for name, found in parts.items():
            found.append(arrays[fields[name]["array"]][finished])
    return {
        "names": np.array(header["names"]),
        **{name: np.concatenate(each) for name, each in parts.items()},
    }
