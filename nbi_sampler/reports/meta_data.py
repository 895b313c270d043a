"""Meta data of a result in the one form that all of bilby's file formats give back.

A list of dictionaries in a result that was read from JSON cannot be written to HDF5, which turns lists of
numbers to arrays, drops empty dictionaries and knows no scalars of numpy. So everything goes through
`portable` before it enters a result.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["describable", "portable", "rounds_of"]

LARGEST_INTEGER = 2**63 - 1


def portable(value: Any) -> Any:
    """Value in a form that JSON, HDF5 and pickles of bilby's results all give back, in any order.

    Parameters
    ----------
    value : object
        Numbers, texts, None, arrays, times, and mappings and sequences of these; of other objects the name of
        their class is kept.

    Returns
    -------
    object
        A sequence stays a list where it holds texts alone, or numbers in rows of equal length (HDF5 gives
        these back as an array). Any other becomes a dictionary with keys ``"0"``, ``"1"`` and so on, and an
        empty dictionary None.

    Examples
    --------
    >>> portable({"rounds": ({"n": np.int64(3)}, {"n": 4}), "plugins": {}})
    {'rounds': {'0': {'n': 3}, '1': {'n': 4}}, 'plugins': None}
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {_key(name): portable(each) for name, each in value.items()} or None
    if isinstance(value, list | tuple):
        return _sequence([portable(each) for each in value])
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, int) and not -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
        return str(value)
    if isinstance(value, str):
        # HDF5 takes neither of the two.
        return value.replace("\0", "\\0").encode(errors="backslashreplace").decode()
    if value is None or isinstance(value, bool | int | float | complex):
        return value
    kind = value if callable(value) and hasattr(value, "__qualname__") else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def describable(value: Any) -> Any:
    """Value of a keyword, `portable`, with arrays and lists of objects described by a few words."""
    if isinstance(value, Mapping):
        return {_key(name): describable(each) for name, each in value.items()} or None
    if isinstance(value, np.ndarray):
        return f"array of shape {value.shape}"
    if isinstance(value, list | tuple) and not all(isinstance(each, str | int | float) for each in value):
        return f"builtins.{type(value).__name__}"
    return portable(value)


def rounds_of(result: Any) -> list[dict[str, Any]]:
    """Give the table of rounds of a result, of earlier versions too, whatever file the result has been in.

    Raises
    ------
    ValueError
        For the result of another sampler.
    """
    own = (result.meta_data or {}).get("nbi")
    if not isinstance(own, Mapping):
        raise ValueError(
            f"result: expected one of sampler 'nbi', got one of {result.sampler!r}, whose meta data hold no "
            "table of rounds"
        )
    table = own.get("rounds")
    if table is None:
        return []
    if isinstance(table, Mapping):
        # HDF5 sorts "10" before "2".
        return [dict(table[number]) for number in sorted(table, key=int)]
    return [dict(row) for row in table]


def _key(name: Any) -> str:
    """Name that does not lead into another group of an HDF5 file."""
    return str(name).replace("/", "|") or "_"


def _sequence(values: list[Any]) -> list[Any] | dict[str, Any]:
    if all(isinstance(each, str) for each in values) or _are_numbers(values):
        return values
    return {str(number): each for number, each in enumerate(values)}


def _are_numbers(values: list[Any]) -> bool:
    """Return whether values, or rows of values, make an array of numbers."""
    flat = [part for each in values for part in (each if isinstance(each, list) else [each])]
    if any(isinstance(each, bool) for each in flat):
        return False
    try:
        return np.array(values).dtype.kind in "iufc"
    except ValueError:
        return False
