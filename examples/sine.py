"""Fit a sine wave: the demonstration of the authors of the method (Zhang et al. 2023, arXiv:2312.03824).

Run `python examples/sine.py`; the result and the plot are then in build/gallery/sine/. A wave of amplitude -A
that begins half a turn later is the same wave, so the posterior has two modes of equal probability.
"""

from __future__ import annotations

import sys

import bilby
import corner
import matplotlib.pyplot as plt
import numpy as np
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import PriorDict, Uniform

QUICK = "--quick" in sys.argv  # a rough fit in seconds, to see that all works
ROUGH = dict(n_effective=100, training=dict(n_epochs=20))
AMOUNT = ROUGH if QUICK else dict(n_effective=5000)
OUTDIR = "build/gallery/sine"
SIGMA = 0.1
BLUE, VERMILION = "#0072b2", "#d55e00"  # Okabe & Ito (2008), told apart by colour-blind readers too

PRIORS = PriorDict(
    dict(
        phi0=Uniform(0, 2 * np.pi, boundary="periodic", latex_label=r"$\phi_0$", unit="rad"),
        A=Uniform(-4, 4, latex_label="$A$"),
        omega=Uniform(2 * np.pi, 12 * np.pi, latex_label=r"$\omega$", unit="rad/s"),
    )
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


def plot(result: bilby.core.result.Result, t: np.ndarray, y: np.ndarray, truth: dict[str, float]) -> None:
    """Plot the data over draws from the posterior, what is left of them, and the posterior."""
    figure = plt.figure(figsize=(10, 4.6))
    left, right = figure.subfigures(1, 2, width_ratios=(1.1, 1))
    top, bottom = left.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    left.subplots_adjust(left=0.15, right=0.97, bottom=0.12, top=0.97, hspace=0.06)
    grid = np.linspace(-0.02, 1.02, 500)
    curves = np.array([sine(grid, *draw) for draw in result.posterior[list(PRIORS)].to_numpy()[:200]])
    median = np.median(curves, axis=0)
    points = dict(yerr=SIGMA, fmt="o", ms=3, lw=0.8, color="0.15")
    top.errorbar(t, y, label="data", **points)
    top.plot(grid, curves.T, color=BLUE, lw=0.5, alpha=0.1)
    top.plot([], [], color=BLUE, label="posterior")
    top.plot(grid, sine(grid, **truth), color=VERMILION, ls="--", lw=1.2, label="truth")
    top.set(ylabel="$y$", xlim=grid[[0, -1]], ylim=(-0.7, 1.0))
    top.legend(frameon=False, ncols=3, loc="upper center")
    bottom.errorbar(t, y - np.interp(t, grid, median), **points)
    bottom.plot(grid, (curves - median).T, color=BLUE, lw=0.5, alpha=0.1)
    bottom.set(xlabel="$t$ (s)", ylabel="residual", ylim=(-0.45, 0.45))
    for panel in (top, bottom):
        panel.tick_params(direction="in", top=True, right=True)
    left.align_ylabels()

    draws, start = result.nested_samples, -np.pi / 2  # the circle is cut where neither mode is
    corner.corner(
        draws.assign(phi0=(draws["phi0"] - start) % (2 * np.pi) + start)[list(PRIORS)].to_numpy(),
        weights=draws["weights"].to_numpy(),
        fig=right,
        labels=[prior.latex_label_with_unit for prior in PRIORS.values()],
        truths=[(truth["phi0"] - start) % (2 * np.pi) + start, truth["A"], truth["omega"]],
        range=[(-1.2, 4.2), (-0.6, 0.6), (36.1, 37.5)],
        levels=1 - np.exp([-0.5, -2]),  # within 1 and 2 sigma of a Gaussian in the plane
        **dict(bins=40, smooth=1.0, fill_contours=True, plot_datapoints=False, max_n_ticks=4),
        **dict(color=BLUE, truth_color=VERMILION, labelpad=0.1),
    )
    right.subplots_adjust(left=0.18, right=0.97, bottom=0.18, top=0.97)
    figure.savefig(f"{OUTDIR}/sine.png", dpi=150)


def main() -> None:
    """Fit, report and plot."""
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
    plot(result, t, y, truth)


if __name__ == "__main__":
    main()
