"""A surrogate of the log density of a posterior: a network that learns its values at draws.

Values of a density carry no sampling noise, so that a few thousand of them tell a shape that as many weighted
draws do not. The surrogate costs nothing to evaluate: proposals are fitted to draws from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import huber_loss

from nbi_sampler.core.config import SURROGATE, SURROGATE_TRAINING, TrainingConfig
from nbi_sampler.core.randomness import seeded_modules, torch_generator
from nbi_sampler.networks.training.captured import ByRows
from nbi_sampler.networks.training.fit import TrainingInfo, fit

__all__ = ["Surrogate", "fit_surrogate"]


class Surrogate(nn.Module):
    """A log density as the sum of a negative quadratic form and a perceptron.

    Parameters
    ----------
    n_dim : int
    """

    def __init__(self, n_dim: int) -> None:
        super().__init__()
        width = SURROGATE.width
        layers: list[nn.Module] = [nn.Linear(n_dim, width), nn.SiLU()]
        for _ in range(SURROGATE.n_layers - 1):
            layers += [nn.Linear(width, width), nn.SiLU()]
        self.perceptron = nn.Sequential(*layers, nn.Linear(width, 1))
        self.factor = nn.Parameter(torch.eye(n_dim))
        self.offset = nn.Parameter(torch.zeros(1))

    def forward(self, y: Tensor) -> Tensor:
        """Log density, up to a constant, of standardised coordinates of shape (n, n_dim), shape (n,)."""
        quadratic = 0.5 * ((y @ self.factor) ** 2).sum(1)
        return SURROGATE.scale * self.perceptron(y)[:, 0] - quadratic + self.offset


class SurrogateObjective(ByRows):
    """Regression on the log density at draws, most of them where it is high.

    Values below ``SURROGATE.lowest`` say only that the density is low there.

    Parameters
    ----------
    surrogate : Surrogate
    y : Tensor, shape (n, n_dim)
    values : Tensor, shape (n,)
        Log density relative to its largest value.
    shares : Tensor, shape (n,)
        How often each draw is taken, relative to the rest.
    held_out : Tensor of bool, shape (n,)
    config : TrainingConfig
    rng : numpy.random.Generator
    """

    def __init__(
        self,
        surrogate: Surrogate,
        y: Tensor,
        values: Tensor,
        shares: Tensor,
        held_out: Tensor,
        config: TrainingConfig,
        rng: np.random.Generator,
    ) -> None:
        self.surrogate = surrogate
        self.generator = torch_generator(rng, y.device)
        self._is_low = values <= SURROGATE.lowest
        self._y, self._values = y, values.clamp(min=SURROGATE.lowest)
        self._shares = torch.where(held_out, 0.0, shares)
        self._tested = torch.where(held_out & ~self._is_low, shares, 0.0)
        self._batch_size = config.batch_size
        self.n_batches = config.n_batches

    def rows(self) -> Iterator[Tensor]:
        """Draws of one epoch."""
        n = self.n_batches * self._batch_size
        rows = torch.multinomial(self._shares, n, replacement=True, generator=self.generator)
        yield from rows.split(self._batch_size)

    def _residual(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Residuals at draws, and how much they count by the height of the draws."""
        values = self._values[rows]
        residual = self.surrogate(self._y[rows]) - values
        residual = torch.where(self._is_low[rows], residual.clamp(min=0.0), residual)
        return residual, 1.0 / (1.0 + (values / SURROGATE.fading) ** 2)

    def loss_of(self, rows: Tensor) -> Tensor:
        """Loss of draws: Huber's, less for lower values."""
        residual, weights = self._residual(rows)
        zero = torch.zeros_like(residual)
        loss = huber_loss(residual, zero, reduction="none", delta=SURROGATE.outlying)
        return (weights * loss).mean()

    def validation(self) -> float:
        """Root of the mean squared residual at draws that are held out."""
        kept = self._tested > 0.0
        residual, weights = self._residual(kept)
        weights = weights * self._tested[kept]
        return float(((weights * residual**2).sum() / weights.sum().clamp(min=1e-30)).sqrt())


def fit_surrogate(
    y: Tensor, values: Tensor, held_out: Tensor, rng: np.random.Generator
) -> tuple[Surrogate, TrainingInfo]:
    """Train a surrogate in cycles, each longer, until it is good enough or the steps are spent.

    Parameters
    ----------
    y : Tensor, shape (n, n_dim)
        Standardised coordinates.
    values : Tensor, shape (n,)
        Log density relative to its largest value.
    held_out : Tensor of bool, shape (n,)
        Draws for the validation value.
    rng : numpy.random.Generator

    Returns
    -------
    Surrogate
        Its parameters are frozen.
    TrainingInfo
        Of the last cycle; ``best`` is the root mean square of the residuals at the draws held out.
    """
    with seeded_modules(rng):
        surrogate = Surrogate(y.shape[1]).to(y.device)
    flat = torch.exp(SURROGATE.flatness * values.clamp(min=SURROGATE.lowest))
    shares = (1.0 - SURROGATE.even_share) * flat / flat.sum() + SURROGATE.even_share / len(y)
    n_per_epoch = SURROGATE_TRAINING.n_batches
    affordable = SURROGATE.passes * len(y) / SURROGATE_TRAINING.batch_size
    n_left = int(np.clip(affordable, *SURROGATE.step_limits)) // n_per_epoch
    n_epochs = SURROGATE.step_limits[0] // n_per_epoch
    while True:
        n_epochs = min(n_epochs, n_left)
        config = replace(SURROGATE_TRAINING, n_epochs=n_epochs, patience=n_epochs)
        objective = SurrogateObjective(surrogate, y, values, shares, held_out, config, rng)
        info = fit(surrogate, objective, config)
        n_left -= n_epochs
        if info.best < SURROGATE.good_enough or not n_left:
            return surrogate.requires_grad_(False), info
        n_epochs *= 2
