"""Every featurizer once, small: the table of all tests of featurizers."""

from __future__ import annotations

import numpy as np
from torch import nn

from nbi_sampler.core.randomness import seeded_modules
from nbi_sampler.networks.featurizers import featurizer_factory


class Summary(nn.Module):
    """A user's featurizer of (n, n_channels, length)."""

    def __init__(self, n_channels):
        super().__init__()
        self.weights = nn.Linear(n_channels, 5)

    def forward(self, x):
        return self.weights(x.mean(-1))


def halves(shape):
    """Two featurizers of the two halves of the data, where there are two."""
    n_data = shape[0] * shape[1]
    first = {"type": "attention", "dim_out": 4, "dim_token": 8, "n_heads": 2, "n_frequencies": 3}
    second = {"type": "pca", "n_components": 8, **FEW}
    if n_data == 1:
        return [{"shape": shape, **second}]
    return [{"shape": (1, n_data // 2), **first}, {"shape": (1, n_data - n_data // 2), **second}]


def image(shape):
    """Each channel as a picture of one row, or of two where that is possible."""
    height = 2 - shape[1] % 2
    return {"type": "resnet2d", "height": height, "width": shape[1] // height, **IMAGE}


IMAGE = {"dim_out": 6, "dim_conv": 4, "dim_conv_max": 8}
FEW = {"dim_out": 6, "hidden": 16}
SEQUENCE = {"dim_out": 6, "dim_conv": 4, "dim_conv_max": 8}
TABLE = {
    "pca": {"type": "pca", "n_components": 8, **FEW},
    "svd": {"type": "svd", **FEW},
    "mlp": {"type": "mlp", **FEW},
    "resnet-gru": {"type": "resnet-gru", **SEQUENCE},
    "resnet": {"type": "resnet", **SEQUENCE},
    "gru": {"type": "gru", **SEQUENCE},
    "attention": {"type": "attention", "dim_out": 6, "dim_token": 16, "n_heads": 2, "n_frequencies": 4},
    "resnet2d": image,
    "joined": halves,
    "ensemble": {
        "type": "ensemble",
        "members": [{"type": "mlp", **FEW}, {"type": "gru", **SEQUENCE}, {"type": "pca", **FEW}],
    },
    "user": lambda shape: Summary(shape[0]),
}


def made(name, data, seed=1):
    rng = np.random.default_rng(seed)
    with seeded_modules(rng):
        what = TABLE[name] if isinstance(name, str) else name
        what = what(data.shape) if callable(what) else what
        featurizer = featurizer_factory(what)(data.shape, 2)
        featurizer.fit(data, rng)
    return featurizer.eval()


def seeded_summary():
    with seeded_modules(np.random.default_rng(0)):
        return Summary(2)
