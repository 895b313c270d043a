"""Figure and table of `galaxy_image.py`: one galaxy with its model, and the estimates of all galaxies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from bilby.core.prior import Prior
from bilby.core.result import Result
from matplotlib.axes import Axes

from nbi_sampler.reports.diagnostics import calibration_ranks

from .shared import BLUE, VERMILION, save, ticks_inside

__all__ = ["draw", "print_recovery"]


def print_recovery(
    truths: np.ndarray, found: Sequence[Any], own: np.ndarray, priors: Mapping[str, Prior]
) -> None:
    """Print efficiency and coverage, with weights and for the network alone.

    Parameters
    ----------
    truths : ndarray, shape (n_galaxies, n_dim)
    found : sequence of Inference
    own : ndarray, shape (n_galaxies, n_draws, n_dim)
        Draws of the network without weights.
    priors : mapping of str to Prior
    """
    status, counts = np.unique([each.status for each in found], return_counts=True)
    print(
        f"{len(found)} galaxies: " + ", ".join(f"{n} {name}" for n, name in zip(counts, status, strict=True))
    )
    low, middle, high = np.quantile([each.efficiency for each in found], (0.16, 0.5, 0.84))
    print(f"efficiency {middle:.0%} (16 % to 84 % of the galaxies: {low:.0%} to {high:.0%})")
    samples, weights = np.stack([each.samples for each in found]), np.stack([each.weights for each in found])
    weighted = np.einsum("ij,ijk->ik", weights, samples < truths[:, None])
    alone = calibration_ranks(own, truths, rng=np.random.default_rng(3))
    print(
        f"\n{'':10s}{'with weights':>22s}{'network alone':>22s}\n{'':10s}"
        + 2 * f"{'in 68 %':>11s}{'in 95 %':>11s}"
    )
    for i, name in enumerate(priors):
        shares = [np.mean(np.abs(r[:, i] - 0.5) < 0.5 * x) for r in (weighted, alone) for x in (0.68, 0.95)]
        print(f"{name:10s}" + "".join(f"{share:>11.0%}" for share in shares))


def draw(
    result: Result,
    image: np.ndarray,
    galaxy: Callable[[dict[str, float]], np.ndarray],
    all_galaxies: tuple[np.ndarray, Sequence[Any], Mapping[str, Prior]],
    path: str,
) -> None:
    """Draw an image, its model and residuals, and below them the estimates of all galaxies and their truths.

    Parameters
    ----------
    result : bilby.core.result.Result
        Result for this image.
    image : ndarray, shape (1, side, side)
    galaxy : callable
        Expected photons as a function of the parameters.
    all_galaxies : tuple
        Truths, inferences and priors, as for `print_recovery`.
    path : str
    """
    truths, found, priors = all_galaxies
    median = {name: float(result.posterior[name].median()) for name in priors}
    model = galaxy(median)
    figure, (top, bottom) = plt.subplots(2, 3, figsize=(10, 6.6), layout="constrained")
    residual = (image - model) / np.sqrt(model)
    limits = dict(vmin=np.arcsinh(model.min() / 4), vmax=np.arcsinh(model.max() / 4), cmap="magma")
    for panel, each, name in zip(
        top[:2], (image, model), ("photons", "model: median of the posterior"), strict=True
    ):
        panel.imshow(np.arcsinh(each[0] / 4), origin="lower", **limits)
        panel.set(title=name)
    shown = top[2].imshow(residual[0], origin="lower", vmin=-4, vmax=4, cmap="RdBu_r")
    top[2].set(title="residual in standard deviations")
    figure.colorbar(shown, ax=top[2], shrink=0.9)
    for panel in top:
        panel.set(xticks=[], yticks=[])
    names = list(priors)
    for panel, name in zip(bottom, ("flux", "radius", "index"), strict=True):
        _truth_against_estimate(panel, truths, found, names.index(name), priors[name])
    ticks_inside(bottom)
    save(figure, path)


def _truth_against_estimate(
    panel: Axes, truths: np.ndarray, found: Sequence[Any], i: int, prior: Prior
) -> None:
    mean = np.array([each.mean[i] for each in found])
    deviation = np.array([each.standard_deviation[i] for each in found])
    panel.errorbar(truths[:, i], mean, deviation, fmt=".", ms=4, lw=0.7, color=BLUE, alpha=0.7)
    ends = [prior.minimum, prior.maximum]
    panel.plot(ends, ends, color=VERMILION, lw=1)
    unit = f" ({prior.unit})" if prior.unit else ""
    panel.set(xlabel=f"true {prior.latex_label}{unit}", ylabel="posterior mean, standard deviation")
    if prior.maximum / prior.minimum > 10:
        panel.set(xscale="log", yscale="log")
