"""Views of runs that nobody has made, and texts of a figure that cover each other."""

from __future__ import annotations

import io
import itertools
import math
from dataclasses import replace

import numpy as np
from matplotlib.text import Text
from scipy import stats

from nbi_sampler.algorithm.records import QUANTILES, RoundRecord
from nbi_sampler.reports.plots import RunView

FIGURES = {"label_run.png", "label_parameters.png", "label_data.png"}
SIGMA = 0.2
SMALL = dict(n_effective=150, n_sims=200, training={"n_epochs": 4})
SMALLEST = dict(n_effective=20, n_sims=100, training={"n_epochs": 1}, max_likelihood_calls=400)


def line(x, slope, offset):
    return slope * x + offset


def records(n, n_dim, **changes):
    """Records of a run that narrows from a prior of width 10 to a posterior of width 0.01."""
    rng = np.random.default_rng(n)
    phases = ("prior", "rounds", "refinement", "final")
    made = []
    for i in range(n):
        width = max(10.0 * math.exp(-i), 0.01)
        loss = 3.0 * np.exp(-np.arange(20) / 5) + 0.1 * rng.normal(size=20)
        made.append(
            RoundRecord(
                phase=phases[min(4 * i // n, 3)],
                n_draws=1000,
                n_calls=1000,
                n_nan=0,
                ess=1 + 900 * i / n,
                efficiency=0.9 * i / n,
                log_evidence=-12345.6 - 10.0 * width,
                log_evidence_err=0.01 + width / 10,
                exponent=min(1.0, (i + 1) / n),
                pooled=i == n - 1,
                training_loss=tuple(loss - 0.1) if i else (),
                validation_loss=tuple(loss) if i else (),
                quantiles=tuple(tuple(50.0 + width * stats.norm.ppf(QUANTILES)) for _ in range(n_dim)),
            )
        )
    return tuple(replace(each, **changes) for each in made)


def made_view(n=6, n_dim=2, n_weights=900, spread=0.3, **changes):
    """A view that no run has made."""
    rng = np.random.default_rng(n_dim)
    theta = 50.0 + 0.01 * rng.normal(size=(n_weights, n_dim))
    labels = tuple(f"parameter_{i}" for i in range(n_dim))
    fields = dict(label="label", labels=labels, records=records(n, n_dim), theta=theta, status="ok")
    return RunView(**fields | {"log_weights": spread * rng.normal(size=n_weights)} | changes)


def overlaps(figure):
    """Texts of a figure that reach beyond its edges, and those that cover each other."""
    figure.savefig(io.BytesIO(), dpi=figure.dpi)
    unseen = {id(text) for axes in figure.axes for text in ticks_out_of_view(axes)}
    texts = [text for text in figure.findobj(Text) if text.get_visible() and id(text) not in unseen]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text().strip()]
    edges = figure.bbox
    outside = [text for text, box in boxes if box.x0 < -1 or box.x1 > edges.x1 + 1 or box.y1 > edges.y1 + 1]
    pairs = []
    for (first, a), (second, b) in itertools.combinations(boxes, 2):
        width = min(a.x1, b.x1) - max(a.x0, b.x0)
        height = min(a.y1, b.y1) - max(a.y0, b.y0)
        if width > 1.0 and height > 1.0:
            pairs.append((first, second))
    return outside, pairs


def ticks_out_of_view(axes):
    """Labels that matplotlib keeps for ticks beyond the limits, and does not draw."""
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if not low <= tick.get_loc() <= high:
                yield from (tick.label1, tick.label2)
