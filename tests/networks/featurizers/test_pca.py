"""Principal components: their own noise against noise on the data."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from featurizer_cases import FEW, made
from line_cases import generator, lines
from scipy import stats

from nbi_sampler.core.randomness import seeded_modules
from nbi_sampler.networks.featurizers import featurizer_factory


class TestPrincipalComponents:
    @staticmethod
    def draws(featurizer, data, row, n=20_000):
        """Inputs of one simulation with noise in the space of the components, and with noise on the data."""
        index = torch.full((n,), row)
        fast = featurizer.inputs(data, index, generator(1))
        full = featurizer.reduce(data.draw(index, generator(2)))
        return fast.double().numpy(), full.double().numpy()

    @pytest.mark.parametrize("sigma", [(1.0, 1.0), (0.3, 4.0)], ids=["known", "inferred"])
    @pytest.mark.parametrize(("shape", "size"), [((1, 12), 1.0), ((2, 60), 0.3), ((1, 400), 0.1)])
    def test_noise_among_the_components_has_the_law_of_noise_on_the_data(self, shape, size, sigma):
        data = lines(shape, size=size, n_params=6, sigma=sigma)
        featurizer = made("pca", data)
        inferred = sigma[0] < sigma[1]
        assert featurizer.with_residual == inferred
        for row in (0, 17, 123):
            fast, full = self.draws(featurizer, data, row)
            n = len(fast)
            error = np.sqrt((fast.var(0) + full.var(0)) / n)
            assert (np.abs(fast.mean(0) - full.mean(0)) < 4.5 * error).all()
            scale = np.sqrt(np.outer(full.var(0), full.var(0)))
            difference = np.cov(fast.T) - np.cov(full.T)
            assert (np.abs(difference) < 5 * scale * math.sqrt(2 * 2 / n)).all()
            for column in range(fast.shape[1]):
                assert stats.ks_2samp(fast[:, column], full[:, column]).pvalue > 1e-4

    def test_the_wrong_scale_would_be_seen(self):
        data = lines((2, 60), size=0.3, sigma=(0.3, 4.0))
        featurizer = made("pca", data)
        _, full = self.draws(featurizer, data, 0)
        data.scale.mul_(1.05)
        fast, _ = self.draws(featurizer, data, 0)
        assert stats.ks_2samp(fast[:, -1], full[:, -1]).pvalue < 1e-4

    def test_a_residual_of_model_error_counts(self):
        # One simulation far outside the span of the components: its residual is not noise alone.
        data = lines((1, 60), n_params=2, size=5.0, sigma=(0.5, 1.5))
        featurizer = featurizer_factory({"type": "pca", "n_components": 1, **FEW})(data.shape, 1)
        with seeded_modules(np.random.default_rng(0)):
            featurizer.fit(data, np.random.default_rng(0))
        for row in (3, 4):
            fast, full = self.draws(featurizer, data, row)
            for column in range(2):
                assert stats.ks_2samp(fast[:, column], full[:, column]).pvalue > 1e-4

    @pytest.mark.parametrize("size", [1e2, 1e3, 1e4])
    def test_the_residual_is_not_lost_beside_a_bright_signal(self, size):
        # As a difference of squares it was rounding error from 1,000 noise scales on.
        data = lines((1, 1000), n_params=3, size=size, sigma=(0.9, 1.1))
        featurizer = made("pca", data)
        noisy = data.draw(torch.arange(300), generator())
        centred, components = (noisy - featurizer.mean).double(), featurizer.components.double()
        left = centred - centred @ components @ components.T
        exact = 1.5 * torch.log(left.square().mean(1) * 1000 / (1000 - components.shape[1]))
        found = featurizer.reduce(noisy)[:, -1].double()
        assert (found - exact).abs().max() < 0.1 * exact.std()

    def test_components_are_orthonormal_and_hold_the_signal(self):
        for n_data in (30, 2000):
            data = lines((1, n_data), n_params=5, size=2.0)
            featurizer = made("pca", data)
            components = featurizer.components.double()
            k = components.shape[1]
            assert 5 <= k <= 8
            torch.testing.assert_close(components.T @ components, torch.eye(k).double(), rtol=0, atol=1e-5)
            centred = (data.signal - featurizer.mean).double()
            left = centred - centred @ components @ components.T
            assert left.square().sum() < 1e-6 * centred.square().sum()

    def test_weak_components_are_left_out_down_to_the_number_of_parameters(self):
        data = lines((1, 50), n_params=6, size=1e-4)
        assert made("pca", data).components.shape[1] == 2
        assert made("pca", lines((1, 50), n_params=6)).components.shape[1] == 6

    def test_other_data_than_those_of_the_fit_go_the_long_way(self):
        data, other = lines((1, 30)), lines((1, 30), seed=5)
        featurizer = made("pca", data)
        index = torch.arange(40)
        expected = featurizer.reduce(other.draw(index, generator(3)))
        assert torch.equal(featurizer.inputs(other, index, generator(3)), expected)

    def test_more_data_points_than_simulations(self):
        data = lines((1, 500), n=25)
        featurizer = made("svd", data)
        assert torch.isfinite(featurizer(featurizer.inputs(data, torch.arange(25), generator()))).all()

    def test_a_state_of_other_sizes_is_taken_by_one_that_was_fitted(self):
        small, large = (made("pca", lines((1, 30), n_params=n)) for n in (3, 6))
        large.load_state_dict(small.state_dict())
        data = lines((1, 30), n_params=3)
        assert torch.equal(large(large.reduce(data.signal)), small(small.reduce(data.signal)))

    def test_what_was_projected_before_loading_is_forgotten(self):
        data = lines((1, 30))
        first, second = made("pca", data), made("pca", lines((1, 30), seed=4))
        first.load_state_dict(second.state_dict())
        index = torch.arange(20)
        assert torch.equal(first.inputs(data, index, generator()), second.inputs(data, index, generator()))

    def test_the_state_of_another_perceptron_is_refused(self):
        data = lines((1, 30))
        state = made("pca", data).state_dict()
        other = featurizer_factory({"type": "pca", "hidden": 24})(data.shape, 2)
        with pytest.raises(RuntimeError, match="size mismatch for network"):
            other.load_state_dict(state)
