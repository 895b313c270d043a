"""Devices, and threads of our own computations in torch, numpy and scikit-learn.

Their matrices are small. On a machine that does other work, threads that wait for each other cost many times
what they save. Another number of threads also changes the last digits of sums. The user's likelihood is not
affected.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache

import threadpoolctl
import torch

from nbi_sampler.core.config import FIT, MlpConfig, PcaConfig
from nbi_sampler.networks.featurizers import FEATURIZERS, automatic_featurizer

__all__ = ["find_device", "limited_threads", "thread_count"]


# Settings of perceptrons, including those of plugins that derive from them.
_SMALL = (PcaConfig, MlpConfig)


@contextmanager
def limited_threads(n_threads: int) -> Iterator[None]:
    """Compute with ``n_threads`` within the block, and restore the former numbers afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        with _loaded_libraries(len(sys.modules)).limit(limits=n_threads):
            yield
    finally:
        torch.set_num_threads(before)


@lru_cache(maxsize=1)
def _loaded_libraries(n_modules: int) -> threadpoolctl.ThreadpoolController:
    """Find the libraries with threads of their own, again only after further modules were imported.

    The search takes 8 ms, which is a tenth of the time for a target of a survey.
    """
    return threadpoolctl.ThreadpoolController()


def find_device(device: object) -> torch.device:
    """Find a device that torch can use.

    Parameters
    ----------
    device : str or torch.device
        ``"auto"`` is CUDA if there is one.

    Raises
    ------
    ValueError
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        found = torch.device(device)  # type: ignore[call-overload]
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device: expected 'auto', 'cpu', 'cuda' or 'cuda:1', got {device!r}") from error
    if found.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device: expected one that torch can use, got {device!r} without CUDA; use 'auto' or 'cpu'"
        )
    return found


def thread_count(featurizer: object, n_numbers: int | None = None) -> int:
    """Number of threads for torch; small networks are limited by dispatch and gain nothing from a second.

    Parameters
    ----------
    featurizer : object
        As for `featurizer_factory`.
    n_numbers : int, optional
        Numbers in the data of a target, if known; networks for short series are always fast.
    """
    if n_numbers is not None and n_numbers < FIT.worth_threads:
        return 1
    name = featurizer.get("type", "auto") if isinstance(featurizer, Mapping) else featurizer
    if isinstance(name, str) and _is_small(automatic_featurizer() if name == "auto" else name):
        return 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, FIT.most_threads)


def _is_small(name: str) -> bool:
    offered = FEATURIZERS.offers().get(name)
    return offered is not None and issubclass(offered[1].settings, _SMALL)
