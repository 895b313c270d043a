"""The page of diagnostics as one HTML file: a verdict, the plots, and a sentence for each plot."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from nbi_sampler.core.config import CALIBRATION
from nbi_sampler.reports.diagnostics.assessment import Assessment
from nbi_sampler.reports.html.figures import image_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["write_html"]

STYLE = (
    "body { font: 16px/1.5 sans-serif; max-width: 72em; margin: 2em auto; padding: 0 1em } "
    "img { max-width: 100%; height: auto } td, th { text-align: left; padding: 0.1em 1.5em 0.1em 0 }"
)


def write_html(path: Path, figure: Figure, assessment: Assessment, sentences: dict[str, str]) -> Path:
    """Write the page.

    Parameters
    ----------
    path : pathlib.Path
        Path of the file. Missing folders are made.
    figure : matplotlib.figure.Figure
        A picture of all panels.
    assessment : Assessment
    sentences : dict of str to str
        Explanations of the panels, by title.

    Returns
    -------
    pathlib.Path
        Path of the file.
    """
    image = image_of("; ".join(sentences), lambda: figure)
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{value:.2g}</td></tr>" for name, value in assessment.p_values.items()
    )
    read = "".join(
        f"<dt><b>{escape(name)}</b></dt><dd>{escape(text)}</dd>" for name, text in sentences.items()
    )
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Calibration</title>'
        f"<style>{STYLE}</style></head><body><h1>Calibration</h1><p>{escape(_verdict(assessment))}</p>"
        f'<img src="{image.source}" alt="{escape(image.alternative)}"><dl>{read}</dl>'
        f"<table><tr><th>test</th><th>p-value</th></tr>{rows}</table></body></html>\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _verdict(assessment: Assessment) -> str:
    n_targets, n_dim = assessment.calibration.shape
    worst = min(assessment.p_values, key=assessment.p_values.__getitem__)
    tested = (
        f"{n_targets:,} simulated targets, {n_dim} parameters, p = {assessment.p_value:.2g} over all tests"
    )
    if assessment.p_value >= CALIBRATION.alarming:
        return f"{tested}: no test speaks against these posteriors. More targets would reveal smaller errors."
    return (
        f"{tested}: these posteriors are not calibrated; the smallest p-value is that of {worst}. Train on "
        "more simulations or for more epochs, or weight the draws with the likelihood, which calibrates them."
    )
