"""A sine wave in noise with a model that takes 5 ms for each draw; the scripts beside this one fit it."""

from __future__ import annotations

import math
import time

import bilby
import numpy as np

__all__ = ["likelihood_and_priors"]


def slow_sine(t: np.ndarray, amplitude: float, frequency: float, phase: float) -> np.ndarray:
    """Sine wave; the sleep represents a computation."""
    time.sleep(5e-3)
    return math.exp(math.log(amplitude)) * np.sin(2 * np.pi * frequency * t + phase)


def likelihood_and_priors() -> tuple[bilby.core.likelihood.GaussianLikelihood, bilby.core.prior.PriorDict]:
    """Fifty data points with noise of 0.5, and priors of one decade or period."""
    rng = np.random.default_rng(1)
    t = np.linspace(0.0, 2.0, 50)
    y = 2.0 * np.sin(2 * np.pi * 1.3 * t + 0.7) + rng.normal(scale=0.5, size=50)
    priors = bilby.core.prior.PriorDict(
        dict(
            amplitude=bilby.core.prior.LogUniform(0.5, 5.0),
            frequency=bilby.core.prior.Uniform(0.5, 2.5),
            phase=bilby.core.prior.Uniform(0.0, 2 * np.pi, boundary="periodic"),
        )
    )
    return bilby.core.likelihood.GaussianLikelihood(t, y, slow_sine, sigma=0.5), priors
