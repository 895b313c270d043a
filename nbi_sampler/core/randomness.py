"""Random generators for each stage of a run, all from one seed, without touching a global generator.

The words and numbers of its key name a stage. Its stream is therefore the same whatever ran before it, in
this process or in an earlier one.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

__all__ = ["seeded_modules", "stage_generator", "torch_generator"]


def stage_generator(entropy: int, *key: str | int) -> np.random.Generator:
    """Create the generator of one stage.

    Parameters
    ----------
    entropy : int
        The seed of the run.
    *key : str or int
        Name of the stage, for example ``("train", 3)``.

    Examples
    --------
    >>> a = stage_generator(1, "draw", 0).random()
    >>> a == stage_generator(1, "draw", 0).random(), a == stage_generator(1, "draw", 1).random()
    (True, False)
    """
    words = tuple(zlib.crc32(part.encode()) if isinstance(part, str) else part for part in key)
    return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=words))


def torch_generator(rng: np.random.Generator, device: torch.device | str = "cpu") -> torch.Generator:
    """Create a torch generator on ``device``, seeded by one number drawn from ``rng``."""
    return torch.Generator(device=device).manual_seed(int(rng.integers(2**62)))


@contextmanager
def seeded_modules(rng: np.random.Generator) -> Iterator[None]:
    """Make modules that use torch's global CPU generator draw from ``rng`` within this block.

    This serves constructors of layers and third-party ``sample`` methods, which take no generator. The global
    state is restored afterwards.
    """
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(int(rng.integers(2**62)))
        yield
