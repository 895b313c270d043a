"""Settings of files of runs, results and simulations."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["STORAGE", "StorageConfig"]


@dataclass(frozen=True, kw_only=True)
class StorageConfig:
    """Limits for comparing saved values with current ones, and sizes for reading simulations."""

    tolerance: float = 1e-7
    """Largest difference, relative and absolute, between a saved value and the current one. Two machines
    agree on a likelihood up to rounding; another data point changes it far more."""
    n_constrained: int = 8
    """Fixed points at which constraints are described. Checkpoints and results hold 8."""
    n_compared: int = 8
    """Rows of the posterior at which a saved result is compared with the current likelihood. Of 2,000
    simulated changes in 10 (30) % of the posterior, 8 rows notice 58 (93) %, 4 notice 35 (77) %, and 16
    notice 82 (100) %."""
    n_far: int = 4
    """The same for the least likely weighted draws, which are far from these rows. Without them, a likelihood
    with an additional mode away from the posterior passed as the same. A change at half of such draws is
    noticed in 94 % of cases, and in 75 % with two."""
    chunk_bytes: int = 2**18
    """Size of a chunk of a table. Shuffled simulations are read in blocks of chunks. 40,000 rows of 800 bytes
    take 0.06 s to write and 0.02 s to read; with a sixteenth of this size, they take 0.11 and 0.07 s."""
    buffer_bytes: int = 2**25
    """Size of the buffer in which blocks of simulations are shuffled. This is as fast as reading in order,
    and random enough if neighbours are independent draws: 100,000 rows of 800 bytes take 0.4 to 0.6 s of a
    processor, and 0.4 s in order; with a quarter of the size 0.4 to 0.5 s, with four times 0.4 to 0.7 s."""


STORAGE = StorageConfig()
