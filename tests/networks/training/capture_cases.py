"""Stand-ins for CUDA graphs, and small objectives by rows, for the tests of captured steps."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from torch import nn

from nbi_sampler.core.randomness import seeded_modules
from nbi_sampler.networks.training.captured import ByRows


class Recorded:
    """A graph for the CPU: it remembers the function and calls it again."""

    generator = torch.default_generator
    aside = rehearsal = nullcontext

    def __init__(self):
        self.n_replays = 0

    def capture(self, function, generator):
        self.function = function

    def replay(self):
        self.n_replays += 1
        self.function()


class Waiting(Recorded):
    """An operation waits for the device, which the rehearsal reveals after half of the step."""

    @contextmanager
    def rehearsal(self):
        yield
        raise RuntimeError("called a synchronizing operation\nand more")


class Broken(Recorded):
    """A capture that fails."""

    def capture(self, function, generator):
        function()
        try:
            raise NotImplementedError("this operation")
        finally:
            raise RuntimeError("the end of the capture")


class Frozen(Recorded):
    """A graph that repeats another computation than the recorded one."""

    def replay(self):
        pass


class Rows(ByRows):
    """Squares times a factor, one a step; validation values fall, so that the last epoch stays."""

    def __init__(self, module, factors):
        self.module = module
        self.factors = torch.tensor(factors)
        self.n_batches = len(factors)
        self.generator = torch.Generator().manual_seed(0)
        self.values = iter(range(10_000, 0, -1))

    def rows(self):
        return iter(torch.arange(self.n_batches)[:, None])

    def loss_of(self, rows):
        noise = 1.0 + 0.1 * torch.rand((), generator=self.generator)
        return noise * (self.factors[rows] * self.module(torch.ones(4, 2)).square()).sum()

    def validation(self):
        return float(next(self.values))


class Slope(Rows):
    """Losses that are finite where the factor is zero, with an infinite slope."""

    def loss_of(self, rows):
        return (self.factors[rows] * self.module.weight).abs().sqrt().sum()


class Counting(Rows):
    """Losses that grow from call to call."""

    n_calls = 0

    def loss_of(self, rows):
        self.n_calls += 1
        return self.n_calls * super().loss_of(rows)


def linear():
    with seeded_modules(np.random.default_rng(0)):
        return nn.Linear(2, 2)


def state_of(module):
    return torch.cat([value.detach().double().flatten().cpu() for value in module.state_dict().values()])
