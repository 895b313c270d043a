"""Training steps that are captured: as those one by one, and one by one where they cannot be."""

from __future__ import annotations

import logging
import math
import re

import numpy as np
import pytest
import test_objectives
import torch
from capture_cases import Broken, Counting, Frozen, Recorded, Rows, Slope, Waiting, linear, state_of
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from nbi_sampler.core.config import FIT, TrainingConfig
from nbi_sampler.core.randomness import seeded_modules
from nbi_sampler.networks.featurizers import featurizer_factory
from nbi_sampler.networks.flows import flow_factory
from nbi_sampler.networks.training.captured import ByRows, gives_rows
from nbi_sampler.networks.training.cuda_graph import cuda_graph
from nbi_sampler.networks.training.fit import fit
from nbi_sampler.networks.training.noisy_data import NoisyData
from nbi_sampler.networks.training.objectives import (
    AtomicObjective,
    NllObjective,
    StreamedObjective,
    WeightedObjective,
)

LOGGER = "nbi_sampler.networks.training.captured"
NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def fitted(graph, kind=Rows, factors=(1.0, 0.5) * 10, make=linear, n_epochs=8):
    """State of the module after a fit, and what happened in it."""
    module = make()
    objective = kind(module, factors)
    info = fit(module, objective, TrainingConfig(n_epochs=n_epochs), graph_on=lambda device: graph)
    return state_of(module), info, objective


def fitted_objective(kind, graph):
    """State of networks after a fit to an objective of the package, and what happened in it."""
    config = TrainingConfig(n_epochs=12 if kind == "weighted" else 6)
    if kind == "weighted":
        rng = np.random.default_rng(3)
        with seeded_modules(rng):
            module = flow_factory({"flow_hidden": 8, "n_mog": 2, "num_blocks": 1})(2, 0)
        objective = test_objectives.TestWeighted().objective(rng, module)
    else:
        objective, _ = test_objectives.problem(kind, "prior", n=1000, config=config)
        module = nn.ModuleList([objective.featurizer, objective.flow])
    assert objective.n_batches * config.n_epochs >= FIT.worth_a_capture
    info = fit(module, objective, config, graph_on=lambda device: graph)
    return state_of(module), info, objective


@pytest.mark.takes_seconds
@pytest.mark.parametrize("kind", ["nll", "apt", "weighted"])
def test_captured_steps_are_those_taken_one_by_one(kind, caplog):
    graph = Recorded()
    with caplog.at_level(logging.INFO, LOGGER):
        state, info, objective = fitted_objective(kind, graph)
    expected, expected_info, expected_objective = fitted_objective(kind, None)
    torch.testing.assert_close(state, expected, rtol=1e-4, atol=1e-5)
    assert info.training == pytest.approx(expected_info.training, rel=1e-4, abs=1e-4)
    assert info.validation == pytest.approx(expected_info.validation, rel=1e-4, abs=1e-4)
    assert info.n_steps == expected_info.n_steps == graph.n_replays + FIT.n_warm_up
    # No random number is lost or drawn twice.
    assert torch.equal(objective.generator.get_state(), expected_objective.generator.get_state())
    assert not caplog.records


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("at", [1, 3, 12])
def test_a_loss_that_is_not_finite_is_left_out(bad, at):
    factors = [1.0] * 20
    factors[at] = bad
    state, info, _ = fitted(Recorded(), factors=factors)
    expected, expected_info, _ = fitted(None, factors=factors)
    assert torch.isfinite(state).all()
    torch.testing.assert_close(state, expected)
    assert (info.n_steps, info.n_skipped) == (expected_info.n_steps, expected_info.n_skipped) == (8 * 19, 8)
    assert info.training == pytest.approx(expected_info.training)


def test_a_gradient_that_is_not_finite_is_left_out():
    factors = [1.0] * 19 + [0.0]
    state, info, _ = fitted(Recorded(), Slope, factors)
    expected, expected_info, _ = fitted(None, Slope, factors)
    torch.testing.assert_close(state, expected)
    assert info.n_skipped == expected_info.n_skipped == 8


def test_without_any_finite_loss_the_module_is_as_it_was():
    state, info, _ = fitted(Recorded(), factors=[math.nan] * 20)
    assert torch.equal(state, state_of(linear()))
    assert info.n_steps == 0 and info.n_skipped == 160 and math.isnan(info.training[-1])


def test_running_means_see_every_batch_once():
    def make():
        return nn.Sequential(linear(), nn.BatchNorm1d(2))

    torch.testing.assert_close(fitted(Recorded(), make=make)[0], fitted(None, make=make)[0])
    assert torch.equal(fitted(Broken(), make=make)[0], fitted(None, make=make)[0])


@pytest.mark.parametrize(
    ("graph", "reason"),
    [
        (Waiting, "RuntimeError: called a synchronizing operation"),
        (Broken, "RuntimeError: the end of the capture after NotImplementedError: this operation"),
        (Frozen, "its loss is .*, expected"),
    ],
)
def test_what_cannot_be_captured_goes_on_one_by_one_with_nothing_lost(graph, reason, caplog):
    with caplog.at_level(logging.INFO, LOGGER):
        state, info, objective = fitted(graph())
    expected, expected_info, expected_objective = fitted(None)
    assert torch.equal(state, expected)
    assert (info.training, info.n_steps) == (expected_info.training, expected_info.n_steps)
    assert torch.equal(objective.generator.get_state(), expected_objective.generator.get_state())
    (record,) = caplog.records
    assert re.search(reason, record.getMessage()) and "\n" not in record.getMessage()


def test_losses_that_know_how_often_they_were_called_are_not_captured(caplog):
    with caplog.at_level(logging.INFO, LOGGER):
        fitted(Recorded(), Counting)
    assert ", expected " in caplog.text


def test_gradients_leave_with_the_graph():
    module = linear()
    fit(module, Rows(module, [1.0] * 50), TrainingConfig(n_epochs=2), graph_on=lambda device: Recorded())
    assert all(parameter.grad is None for parameter in module.parameters())


class TestWhereStepsAreCaptured:
    def asked(self, objective, n_epochs):
        """Devices that a graph was asked for on."""
        devices = []
        config = TrainingConfig(n_epochs=n_epochs)
        fit(objective.module, objective, config, graph_on=lambda device: devices.append(device))
        return devices

    def test_on_the_device_of_the_parameters(self):
        assert self.asked(Rows(linear(), [1.0] * 50), n_epochs=2) == [torch.device("cpu")]

    def test_not_for_few_steps(self):
        assert not self.asked(Rows(linear(), [1.0] * 49), n_epochs=2)

    def test_not_where_batches_are_others_than_those_of_the_rows(self):
        class Own(Rows):
            def batches(self):
                return super().batches()

        assert not self.asked(Own(linear(), [1.0] * 50), n_epochs=2)
        replaced = Rows(linear(), [1.0] * 50)
        replaced.batches = lambda: iter([])
        assert not gives_rows(replaced)
        assert not gives_rows(object())

    def test_streams_have_no_rows(self):
        assert issubclass(StreamedObjective, NllObjective)
        assert StreamedObjective.batches is not ByRows.batches is NllObjective.batches

    def test_there_is_no_graph_on_a_cpu(self):
        assert cuda_graph(torch.device("cpu")) is None


def looks_at_a_value(objective):
    """Return whether the next loss needs more than the shapes of tensors, for which a host would wait."""
    rows = next(objective.rows())
    objective.loss_of(rows).backward()
    with FakeTensorMode(allow_non_fake_inputs=True):
        try:
            objective.loss_of(rows)
        except DataDependentOutputException:
            return True
    return False


@pytest.mark.parametrize("loss", [NllObjective, AtomicObjective])
@pytest.mark.parametrize(
    ("featurizer", "flow"),
    [("pca", "maf"), ("pca", "nsf"), ("mlp", "mdn"), ("resnet-gru", "maf"), ("attention", "maf")],
)
def test_the_networks_and_losses_of_the_package_can_be_captured(loss, featurizer, flow, rng):
    z = rng.normal(size=(100, 2))
    columns = {"a": z[:, 0], "b": z[:, 1]}
    data = NoisyData(test_objectives.MODEL, z @ test_objectives.DESIGN.T, columns)
    with seeded_modules(rng):
        features = featurizer_factory(featurizer)((1, 6), 2)
        features.fit(data, rng)
        density = flow_factory(flow)(2, features.n_features)
    y, log_prior = torch.as_tensor(z, dtype=torch.float32), torch.zeros(100)
    assert not looks_at_a_value(loss(density, features, data, y, TrainingConfig(), rng, log_prior))


def test_what_looks_at_a_value_is_told_from_what_does_not():
    class Looking(Rows):
        def loss_of(self, rows):
            loss = super().loss_of(rows)
            return loss if bool(loss > 0) else -loss

    assert looks_at_a_value(Looking(linear(), [1.0]))
    assert not looks_at_a_value(Rows(linear(), [1.0]))


@NEEDS_CUDA
class TestOnCuda:
    @staticmethod
    def trained(graph_on):
        device = torch.device("cuda")
        rng = np.random.default_rng(0)
        y = torch.as_tensor(rng.normal(size=(6000, 2)), dtype=torch.float32, device=device)
        weights = torch.rand(6000, generator=torch.Generator(device).manual_seed(0), device=device)
        with seeded_modules(rng):
            flow = flow_factory({"flow_hidden": 16})(2, 0)
        flow = flow.to(device)
        config = TrainingConfig(n_epochs=20)
        held_out = torch.arange(6000, device=device) % 8 == 0
        objective = WeightedObjective(flow, y, weights, held_out, 4000.0, config, rng)
        info = fit(flow, objective, config, graph_on=graph_on)
        return state_of(flow), info

    def test_the_graph_gives_what_steps_one_by_one_give(self, caplog):
        with caplog.at_level(logging.INFO, LOGGER):
            state, info = self.trained(cuda_graph)
        assert not caplog.records
        expected, expected_info = self.trained(lambda device: None)
        torch.testing.assert_close(state, expected, rtol=1e-2, atol=1e-3)
        assert info.validation == pytest.approx(expected_info.validation, abs=1e-3)

    def test_an_operation_that_waits_is_noticed_and_random_numbers_go_on(self, caplog):
        device = torch.device("cuda")

        class Waits(Rows):
            def loss_of(self, rows):
                loss = self.factors.to(device)[rows].sum() * self.module.weight.square().sum()
                return loss if bool(loss > 0) else -loss

        module = linear().to(device)
        with caplog.at_level(logging.INFO, LOGGER):
            info = fit(module, Waits(module, [1.0] * 50), TrainingConfig(n_epochs=3))
        assert "one by one" in caplog.text and info.n_steps == 150
        assert torch.isfinite(torch.rand(3, device=device)).all()
