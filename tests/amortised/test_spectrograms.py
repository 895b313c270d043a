"""Spectrograms as images: a drifting line in exponential noise, weighted by Whittle's likelihood."""

from __future__ import annotations

import bilby.core.prior as bp
import numpy as np
import pytest
import torch

from nbi_sampler import NBI
from nbi_sampler.amortised import TensorNoise
from nbi_sampler.importance.weights import weighted_quantiles

FREQUENCY, TIME = np.arange(12)[:, None], np.linspace(-1.0, 1.0, 16)
N_TARGETS, N_SAMPLES = 60, 600


def priors():
    return bp.PriorDict(
        {"centre": bp.Uniform(3, 8), "drift": bp.Uniform(-2, 2), "power": bp.LogUniform(2, 20)}
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
    engine = NBI(
        {"num_blocks": 2, "flow_hidden": 32}, "auto", spectrogram, Power(), priors(), seed=1, device="cpu"
    )
    engine.fit(n_sims=2500, n_epochs=12, print_method="none")
    recipe = engine.estimator_.featurizer.recipe
    assert recipe["type"] == "resnet2d" and (recipe["height"], recipe["width"]) == (12, 16)
    rng = np.random.default_rng(3)
    theta = np.transpose([prior.rescale(rng.uniform(size=N_TARGETS)) for prior in priors().values()])
    mean = spectrogram(dict(zip(priors(), theta.T, strict=True)))
    x = mean * rng.exponential(size=mean.shape)
    found = engine.infer(x, n_samples=N_SAMPLES, log_likelihood=whittle)
    assert np.median([each.ess for each in found]) > 0.2 * N_SAMPLES
    assert np.mean([each.status == "ok" for each in found]) > 0.8
    probabilities = np.array([0.025, 0.16, 0.84, 0.975])
    quantiles = np.array([weighted_quantiles(each.samples, each.weights, probabilities) for each in found])
    for low, high, expected in ((1, 2, 0.68), (0, 3, 0.95)):
        inside = ((quantiles[..., low] < theta) & (theta < quantiles[..., high])).mean()
        # The three parameters of a target are nearly independent.
        assert inside == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / theta.size))
