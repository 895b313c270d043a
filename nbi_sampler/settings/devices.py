"""Where networks live and how many threads torch gets: from what a user may write. Called by the keywords."""

from __future__ import annotations

import os
from collections.abc import Mapping

import torch

from nbi_sampler.config import MlpConfig, PcaConfig
from nbi_sampler.featurizers import FEATURIZERS

__all__ = ["find_device", "thread_count"]

# Settings of perceptrons, those of plugins that derive from them included.
_SMALL = (PcaConfig, MlpConfig)
_MOST_THREADS = 4


def find_device(device: object) -> torch.device:
    """A device that torch can use.

    Parameters
    ----------
    device : str or torch.device
        ``"auto"`` takes CUDA where there is one.

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


def thread_count(featurizer: object) -> int:
    """Threads for torch: small networks are bound by dispatch and gain nothing from a second one."""
    name = featurizer.get("type", "auto") if isinstance(featurizer, Mapping) else featurizer
    if isinstance(name, str) and (name == "auto" or _is_small(name)):
        return 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, _MOST_THREADS)


def _is_small(name: str) -> bool:
    offered = FEATURIZERS.offers().get(name)
    return offered is not None and issubclass(offered[1].settings, _SMALL)
