"""The training loop: it learns, stops early, keeps the best, and survives losses that are not finite."""

from __future__ import annotations

import logging
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from nbi_sampler.core.config import TrainingConfig
from nbi_sampler.core.randomness import seeded_modules
from nbi_sampler.networks.flows import flow_factory
from nbi_sampler.networks.training import fit as training
from nbi_sampler.networks.training.fit import fit
from nbi_sampler.networks.training.one_vector import one_vector


class Scripted:
    """Losses and validation values as given, one list of losses an epoch."""

    def __init__(self, module, losses, validation):
        self.module = module
        self.losses = losses
        self.values = iter(validation)
        self.n_batches = len(losses)
        self.seen = []

    def batches(self):
        assert self.module.training
        for factor in self.losses:
            yield factor * self.module.weight.square().sum()

    def validation(self):
        assert not self.module.training and not torch.is_grad_enabled()
        self.seen.append(self.module.weight.detach().clone())
        self.gradient = self.module.weight.grad.clone()
        return next(self.values)


class ConditionalGaussian:
    """y ~ N(x, 0.4^2) in one dimension."""

    entropy = 0.5 * math.log(2 * math.pi * math.e * 0.16)

    def __init__(self, flow, seed):
        self.flow = flow
        self.generator = torch.Generator().manual_seed(seed)
        self.held_out = self.draw(2000)
        self.n_batches = 20

    def draw(self, n):
        x = torch.randn(n, 1, generator=self.generator)
        return x + 0.4 * torch.randn(n, 1, generator=self.generator), x

    def batches(self):
        for _ in range(self.n_batches):
            yield -self.flow.log_prob(*self.draw(256)).mean()

    def validation(self):
        return -float(self.flow.log_prob(*self.held_out).mean())


def linear(value=1.0):
    with seeded_modules(np.random.default_rng(0)):
        module = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        module.weight.fill_(value)
    return module


@pytest.mark.takes_seconds
@pytest.mark.parametrize("name", ["maf", "nsf", "mdn"])
def test_a_conditional_gaussian_is_learnt_to_its_entropy(name):
    with seeded_modules(np.random.default_rng(0)):
        flow = flow_factory({"type": name, "flow_hidden": 24})(1, 1)
    objective = ConditionalGaussian(flow, seed=1)
    with torch.no_grad():
        before = objective.validation()
    info = fit(flow, objective, TrainingConfig(n_epochs=20, learning_rate=5e-3))
    # The mean of 2000 terms with variance 1/2, and what a short fit leaves.
    assert abs(info.best - objective.entropy) < 4 * math.sqrt(0.5 / 2000) + 0.02
    assert before > info.best + 0.3
    for x in (-1.0, 1.5):
        drawn = flow.sample(4000, torch.tensor([[x]]), torch.Generator().manual_seed(2))
        assert float(drawn.mean()) == pytest.approx(x, abs=0.1)
        assert float(drawn.std()) == pytest.approx(0.4, abs=0.08)


def test_the_same_seeds_give_the_same_fit():
    states = []
    for seed in (1, 1, 2):
        with seeded_modules(np.random.default_rng(0)):
            flow = flow_factory({"flow_hidden": 8})(1, 1)
        fit(flow, ConditionalGaussian(flow, seed), TrainingConfig(n_epochs=2))
        states.append(torch.cat([p.detach().flatten() for p in flow.parameters()]))
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_it_stops_when_patience_is_over_and_keeps_the_best():
    module = linear()
    objective = Scripted(module, [1.0, 1.0], [5.0, 4.0, 3.0, 3.1, 3.0, 3.2, 1.0, 1.0])
    info = fit(module, objective, TrainingConfig(n_epochs=8, patience=3))
    assert info.validation == (5.0, 4.0, 3.0, 3.1, 3.0, 3.2)
    assert info.best == 3.0
    assert info.n_steps == 12 and info.n_skipped == 0
    assert torch.equal(module.weight, objective.seen[2])
    assert not torch.equal(module.weight, objective.seen[-1])
    assert not module.training


def test_all_epochs_run_while_it_improves_and_each_is_told():
    module, told = linear(), []
    objective = Scripted(module, [1.0], [4.0, 3.0, 2.0, 1.0])
    info = fit(module, objective, TrainingConfig(n_epochs=4, patience=1), lambda *epoch: told.append(epoch))
    assert told == list(zip(range(4), info.training, info.validation, strict=True))
    assert all(a > b for a, b in zip(info.training[:-1], info.training[1:], strict=True))
    assert info.seconds > 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_is_left_out(bad, caplog):
    module = linear()
    with caplog.at_level(logging.INFO, "nbi_sampler.networks.training.fit"):
        info = fit(module, Scripted(module, [1.0, bad, 1.0], [2.0, 1.0]), TrainingConfig(n_epochs=2))
    assert info.n_steps == 4 and info.n_skipped == 2
    assert torch.isfinite(module.weight).all() and not torch.equal(module.weight, torch.ones(2, 2))
    # The mean of the finite losses, which a loss counted as zero would pull down.
    assert info.training[0] == pytest.approx(4.0, rel=0.05)
    assert "2 of 6 training steps" in caplog.text


def test_a_gradient_that_is_not_finite_is_left_out():
    class Root(Scripted):
        """Zero with an infinite slope."""

        def batches(self):
            yield (0.0 * self.module.weight).abs().sqrt().sum()
            yield self.module.weight.square().sum()

    module = linear()
    info = fit(module, Root(module, [0.0, 1.0], [1.0]), TrainingConfig(n_epochs=1))
    assert (info.n_steps, info.n_skipped) == (1, 1)
    assert torch.isfinite(module.weight).all()


def test_without_any_finite_loss_the_module_is_as_it_was():
    module = linear()
    info = fit(module, Scripted(module, [math.nan], [math.nan] * 9), TrainingConfig(n_epochs=9, patience=3))
    assert torch.equal(module.weight, torch.ones(2, 2))
    assert info.best == math.inf and info.n_steps == 0 and len(info.validation) == 3
    assert math.isnan(info.training[0])


def test_gradients_are_clipped():
    module = linear()
    config = TrainingConfig(n_epochs=1, gradient_norm=5.0)
    objective = Scripted(module, [1e10], [0.0])
    fit(module, objective, config)
    assert float(objective.gradient.norm()) == pytest.approx(5.0, rel=1e-4)


def test_recurrent_layers_keep_their_parameters_where_they_are():
    with seeded_modules(np.random.default_rng(0)):
        module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.GRU(3, 4), torch.nn.Linear(4, 1))
    places = [parameter.data_ptr() for parameter in module[1].parameters()]
    with one_vector(module) as parameters:
        assert [len(parameters), len(parameters[0])] == [1 + len(places), 9 + 5]
        assert [parameter.data_ptr() for parameter in module[1].parameters()] == places
        assert {id(each) for each in parameters[1:]} == {id(each) for each in module[1].parameters()}
        module[1](torch.ones(1, 3))[0].sum().backward()
    assert all(parameter.grad is None for parameter in module.parameters())


def test_one_vector_takes_the_steps_of_many_parameters_and_leaves_them_apart():
    with seeded_modules(np.random.default_rng(0)):
        together, apart = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    apart.load_state_dict(together.state_dict())
    for module in (together, apart):
        if module is apart:
            # A parameter of another type, of which no loss depends, keeps its module's out of one vector.
            module.other = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
        fit(module, Scripted(module, [1.0, 3.0], [0.0] * 3), TrainingConfig(n_epochs=3, patience=3))
    torch.testing.assert_close(together.weight, apart.weight, rtol=1e-6, atol=1e-7)
    assert len({parameter.untyped_storage().data_ptr() for parameter in together.parameters()}) == 2


@pytest.mark.parametrize("n_batches", range(1, 12))
def test_the_schedule_takes_any_number_of_steps(n_batches):
    # A warm-up of length zero (nine steps in all) once ended in a ZeroDivisionError.
    module = linear()
    info = fit(module, Scripted(module, [1.0] * n_batches, [1.0]), TrainingConfig(n_epochs=1))
    assert info.n_steps == n_batches and torch.isfinite(module.weight).all()


def test_a_first_loss_that_is_not_finite_gives_no_warning_and_moves_nothing():
    # The schedule complains to the user when it is stepped before the optimiser.
    module = linear()
    info = fit(module, Scripted(module, [math.nan, math.nan], [1.0]), TrainingConfig(n_epochs=1))
    assert info.n_skipped == 2 and torch.equal(module.weight, torch.ones(2, 2))


def test_the_optimiser_moves_as_that_of_torch(monkeypatch):
    def trained(optimiser):
        monkeypatch.setattr(training, "_AdamW", optimiser)
        with torch.random.fork_rng():
            line = torch.nn.Linear(3, 2)
        torch.nn.init.constant_(line.weight, 0.3)
        torch.nn.init.constant_(line.bias, 0.1)
        losses = iter(range(100, 0, -1))

        def batches():
            return (line(torch.full((4, 3), float(i))).square().mean() for i in range(5))

        objective = SimpleNamespace(n_batches=5, batches=batches, validation=lambda: float(next(losses)))
        training.fit(line, objective, TrainingConfig(n_epochs=8, weight_decay=0.3))
        return line.weight.detach()

    assert torch.equal(trained(training._AdamW), trained(torch.optim.AdamW))
