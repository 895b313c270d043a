"""A user's noise function with either signature: ``noise(x, rng)``, or ``noise(x, y)`` as in nbi scripts.

The signature is determined once, and errors state it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.core.guarded import users_errors, users_settings

__all__ = ["NoiseFunction"]

# Names that identify a second argument with the parameters of a simulation.
PARAMETERS = ("y", "ys", "theta", "param", "params", "parameters", "par", "pars", "labels")
EXPECTED = (
    "noise(x, rng), which returns x, (x, x_err) or (x, x_err, mask) and takes random numbers from rng, a "
    "numpy.random.Generator; or noise(x, y), which returns (x, y) with the parameters y unchanged"
)


class NoiseFunction:
    """A user's function that adds noise to one simulation or to many.

    Parameters
    ----------
    function : callable
        ``noise(x, rng)``, or ``noise(x, y)`` with the parameters y of a single simulation. The second kind
        draws from numpy's global generator, which is seeded from ``rng`` during the call and restored
        afterwards.

    Attributes
    ----------
    takes_parameters : bool
        True for the second kind.

    Raises
    ------
    TypeError
        If the function cannot be called with two arguments.

    Examples
    --------
    >>> NoiseFunction(lambda x, rng: x).takes_parameters, NoiseFunction(lambda x, y: (x, y)).takes_parameters
    (False, True)
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.takes_parameters = _second_name(function) in PARAMETERS

    def __call__(self, x: NDArray[Any], rng: np.random.Generator, parameters: Any = None) -> tuple[Any, ...]:
        """Call the function and return its data as (x,), (x, x_err) or (x, x_err, mask).

        Parameters
        ----------
        x : ndarray
            Simulations without noise; a copy is passed, because the function may change it.
        rng : numpy.random.Generator
        parameters : object, optional
            Parameters of the simulation, for a function that takes them.

        Raises
        ------
        TypeError, ValueError
            If it returns anything else, or raises.
        """
        try:
            with users_settings(), users_errors():
                if self.takes_parameters:
                    with _global_numpy(rng):
                        returned = self.function(x, parameters)
                else:
                    returned = self.function(x, rng)
        except TypeError as error:
            # This may be the user's own error or another signature. Only both together show which.
            raise TypeError(f"noise: the function raised {error}; expected {EXPECTED}") from error
        return self._read(returned, x, parameters if self.takes_parameters else rng)

    def _read(self, returned: Any, x: NDArray[Any], second: Any) -> tuple[Any, ...]:
        if returned is None:
            raise TypeError(f"noise: expected data with noise, got None; expected {EXPECTED}")
        if isinstance(returned, list) and any(isinstance(each, np.ndarray) for each in returned):
            raise TypeError(f"noise: expected an array or a tuple, got a list of arrays; expected {EXPECTED}")
        parts = returned if isinstance(returned, tuple) else (returned,)
        if not 1 <= len(parts) <= 3:
            raise ValueError(
                f"noise: expected 1 to 3 parts, got a tuple of {len(parts)}; expected {EXPECTED}"
            )
        if len(parts) == 2 and parts[1] is second:
            # Whatever the names of its arguments, it returns the second one, as in the original package.
            return parts[:1]
        if self.takes_parameters and len(parts) == 2:
            return self._without_parameters(parts, x, second)
        return parts

    @staticmethod
    def _without_parameters(parts: tuple[Any, ...], x: NDArray[Any], parameters: Any) -> tuple[Any, ...]:
        """(x,), or (x, x_err) if the second part is not a copy of the parameters and has the shape of x."""
        if isinstance(parameters, np.ndarray):
            if np.array_equal(np.asarray(parts[1]), parameters):
                return parts[:1]
            if np.shape(parts[1]) != x.shape or x.shape == parameters.shape:
                raise ValueError(
                    "noise: expected the parameters y unchanged, got different ones; a noise function cannot "
                    "change them, but the simulator can"
                )
        elif parts[1] == parameters:
            return parts[:1]
        return parts


def _second_name(function: Callable[..., Any]) -> str:
    """Name of the second argument; empty if it is unknown."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return ""
    try:
        signature.bind(None, None)
    except TypeError as error:
        raise TypeError(
            f"noise: expected {EXPECTED}; got a function of ({', '.join(signature.parameters)}): {error}"
        ) from error
    names = [
        name
        for name, each in signature.parameters.items()
        if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]
    return names[1] if len(names) > 1 else ""


@contextmanager
def _global_numpy(rng: np.random.Generator) -> Iterator[None]:
    """Seed numpy's global generator from ``rng`` within this block, and restore its state afterwards."""
    before = np.random.get_state()
    np.random.seed(rng.integers(2**32, size=4, dtype=np.uint32))
    try:
        yield
    finally:
        np.random.set_state(before)
