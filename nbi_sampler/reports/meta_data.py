"""Meta data of a result in a form that all file formats of bilby preserve.

HDF5 cannot hold a list of dictionaries, which a result that was read from JSON may contain. It also turns
lists of numbers into arrays, drops empty dictionaries, and does not accept scalars of numpy. So `portable`
converts every value before it enters a result.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["describable", "portable", "rounds_of"]

LARGEST_INTEGER = 2**63 - 1


def portable(value: Any) -> Any:
    """Convert a value to a form that JSON, HDF5 and pickles of bilby's results preserve, in any order.

    Parameters
    ----------
    value : object
        Numbers, text, None, arrays, times, and mappings and sequences of these. Other objects are replaced by
        the names of their classes.

    Returns
    -------
    object
        A sequence stays a list if it contains only text, or numbers in rows of equal length (HDF5 returns
        these as an array). Any other sequence becomes a dictionary with keys ``"0"``, ``"1"`` and so on. An
        empty dictionary becomes None.

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
        # HDF5 accepts neither of the two.
        return value.replace("\0", "\\0").encode(errors="backslashreplace").decode()
    if value is None or isinstance(value, bool | int | float | complex):
        return value
    kind = value if callable(value) and hasattr(value, "__qualname__") else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def describable(value: Any) -> Any:
    """Convert the value of a keyword to a `portable` one; arrays and lists of objects become short text."""
    if isinstance(value, Mapping):
        return {_key(name): describable(each) for name, each in value.items()} or None
    if isinstance(value, np.ndarray):
        return f"array of shape {value.shape}"
    if isinstance(value, list | tuple) and not all(isinstance(each, str | int | float) for each in value):
        return f"builtins.{type(value).__name__}"
    return portable(value)


def rounds_of(result: Any) -> list[dict[str, Any]]:
    """Return the table of rounds of a result of any version, from any file format.

    Raises
    ------
    ValueError
        For a result of another sampler.
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
    """A name that does not create a group in an HDF5 file."""
    return str(name).replace("/", "|") or "_"


def _sequence(values: list[Any]) -> list[Any] | dict[str, Any]:
    if all(isinstance(each, str) for each in values) or _are_numbers(values):
        return values
    return {str(number): each for number, each in enumerate(values)}


def _are_numbers(values: list[Any]) -> bool:
    """Return whether values, or rows of values, form an array of numbers."""
    flat = [part for each in values for part in (each if isinstance(each, list) else [each])]
    if any(isinstance(each, bool) for each in flat):
        return False
    try:
        return np.array(values).dtype.kind in "iufc"
    except ValueError:
        return False
