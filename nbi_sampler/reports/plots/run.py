"""Figures of a result (`plot_run`), or of a run in progress (`live`)."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbi_sampler.forward import ForwardModel, forward_model_for
from nbi_sampler.importance.reliability import Status
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.reports.plots.data import data_figure
from nbi_sampler.reports.plots.parameters import parameters_figure
from nbi_sampler.reports.plots.predictive import abscissa, axis_labels, predict
from nbi_sampler.reports.plots.rounds import draw_efficiency, draw_evidence, draw_losses, kinds_shown
from nbi_sampler.reports.plots.style import COLOURS, own_style, plot_formats, save_figure
from nbi_sampler.reports.plots.view import RunView
from nbi_sampler.reports.plots.weights import draw_tail, draw_weights

if TYPE_CHECKING:
    from bilby.core.result import Result
    from matplotlib.figure import Figure

__all__ = ["figures_of", "plot_run", "run_figure", "save_figures"]

PARAMETERS_SAY = (
    "Bars: central 68 % and 95 % of each batch of draws, without weights. Right: weighted posterior. A bar "
    "with an arrowhead extends beyond the axis."
)
# Characters in a line of the heading.
LETTERS_PER_INCH = 12.0
PANELS: list[Any] = [["efficiency", "weights"], ["evidence", "tail"], ["losses", "losses"]]


def plot_run(
    result: Result,
    outdir: str | Path | None = None,
    *,
    likelihood: Any = None,
    forward: ForwardModel | None = None,
    plot_format: str | Sequence[str] = "png",
) -> tuple[Path, ...]:
    """Plot a finished run, which may have been read from a file.

    Parameters
    ----------
    result : bilby.core.result.Result
        A result of this sampler.
    outdir : path, optional
        Folder of the plots; the default is that of the result.
    likelihood : bilby.core.likelihood.Likelihood, optional
        Adds a plot of the data and their prediction, if the likelihood is recognised; it costs about 200
        calls.
    forward : ForwardModel, optional
        Replaces a likelihood that is not recognised: for example ``forward.UserModel(simulator, noise,
        x_obs)``.
    plot_format : str or sequence of str
        ``"png"``, ``"pdf"`` or ``"svg"``, or several: ``("png", "pdf")`` writes each figure twice.

    Returns
    -------
    tuple of pathlib.Path
        ``{label}_run.png``, ``{label}_parameters.png`` and, with a forward model, ``{label}_data.png``.

    Raises
    ------
    ValueError
        For a result of another sampler, and for an unknown format.
    """
    formats = plot_formats(plot_format)
    view = RunView.from_result(result)
    if forward is None and likelihood is not None:
        forward = forward_model_for(likelihood)
    space = ParameterSpace(result.priors) if forward is not None else None
    folder = Path(result.outdir if outdir is None else outdir)
    return save_figures(figures_of(view, forward, space, likelihood), folder, view.label, formats=formats)


def save_figures(
    makers: Mapping[str, Callable[[], Figure | None]],
    folder: Path,
    label: str,
    on_error: Callable[[str, Exception], None] | None = None,
    formats: Sequence[str] = ("png",),
) -> tuple[Path, ...]:
    """Draw and write figures one by one, as ``{label}_{name}.png`` or in other formats.

    ``on_error`` gets the name and the error of each that fails; without it the first error is raised.
    """
    written = []
    for name, make in makers.items():
        try:
            with own_style():
                figure = make()
                if figure is not None:
                    written += [save_figure(figure, folder / f"{label}_{name}.{each}") for each in formats]
        # The label, the user's model and the disk may cause any error here.
        except Exception as error:
            if on_error is None:
                raise
            on_error(name, error)
    return tuple(written)


def figures_of(
    view: RunView,
    forward: ForwardModel | None = None,
    space: ParameterSpace | None = None,
    likelihood: Any = None,
    seconds: float = 10.0,
) -> dict[str, Callable[[], Figure | None]]:
    """Makers of the figures of a run, by name, for `save_figures`; None means that a figure is impossible.

    A forward model, with its space, adds the figure of the data. The likelihood may give their abscissa. Its
    predictions take at most ``seconds``.
    """

    def data() -> Figure | None:
        assert forward is not None and space is not None
        x = abscissa(likelihood, forward)
        labels = axis_labels(likelihood)
        predictive = predict(forward, space, view.theta, view.weights, x, seconds, labels)
        return None if predictive is None else _headed(data_figure(predictive), view, predictive.summary)

    makers: dict[str, Callable[[], Figure | None]] = {"run": partial(run_figure, view)}
    # Results of early versions have no such entry.
    if all(record.quantiles for record in view.records):
        makers["parameters"] = lambda: _headed(parameters_figure(view), view, PARAMETERS_SAY)
    return makers if forward is None else {**makers, "data": data}


def run_figure(view: RunView) -> Figure:
    """Draw efficiency and evidence by batch, weights and their tail, and the losses of all fits."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 9.5), layout="constrained")
    axes = figure.subplot_mosaic(PANELS, height_ratios=[1.0, 1.0, 0.8])
    draw_efficiency(axes["efficiency"], view.records, key=False)
    draw_evidence(axes["evidence"], view.records, view.evidence)
    draw_weights(axes["weights"], view.weights, view.n_draws)
    draw_tail(axes["tail"], view.weights, view.n_draws, view.k_hat)
    draw_losses(axes["losses"], view.records)
    kinds = kinds_shown(view.records)
    figure.legend(handles=kinds, loc="outside lower left", ncols=len(kinds))
    value, error = view.evidence
    found = f"log Z = {value:.3f} ± {error:.3f}" if math.isfinite(value) else "no evidence"
    calls = sum(record.n_calls for record in view.records)
    found += f"; effective size {view.ess:,.0f}; {calls:,} likelihood calls"
    return _headed(figure, view, *([view.message] if view.status != Status.OK else []), found)


def _headed(figure: Figure, view: RunView, *paragraphs: str) -> Figure:
    """Write label, status and more above a figure."""
    lines = (f"{view.label}: {view.status or 'still running'}", *paragraphs)
    width = int(LETTERS_PER_INCH * figure.get_figwidth())
    colour = "0.1" if view.status in ("", Status.OK) else COLOURS[1]
    text = "\n".join(part for line in lines for part in textwrap.wrap(line, width)).replace("$", r"\$")
    figure.suptitle(text, x=0.01, ha="left", fontsize=10, color=colour, linespacing=1.4)
    return figure
