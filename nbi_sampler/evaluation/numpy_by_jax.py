"""Functions written for numpy, executed by jax.

numpy lets the types of arguments override its functions (NEP 13 and 18). The type here calls the function of
the same name in ``jax.numpy``, so jax traces the model and can compile it. If a model uses its arguments in
another way, an exception ends the attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

__all__ = ["NumpyByJax"]


class NumpyByJax:
    """A function of a dictionary of numbers that is written for numpy and that jax can trace.

    Parameters
    ----------
    function : callable
        ``dict of numbers -> number or array``.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def __call__(self, parameters: Mapping[str, Any]) -> Any:
        """Value of the function, as an array of jax."""
        return _bare(self._function({name: _Number(value) for name, value in parameters.items()}))


class _Number(np.lib.mixins.NDArrayOperatorsMixin):
    """A traced number or array of jax that numpy functions accept."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **keywords: Any) -> Any:
        if method != "__call__" or keywords:
            return NotImplemented
        return _wrapped(_of_jax(ufunc.__name__)(*_bare(inputs)))

    def __array_function__(
        self, function: Callable[..., Any], types: Any, arguments: Any, keywords: Any
    ) -> Any:
        return _wrapped(_of_jax(function.__name__)(*_bare(arguments), **_bare(keywords)))

    def __getitem__(self, index: Any) -> Any:
        return _wrapped(self.value[_bare(index)])

    def __bool__(self) -> bool:
        return bool(self.value)

    def __float__(self) -> float:
        return float(self.value)

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return self.value.shape

    @property
    def ndim(self) -> int:
        """As of an array."""
        return self.value.ndim


def _of_jax(name: str) -> Callable[..., Any]:
    import jax.numpy

    return getattr(jax.numpy, name)


def _wrapped(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(map(_wrapped, value))
    return _Number(value)


def _bare(value: Any) -> Any:
    if isinstance(value, _Number):
        return value.value
    if isinstance(value, list | tuple):
        return type(value)(map(_bare, value))
    if isinstance(value, np.ndarray):
        # jax remembers an array in single precision by its identity.
        return value.copy()
    return {key: _bare(each) for key, each in value.items()} if isinstance(value, dict) else value
