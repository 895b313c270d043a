"""A comparison as one self-contained HTML page of tables and plots. See `Comparison.to_html`."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

from nbi_sampler_benchmark.reports.html import best_of, cell, image, page_of, table
from nbi_sampler_benchmark.samplers.costs import duration
from nbi_sampler_benchmark.samplers.figures import corner_figure, corner_names, cost_figure, evidence_figure

if TYPE_CHECKING:
    from nbi_sampler_benchmark.samplers.comparison import Comparison

__all__ = ["page"]

# Pulls beyond this are marked.
LARGE_PULL = 3.0


def page(comparison: Comparison) -> str:
    """The page as text.

    Parameters
    ----------
    comparison : Comparison
    """
    parts = [_head(comparison), _costs(comparison), _evidence(comparison)]
    if len(comparison.samplers) > 1:
        parts += [_divergences(comparison)]
    parts += [_corner(comparison), _crossovers(comparison)]
    return page_of(comparison.title, parts)


def _head(comparison: Comparison) -> str:
    facts = [f"{len(comparison.names)} parameters: {', '.join(comparison.names)}"]
    if math.isfinite(comparison.seconds_per_call):
        facts.append(f"one likelihood call takes {duration(comparison.seconds_per_call)}")
    missing = [f"{sampler} is missing: {why}" for sampler, why in comparison.missing.items()]
    notes = "".join(f'<p class="note off">{escape(text)}</p>' for text in missing)
    return f"<h1>{escape(comparison.title)}</h1>\n<p class='note'>{escape('; '.join(facts))}.</p>\n{notes}"


def _costs(comparison: Comparison) -> str:
    rows = comparison.rows()
    slower = rows[0]["seconds_if_slower"]
    # Heading, values, format, and whether larger or smaller is better.
    columns: list[tuple[str, list[float], Callable[[float], str], str]] = [
        ("likelihood calls", [row["calls"] for row in rows], _count, ""),
        ("effective samples", [row["ess"] for row in rows], _count, ""),
        ("calls per effective sample", [row["calls_per_ess"] for row in rows], _three, "low"),
        ("effective samples per call", [row["efficiency"] for row in rows], _three, "high"),
        ("wall time / s", [row["seconds"] for row in rows], _three, "low"),
        ("processor time / s", [row["cpu_seconds"] for row in rows], _three, "low"),
        ("peak memory / MB", [row["peak_memory"] for row in rows], _count, "low"),
        *(
            (f"wall time + {key} a call / s", [row["seconds_if_slower"][key] for row in rows], _three, "low")
            for key in slower
        ),
    ]
    cells = [[_run_name(row)] for row in rows]
    for _, values, text, better in columns:
        best = best_of(values, better)
        for line, number in zip(cells, values, strict=True):
            line.append(cell(text(number), "best" if number == best else ""))
    return (
        "<h2>What it cost</h2>\n"
        + table(["run", *(name for name, *_ in columns)], cells)
        + '<p class="note">Calls are counted in the likelihood itself, including those before a sampler '
        "begins. Effective samples are Kish's, for the weighted draws. Wall times with slower calls "
        "are computed: time outside of the likelihood, and as many calls as were made. The best of a column "
        "is in blue.</p>"
    )


def _evidence(comparison: Comparison) -> str:
    if not any(math.isfinite(run.log_evidence) for run in comparison.runs):
        return ""
    known = math.isfinite(comparison.log_evidence)
    header = [
        "run",
        "log evidence",
        "error",
        "pull against the others",
        *(["against the reference"] if known else []),
    ]
    cells = []
    for row in comparison.rows():
        line = [
            _run_name(row),
            f"{row['log_evidence']:.3f}",
            f"{row['log_evidence_err']:.3f}",
            _pull(row["pull"]),
        ]
        if known:
            line.append(_pull(row["pull_of_reference"]))
        if row["status"]:
            line[0] += f' <span class="note">({escape(row["status"])})</span>'
        cells.append(line)
    reference = f" The reference is {comparison.log_evidence:.4f} &plusmn; {comparison.log_evidence_err:.4f}."
    return (
        "<h2>Evidence</h2>\n"
        + table(header, cells)
        + '<p class="note">A pull is the difference from the mean of the other samplers, weighted by their '
        f"inverse variances, in units of both errors.{reference if known else ''}</p>"
        + image(partial(evidence_figure, comparison), "log evidence of each run")
    )


def _divergences(comparison: Comparison) -> str:
    first = comparison.samplers[0]
    pairs = comparison.pairs()
    ours = [pair for pair in pairs if pair.first == first]
    cells = [
        [escape(name), *(_divergence(pair.divergences[name], pair.expected) for pair in ours)]
        for name in comparison.names
    ]
    cells.append(["<i>indistinguishable below</i>", *(f"{1000 * pair.expected:.2f}" for pair in ours)])
    text = table([f"against {first}", *(pair.second for pair in ours)], cells)
    others = [pair for pair in pairs if pair.first != first]
    if others:
        rows = [
            [
                f"{escape(pair.first)} and {escape(pair.second)}",
                escape(pair.largest[0]),
                _divergence(pair.largest[1], pair.expected),
                f"{1000 * pair.expected:.2f}",
            ]
            for pair in others
        ]
        text += "<p></p>" + table(
            ["among the others", "parameter", "largest", "indistinguishable below"], rows
        )
    return (
        "<h2>Jensen-Shannon divergence of each parameter, in millinats</h2>\n"
        + text
        + '<p class="note">Two samples of one posterior stay below 10 nats / ESS (Ashton &amp; Talbot 2021, '
        "arXiv:2106.08730); larger values are marked. The first run of each sampler is used.</p>"
    )


def _corner(comparison: Comparison) -> str:
    names = corner_names(comparison)
    some = (
        f" The {len(names)} of {len(comparison.names)} parameters in which two samplers differ most."
        if len(names) < len(comparison.names)
        else ""
    )
    return (
        "<h2>Posteriors</h2>\n"
        + image(partial(corner_figure, comparison), "overlaid posteriors")
        + '<p class="note">Contours hold 39 % and 86 % of the mass: one and two standard deviations.'
        + f"{some}</p>"
    )


def _crossovers(comparison: Comparison) -> str:
    if not comparison.cost_lines():
        return ""
    first = comparison.samplers[0]
    runs, samples = comparison.crossovers(), comparison.crossovers(per_ess=True)
    cells = [[escape(other), escape(str(runs[other])), escape(str(samples[other]))] for other in runs]
    header = [f"{first} costs less than", "a whole run", "an effective sample"]
    return (
        "<h2>Which costs less, and from which cost of a likelihood call</h2>\n"
        + (table(header, cells) if cells else "")
        + image(partial(cost_figure, comparison), "cost against the cost of a likelihood call")
        + '<p class="note">Medians over the seeds. Each sampler has its usual settings, which give '
        "different numbers of effective samples; the right panel is per effective sample.</p>"
    )


def _run_name(row: dict[str, Any]) -> str:
    seed = "" if row["seed"] is None else f", seed {row['seed']}"
    slowed = f", really + {row['sleep_ms']:g} ms" if row["sleep_ms"] else ""
    return escape(f"{row['sampler']}{seed}{slowed}")


def _count(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else "&ndash;"


def _three(value: float) -> str:
    if not math.isfinite(value):
        return "&ndash;"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _pull(value: float) -> str:
    return cell(
        f"{value:+.1f}" if math.isfinite(value) else "&ndash;", "off" if abs(value) > LARGE_PULL else ""
    )


def _divergence(value: float, expected: float) -> str:
    return cell(f"{1000 * value:.2f}", "off" if value > expected else "")
