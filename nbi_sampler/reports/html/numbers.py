"""Numbers and text on a page: rounded for people, with all digits for programs, and cut to a length."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from html import escape
from typing import Any

from nbi_sampler.importance.weights import whole_samples
from nbi_sampler.reports.plots.style import with_errors

__all__ = [
    *("LONGEST", "Interval", "Number", "count", "p_value", "rounded", "share", "shortened", "whole"),
    "with_error",
]

MINUS, THIN = "\N{MINUS SIGN}", "\N{NARROW NO-BREAK SPACE}"
UNKNOWN = "not known"
# Longest text in a cell of a table.
LONGEST = 160
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Number:
    """A number and its text.

    Templates write it as a ``data`` element of HTML, whose ``value`` has all digits.

    Attributes
    ----------
    value : float
    text : str
    """

    value: float
    text: str

    def __str__(self) -> str:
        return self.text

    def __html__(self) -> str:
        return f'<data value="{self.value!r}">{escape(self.text)}</data>'


@dataclass(frozen=True)
class Interval:
    """A median and the ends of an interval; templates write the errors above each other."""

    middle: float
    low: float
    high: float

    def __str__(self) -> str:
        return with_errors(self.middle, self.low, self.high)

    def __html__(self) -> str:
        text = str(self).strip("$").replace("\\times", "\N{MULTIPLICATION SIGN}").replace("-", MINUS)
        errors = r'<span class="errors"><sup>\2</sup><sub>\1</sub></span>'
        text = re.sub(r"_\{(.*?)\}\^\{(.*?)\}", errors, text)
        text = re.sub(r"\^\{(.*?)\}", r"<sup>\1</sup>", text)
        return f'<data value="{self.middle!r}" class="interval">{text}</data>'


def rounded(value: Any, digits: int = 3) -> Number:
    """Round to some significant digits; anything that is not a number becomes "not known".

    Examples
    --------
    >>> str(rounded(0.012345)), str(rounded(None)), str(rounded(3e-12))
    ('0.0123', 'not known', '3×10⁻¹²')
    """
    number = _number(value)
    return _written(number, f"{number:,.{digits}g}")


def count(value: Any) -> Number:
    """Write an integer.

    Examples
    --------
    >>> str(count(8486)), str(count(float("nan")))
    ('8,486', 'not known')
    """
    number = _number(value)
    return _written(number, f"{number:,.0f}")


def whole(value: Any) -> Number:
    """Write an effective sample size, rounded down like the number of rows of a posterior.

    Examples
    --------
    >>> str(whole(5106.58))
    '5,106'
    """
    number = _number(value)
    return _written(number, f"{whole_samples(number):,}" if math.isfinite(number) else f"{number}")


def share(value: Any) -> Number:
    """Write a fraction as a percentage."""
    number = _number(value)
    return _written(number, f"{100.0 * number:.3g}{THIN}%")


def p_value(value: Any) -> Number:
    """Write a probability with two digits."""
    number = _number(value)
    return _written(number, f"{number:.2g}" if number < 0.1 else f"{number:.2f}")


def with_error(value: Any, error: Any) -> tuple[Number, Number]:
    """Round a value and its error to two digits of the error.

    Examples
    --------
    >>> [str(each) for each in with_error(-134.84678, 0.0026866)]
    ['−134.8468', '0.0027']
    """
    number, width = _number(value), _number(error)
    if not (math.isfinite(number) and math.isfinite(width) and width > 0.0):
        return rounded(number, 6), rounded(width, 2)
    n_decimals = min(max(1 - math.floor(math.log10(width)), 0), 12)
    return _written(number, f"{number:,.{n_decimals}f}"), _written(width, f"{width:,.{n_decimals}f}")


def shortened(text: str) -> str:
    """Cut text that is too long for a cell."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _written(number: float, text: str) -> Number:
    if math.isnan(number):
        return Number(number, UNKNOWN)
    mantissa, _, power = text.partition("e")
    if power:
        mantissa += f"\N{MULTIPLICATION SIGN}10{str(int(power)).translate(SUPERSCRIPT)}"
    return Number(number, mantissa.replace("inf", "∞").replace("-", MINUS))
