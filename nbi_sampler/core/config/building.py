"""Configurations built from dictionaries that users write, and checks of their fields."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

__all__ = ["build", "nearest", "require", "require_count", "require_counts"]

Config = TypeVar("Config")


def nearest(name: str, valid: Iterable[str]) -> str:
    """Hint for an unknown name: the closest valid name, or all valid names."""
    valid = sorted(valid)
    close = difflib.get_close_matches(name, valid, n=1)
    return f"did you mean {close[0]!r}?" if close else f"valid: {', '.join(valid)}"


def build(kind: type[Config], settings: Mapping[str, Any], owner: str) -> Config:
    """Build a configuration, one of the dataclasses of this folder, from a dictionary of its fields.

    Raises
    ------
    ValueError
        If a key is not a field. The message names ``owner``, the argument that the key belongs to.
    """
    valid = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    for key in settings:
        if key not in valid:
            raise ValueError(f"{owner}: unknown setting {key!r}; {nearest(key, valid)}")
    return kind(**settings)


def require(condition: bool, argument: str, expected: str, got: object) -> None:
    """Raise ValueError with argument, expected and got, unless the condition holds."""
    if not condition:
        raise ValueError(f"{argument}: expected {expected}, got {got!r}")


def require_count(argument: str, value: object, minimum: int = 1) -> None:
    """Raise ValueError unless ``value`` is an integer of at least ``minimum``."""
    valid = isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= minimum
    require(valid, argument, f"an integer of at least {minimum}", value)


def require_counts(config: object, *names: str) -> None:
    """Raise ValueError unless all fields with these names are integers of at least 1."""
    for name in names:
        require_count(name, getattr(config, name))
