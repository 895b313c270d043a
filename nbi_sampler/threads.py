"""Threads of our own computations: torch's, and those of the linear algebra below numpy and scikit-learn.

Their matrices are small. On a machine that does other work, threads that wait for each other cost many times
what they save, and with another number of them sums end in other digits. What the user's likelihood does is
left alone. Called by the steps of a run and by trainings.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import threadpoolctl
import torch

__all__ = ["limited_threads"]


@contextmanager
def limited_threads(n_threads: int) -> Iterator[None]:
    """Compute with ``n_threads`` within the block, and put the former numbers back."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        with threadpoolctl.threadpool_limits(n_threads):
            yield
    finally:
        torch.set_num_threads(before)
