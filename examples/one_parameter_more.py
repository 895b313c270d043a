"""Is an orbit eccentric? The second run adds two parameters and starts from the result of the first.

Run `python examples/one_parameter_more.py`. It writes results and the plot to
build/gallery/one_parameter_more/. Simulated velocities of a star with one planet are fitted with a circular
orbit, and then with an eccentric one. The first run fixes h = sqrt(e) cos(omega) and k = sqrt(e) sin(omega).
In the second run they start from their prior.
"""

from __future__ import annotations

import sys

import bilby
import numpy as np
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import Uniform
from drawing.one_parameter_more import draw

QUICK = "--quick" in sys.argv  # a rough fit in seconds, as a test
ROUGH = dict(n_effective=50, n_sims=300, max_likelihood_calls=1500, training=dict(n_epochs=5))
AMOUNT = ROUGH if QUICK else dict(n_effective=3000)
OUTDIR = "build/gallery/one_parameter_more"
SIGMA = 3.0  # m/s
TRUTH = dict(P=17.2, K=12.0, phase=2.0, offset=1.0, h=0.45, k=0.2)
TIME = np.sort(np.random.default_rng(4).uniform(0, 120, 45))  # days

CIRCULAR = dict(
    P=Uniform(14, 20, latex_label="$P$", unit="d"),
    K=Uniform(0, 40, latex_label="$K$", unit="m/s"),
    phase=Uniform(0, 2 * np.pi, latex_label=r"$\ell_0$", boundary="periodic"),
    offset=Uniform(-10, 10, latex_label=r"$\gamma$", unit="m/s"),
    h=0.0,
    k=0.0,
)
ECCENTRIC = CIRCULAR | dict(
    h=Uniform(-0.7, 0.7, latex_label=r"$\sqrt{e}\cos\omega$"),
    k=Uniform(-0.7, 0.7, latex_label=r"$\sqrt{e}\sin\omega$"),
)


def velocity(
    time: np.ndarray, P: np.ndarray, K: np.ndarray, phase: np.ndarray, offset: np.ndarray, h: float, k: float
) -> np.ndarray:
    """Velocity of the star in m/s; ``phase`` is the mean longitude at time 0."""
    e, omega = h**2 + k**2, np.arctan2(k, h)
    mean = 2 * np.pi * time / P + phase - omega
    anomaly = mean + e * np.sin(mean)
    for _ in range(6):  # Newton's method for Kepler's equation
        anomaly = anomaly - (anomaly - e * np.sin(anomaly) - mean) / (1 - e * np.cos(anomaly))
    true = 2 * np.arctan2(np.sqrt(1 + e) * np.sin(anomaly / 2), np.sqrt(1 - e) * np.cos(anomaly / 2))
    return offset + K * (np.cos(true + omega) + e * np.cos(omega))


def main() -> None:
    """Simulate, fit twice, print the results, draw."""
    observed = velocity(TIME, **TRUTH) + SIGMA * np.random.default_rng(2).normal(size=len(TIME))
    likelihood = GaussianLikelihood(TIME, observed, velocity, sigma=SIGMA)
    settings = dict(sampler="nbi", seed=1, outdir=OUTDIR, clean=True, **AMOUNT)
    one = bilby.run_sampler(likelihood, CIRCULAR, label="circular", **settings)
    two = bilby.run_sampler(likelihood, ECCENTRIC, label="eccentric", initial_result=one, **settings)
    for result in (one, two):
        evidence = f"log Z {result.log_evidence:.3f} +- {result.log_evidence_err:.3f}"
        calls = f"{result.num_likelihood_evaluations:,} calls"
        print(f"{result.label:10s} {evidence}, {calls}, {result.meta_data['nbi']['status']}")
    odds, error = two.log_evidence - one.log_evidence, np.hypot(two.log_evidence_err, one.log_evidence_err)
    draws = two.posterior
    e = draws["h"] ** 2 + draws["k"] ** 2
    print(f"log Bayes factor of eccentricity {odds:.2f} +- {error:.2f}; e {e.mean():.3f} +- {e.std():.3f}")
    draw(one, two, (TIME, observed), SIGMA, velocity, TRUTH, path=f"{OUTDIR}/one_parameter_more.png")


if __name__ == "__main__":
    main()
