"""The surrogate: what it learns of a log density from values at draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nbi_sampler.core.config import SURROGATE, SURROGATE_TRAINING
from nbi_sampler.core.randomness import seeded_modules
from nbi_sampler.networks.surrogate import Surrogate, SurrogateObjective, fit_surrogate


def ridge(n, seed=1):
    """Draws about a parabola, and the log density there relative to the largest."""
    rng = np.random.default_rng(seed)
    x = 1.3 * rng.normal(size=(n, 2))
    log_density = -0.5 * x[:, 0] ** 2 - 0.5 * ((x[:, 1] - 0.7 * x[:, 0] ** 2 + 0.7) / 0.4) ** 2
    log_density -= log_density.max()
    as_tensor = lambda each: torch.as_tensor(each, dtype=torch.float32)  # noqa: E731
    return as_tensor(x), as_tensor(log_density), torch.arange(n) % 8 == 7


@pytest.mark.slow
def test_it_learns_a_curved_density_from_values_without_noise():
    y, values, held_out = ridge(2000)
    surrogate, info = fit_surrogate(y, values, held_out, np.random.default_rng(1))
    other, truth, _ = ridge(1000, seed=2)
    high = truth > -8.0
    residual = (surrogate(other) - truth)[high]
    residual = residual - residual.mean()
    # A paraboloid leaves 2.2.
    assert residual.std() < 0.5
    assert info.best < 0.5
    assert not any(parameter.requires_grad for parameter in surrogate.parameters())


@pytest.mark.slow
def test_the_same_seed_gives_the_same_surrogate():
    y, values, held_out = ridge(200)
    one, two = (fit_surrogate(y, values, held_out, np.random.default_rng(3))[0] for _ in range(2))
    torch.testing.assert_close(one(y), two(y), rtol=0.0, atol=0.0)


@pytest.mark.parametrize(("offset", "counts"), [(-50.0, False), (50.0, True)], ids=["lower", "higher"])
def test_of_low_draws_only_predictions_that_are_too_high_count(offset, counts):
    y, values, held_out = torch.zeros(8, 2), torch.full((8,), SURROGATE.lowest - 5.0), torch.zeros(8).bool()
    with seeded_modules(np.random.default_rng(0)):
        surrogate = Surrogate(2)
    with torch.no_grad():
        surrogate.offset.fill_(SURROGATE.lowest + offset - float(surrogate(y)[0]))
    objective = SurrogateObjective(
        surrogate, y, values, torch.ones(8), held_out, SURROGATE_TRAINING, np.random.default_rng(1)
    )
    assert (float(objective.loss_of(torch.arange(8)).detach()) > 0.0) == counts
