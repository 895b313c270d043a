"""Noise drawn in bulk on whitened data: scale, law, precision."""

from __future__ import annotations

import math

import numpy as np
import torch
from line_cases import Lines, generator, lines
from scipy import stats

from nbi_sampler.networks.training.noisy_data import NoisyData


class TestNoisyData:
    def test_noise_has_its_scale_and_the_observed_data_are_zero(self):
        data = lines((1, 200), n=50, sigma=(0.5, 3.0))
        index = torch.arange(50).repeat(100)
        noise = data.draw(index, generator()) - data.signal[index]
        scale = noise.view(100, 50, 200).std((0, 2))
        torch.testing.assert_close(scale, data.scale, rtol=4 / math.sqrt(2 * 20_000), atol=0)
        assert len(data) == 50 and data.n_data == 200

    def test_both_ways_of_drawing_have_the_same_law(self):
        white, general = lines((1, 5), sigma=(0.5, 3.0)), lines((1, 5), sigma=(0.5, 3.0), white=False)
        index = torch.full((20_000,), 7)
        first, second = white.draw(index, generator(1)), general.draw(index, generator(2))
        for k in range(5):
            assert stats.ks_2samp(first[:, k].numpy(), second[:, k].numpy()).pvalue > 1e-4

    def test_nan_of_a_noise_law_and_huge_values_become_finite(self):
        class Failing(Lines):
            def noise(self, predictions, columns, generator):
                return predictions * torch.nan

        predictions = np.full((30, 4), 1e300)
        data = NoisyData(Failing((1, 4), white=False), predictions, {"sigma": np.ones(30)})
        assert torch.isfinite(data.signal).all()
        assert torch.isfinite(data.draw(torch.arange(30), generator())).all()

    def test_small_signals_on_a_large_offset_are_resolved(self):
        class Offset(Lines):
            def __init__(self):
                super().__init__((1, 3))
                self.observed = np.full(3, 1e9)

        predictions = 1e9 + np.arange(12.0).reshape(4, 3)
        data = NoisyData(Offset(), predictions, {"sigma": np.ones(4)})
        np.testing.assert_allclose(data.signal.numpy(), np.arange(12.0).reshape(4, 3))
