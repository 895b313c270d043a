"""One call for many draws, by functions that broadcast and by functions of jax under ``jax.vmap``.

A function for one draw takes a dictionary of floats. A batched function takes columns, arrays of shape (n,),
and returns an array with n rows. The functions here are candidates, which `probing` compares with single
calls. jax is used only if the user's program has imported it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np

from nbi_sampler.core.config import EVALUATION
from nbi_sampler.core.types import Array
from nbi_sampler.evaluation.numpy_by_jax import NumpyByJax
from nbi_sampler.forward import ForwardModel
from nbi_sampler.priors.column_function import agree

__all__ = ["BatchFunction", "agrees", "batched_likelihoods", "batched_models"]

BatchFunction: TypeAlias = Callable[[dict[str, Array]], Array]


def batched_models(forward: ForwardModel) -> Iterator[BatchFunction]:
    """Ways to predict many draws at once, fastest first; each returns shape (n, n_data) or raises."""
    if "jax" in sys.modules:
        yield forward.replacing_function(Vmapped).simulate_batch
        yield forward.replacing_function(_numpy_vmapped).simulate_batch
    yield InCache(forward.simulate_batch, len(forward.observed))


def batched_likelihoods(
    function: Callable[[dict[str, float]], float], vectorized: Literal["auto"] | bool
) -> Iterator[BatchFunction]:
    """Ways to compute the log-likelihoods of many draws at once; each returns shape (n,) or raises.

    Few likelihoods are written for arrays, and some store their arguments, so they get arrays only on demand.
    """
    if "jax" in sys.modules:
        yield Vmapped(function)
    if vectorized is True:
        yield partial(_as_array, function)


def agrees(values: Array, truth: Array, at_a_finite_number: bool = True) -> bool:
    """Return whether two arrays are equal up to rounding, and if required finite somewhere.

    If every true value fits single precision, which is jax's default, the tolerance allows for its rounding.
    """
    if values.shape != truth.shape:
        return False
    if at_a_finite_number and not np.any(np.isfinite(values) & np.isfinite(truth)):
        return False
    # Numbers beyond the range of single precision become infinite, for example -1.8e308 for "impossible".
    with np.errstate(over="ignore", under="ignore"):
        single = np.array_equal(truth, truth.astype(np.float32), equal_nan=True)
    return agree(values, truth, EVALUATION.single_precision if single else EVALUATION.tolerance)


def _as_array(function: Callable[[Any], Any], columns: dict[str, Array]) -> Array:
    """Log-likelihoods, shape (n,), from a likelihood that takes arrays in place of numbers."""
    return np.array(function(columns), dtype=np.float64)


def _numpy_vmapped(function: Callable[[Any], Any]) -> Vmapped:
    return Vmapped(NumpyByJax(function), double=True)


class InCache:
    """A function of many draws, with n_data values for each, that is called with as few as fit a cache."""

    def __init__(self, function: BatchFunction, n_data: int) -> None:
        self._function = function
        self._n_rows = max(1, EVALUATION.in_cache // max(n_data, 1))

    def __call__(self, columns: dict[str, Array]) -> Array:
        """Values of all rows, shape (n, n_data)."""
        n = len(next(iter(columns.values())))
        cuts = range(0, max(n, 1), self._n_rows)
        parts = ({name: column[i : i + self._n_rows] for name, column in columns.items()} for i in cuts)
        return np.concatenate([self._function(part) for part in parts])


class Vmapped:
    """A function of one draw that jax can trace, applied to many draws by ``jax.jit(jax.vmap(...))``.

    Parameters
    ----------
    function : callable
        ``dict of numbers -> number or array``.
    double : bool
        Compute in double precision, which is not jax's default.
    """

    def __init__(self, function: Callable[[Any], Any], double: bool = False) -> None:
        self._function = function
        self._double = double
        self._compiled: Callable[[Any], Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Each process compiles its own function.
        return {**self.__dict__, "_compiled": None}

    def __call__(self, columns: Mapping[str, Any]) -> Array:
        """Values of all rows, shape (n, ...), for columns of shape (n,) or (n, 1)."""
        if self._compiled is None:
            import jax

            wide = {"xla_cpu_prefer_vector_width": EVALUATION.wide_vectors}
            options = wide if jax.default_backend() == "cpu" else None
            self._compiled = jax.jit(jax.vmap(self._function), compiler_options=options)
        n = len(next(iter(columns.values())))
        # Only one shape is compiled, so copies of the last row fill the batch.
        size = EVALUATION.rows_at_once
        rows = np.minimum(np.arange(-(-n // size) * size), n - 1)
        with _double_precision() if self._double else nullcontext():
            values = self._compiled({name: np.reshape(column, -1)[rows] for name, column in columns.items()})
        found = np.asarray(values)[:n]
        return found.astype(np.result_type(found, np.float64), copy=False)


def _double_precision() -> AbstractContextManager[None]:
    import jax

    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    # Until jax 0.8.
    from jax.experimental import enable_x64  # type: ignore[attr-defined]

    return enable_x64()
