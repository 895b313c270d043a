"""Data of a few straight lines, for the tests of noise and features."""

from __future__ import annotations

import numpy as np
import torch

from nbi_sampler.forward import ForwardModel
from nbi_sampler.networks.training.noisy_data import NoisyData


class Lines(ForwardModel):
    """Data of a few straight lines with Gaussian noise of scale ``sigma``, zero observed data."""

    def __init__(self, shape, sigma_is_inferred=False, white=True):
        n_data = shape[0] * shape[1]
        names = ("sigma",) if sigma_is_inferred else ()
        super().__init__("lines", np.zeros(n_data), shape=shape, noise_parameters=names)
        self.white = white

    def simulate(self, parameters):
        raise NotImplementedError

    def log_likelihood(self, predictions, columns):
        raise NotImplementedError

    def noise(self, predictions, columns, generator):
        noise = torch.randn(predictions.shape, generator=generator, dtype=predictions.dtype)
        return predictions + columns["sigma"][:, None] * noise

    def stabilise(self, data):
        return data

    def white_noise_scale(self, columns):
        return columns["sigma"] if self.white else None


def lines(shape, n=300, n_params=2, size=3.0, seed=0, sigma=(1.0, 1.0), white=True):
    """Noisy data whose predictions span ``n_params`` dimensions."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(n_params, shape[0] * shape[1]))
    predictions = size * rng.normal(size=(n, n_params)) @ directions
    columns = {"sigma": rng.uniform(*sigma, n)}
    return NoisyData(Lines(shape, sigma[0] < sigma[1], white), predictions, columns)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)
