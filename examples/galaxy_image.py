"""Images of galaxies: train once, infer 200 galaxies, and refine one with run_sampler.

Run `python examples/galaxy_image.py`. It writes the picture to build/gallery/galaxy_image/. A galaxy has a
Sersic profile (Graham & Driver 2005, arXiv:astro-ph/0503176), a Gaussian point spread function, 64 x 64
pixels and photon noise. The network sees the pixels, and the weights are exact.
"""

from __future__ import annotations

import sys

import bilby
import numpy as np
import torch
from bilby.core.prior import LogUniform, Uniform
from drawing.galaxy_image import draw, print_recovery
from scipy.special import gamma, gammaln

from nbi_sampler import NBI
from nbi_sampler.amortised import TensorNoise

QUICK = "--quick" in sys.argv  # a short training and a few galaxies, as a test
N_SIMS, N_EPOCHS, N_GALAXIES, N_DRAWS = (300, 1, 5, 100) if QUICK else (8000, 12, 200, 300)
AMOUNT = dict(n_effective=50, max_likelihood_calls=1500) if QUICK else dict(n_effective=5000)
OUTDIR = "build/gallery/galaxy_image"

PRIORS = dict(
    flux=LogUniform(1e3, 2e4, latex_label="$F$", unit="photons"),
    radius=LogUniform(2, 8, latex_label=r"$r_{\rm e}$", unit="pixel"),
    index=Uniform(0.5, 4, latex_label="$n$"),
    **{name: Uniform(-0.5, 0.5, latex_label=f"${name[0]}_{name[1]}$") for name in ("e1", "e2")},
    x=Uniform(-3, 3, latex_label="$x$", unit="pixel"),
    y=Uniform(-3, 3, latex_label="$y$", unit="pixel"),
)
SIDE, PSF, SKY = 64, 1.2, 10.0  # pixels, standard deviation in pixels, photons a pixel
HALVES = (np.arange(2 * SIDE) + 0.5) / 2 - SIDE / 2  # two points a pixel and side
FREQUENCY = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE))
BLUR = np.exp(-2 * (np.pi * PSF * FREQUENCY) ** 2)


def galaxy(parameters: dict[str, float]) -> np.ndarray:
    """Expected photons in every pixel, shape (1, SIDE, SIDE)."""
    p = parameters
    x, y, e = HALVES - p["x"], HALVES[:, None] - p["y"], np.hypot(p["e1"], p["e2"])
    # Ellipses whose axes have the ratio (1 - e) / (1 + e), with e = 0 for a circle.
    square = (1 + e**2) * (x**2 + y**2) - 2 * p["e1"] * (x**2 - y**2) - 4 * p["e2"] * x * y
    square = square / (1 - e**2) / p["radius"] ** 2 + 1e-3
    n, b = p["index"], 2 * p["index"] - 1 / 3 + 0.009876 / p["index"]
    total = 2 * np.pi * p["radius"] ** 2 * n * b ** (-2 * n) * gamma(2 * n)
    profile = p["flux"] / total * np.exp(-b * square ** (0.5 / n))
    pixels = profile.reshape(SIDE, 2, SIDE, 2).mean((1, 3))
    blurred = np.fft.irfft2(np.fft.rfft2(pixels) * BLUR, s=pixels.shape)
    return SKY + np.maximum(blurred, 0)[None]


class Photons(TensorNoise):
    """Poisson noise that is drawn on the device of the network."""

    def draw(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Counts of photons."""
        return torch.poisson(x, generator)


def log_poisson(counts: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Logarithm of the probability of all pixels."""
    return np.sum(counts * np.log(expected) - expected - gammaln(counts + 1), axis=(-3, -2, -1))


class Galaxy(bilby.Likelihood):
    """The likelihood of one image."""

    def __init__(self, image: np.ndarray) -> None:
        super().__init__()
        self.image = image

    def log_likelihood(self, parameters: dict[str, float]) -> float:
        """Logarithm of the probability of the image."""
        return float(log_poisson(self.image, galaxy(parameters)))


def main() -> None:
    """Train, infer all galaxies, refine one, print the results, draw."""
    engine = NBI("maf", "resnet2d", galaxy, Photons(), PRIORS, seed=1)
    engine.fit(N_SIMS, n_epochs=N_EPOCHS, training=dict(n_threads=1))
    rng = np.random.default_rng(2)
    uniform = rng.uniform(size=(N_GALAXIES, len(PRIORS)))
    truths = np.stack([prior.rescale(u) for prior, u in zip(PRIORS.values(), uniform.T, strict=True)], axis=1)
    expected = np.array([galaxy(dict(zip(PRIORS, truth, strict=True))) for truth in truths])
    images = rng.poisson(expected).astype(float)
    found = engine.infer(images, n_samples=N_DRAWS, log_likelihood=lambda x, y, seen: log_poisson(seen.x, x))
    print_recovery(truths, found, engine.sample(images, n_samples=N_DRAWS), PRIORS)
    one = dict(model=engine, x_obs=images[0], seed=1, outdir=OUTDIR, label="galaxy", clean=True, **AMOUNT)
    result = bilby.run_sampler(Galaxy(images[0]), PRIORS, sampler="nbi", **one)
    run = result.meta_data["nbi"]
    print(f"refined: {run['status']}, {run['n_calls']} calls, log evidence {result.log_evidence:.2f}")
    draw(result, images[0], galaxy, (truths, found, PRIORS), path=f"{OUTDIR}/galaxy_image.png")


if __name__ == "__main__":
    main()
