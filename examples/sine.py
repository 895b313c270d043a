"""Fit a sine wave: the demonstration of the authors of the method (Zhang et al. 2023, arXiv:2312.03824).

Run `python examples/sine.py`. It writes the result and the plot to build/gallery/sine/. A wave of amplitude
-A that begins half a turn later is the same wave, so the posterior has two modes of equal probability.
"""

from __future__ import annotations

import sys

import bilby
import numpy as np
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import Uniform
from drawing.sine import draw

QUICK = "--quick" in sys.argv  # a rough fit in seconds, as a test
ROUGH = dict(n_effective=100, training=dict(n_epochs=5))
AMOUNT = ROUGH if QUICK else dict(n_effective=5000)
OUTDIR = "build/gallery/sine"
SIGMA = 0.1

PRIORS = dict(
    phi0=Uniform(0, 2 * np.pi, boundary="periodic", latex_label=r"$\phi_0$", unit="rad"),
    A=Uniform(-4, 4, latex_label="$A$"),
    omega=Uniform(2 * np.pi, 12 * np.pi, latex_label=r"$\omega$", unit="rad/s"),
)


def sine(t: np.ndarray, phi0: float, A: float, omega: float) -> np.ndarray:
    """Sine wave at times t in seconds."""
    return A * np.sin(omega * t + phi0)


def observe() -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """Times, noisy values and the truth, as in the authors' notebook, whose seed is 4."""
    rng = np.random.RandomState(4)
    truth = {name: prior.minimum + prior.width * rng.uniform() for name, prior in PRIORS.items()}
    t = np.linspace(0, 1, 50)
    return t, sine(t, **truth) + SIGMA * rng.normal(size=len(t)), truth


def main() -> None:
    """Fit, print the results, draw."""
    t, y, truth = observe()
    likelihood = GaussianLikelihood(t, y, sine, sigma=SIGMA)
    settings = dict(seed=1, outdir=OUTDIR, label="sine", clean=True)
    result = bilby.run_sampler(likelihood, PRIORS, sampler="nbi", **settings, **AMOUNT)
    draws, run = result.posterior, result.meta_data["nbi"]
    for name, values in (("|A|", draws["A"].abs()), ("omega", draws["omega"])):
        print(f"{name:5s} {values.mean():.3f} +- {values.std():.3f} (truth {truth[name.strip('|')]:.3f})")
    positive = result.nested_samples.query("A > 0")["weights"].sum()
    print(f"probability of A > 0: {positive:.3f} (1/2 by symmetry)")
    print(f"log evidence {result.log_evidence:.3f} +- {result.log_evidence_err:.3f}, status {run['status']}")
    print(f"{result.num_likelihood_evaluations} likelihood calls, efficiency {run['efficiency']:.0%}")
    draw(result, (t, y), SIGMA, sine, truth, path=f"{OUTDIR}/sine.png")


if __name__ == "__main__":
    main()
