"""Attention over the points of a series, for irregular sampling, missing points and several bands.

Each point is a token of its time, values, uncertainties and band. Tokens have no order, so any sampling is
possible. A mask removes points, whatever their values. This featurizer serves amortised inference for series
with different samplings. It is selected by name or configuration.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nbi_sampler.core.config import FEATURES, AttentionConfig
from nbi_sampler.core.randomness import torch_generator
from nbi_sampler.networks.featurizers.base import Featurizer, SimulatedData, number_of_features, zero_and_unit

__all__ = ["AttentionFeaturizer"]

UNCERTAINTIES = ("uncertainty", "log_uncertainty")


class AttentionFeaturizer(Featurizer):
    """Scaled tokens, then a transformer that does not depend on their order.

    Values are shifted and scaled by channel and then compressed by asinh. Uncertainties are replaced by their
    logarithms. Times are scaled to the range that the simulations cover.

    Parameters
    ----------
    shape : tuple of int
        (n_channels, length) of the data. Later data may have another length.
    n_params : int
        Number of parameters, which determines the number of features.
    config : AttentionConfig
        Its ``channels`` name the role of each channel.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, shape: tuple[int, int], n_params: int, config: AttentionConfig) -> None:
        super().__init__()
        self.channels = config.channels or ("value",) * shape[0]
        if len(self.channels) != shape[0]:
            raise ValueError(
                f"featurizer: channels are {', '.join(self.channels)}, but the data have {shape[0]} "
                f"channel(s) of length {shape[1]}; name each of them"
            )
        self.n_features = config.dim_out or number_of_features(n_params)
        self.network = TokenNetwork(self.channels, shape[1], self.n_features, config)
        self.register_buffer("shift", torch.zeros(shape[0], 1))
        self.register_buffer("scale", torch.ones(shape[0], 1))

    def fit(self, data: SimulatedData, rng: np.random.Generator) -> None:
        """Learn shift and scale of every channel from the present points of noisy simulations."""
        rows = torch.as_tensor(rng.permutation(len(data))[: FEATURES.most_rows_attention], device=data.device)
        channels, present = self._channels(data.draw(rows, torch_generator(rng, data.device)))
        for i, role in enumerate(self.channels):
            points = channels[:, i][present].double().cpu().numpy()
            if role in ("band", "mask") or not len(points):
                continue
            self.shift[i], spread = zero_and_unit(points, role)
            self.scale[i] = spread if spread > 0 else 1.0

    def reduce(self, data: Tensor) -> Tensor:
        """Scaled channels, shape (n, n_channels, length); zero if a point is missing."""
        channels, present = self._channels(data)
        scaled = (channels - self.shift) / self.scale
        compressed = [torch.asinh(x) if r == "value" else x for r, x in self._rows(scaled)]
        return torch.stack(compressed, 1) * present[:, None]

    def forward(self, inputs: Tensor) -> Tensor:
        """Features of shape (n, n_features)."""
        return self.network(inputs)

    def _channels(self, data: Tensor) -> tuple[Tensor, Tensor]:
        """Channels (n, n_channels, length), with 1 for missing points, and present points (n, length)."""
        channels = data.view(len(data), len(self.channels), -1)
        present = torch.ones_like(channels[:, 0], dtype=torch.bool)
        if "mask" in self.channels:
            present = channels[:, self.channels.index("mask")] > 0.5
        channels = torch.where(present[:, None], channels, 1.0)
        rows = [x.clamp(min=1e-30).log() if r == "uncertainty" else x for r, x in self._rows(channels)]
        return torch.stack(rows, 1), present

    def _rows(self, channels: Tensor) -> zip[tuple[str, Tensor]]:
        return zip(self.channels, channels.unbind(1), strict=True)


class TokenNetwork(nn.Module):
    """A transformer over points and a few seeds, which summarise the points.

    The seeds are always present, so a series without any points has features too.

    Parameters
    ----------
    channels : tuple of str
        Role of each channel of the input.
    length : int
        Length of the data, which gives the highest frequency.
    n_features : int
    config : AttentionConfig

    References
    ----------
    Vaswani et al. (2017, arXiv:1706.03762), equation 1; Lee et al. (2019, arXiv:1810.00825), equation 11, for
    the seeds; Xiong et al. (2020, arXiv:2002.04745) for the position of the normalisation.
    """

    frequencies: Tensor

    def __init__(
        self, channels: tuple[str, ...], length: int, n_features: int, config: AttentionConfig
    ) -> None:
        super().__init__()
        self.channels = channels
        self.n_bands = config.n_bands
        n_values = channels.count("value")
        n_waves = 2 * config.n_frequencies
        width = n_values * (1 + n_waves) + sum(map(channels.count, UNCERTAINTIES)) + 1 + n_waves
        width += config.n_bands * ("band" in channels)
        # From half a cycle to the Nyquist frequency of equally spaced points.
        frequencies = np.geomspace(0.5, max(0.5 * length, 1.0), config.n_frequencies)
        self.register_buffer("frequencies", torch.as_tensor(frequencies, dtype=torch.float32))
        dim = config.dim_token
        self.embedding = nn.Sequential(nn.Linear(width, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))
        self.seeds = nn.Parameter(torch.randn(1, FEATURES.n_seeds, dim) / math.sqrt(dim))
        self.blocks = nn.ModuleList(AttentionBlock(dim, config.n_heads) for _ in range(config.depth))
        self.head = nn.Sequential(
            nn.LayerNorm(FEATURES.n_seeds * dim), nn.Linear(FEATURES.n_seeds * dim, n_features)
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Scaled channels (n, n_channels, length) to features (n, n_features)."""
        n = len(inputs)
        tokens = torch.cat([self.seeds.expand(n, -1, -1), self.embedding(self._tokens(inputs))], 1)
        present = None
        if "mask" in self.channels:
            mask = inputs[:, self.channels.index("mask")] > 0.5
            present = torch.cat([mask.new_ones(n, FEATURES.n_seeds), mask], 1)
        *inner, last = self.blocks
        for block in inner:
            tokens = block(tokens, tokens, present)
        return self.head(last(tokens[:, : FEATURES.n_seeds], tokens, present).flatten(1))

    def _tokens(self, inputs: Tensor) -> Tensor:
        """Tokens of the points, shape (n, length, width)."""
        roles = list(zip(self.channels, inputs.unbind(1), strict=True))
        values = torch.stack([x for role, x in roles if role == "value"], -1)
        uncertainties = [x[..., None] for role, x in roles if role in UNCERTAINTIES]
        if "time" in self.channels:
            time = inputs[:, self.channels.index("time"), :, None]
        else:
            time = torch.linspace(0, 1, inputs.shape[2], device=inputs.device).expand(len(inputs), -1)[
                ..., None
            ]
        angles = 2.0 * math.pi * self.frequencies * time
        waves = torch.cat([angles.sin(), angles.cos()], -1)
        # Their average over the points is a Fourier transform of the series, for any sampling.
        products = (values[..., None] * waves[..., None, :]).flatten(2)
        parts = [values, *uncertainties, time, waves, products]
        if "band" in self.channels:
            band = inputs[:, self.channels.index("band")].round().long().clamp(0, self.n_bands - 1)
            parts.append(functional.one_hot(band, self.n_bands).float())
        return torch.cat(parts, -1)


class AttentionBlock(nn.Module):
    """Multi-head attention and a perceptron, each with a shortcut and preceded by a normalisation."""

    def __init__(self, dim: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)
        self.perceptron = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim)
        )

    def forward(self, query: Tensor, tokens: Tensor, present: Tensor | None) -> Tensor:
        """Attend with ``query`` (n, n_query, dim) to ``tokens`` (n, n_tokens, dim); shape of the query."""
        key, value = self.key_value(self.norm(tokens)).chunk(2, -1)
        q, k, v = (self._heads(x) for x in (self.query(self.norm(query)), key, value))
        mask = None if present is None else present[:, None, None]
        found = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        query = query + self.out(found.transpose(1, 2).flatten(2))
        return query + self.perceptron(query)

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
