"""Trainings that stop early end with a low learning rate, and are never worse for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from nbi_sampler.amortised.annealing import annealed_fit
from nbi_sampler.core.config import ANNEALING, TrainingConfig
from nbi_sampler.networks.training.fit import fit

CONFIG = TrainingConfig(n_epochs=40, patience=3, learning_rate=0.2, weight_decay=0.0)


class Regression:
    """A line through few noisy points, by batches of four that lead away from its minimum."""

    n_batches = 10

    def __init__(self, network):
        self.generator = torch.Generator().manual_seed(1)
        draws = torch.randn(2, 80, 6, generator=self.generator)
        (self.x, noise), self.network = draws, network
        self.y = self.x.sum(1, keepdim=True) + noise[:, :1]

    def loss(self, rows):
        return ((self.network(self.x[rows]) - self.y[rows]) ** 2).mean()

    def batches(self):
        for _ in range(self.n_batches):
            yield self.loss(torch.randint(0, 40, (4,), generator=self.generator))

    def validation(self):
        return self.loss(torch.arange(40, 80)).item()


def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Linear(6, 1)


def test_the_best_networks_train_on_at_a_low_rate():
    plain, annealed = network(), network()
    first = fit(plain, Regression(plain), CONFIG)
    epochs = []
    found = annealed_fit(annealed, Regression(annealed), CONFIG, lambda epoch, *losses: epochs.append(epoch))
    n_done = len(first.validation)
    assert n_done < CONFIG.n_epochs, "it did not stop early"
    assert found.validation[:n_done] == first.validation
    assert n_done < len(found.validation) <= min(n_done + ANNEALING.n_epochs, CONFIG.n_epochs)
    assert epochs == list(range(len(found.validation)))
    assert found.best < first.best
    assert Regression(annealed).validation() == pytest.approx(found.best)
    assert found.n_steps == 10 * len(found.validation)


def test_a_fit_that_ends_by_its_schedule_is_left_alone():
    patient = replace(CONFIG, patience=40)
    plain, annealed = network(), network()
    first = fit(plain, Regression(plain), patient)
    found = annealed_fit(annealed, Regression(annealed), patient)
    assert found.validation == first.validation
    assert torch.equal(plain.weight, annealed.weight)


class Spoiled(Regression):
    """Validation losses that are worse in every later fit."""

    n_validations = 0

    def validation(self):
        self.n_validations += 1
        return 1.0 + (self.n_validations if self.n_validations > 1 else 0.0)


def test_a_second_fit_that_is_worse_is_forgotten():
    plain, annealed = network(), network()
    fit(plain, Spoiled(plain), CONFIG)
    found = annealed_fit(annealed, Spoiled(annealed), CONFIG)
    assert found.best == 1.0
    assert len(found.validation) > 4
    np.testing.assert_array_equal(plain.weight.detach(), annealed.weight.detach())
