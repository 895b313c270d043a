"""Draw the diagram of docs/architecture.md: the path of the data through the folders of the package.

    python docs/figures/make_architecture.py

writes architecture.svg beside this script.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import matplotlib.patches
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HERE = Path(__file__).parent
USER, OURS, PEOPLE = "#f2f2f2", "#dcebf7", "#fdeedb"

# Name: x and y of the centre, width, colour, text.
BOXES = {
    "user": (6.0, 10.4, 6.2, USER, 'bilby.run_sampler(..., sampler="nbi")'),
    "survey": (1.9, 9.1, 3.2, OURS, "sampler/survey/\na run for each target"),
    "sampler": (6.0, 9.1, 3.6, OURS, "sampler/nbi.py\nkeywords, problem of a run"),
    "priors": (4.1, 7.7, 3.2, OURS, "priors/\nz, unit cube, theta"),
    "forward": (7.9, 7.7, 3.2, OURS, "forward/\nprediction and noise"),
    "evaluation": (6.0, 6.3, 4.4, OURS, "evaluation/\ncalls the user's code"),
    "history": (
        6.0,
        4.7,
        4.4,
        OURS,
        "algorithm/history.py\nbatches and their densities",
    ),
    "rounds": (4.1, 3.1, 3.2, OURS, "algorithm/rounds.py\nfeatures, conditional flow"),
    "refinement": (7.9, 3.1, 3.2, OURS, "algorithm/refinement.py\nmixture proposal"),
    "proposals": (6.0, 1.7, 4.4, OURS, "algorithm/proposals/\na mixture to draw from"),
    "engine": (
        6.0,
        0.3,
        4.4,
        OURS,
        "amortised/engine.py\ntrained once, for all targets",
    ),
    "plots": (12.2, 6.3, 3.2, PEOPLE, "reports/plots/"),
    "result": (
        12.2,
        4.7,
        3.2,
        PEOPLE,
        "reports/result.py, importance/\nweights, evidence, status",
    ),
    "bilby": (12.2, 3.1, 3.2, USER, "bilby Result"),
    "page": (12.2, 1.7, 3.2, PEOPLE, "reports/html/\none page"),
}
HEIGHT = 0.86

# From, its side, to, its side, text.
ARROWS = [
    ("user", "S", "sampler", "N", ""),
    ("survey", "E", "sampler", "W", ""),
    ("sampler", "S", "priors", "N", ""),
    ("sampler", "S", "forward", "N", ""),
    ("priors", "S", "evaluation", "N", ""),
    ("forward", "S", "evaluation", "N", ""),
    ("evaluation", "S", "history", "N", "z, log L, predictions"),
    ("history", "S", "rounds", "N", "simulations of\nthe last round"),
    ("history", "S", "refinement", "N", "all draws,\nweighted"),
    ("rounds", "S", "proposals", "N", ""),
    ("refinement", "S", "proposals", "N", ""),
    ("engine", "N", "proposals", "S", "model="),
    ("history", "E", "result", "W", ""),
    ("history", "E", "plots", "W", ""),
    ("result", "S", "bilby", "N", ""),
    ("bilby", "S", "page", "N", ""),
]
TEXT_AT = {
    "z, log L, predictions": (6.15, 5.5, "left"),
    "simulations of\nthe last round": (4.55, 3.95, "right"),
    "all draws,\nweighted": (7.45, 3.95, "left"),
    "model=": (6.15, 1.0, "left"),
}


def main() -> None:
    """Draw and write."""
    settings = {
        "svg.fonttype": "path",
        "svg.hashsalt": "architecture",
        "font.size": 9.0,
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=(10.4, 8.0), layout="constrained")
        panel = figure.subplots()
        panel.set(xlim=(-0.2, 14.1), ylim=(-0.3, 11.0))
        panel.axis("off")
        for x, y, width, colour, text in BOXES.values():
            _box(panel, x, y, width, colour, text)
        for start, side, end, other, text in ARROWS:
            _arrow(panel, _side(start, side), _side(end, other))
            if text:
                x, y, align = TEXT_AT[text]
                panel.text(
                    x,
                    y,
                    text,
                    ha=align,
                    va="center",
                    fontsize=8.0,
                    style="italic",
                    color="0.3",
                )
        _loop(panel)
        figure.savefig(HERE / "architecture.svg", metadata={"Date": None})


def _box(panel: Axes, x: float, y: float, width: float, colour: str, text: str) -> None:
    style = {
        "boxstyle": "round,pad=0,rounding_size=0.12",
        "facecolor": colour,
        "edgecolor": "0.45",
        "lw": 0.9,
    }
    panel.add_patch(
        mpl.patches.FancyBboxPatch(
            (x - width / 2, y - HEIGHT / 2), width, HEIGHT, **style
        )
    )
    panel.text(x, y, text, ha="center", va="center", linespacing=1.35)


def _side(name: str, side: str) -> tuple[float, float]:
    x, y, width, *_ = BOXES[name]
    dx, dy = {"N": (0.0, 0.5), "S": (0.0, -0.5), "E": (0.5, 0.0), "W": (-0.5, 0.0)}[
        side
    ]
    return x + dx * width, y + dy * HEIGHT


def _arrow(panel: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    arrow = {
        "arrowstyle": "-|>",
        "color": "0.3",
        "lw": 1.0,
        "shrinkA": 0.0,
        "shrinkB": 0.0,
    }
    panel.annotate("", end, start, arrowprops=arrow)


def _loop(panel: Axes) -> None:
    """New draws go back to be evaluated."""
    start, end = _side("proposals", "W"), _side("evaluation", "W")
    panel.plot([start[0], 1.7, 1.7], [start[1], start[1], end[1]], color="0.3", lw=1.0)
    _arrow(panel, (1.7, end[1]), end)
    label = "z and\nlog q - log prior"
    panel.text(
        1.55,
        4.2,
        label,
        ha="right",
        va="center",
        fontsize=8.0,
        style="italic",
        color="0.3",
    )


if __name__ == "__main__":
    main()
