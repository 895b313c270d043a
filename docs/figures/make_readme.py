"""Draw the picture at the top of the README: a real light curve, fitted by this sampler and by dynesty.

    python docs/figures/make_readme.py

The event and its priors are those of examples/ogle_2008_blg_092.py, and both samplers have their defaults.
dynesty takes twenty minutes. Both results are kept in build/figures/readme, and not made twice. The script
also writes the numbers of the picture to docs/figures/readme.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bilby
import matplotlib as mpl
import numpy as np
from bilby.core.result import Result
from matplotlib.figure import Figure
from PIL import Image

from nbi_sampler.importance.weights import effective_sample_size
from nbi_sampler.reports.meta_data import rounds_of
from nbi_sampler.reports.plots.style import COLOURS
from nbi_sampler.storage.checkpoint import read_draws

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RUNS = ROOT / "build" / "figures" / "readme"
BLUE, VERMILION, _, _, ORANGE = COLOURS[:5]
GREY = "0.62"
AXES = ("u0", "tE")
LIMITS = {"u0": (0.02, 2.0), "tE": (2.0, 200.0)}
MOST_SHOWN = 700


class Counted(bilby.core.likelihood.GaussianLikelihood):  # type: ignore[misc]
    """A likelihood that counts its calls, whatever a sampler reports."""

    calls = 0

    def log_likelihood(self, parameters: dict[str, float]) -> float:
        """Log-likelihood, counted."""
        Counted.calls += 1
        return float(super().log_likelihood(parameters))


def main() -> None:
    """Fit with both samplers, write the numbers, draw."""
    sys.path.insert(0, str(ROOT / "examples"))
    import ogle_2008_blg_092 as event

    time, flux, error, baseline = event.load()
    error = error * event.least_squares(time, flux, error)[2]
    data = time, flux, event.flux_model
    likelihood = bilby.core.likelihood.GaussianLikelihood(*data, sigma=error)
    shared = dict(outdir=str(RUNS), save=True)
    ours = bilby.run_sampler(
        likelihood, event.PRIORS, sampler="nbi", seed=1, label="nbi", **shared
    )
    theirs = dynesty(Counted(*data, sigma=error), event.PRIORS, shared)
    numbers = {"nbi": numbers_of(ours), "dynesty": numbers_of(theirs)}
    numbers["dynesty"]["calls"] = theirs.meta_data["counted_calls"]
    (HERE / "readme.json").write_text(json.dumps(numbers, indent=2) + "\n")
    figure = draw(ours, theirs, numbers, (time, flux, error, baseline), event)
    figure.savefig(RUNS / "readme.png", dpi=170)
    Image.open(RUNS / "readme.png").convert("RGB").quantize(200).save(
        HERE / "readme.png", optimize=True
    )


def dynesty(
    likelihood: Counted, priors: dict[str, Any], settings: dict[str, Any]
) -> Result:
    """Run dynesty with bilby's defaults, or read the run that is there."""
    path = RUNS / "dynesty_result.json"
    if path.exists():
        return bilby.read_in_result(str(path))
    result = bilby.run_sampler(
        likelihood, priors, sampler="dynesty", seed=1, label="dynesty", **settings
    )
    result.meta_data["counted_calls"] = Counted.calls
    result.save_to_file(overwrite=True)
    return result


def numbers_of(result: Result) -> dict[str, Any]:
    """Calls, effective samples, evidence and the timescale of the event."""
    weights = result.nested_samples["weights"].to_numpy()
    t_e = result.posterior["tE"]
    return {
        "calls": int(result.num_likelihood_evaluations),
        "ess": float(effective_sample_size(np.log(np.maximum(weights, 1e-300)))),
        "log_evidence": float(result.log_evidence),
        "log_evidence_err": float(result.log_evidence_err),
        "tE": [float(t_e.mean()), float(t_e.std())],
    }


def draw(
    ours: Result,
    theirs: Result,
    numbers: dict[str, Any],
    data: tuple[Any, ...],
    event: Any,
) -> Figure:
    """Light curve, draws from prior to posterior, and the posterior beside dynesty's."""
    with mpl.rc_context(
        {"font.size": 10, "axes.titlesize": 10.5, "axes.titlelocation": "left"}
    ):
        figure = Figure(figsize=(11.5, 3.7), layout="constrained")
        curve, steps, posterior = figure.subplots(1, 3, width_ratios=(1.25, 1, 1))
        draw_curve(curve, ours, data, event)
        draw_steps(steps, ours)
        draw_posteriors(posterior, ours, theirs, numbers)
    return figure


def draw_curve(panel: Axes, result: Result, data: tuple[Any, ...], event: Any) -> None:
    """Magnitudes near the peak, with curves from the posterior."""
    time, flux, error, baseline = data
    low, high = 5325.0, 5435.0
    near = (time > low) & (time < high)
    panel.errorbar(
        time[near],
        baseline - 2.5 * np.log10(flux[near]),
        2.5 / np.log(10) * (error / flux)[near],
        fmt="o",
        ms=3,
        lw=0.8,
        color="0.15",
        label="OGLE-2008-BLG-092",
    )
    grid = np.linspace(low, high, 600)
    draws = result.posterior.sample(100, random_state=1)[list(event.PRIORS)].to_numpy()
    for each in draws:
        panel.plot(
            grid,
            baseline - 2.5 * np.log10(event.flux_model(grid, *each)),
            color=BLUE,
            lw=0.5,
            alpha=0.15,
        )
    panel.plot([], [], color=BLUE, label="100 draws from the posterior")
    panel.set(
        xlabel="HJD $-$ 2450000 (days)",
        ylabel="$I$ (mag)",
        xlim=(low, high),
        title="The data",
    )
    panel.set_ylim(13.96, 12.93)
    panel.legend(frameon=False, fontsize=8.5, loc="upper left")


def draw_steps(panel: Axes, result: Result) -> None:
    """Draws of the prior, of the proposals after it, and of the final proposal."""
    draws, records = read_draws(RUNS / "nbi_nbi" / "checkpoint.npz"), rounds_of(result)
    ends = np.cumsum([record["n_draws"] for record in records])
    columns = [list(draws["names"]).index(name) for name in AXES]
    stages = (
        (0, ends[0], GREY, "prior"),
        (ends[0], ends[-2], ORANGE, "proposals on the way"),
        (ends[-2], ends[-1], BLUE, "final draws"),
    )
    for start, stop, colour, label in stages:
        step = max(1, (stop - start) // MOST_SHOWN)
        theta = draws["theta"][start:stop:step][:, columns]
        panel.plot(*theta.T, ".", ms=3.0, mew=0, color=colour, label=label)
    panel.set(xscale="log", yscale="log", xlim=LIMITS["u0"], ylim=LIMITS["tE"])
    panel.set(
        xlabel="$u_0$", ylabel=r"$t_{\rm E}$ (days)", title="From prior to posterior"
    )
    panel.legend(fontsize=8.5, loc="upper right", markerscale=3, handletextpad=0.2)


def draw_posteriors(
    panel: Axes, ours: Result, theirs: Result, numbers: dict[str, Any]
) -> None:
    """Marginal of the timescale from both samplers, with what each cost."""
    both = np.concatenate([ours.posterior["tE"], theirs.posterior["tE"]])
    bins = np.linspace(*np.quantile(both, (0.001, 0.999)), 36)
    for result, name, colour, style in (
        (ours, "nbi", BLUE, {"alpha": 0.35}),
        (theirs, "dynesty", VERMILION, {}),
    ):
        own = numbers[name]
        label = f"{name}: {own['calls']:,} calls,\n{own['ess']:,.0f} effective samples"
        kind = "stepfilled" if style else "step"
        panel.hist(
            result.posterior["tE"],
            bins=bins,
            density=True,
            histtype=kind,
            color=colour,
            lw=1.5,
            label=label,
            **style,
        )
    panel.set(
        xlabel=r"$t_{\rm E}$ (days)",
        yticks=[],
        title="The same posterior for fewer calls",
    )
    panel.set_ylim(top=1.45 * panel.get_ylim()[1])
    panel.legend(frameon=False, fontsize=8.5, loc="upper left")


if __name__ == "__main__":
    main()
