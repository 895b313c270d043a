"""The page of a diagnosis: a verdict, a panel for each kind of test with a sentence, and a table of all."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nbi_sampler import __version__
from nbi_sampler.core.config import CALIBRATION
from nbi_sampler.reports.diagnostics.panels import (
    draw_calibration,
    draw_coverage,
    draw_local,
    draw_scores,
)
from nbi_sampler.reports.html.figures import Image, image_of
from nbi_sampler.reports.html.numbers import count, p_value, rounded, share, whole
from nbi_sampler.reports.html.offline import style, template
from nbi_sampler.reports.plots.residuals import residuals_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from nbi_sampler.reports.diagnostics.diagnosis import Diagnosis

__all__ = ["rendered"]

PANEL = (4.65, 3.6)


def rendered(diagnosis: Diagnosis) -> str:
    """The page as HTML, which loads nothing."""
    tests = diagnosis.tests
    panels = {test.panel: [each for each in tests if each.panel == test.panel] for test in tests}
    shown = _worst(diagnosis)
    check = diagnosis.checks[shown] if shown is not None else None
    return template(Path(__file__).with_name("diagnosis.html")).render(
        style=style(),
        version=__version__,
        passed=diagnosis.passed,
        problems=diagnosis.problems,
        panels=panels,
        smallest={name: p_value(min(each.adjusted for each in family)) for name, family in panels.items()},
        alarming={name: any(each.alarming for each in family) for name, family in panels.items()},
        limit=f"{CALIBRATION.alarming:g}",
        n_tests=count(len(tests)),
        n_sims=count(len(diagnosis.scores)),
        n_observations=count(len(diagnosis.observed_scores)),
        n_unlike=count(sum(each.alarming for each in panels.get("out of distribution", []))),
        shown=shown,
        check=check,
        ess=whole(check.ess) if check is not None else None,
        efficiency=share(check.efficiency) if check is not None else None,
        chi_squared=rounded(check.fit.chi_squared, 4) if check is not None and check.fit else None,
        n_data=count(check.fit.n_data) if check is not None and check.fit else None,
        n_near=count(check.local.n_near) if check is not None else None,
        images=_images(diagnosis, shown),
        about=diagnosis.about,
        names=diagnosis.names,
        p_value=p_value,
    )


def _worst(diagnosis: Diagnosis) -> int | None:
    """Number of the observation whose panels are drawn: that of the smallest p-value."""
    if not diagnosis.checks:
        return None
    smallest = np.ones(len(diagnosis.checks))
    for test in diagnosis.tests:
        number = test.name.removeprefix("observation ")
        if test.name.startswith("observation ") and int(number) < len(smallest):
            smallest[int(number)] = min(smallest[int(number)], test.adjusted)
    return int(smallest.argmin())


def _images(diagnosis: Diagnosis, shown: int | None) -> dict[str, Image]:
    assessment = diagnosis.assessment
    scores = diagnosis.scores, diagnosis.observed_scores, diagnosis.ood_p_values
    made: dict[str, tuple[str, Callable[[], Figure]]] = {
        "calibration": (
            "share of true parameters below each rank, minus the rank, for every parameter",
            partial(_panel, partial(draw_calibration, assessment=assessment)),
        ),
        "coverage": (
            "share of true parameters in regions of every level",
            partial(_panel, partial(draw_coverage, assessment=assessment)),
        ),
        "scores": (
            "distances of held-out simulations and of the observed data from the training",
            partial(_panel, lambda axis: draw_scores(axis, *scores)),
        ),
    }
    if shown is not None:
        check = diagnosis.checks[shown]
        made["local"] = (
            "bias and width of the posteriors of simulations like the observation, by parameter",
            partial(_panel, partial(draw_local, local=check.local, names=diagnosis.names)),
        )
        if check.fit is not None:
            kept = check.fit.as_dict()
            residuals = np.asarray(kept["residuals"], dtype=np.float64)
            made["residuals"] = (
                "residuals of the observed data in units of the noise",
                partial(residuals_figure, residuals, int(kept["block"])),
            )
    return {name: image_of(*each) for name, each in made.items()}


def _panel(draw: Callable[[Axes], Any]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=PANEL, layout="constrained")
    draw(figure.subplots())
    return figure
