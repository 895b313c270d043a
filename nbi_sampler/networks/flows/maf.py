"""The clamped masked autoregressive flow, whose last layer is a mixture of Gaussians.

This is the flow of the paper. Its layers are affine and masked, with bounded log scales. Its base is a masked
layer that gives each coordinate a mixture of Gaussians, conditional on the coordinates before it. The rounds
use it conditionally, p(z | context), and the refinement unconditionally.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from nbi_sampler.core.config import FLOW_START, MafConfig
from nbi_sampler.networks.flows.base import Density

__all__ = ["MaskedAutoregressiveFlow"]


class MaskedAutoregressiveFlow(Density):
    r"""Density of z given a context, exact in both directions.

    With masked networks :math:`(\mu, s)` of the preceding coordinates and the context, a layer maps
    :math:`y_d = (x_d - \mu_d)\, e^{-a_d}`, :math:`a = c \tanh(s / c)`; the order of the coordinates is
    reversed from layer to layer, and the last one has the density
    :math:`\prod_d \sum_k \pi_{dk} N(y_d; m_{dk}, e^{a_{dk}})`.

    Parameters
    ----------
    n_dims : int
        Number of coordinates of z.
    n_context : int
        Number of features; 0 for an unconditional density.
    config : MafConfig

    References
    ----------
    Papamakarios, Pavlakou & Murray (2017, arXiv:1705.07057), section 3; Zhang, Bloom & Hernitschek (2023,
    arXiv:2312.03824), section 3.
    """

    def __init__(self, n_dims: int, n_context: int, config: MafConfig | None = None) -> None:
        super().__init__()
        self.config = config or MafConfig()
        self.n_dims = n_dims
        self.n_context = n_context
        hidden = (self.config.flow_hidden,) * self.config.num_layers
        n_mog = self.config.n_mog
        self.affine = nn.ModuleList(
            MaskedNetwork(n_dims, n_context, 2, hidden) for _ in range(self.config.num_blocks)
        )
        self.mixture = MaskedNetwork(n_dims, n_context, 3 * n_mog, hidden)
        if n_mog > 1:
            with torch.no_grad():
                bias = self.mixture.output.bias.view(n_dims, 3, n_mog)
                bias[:, 0] = torch.linspace(-FLOW_START.farthest, FLOW_START.farthest, n_mog)
                bias[:, 1] = FLOW_START.log_width

    def log_prob(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Log density, shape (n,), in one pass; see `Density.log_prob`."""
        log_det = z.new_zeros(z.shape[0])
        for layer in self.affine:
            shift, raw = layer(z, context).unbind(-1)
            log_scale = self._clamp(raw)
            z = ((z - shift) * torch.exp(-log_scale)).flip(-1)
            log_det = log_det - log_scale.sum(-1)
        # With the components in the first dimension, sums over them add whole matrices, which saves a third
        # of the time.
        raw = self.mixture(z, context).unflatten(-1, (3, -1)).permute(2, 3, 0, 1).contiguous()
        log_pi, mean, log_scale = self._components(raw.unbind(), 0)
        exponent = log_pi - log_scale - 0.5 * ((z - mean) * torch.exp(-log_scale)) ** 2
        log_base = torch.logsumexp(exponent, 0) - 0.5 * math.log(2.0 * math.pi)
        return log_base.sum(-1) + log_det

    @torch.no_grad()
    def sample(
        self, n: int, context: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Independent draws, shape (n, n_dims), coordinate by coordinate; see `Density.sample`."""
        z = self._sample_base(n, context, generator)
        for layer in reversed(self.affine):
            z = z.flip(-1)
            x = torch.zeros_like(z)
            for d in range(self.n_dims):
                shift, raw = cast(MaskedNetwork, layer).column(x, context, d).unbind(-1)
                x[:, d] = z[:, d] * torch.exp(self._clamp(raw)) + shift
            z = x
        return z

    def _sample_base(self, n: int, context: Tensor | None, generator: torch.Generator | None) -> Tensor:
        bias = self.mixture.output.bias
        z = torch.zeros(n, self.n_dims, device=bias.device, dtype=bias.dtype)
        normal = torch.randn(z.shape, generator=generator, device=z.device, dtype=z.dtype)
        for d in range(self.n_dims):
            raw = self.mixture.column(z, context, d).chunk(3, dim=-1)
            log_pi, mean, log_scale = self._components(raw, -1)
            pick = torch.multinomial(log_pi.exp().expand(n, -1), 1, generator=generator)
            chosen_mean = mean.expand(n, -1).gather(1, pick)[:, 0]
            chosen_scale = log_scale.expand(n, -1).gather(1, pick)[:, 0].exp()
            z[:, d] = chosen_mean + chosen_scale * normal[:, d]
        return z

    def _components(self, raw: tuple[Tensor, ...], dim: int) -> tuple[Tensor, Tensor, Tensor]:
        """Log shares, means and log widths of mixtures whose components are along ``dim``."""
        mean, raw_scale, logits = raw
        return torch.log_softmax(logits, dim), mean, self._clamp(raw_scale)

    def _clamp(self, raw: Tensor) -> Tensor:
        bound = self.config.log_scale_bound
        return bound * torch.tanh(raw / bound)


class MaskedNetwork(nn.Module):
    """MADE: outputs of coordinate d depend on the coordinates before d and on the context.

    Parameters
    ----------
    n_dims, n_context : int
    n_outputs : int
        Outputs per coordinate.
    hidden : tuple of int
        Widths of the hidden layers.

    References
    ----------
    Germain, Gregor, Murray & Larochelle (2015, arXiv:1502.03509).
    """

    mask_output: Tensor

    def __init__(self, n_dims: int, n_context: int, n_outputs: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.n_dims = n_dims
        self.n_outputs = n_outputs
        degrees = [torch.arange(n_dims)] + [torch.arange(width) % max(n_dims - 1, 1) for width in hidden]
        widths = (n_dims, *hidden)
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.output = nn.Linear(widths[-1], n_dims * n_outputs)
        for i in range(len(hidden)):
            self.register_buffer(f"mask_{i}", (degrees[i + 1][:, None] >= degrees[i][None]).float())
        out_degrees = torch.arange(n_dims).repeat_interleave(n_outputs)
        self.register_buffer("mask_output", (out_degrees[:, None] > degrees[-1][None]).float())
        nn.init.zeros_(self.output.weight)
        nn.init.normal_(self.output.bias, std=FLOW_START.spread)
        self.context_hidden = nn.Linear(n_context, widths[1], bias=False) if n_context else None
        self.context_output = nn.Linear(n_context, n_dims * n_outputs, bias=False) if n_context else None
        if self.context_output is not None:
            nn.init.zeros_(self.context_output.weight)

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Outputs of all coordinates, shape (n, n_dims, n_outputs)."""
        out = functional.linear(
            self._features(x, context), self.output.weight * self.mask_output, self.output.bias
        )
        if self.context_output is not None:
            out = out + self.context_output(context)
        return out.view(-1, self.n_dims, self.n_outputs)

    def column(self, x: Tensor, context: Tensor | None, d: int) -> Tensor:
        """Outputs of coordinate ``d`` alone, shape (n, n_outputs), which suffice for sampling."""
        rows = slice(d * self.n_outputs, (d + 1) * self.n_outputs)
        weight = self.output.weight[rows] * self.mask_output[rows]
        out = functional.linear(self._features(x, context), weight, self.output.bias[rows])
        if self.context_output is not None:
            assert context is not None
            out = out + functional.linear(context, self.context_output.weight[rows])
        return out

    def _features(self, x: Tensor, context: Tensor | None) -> Tensor:
        for i, layer in enumerate(self.hidden):
            assert isinstance(layer, nn.Linear)
            x = functional.linear(x, layer.weight * getattr(self, f"mask_{i}"), layer.bias)
            if i == 0 and self.context_hidden is not None:
                x = x + self.context_hidden(context)
            x = functional.gelu(x)
        return x
