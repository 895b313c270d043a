"""One call for many draws: functions that broadcast, and functions of jax under ``jax.vmap``.

A function for one draw takes a dictionary of floats; a batched one takes columns, arrays of shape (n,), and
gives an array with n rows. What is found here are candidates: `probing` compares them with single calls. jax
is used where the user's program has imported it, and never imported by itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.evaluation.numpy_by_jax import NumpyByJax
from nbi_sampler.forward import ForwardModel
from nbi_sampler.priors.column_function import agree

__all__ = ["PIECE", "BatchFunction", "agrees", "batched_likelihoods", "batched_models"]

Array = NDArray[np.float64]
BatchFunction: TypeAlias = Callable[[dict[str, Array]], Array]

# Rows of one call; fixed, so that rounding is the same however a batch is cut, and compilers see one shape.
PIECE = 200

# Numbers in an array of one call of numpy, so that what it keeps in between stays in a processor's cache. The
# benchmark's spectrum, of 1,000 points, takes 21 us a draw so, 23 us for 200 draws at once, 49 us for 4,000.
IN_CACHE = 2**15

# Half as long for the benchmark's spectrum; processors without such vectors are not affected.
WIDE_VECTORS = {"xla_cpu_prefer_vector_width": 512}


def batched_models(forward: ForwardModel) -> Iterator[BatchFunction]:
    """Ways to predict many draws at once, fastest first; each gives shape (n, n_data) or raises."""
    if "jax" in sys.modules:
        yield forward.replacing_function(Vmapped).simulate_batch
        yield forward.replacing_function(_numpy_vmapped).simulate_batch
    yield InCache(forward.simulate_batch, len(forward.observed))


def batched_likelihoods(
    function: Callable[[dict[str, float]], float], vectorized: Literal["auto"] | bool
) -> Iterator[BatchFunction]:
    """Ways to get the log-likelihoods of many draws at once; each gives shape (n,) or raises.

    Few likelihoods are written for arrays, and some keep what they are given: they get arrays only on demand.
    """
    if "jax" in sys.modules:
        yield Vmapped(function)
    if vectorized is True:
        yield Broadcast(function)


def agrees(values: Array, truth: Array) -> bool:
    """Whether two arrays are equal but for rounding, at one finite number at least.

    Where every true value fits single precision, as from jax unless told otherwise, its rounding counts.
    """
    if values.shape != truth.shape or not np.any(np.isfinite(values) & np.isfinite(truth)):
        return False
    # Numbers beyond the range of single precision, such as -1.8e308 for "impossible", become infinite there.
    with np.errstate(over="ignore", under="ignore"):
        single = np.array_equal(truth, truth.astype(np.float32), equal_nan=True)
    return agree(values, truth, 1e-5 if single else 1e-8)


def _numpy_vmapped(function: Callable[[Any], Any]) -> Vmapped:
    return Vmapped(NumpyByJax(function), double=True)


class InCache:
    """A function of many draws, called with so few at a time that its arrays stay in the cache.

    Parameters
    ----------
    function : callable
        ``dict of columns -> ndarray, shape (n, n_data)``.
    n_data : int
    """

    def __init__(self, function: BatchFunction, n_data: int) -> None:
        self._function = function
        self._n_rows = max(1, IN_CACHE // max(n_data, 1))

    def __call__(self, columns: dict[str, Array]) -> Array:
        """Values of all rows, shape (n, n_data)."""
        n = len(next(iter(columns.values())))
        cuts = range(0, max(n, 1), self._n_rows)
        parts = ({name: column[i : i + self._n_rows] for name, column in columns.items()} for i in cuts)
        return np.concatenate([self._function(part) for part in parts])


class Broadcast:
    """A likelihood that takes arrays as it takes numbers."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def __call__(self, columns: dict[str, Array]) -> Array:
        """Log-likelihoods, shape (n,)."""
        return np.array(self._function(columns), dtype=np.float64)


class Vmapped:
    """A function of one draw, of numbers that jax can trace, for many draws by ``jax.jit(jax.vmap(...))``.

    Parameters
    ----------
    function : callable
        ``dict of numbers -> number or array``.
    double : bool
        Whether to compute in double precision, which jax does not unless its user has said so.
    """

    def __init__(self, function: Callable[[Any], Any], double: bool = False) -> None:
        self._function = function
        self._double = double
        self._compiled: Callable[[Any], Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Another process compiles for itself.
        return {**self.__dict__, "_compiled": None}

    def __call__(self, columns: Mapping[str, Any]) -> Array:
        """Values of all rows, shape (n, ...).

        Parameters
        ----------
        columns : mapping of str to ndarray, shape (n,) or (n, 1)
        """
        if self._compiled is None:
            import jax

            wide = WIDE_VECTORS if jax.default_backend() == "cpu" else None
            self._compiled = jax.jit(jax.vmap(self._function), compiler_options=wide)
        n = len(next(iter(columns.values())))
        # One shape is compiled once; the last row fills up what is missing.
        rows = np.minimum(np.arange(-(-n // PIECE) * PIECE), n - 1)
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
