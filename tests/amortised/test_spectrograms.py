"""Spectrograms as images: a drifting line in exponential noise, weighted by Whittle's likelihood."""

from __future__ import annotations

import bilby.core.prior as bp
import numpy as np
import pytest
import torch

from nbi_sampler import NBI
from nbi_sampler.amortised import TensorNoise
from nbi_sampler.importance.weights import weighted_quantiles

FREQUENCY, TIME = np.arange(24)[:, None], np.linspace(-1.0, 1.0, 32)
N_TARGETS = 60


def priors():
    return bp.PriorDict(
        {"centre": bp.Uniform(5, 18), "drift": bp.Uniform(-4, 4), "power": bp.LogUniform(2, 20)}
    )


def spectrogram(parameters):
    """Mean power over that of the noise, shape (..., 1, frequencies, times)."""
    centre, drift, power = (np.asarray(parameters[name])[..., None, None] for name in priors())
    line = np.exp(-0.5 * (FREQUENCY - centre - drift * TIME) ** 2)
    return (1.0 + power * line)[..., None, :, :]


class Power(TensorNoise):
    """Power of a Gaussian process: exponential about its mean."""

    def draw(self, x, generator):
        return x * torch.empty_like(x).exponential_(generator=generator)


def whittle(x, y, observation):
    """Whittle's log-likelihood of powers (1953, Ark. Mat. 2, 423)."""
    return -(np.log(x) + observation.x / x).sum((-3, -2, -1))


@pytest.mark.slow
def test_a_drifting_line_is_found_with_its_uncertainties():
    engine = NBI("maf", "auto", spectrogram, Power(), priors(), seed=1, device="cpu")
    engine.fit(n_sims=4000, n_epochs=15, print_method="none")
    recipe = engine.estimator_.featurizer.recipe
    assert recipe["type"] == "resnet2d" and (recipe["height"], recipe["width"]) == (24, 32)
    rng = np.random.default_rng(3)
    theta = np.transpose([prior.rescale(rng.uniform(size=N_TARGETS)) for prior in priors().values()])
    mean = spectrogram(dict(zip(priors(), theta.T, strict=True)))
    found = engine.infer(mean * rng.exponential(size=mean.shape), n_samples=1000, log_likelihood=whittle)
    assert np.median([each.ess for each in found]) > 200
    assert np.mean([each.status == "ok" for each in found]) > 0.8
    probabilities = np.array([0.025, 0.16, 0.84, 0.975])
    quantiles = np.array([weighted_quantiles(each.samples, each.weights, probabilities) for each in found])
    for low, high, expected in ((1, 2, 0.68), (0, 3, 0.95)):
        inside = ((quantiles[..., low] < theta) & (theta < quantiles[..., high])).mean()
        # The three parameters of a target are nearly independent.
        assert inside == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / theta.size))
