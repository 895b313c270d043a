"""The losses on a linear Gaussian problem whose posterior is known: NLL, APT and weighted likelihood."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from nbi_sampler.algorithm.proposals.affine import AffineMap
from nbi_sampler.core.config import FIT, TrainingConfig
from nbi_sampler.core.randomness import seeded_modules
from nbi_sampler.forward import UserModel
from nbi_sampler.importance.weights import effective_sample_size, efficiency, normalised_weights
from nbi_sampler.networks.featurizers import featurizer_factory
from nbi_sampler.networks.flows import flow_factory
from nbi_sampler.networks.training import objectives
from nbi_sampler.networks.training.fit import fit
from nbi_sampler.networks.training.noisy_data import NoisyData
from nbi_sampler.networks.training.objectives import AtomicObjective, NllObjective, WeightedObjective

SIGMA = 0.3
DESIGN = np.array([[1.0, 0.3], [0.2, -0.9], [0.5, 0.5], [-0.4, 0.8], [0.3, 0.1], [0.0, 0.6]])
OBSERVED = DESIGN @ np.array([0.8, -0.5]) + SIGMA * np.array([0.3, -1.0, 0.5, 0.2, -0.4, 0.9])
COVARIANCE = np.linalg.inv(np.eye(2) + DESIGN.T @ DESIGN / SIGMA**2)
MEAN = COVARIANCE @ DESIGN.T @ OBSERVED / SIGMA**2
SCALE = np.sqrt(np.diag(COVARIANCE))
# The narrower one lies two standard deviations of the posterior beside it.
PROPOSALS = {"prior": (np.zeros(2), np.eye(2)), "narrow": (MEAN + 2 * SCALE, 4 * COVARIANCE)}

MODEL = UserModel(lambda p: DESIGN @ np.array([p["a"], p["b"]]), SIGMA, OBSERVED)


class StandardNormal(nn.Module):
    """A density without parameters that ignores its context."""

    def log_prob(self, z, context=None):
        return -0.5 * (z**2).sum(1) - math.log(2 * math.pi)


def problem(kind, proposal, n=4000, config=None, flow=None, seed=0):
    """Objective of simulations drawn from a Gaussian proposal, its modules and the standardising map."""
    rng = np.random.default_rng(seed)
    mean, covariance = PROPOSALS[proposal]
    z = rng.multivariate_normal(mean, covariance, n)
    affine = AffineMap.standardising(z, np.full(n, 1 / n))
    y = torch.as_tensor(affine.backward(z), dtype=torch.float32)
    data = NoisyData(MODEL, z @ DESIGN.T, {"a": z[:, 0], "b": z[:, 1]})
    with seeded_modules(rng):
        featurizer = featurizer_factory({"type": "pca", "hidden": 32, "dim_out": 8})((1, 6), 2)
        featurizer.fit(data, rng)
        if flow is None:
            # One component: a mixture may put a component where there are no atoms, APT's leakage.
            flow = flow_factory({"flow_hidden": 32, "num_blocks": 1, "n_mog": 1})(2, 8)
    arguments = (flow, featurizer, data, y, config or TrainingConfig(n_epochs=40), rng)
    if kind == "apt":
        log_prior = torch.as_tensor(-0.5 * (z**2).sum(1), dtype=torch.float32)
        return AtomicObjective(*arguments, log_prior), affine
    return NllObjective(*arguments), affine


def value(objective):
    with torch.no_grad():
        return objective.validation()


def moments_at_the_observed_data(objective, affine, n=20_000):
    context = objective.featurizer(objective.featurizer.reduce(torch.zeros(1, 6)))
    y = objective.flow.sample(n, context.detach(), torch.Generator().manual_seed(1))
    z = affine.forward(y.double().numpy())
    return z.mean(0), np.cov(z.T)


def trained(kind, proposal):
    config = TrainingConfig(n_epochs=15, learning_rate=5e-3)
    objective, affine = problem(kind, proposal, config=config)
    fit(nn.ModuleList([objective.featurizer, objective.flow]), objective, config)
    return moments_at_the_observed_data(objective, affine)


@pytest.mark.slow
class TestPosteriors:
    @pytest.mark.parametrize(("kind", "proposal"), [("nll", "prior"), ("apt", "prior"), ("apt", "narrow")])
    def test_the_posterior_is_recovered(self, kind, proposal):
        mean, covariance = trained(kind, proposal)
        assert (np.abs(mean - MEAN) < 0.25 * SCALE).all()
        np.testing.assert_allclose(np.sqrt(np.diag(covariance)) / SCALE, 1.0, atol=0.15)
        correlation = covariance[0, 1] / math.sqrt(covariance[0, 0] * covariance[1, 1])
        assert correlation == pytest.approx(COVARIANCE[0, 1] / SCALE.prod(), abs=0.15)

    def test_nll_from_a_narrow_proposal_gives_the_product_with_it_and_not_the_posterior(self):
        # What the paper accepts and importance weights correct; also the negative control of the test above.
        mean, covariance = trained("nll", "narrow")
        centre, spread = PROPOSALS["narrow"]
        precisions = np.linalg.inv(COVARIANCE) - np.eye(2), np.linalg.inv(spread)
        product = np.linalg.inv(sum(precisions))
        expected = product @ (np.linalg.inv(COVARIANCE) @ MEAN + precisions[1] @ centre)
        np.testing.assert_allclose((mean - expected) / SCALE, 0.0, atol=0.2)
        np.testing.assert_allclose(np.sqrt(np.diag(covariance) / np.diag(product)), 1.0, atol=0.15)
        assert (np.abs(mean - MEAN) > 0.25 * SCALE).any()


@pytest.mark.parametrize("kind", ["nll", "apt"])
class TestBothObjectives:
    def test_validation_is_the_same_every_time_and_batches_are_not(self, kind):
        objective, _ = problem(kind, "prior", n=500)
        assert value(objective) == value(objective)
        first, second = ([float(loss.detach()) for loss in objective.batches()] for _ in range(2))
        assert len(first) == len(second) == objective.n_batches
        assert first != second

    def test_a_seed_decides(self, kind):
        values = [value(problem(kind, "prior", n=500, seed=seed)[0]) for seed in (1, 1, 2)]
        assert values[0] == values[1] != values[2]

    def test_held_out_simulations_are_never_trained_on(self, kind):
        objective, _ = problem(kind, "prior", n=500)
        seen = []
        inputs = objective.featurizer.inputs
        objective.featurizer.inputs = lambda data, index, generator: (
            seen.append(index),
            inputs(data, index, generator),
        )[1]
        list(objective.batches())
        seen = torch.cat(seen)
        assert len(seen) == len(seen.unique()) > 0.9 * 450
        assert len(objective._held_out) == 50
        assert not np.intersect1d(seen, objective._held_out).size

    @pytest.mark.parametrize("n", [20, 31, 333])
    def test_few_simulations_still_make_a_batch(self, kind, n):
        objective, _ = problem(kind, "prior", n=n)
        losses = list(objective.batches())
        assert len(losses) == objective.n_batches >= 1
        assert all(torch.isfinite(loss) for loss in losses) and math.isfinite(value(objective))

    def test_example_inputs_are_those_of_training(self, kind):
        objective, _ = problem(kind, "prior", n=500)
        assert objective.example_inputs(100).shape == (100, 2)
        assert objective.example_inputs().shape == (450, 2)


class TestAtoms:
    def test_an_estimate_equal_to_the_prior_cannot_tell_the_atoms_apart(self):
        objective, _ = problem("apt", "prior", n=400, flow=StandardNormal())
        objective.log_prior = -0.5 * (objective.y**2).sum(1)
        losses = [float(loss.detach()) for loss in objective.batches()]
        for found in (value(objective), *losses):
            assert found == pytest.approx(math.log(10), rel=1e-5)

    def test_the_number_of_atoms_is_the_setting_and_at_most_the_batch(self):
        for n_atoms, n, expected in ((4, 400, 4), (10_000, 400, 40)):
            config = TrainingConfig(n_atoms=n_atoms)
            objective, _ = problem("apt", "prior", n=n, config=config, flow=StandardNormal())
            objective.log_prior = -0.5 * (objective.y**2).sum(1)
            assert value(objective) == pytest.approx(math.log(expected), rel=1e-5)

    def test_the_constant_of_the_prior_does_not_matter(self):
        objective, _ = problem("apt", "narrow", n=400)
        before = value(objective)
        objective.log_prior = objective.log_prior + 3.0
        assert value(objective) == pytest.approx(before, abs=1e-5)

    def test_many_held_out_simulations_are_looked_at_in_parts(self, monkeypatch):
        objective, _ = problem("apt", "prior", n=3000)
        whole = value(objective)
        monkeypatch.setattr(objectives, "FIT", replace(FIT, most_in_a_set=60))
        sizes = []
        atomic = objective.loss
        objective.loss = lambda features, index, generator: (
            sizes.append(len(index)),
            atomic(features, index, generator),
        )[1]
        parts = value(objective)
        assert sizes == [60] * 5
        assert parts == pytest.approx(whole, abs=0.2)


class TestWeighted:
    @staticmethod
    def weighted(rng, n=4000):
        z = rng.normal(size=(n, 2))
        log_weights = -0.5 * ((z[:, 0] - 1.0) ** 2 / 0.3**2 + (z[:, 1] + 0.5) ** 2 / 0.6**2)
        log_weights += 0.5 * (z**2).sum(1)
        return z, log_weights

    def objective(self, rng, flow, n=4000):
        z, log_weights = self.weighted(rng, n)
        y = torch.as_tensor(z, dtype=torch.float32)
        weights = torch.as_tensor(normalised_weights(log_weights), dtype=torch.float32)
        held_out = torch.arange(n) % 8 == 0
        ess = effective_sample_size(log_weights)
        return WeightedObjective(flow, y, weights, held_out, ess, TrainingConfig(), rng)

    @pytest.mark.takes_seconds
    def test_the_flow_becomes_the_weighted_distribution(self, rng):
        with seeded_modules(rng):
            flow = flow_factory({"flow_hidden": 16, "n_mog": 2, "num_blocks": 1})(2, 0)
        fit(flow, self.objective(rng, flow), TrainingConfig(n_epochs=40, learning_rate=3e-3))
        z = flow.sample(5000, None, torch.Generator().manual_seed(0))
        with torch.no_grad():
            log_q = flow.log_prob(z).double().numpy()
        z = z.double().numpy()
        log_p = -0.5 * ((z[:, 0] - 1.0) ** 2 / 0.3**2 + (z[:, 1] + 0.5) ** 2 / 0.6**2)
        assert efficiency(log_p - log_q) > 0.85
        np.testing.assert_allclose(z.mean(0), [1.0, -0.5], atol=0.1)

    @pytest.mark.takes_seconds
    def test_values_of_the_density_teach_more_than_draws_alone(self, rng):
        """Of 300 draws the likelihood learns the scatter, the regression the density."""
        found = {}
        for known in (False, True):
            z, log_weights = self.weighted(np.random.default_rng(1), 300)
            log_p = torch.as_tensor(log_weights - 0.5 * (z**2).sum(1), dtype=torch.float32)
            y, weights = (
                torch.as_tensor(a, dtype=torch.float32) for a in (z, normalised_weights(log_weights))
            )
            with seeded_modules(np.random.default_rng(2)):
                flow = flow_factory({"num_blocks": 1})(2, 0)
            config, ess = TrainingConfig(n_epochs=60, patience=60), effective_sample_size(log_weights)
            arguments = (flow, y, weights, torch.arange(300) % 8 == 0, ess, config)
            log_target = log_p + 1e4 if known else None
            fit(flow, WeightedObjective(*arguments, np.random.default_rng(3), log_target), config)
            draws = flow.sample(5000, None, torch.Generator().manual_seed(0))
            with torch.no_grad():
                log_q = flow.log_prob(draws).double().numpy()
            x = draws.double().numpy()
            exact = -0.5 * ((x[:, 0] - 1.0) ** 2 / 0.3**2 + (x[:, 1] + 0.5) ** 2 / 0.6**2)
            found[known] = efficiency(exact - log_q)
        assert found[True] > max(0.9, found[False] + 0.1), found

    @pytest.mark.parametrize("batch_size", [1, 3, 256])
    def test_batches_of_any_size_have_a_loss(self, rng, batch_size):
        z, log_weights = self.weighted(rng, 300)
        y = torch.as_tensor(z, dtype=torch.float32)
        weights = torch.as_tensor(normalised_weights(log_weights), dtype=torch.float32)
        config = TrainingConfig(batch_size=batch_size)
        held_out, log_target = torch.arange(300) % 8 == 0, -0.5 * (y**2).sum(1)
        objective = WeightedObjective(StandardNormal(), y, weights, held_out, 50.0, config, rng, log_target)
        assert all(math.isfinite(loss) for loss in objective.batches())

    def test_minibatches_follow_the_weights(self, rng):
        class Recorder(StandardNormal):
            seen = ()

            def log_prob(self, z, context=None):
                self.seen = (*self.seen, z)
                return super().log_prob(z)

        flow = Recorder()
        objective = self.objective(rng, flow)
        for _ in range(20):
            list(objective.batches())
        seen = torch.cat(flow.seen)
        weights = objective._weights / objective._weights.sum()
        expected = weights @ objective._y
        error = (weights @ (objective._y - expected) ** 2 / len(seen)).sqrt()
        assert ((seen.mean(0) - expected).abs() < 4.5 * error).all()
        assert len(seen) == 20 * objective.n_batches * 256

    def test_validation_is_the_weighted_loss_of_held_out_draws(self, rng):
        objective = self.objective(rng, StandardNormal())
        held_out, weights = objective._held_out.double(), objective._held_out_weights.double()
        assert float(weights.sum()) == pytest.approx(1, rel=1e-5)
        expected = float((weights * (0.5 * (held_out**2).sum(1) + math.log(2 * math.pi))).sum())
        assert value(objective) == pytest.approx(expected, rel=1e-5)
        both = torch.cat([objective._y, objective._held_out])
        assert len(both) == len(torch.unique(both, dim=0)) == 4000
