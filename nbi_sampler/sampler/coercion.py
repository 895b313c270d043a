"""Values of keywords as Python would have them, where a parser of configuration files left strings.

bilby_pipe turns ``None`` into ``'None'`` and ``[64, 64]`` into strings, within dictionaries too, and cannot
hold a function.
"""

from __future__ import annotations

import ast
import importlib
from typing import Any

import numpy as np

__all__ = ["coerced"]

_IMPORTABLE = ("simulator", "noise", "featurizer", "flow", "x_obs", "x_err", "x_mask")
_COUNTS = ("n_rounds", "n_sims", "max_likelihood_calls", "seed", "npool")


def coerced(name: str, value: Any) -> Any:
    """Value of a keyword: literals for their text, objects for their dotted paths, plain for numpy's numbers.

    Parameters
    ----------
    name : str
        The keyword; only some of them may be imported from a path.
    value : object

    Returns
    -------
    object

    Raises
    ------
    ValueError
        For a dotted path that cannot be imported.

    Examples
    --------
    >>> coerced("n_sims", "1e3"), coerced("seed", "None"), coerced("flow", "maf")
    (1000, None, 'maf')
    """
    value = _from_text(name, value.strip()) if isinstance(value, str) else _plain(value)
    if name in _COUNTS and isinstance(value, float) and value.is_integer():
        value = int(value)
    return value


def _plain(value: Any) -> Any:
    """Literals for text, at any depth of dictionaries and lists, and plain numbers for numpy's."""
    if isinstance(value, str):
        return _literal(value.strip(), value)
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        text = ", ".join(value)
        return _literal(text if text.startswith("[") else f"[{text}]", value)
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value


def _from_text(name: str, text: str) -> Any:
    value = _literal(text, text)
    if not (name in _IMPORTABLE and isinstance(value, str) and "." in value):
        return value
    module, _, attribute = text.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{name}: expected 'package.module.attribute' to import, got {text!r}: {error}"
        ) from error


def _literal(text: str, otherwise: Any) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return otherwise
