"""Draw the pictures of docs/how_it_works.md: one run on the sine wave, from the prior to the posterior.

    python docs/figures/make.py

Takes half a minute and replaces the PNG files beside this script; the run itself is kept in build/figures.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import bilby
import numpy as np
from matplotlib.figure import Figure
from nbi_sampler_benchmark import get_problem
from numpy.typing import NDArray
from PIL import Image

from nbi_sampler.reports.meta_data import rounds_of
from nbi_sampler.reports.plots import plot_run
from nbi_sampler.reports.plots.style import (
    PHASES,
    own_style,
    percent,
    save_figure,
)
from nbi_sampler.storage.checkpoint import read_draws

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HERE = Path(__file__).parent
RUN = HERE.parent.parent / "build" / "figures"
AXES = ("omega", "phi0")
LIMITS = {"omega": (21.0, 29.0), "phi0": (0.0, 2.0 * np.pi)}
MOST_SHOWN = 600
TITLES = {
    "prior": "Prior",
    "rounds": "Round {}",
    "refinement": "Refinement {}",
    "final": "Final draws",
}


def main() -> None:
    """Run, read the draws of the checkpoint, draw."""
    problem = get_problem("sine")
    result = bilby.run_sampler(
        problem.likelihood,
        problem.priors,
        sampler="nbi",
        outdir=str(RUN),
        label="sine",
        n_effective=3000,
        n_sims=600,
        seed=4,
    )
    made = list(plot_run(result, likelihood=problem.likelihood))
    draws = read_draws(RUN / "nbi_sine" / "checkpoint.npz")
    records = rounds_of(result)
    figure = proposals_figure(draws, records, problem.truth)
    made.append(save_figure(figure, RUN / "sine_proposals.png"))
    for path in made:
        # As sharp on a page, and half of the bytes.
        Image.open(path).convert("RGB").quantize(200).save(
            HERE / path.name, optimize=True
        )


def proposals_figure(
    draws: dict[str, NDArray[Any]],
    records: list[dict[str, Any]],
    truth: dict[str, float],
) -> Figure:
    """A panel for each batch of the beginning and the end: draws, the larger the more they weigh."""
    ends = np.cumsum([record["n_draws"] for record in records])
    batches = np.split(np.arange(ends[-1]), ends[:-1])
    shown = [*range(4), len(records) - 1]
    names = list(draws["names"])
    log_weights = draws["log_likelihood"] - draws["log_ratio"]
    with own_style():
        figure = Figure(figsize=(9.0, 2.6), layout="constrained")
        panels = figure.subplots(1, len(shown), sharex=True, sharey=True)
        for axis, i in zip(panels, shown, strict=True):
            batch, record = batches[i], records[i]
            weights = np.exp(log_weights[batch] - log_weights[batch].max())
            theta = draws["theta"][batch][:, [names.index(name) for name in AXES]]
            _draw_batch(
                axis,
                theta[:MOST_SHOWN],
                weights[:MOST_SHOWN],
                PHASES[record["phase"]],
            )
            same_phase = sum(
                other["phase"] == record["phase"] for other in records[: i + 1]
            )
            title = TITLES[record["phase"]].format(same_phase)
            axis.set_title(
                f"{title}\n{percent(record['efficiency'], 1)} efficient", fontsize=9.0
            )
            axis.plot(*(truth[name] for name in AXES), "+", color="k", markersize=9.0)
            axis.set_xlabel(AXES[0])
        panels[0].set(ylabel=AXES[1], xlim=LIMITS[AXES[0]], ylim=LIMITS[AXES[1]])
    return figure


def _draw_batch(
    axis: Axes, theta: NDArray[np.float64], weights: NDArray[np.float64], colour: str
) -> None:
    axis.scatter(*theta.T, s=2.0, color="0.75", linewidths=0.0)
    axis.scatter(*theta.T, s=12.0 * weights, color=colour, linewidths=0.0)


if __name__ == "__main__":
    main()
