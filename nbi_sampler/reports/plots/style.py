"""Style of all plots: colours, phases, formatted numbers, and figures that do not use pyplot.

matplotlib is imported on first use, so importing the package does not import it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbi_sampler.reports.outlook import STAGES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS",
    "KINDS",
    "PHASES",
    "compact",
    "head",
    "kind_of",
    "own_style",
    "percent",
    "plot_formats",
    "save_figure",
    "say",
    "signed",
    "with_errors",
]


# Okabe & Ito (2008), from blue to sky blue, distinguishable with every kind of colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")

# Colour of each phase of a run in tables; figures distinguish three kinds of batches.
PHASES = {
    "model": COLOURS[3],
    "initial": COLOURS[3],
    "prior": "0.55",
    "rounds": COLOURS[0],
    "refinement": COLOURS[2],
    "ascent": COLOURS[4],
    "mode search": COLOURS[5],
    "final": COLOURS[1],
}

# Three kinds of batches, with colour and marker; they are the stages in which a run is reported.
KINDS = {
    "learning": (COLOURS[0], "o"),
    "refining": (COLOURS[2], "^"),
    "final draws": (COLOURS[1], "D"),
}

# File formats of figures: one raster format and two vector formats.
FORMATS = ("png", "pdf", "svg")

# Height of a legend in one row, for which alone there is space.
MOST_COLUMNS = 12

_STYLE: dict[Any, Any] = {
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": "0.9",
    "legend.frameon": False,
    "legend.fontsize": 8.0,
}


@contextmanager
def own_style() -> Iterator[None]:
    """Use the package's style within this block, and restore the user's style afterwards."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure atomically, so that a run that is stopped meanwhile leaves no incomplete file.

    The suffix of the path gives the format. Missing folders are made.
    """
    content = io.BytesIO()
    figure.savefig(content, format=path.suffix[1:], dpi=120)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.getvalue())
    return path


def plot_formats(asked: Any) -> tuple[str, ...]:
    """Formats of figures, in the given order.

    Raises
    ------
    ValueError
        For anything but the names in `FORMATS`, as text with commas or as a sequence.

    Examples
    --------
    >>> plot_formats("png"), plot_formats("png, pdf"), plot_formats(["pdf"])
    (('png',), ('png', 'pdf'), ('pdf',))
    """
    names = asked.split(",") if isinstance(asked, str) else asked
    words = tuple(str(name).strip().lower() for name in names) if isinstance(names, list | tuple) else ()
    if not words or not set(words) <= set(FORMATS):
        raise ValueError(
            f"plot_format: expected {', '.join(map(repr, FORMATS))} or several of them, such as 'png,pdf', "
            f"got {asked!r}"
        )
    return tuple(dict.fromkeys(words))


def say(axis: Axes, text: str) -> None:
    """Write the reason in the middle of an empty panel."""
    axis.text(0.5, 0.5, text, ha="center", va="center", color="0.4", transform=axis.transAxes)
    axis.set(xticks=[], yticks=[])


def head(axis: Axes, title: str, *, most_columns: int = MOST_COLUMNS, **legend: float) -> None:
    """Write a title above a panel and its legend between the two, so that it does not hide data."""
    handles = axis.get_legend_handles_labels()[0]
    n_rows = -(-len(handles) // most_columns)
    axis.set_title(title, pad=6.0 + (16.0 + 12.0 * (n_rows - 1) if handles else 0.0))
    if handles:
        spacing: dict[str, Any] = dict(borderpad=0.0, borderaxespad=0.6, columnspacing=1.3, handletextpad=0.5)
        row = axis.legend(
            loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=-(-len(handles) // n_rows), **spacing | legend
        )
        # A long row would otherwise widen the panel's column.
        row.set_in_layout(False)


def kind_of(phase: str) -> str:
    """Name the kind of batches in `KINDS` to which a phase belongs."""
    return tuple(KINDS)[STAGES[phase][0] - 1]


def percent(share: float, n_decimals: int = 0) -> str:
    """Format a share as a percentage.

    Examples
    --------
    >>> percent(0.95), percent(0.0017, 2)
    ('95 %', '0.17 %')
    """
    return f"{100.0 * share:.{n_decimals}f} %"


def signed(value: float) -> str:
    """Format a number with its sign, for ticks of differences.

    Examples
    --------
    >>> signed(-0.1), signed(0.0), signed(1000.0), signed(1e-5)
    ('−0.1', '0', '+1,000', '+1e−05')
    """
    text = f"{value:+,.0f}" if abs(value) >= 1.0 else f"{value:+g}"
    return "0" if value == 0.0 else text.replace("-", "\N{MINUS SIGN}")


def compact(count: float) -> str:
    """Format a count with three digits and a letter.

    Examples
    --------
    >>> compact(812), compact(1600), compact(23_456), compact(1_200_000)
    ('812', '1.6k', '23.5k', '1.2M')
    """
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if count >= 0.9995 * size:
            return f"{count / size:.3g}{letter}"
    return f"{count:.0f}"


def with_errors(middle: float, low: float, high: float) -> str:
    r"""Format a value with its errors as mathematical text, to two digits of the smaller error.

    Parameters
    ----------
    middle, low, high : float
        Median and the ends of the interval.

    Examples
    --------
    >>> with_errors(0.48123, 0.4412, 0.5191)
    '$0.481_{-0.040}^{+0.038}$'
    >>> with_errors(2.5, 2.5, 2.5)
    '2.5'
    >>> with_errors(1.25e-21, 1.2e-21, 1.3e-21)
    '$(1.250_{-0.050}^{+0.050})\\times10^{-21}$'
    """
    largest = max(abs(low), abs(middle), abs(high))
    if not math.isfinite(largest) or low == high:
        return f"{middle:g}"
    power = math.floor(math.log10(largest)) if largest > 0.0 else 0
    power = power if power < -3 or power > 5 else 0
    # Division by a power of ten with a positive exponent avoids tiny factors, which are not exact.
    scale = 10.0**-power
    below, above = (middle - low) * scale, (high - middle) * scale
    smallest = min((error for error in (below, above) if error > 0.0), default=1.0)
    n_decimals = min(max(1 - math.floor(math.log10(smallest)), 0), 12)
    errors = f"_{{-{below:.{n_decimals}f}}}^{{+{above:.{n_decimals}f}}}"
    # The addition of zero removes the sign of a value that rounds to minus zero.
    text = f"{round(middle * scale, n_decimals) + 0.0:.{n_decimals}f}{errors}"
    return f"$({text})\\times10^{{{power}}}$" if power else f"${text}$"
