"""Every flow once, small: the table of all tests of flows."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from nbi_sampler.core.randomness import seeded_modules
from nbi_sampler.networks.flows import flow_factory


class AffineGaussian(nn.Module):
    """A user's flow: a Gaussian whose mean is linear in the context; draws from torch's global generator."""

    def __init__(self, n_dims, n_context):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(n_dims))
        self.log_scale = nn.Parameter(torch.zeros(n_dims))
        self.slope = nn.Parameter(torch.zeros(n_dims, n_context))

    def _law(self, context):
        mean = self.mean if context is None else self.mean + context @ self.slope.T
        return torch.distributions.Normal(mean, self.log_scale.exp())

    def log_prob(self, z, context=None):
        return self._law(context).log_prob(z).sum(-1)

    def sample(self, n, context=None):
        law = self._law(context)
        return law.sample((n,)) if context is None else law.sample()


class WithGenerator(AffineGaussian):
    """The same, drawing from the generator that it is given."""

    def sample(self, n, context=None, generator=None):
        law = self._law(context)
        return law.mean + law.stddev * torch.randn(n, len(self.mean), generator=generator)


def ensemble(n_dims, n_context):
    """Two flows, each with its part of the context."""
    own = n_context // 2
    return {
        "type": "ensemble",
        "members": [
            {"type": "maf", "flow_hidden": 16, "n_mog": 2, "n_context": own},
            {"type": "mdn", "flow_hidden": 16, "n_mog": 3, "n_context": n_context - own},
        ],
    }


SMALL = {
    "maf": {"type": "maf", "flow_hidden": 16, "n_mog": 4},
    "maf, affine": {"type": "maf", "flow_hidden": 16, "n_mog": 1},
    "maf, mixture alone": {"type": "maf", "flow_hidden": 16, "num_blocks": 0},
    "nsf": {"type": "nsf", "flow_hidden": 16, "num_blocks": 2},
    "mdn": {"type": "mdn", "flow_hidden": 16, "n_mog": 3},
    "ensemble": ensemble,
    "user": AffineGaussian,
    "user, generator": WithGenerator,
}


def made(name, n_dims, n_context, seed=1, spread=0.5):
    """A flow with random parameters, far from where it starts."""
    flow = SMALL[name]
    with seeded_modules(np.random.default_rng(seed)):
        flow = flow if isinstance(flow, dict) else flow(n_dims, n_context)
        flow = flow_factory(flow)(n_dims, n_context)
        with torch.no_grad():
            for parameter in flow.parameters():
                parameter.add_(spread * torch.randn(parameter.shape) / math.sqrt(parameter.shape[-1]))
    return flow.eval()


def contexts(n_context, n=1, seed=2):
    return torch.randn(n, n_context, generator=generator(seed)) if n_context else None


def generator(seed=0):
    return torch.Generator().manual_seed(seed)
