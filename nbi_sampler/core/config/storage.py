"""Files of runs, results and simulations."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["STORAGE", "StorageConfig"]


@dataclass(frozen=True, kw_only=True)
class StorageConfig:
    """Comparison of what is on disk with what is required, and the order in which simulations are read."""

    tolerance: float = 1e-7
    """Difference, relative and absolute, up to which saved values are those of now. Two machines agree to
    rounding on a likelihood; another data point changes it by far more."""
    n_constrained: int = 8
    """Fixed points at which constraints are described. Checkpoints and results hold 8."""
    n_compared: int = 8
    """Rows of the posterior at which a saved result is compared with the likelihood of now. Not measured."""
    n_far: int = 4
    """The same for the least likely weighted draws, which lie far from these: a likelihood that had gained a
    mode where no row of the posterior is passed for the same without them."""
    chunk_bytes: int = 2**18
    """Of a chunk of a table. Shuffled simulations are read in blocks of these. Not measured."""
    buffer_bytes: int = 2**25
    """Of the buffer in which blocks of simulations are shuffled: as fast as reading in order, and random
    enough where neighbours are independent draws."""


STORAGE = StorageConfig()
