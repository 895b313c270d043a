"""Data that the posterior predicts: new calls of the forward model at draws of the result, for `data`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nbi_sampler.core.randomness import stage_generator, torch_generator
from nbi_sampler.forward import ForwardModel
from nbi_sampler.priors.space import ParameterSpace

__all__ = ["Predictive", "abscissa", "predict"]

Array = NDArray[np.float64]

N_PREDICTIONS = 200
# Noise is cheap: so many draws of it for each prediction, as long as they are not too many numbers.
MOST_REPEATS = 10
MOST_NUMBERS = 10_000_000


@dataclass(frozen=True, eq=False)
class Predictive:
    """Observed data and what the posterior predicts.

    Attributes
    ----------
    x : ndarray, shape (length,), or None
        Independent variable, where the likelihood has one.
    observed : ndarray, shape (n_channels, length)
    predictions : ndarray, shape (n, n_channels, length)
        At draws from the posterior, without noise.
    replicated : ndarray, shape (n_replicated, n_channels, length)
        The same, some times, with noise.
    noise : ndarray, shape (n_channels, length)
        Standard deviation of that.
    """

    x: Array | None
    observed: Array
    predictions: Array
    replicated: Array
    noise: Array

    @property
    def summary(self) -> str:
        """Share of the observed points that lie where they should, in words."""
        low, high = np.quantile(self.replicated, [0.025, 0.975], axis=0)
        share = np.mean((self.observed >= low) & (self.observed <= high))
        return (
            f"{share:.0%} of {self.observed.size:,} points lie within the 95 % interval of the data that "
            f"{len(self.predictions)} draws from the posterior predict"
        )


def predict(
    forward: ForwardModel,
    space: ParameterSpace,
    theta: Array,
    weights: Array,
    x: Array | None = None,
    seconds: float = 10.0,
) -> Predictive | None:
    """Predict data at draws of the result, theta of shape (n, n_dim), whose weights sum to one.

    After ``seconds``, and two calls, no further one is begun; they are not counted as calls of the run. None
    where fewer than two predictions are finite. ``x``, shape (length,), is the independent variable.
    """
    if not len(theta):
        return None
    rng = stage_generator(0, "predict")
    chosen = theta[rng.choice(len(theta), N_PREDICTIONS, p=weights)]
    made: list[Array] = []
    start = time.monotonic()
    for row in chosen:
        if len(made) >= 2 and time.monotonic() - start > seconds:
            break
        made.append(forward.simulate(space.row(row)))
    predictions = np.array(made)
    finite = np.isfinite(predictions).all(axis=1)
    return _replicated(forward, space, chosen[: len(made)][finite], predictions[finite], x)


def abscissa(likelihood: Any, forward: ForwardModel) -> Array | None:
    """Independent variable of the data of a likelihood, shape (length,), where it names one."""
    try:
        x = np.asarray(getattr(likelihood, "x", None), dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        return None
    return x if len(x) == forward.shape[1] and np.isfinite(x).all() else None


def _replicated(
    forward: ForwardModel, space: ParameterSpace, theta: Array, predictions: Array, x: Array | None
) -> Predictive | None:
    """Put noise on predictions of shape (n, n_data); None where nothing finite comes of it."""
    if len(predictions) < 2:
        return None
    n_repeats = int(np.clip(MOST_NUMBERS // predictions.size, 1, MOST_REPEATS))
    repeated = np.repeat(predictions, n_repeats, axis=0)
    columns = space.columns(np.repeat(theta, n_repeats, axis=0))
    tensors = {name: torch.as_tensor(each) for name, each in columns.items()}
    generator = torch_generator(stage_generator(0, "replicate"))
    noisy = forward.noise(torch.as_tensor(repeated), tensors, generator).numpy()
    finite = np.isfinite(noisy).all(axis=1)
    if not finite.any():
        return None
    noise = np.std(noisy[finite] - repeated[finite], axis=0)
    blocks = (forward.observed, predictions, noisy[finite], noise)
    observed, models, replicated, scale = (
        block.reshape(*block.shape[:-1], *forward.shape) for block in blocks
    )
    return Predictive(x, observed, models, replicated, scale)
