"""Hamiltonian walks: they leave the density as it is, and reach it from elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nbi_sampler.algorithm.proposals.hamiltonian import moved
from nbi_sampler.core.config import SURROGATE

DEVIATIONS = torch.tensor([1.0, 0.3, 2.0])


def log_density(y):
    return -0.5 * ((y / DEVIATIONS) ** 2).sum(1)


@pytest.mark.parametrize("start", [0.0, 3.0], ids=["from the density", "from outside"])
def test_walks_end_in_the_density(start):
    n = 2000
    begin = start + DEVIATIONS * torch.randn(n, 3, generator=torch.Generator().manual_seed(1))
    y = moved(log_density, begin, np.random.default_rng(2))
    assert y.shape == (SURROGATE.n_kept * n, 3)
    last = y[-n:]
    # Of the last states of independent walks: means to 4 standard errors, deviations likewise.
    assert (last.mean(0).abs() < 4.0 * DEVIATIONS / n**0.5).all()
    assert ((last.std(0) / DEVIATIONS - 1.0).abs() < 4.0 / (2.0 * n) ** 0.5).all()


def test_the_same_seed_gives_the_same_walks():
    one, two = (moved(log_density, torch.zeros(10, 3), np.random.default_rng(5)) for _ in range(2))
    torch.testing.assert_close(one, two, rtol=0.0, atol=0.0)
