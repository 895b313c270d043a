"""A wheel of sbibm with nothing in it but what a test needs."""

from __future__ import annotations

import bz2
import io
import zipfile

import numpy as np
import torch

FOLDER = "sbibm/tasks"


def table(numbers):
    """Text of a table, with a line of names."""
    rows = np.atleast_2d(numbers)
    lines = [",".join(f"data_{i}" for i in range(1, rows.shape[1] + 1))]
    return "\n".join([*lines, *(",".join(f"{x:.17g}" for x in row) for row in rows), ""]).encode()


def saved_tensor(array):
    """Content of a file that torch writes."""
    content = io.BytesIO()
    torch.save(torch.from_numpy(array), content)
    return content.getvalue()


def make_wheel(path, task="gaussian_linear", observations=(), reference=None, tensors=(), **tables):
    """Write a wheel with the first observation of a task, or with many of the same content.

    Tables are named without ``.csv``; tensors are pairs of a name and an array.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in tensors:
            archive.writestr(f"{FOLDER}/{task}/files/{name}", saved_tensor(array))
        for observation in observations or (1,):
            folder = f"{FOLDER}/{task}/files/num_observation_{observation}"
            for name, numbers in tables.items():
                archive.writestr(f"{folder}/{name}.csv", table(numbers))
            if reference is not None:
                content = bz2.compress(table(reference))
                archive.writestr(f"{folder}/reference_posterior_samples.csv.bz2", content)
    return path
