"""A user's noise function by its signature: ``noise(x, rng)``, or ``noise(x, y)`` as nbi scripts have it.

Found out once, and said in errors.
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

# Names of a second argument that takes the parameters of a simulation.
PARAMETERS = ("y", "ys", "theta", "param", "params", "parameters", "par", "pars", "labels")
EXPECTED = (
    "noise(x, rng), which returns x, (x, x_err) or (x, x_err, mask) and takes random numbers from rng, a "
    "numpy.random.Generator; or noise(x, y), which returns (x, y) with the parameters y as they came"
)


class NoiseFunction:
    """A user's function that adds noise to one simulation, or to many.

    Parameters
    ----------
    function : callable
        ``noise(x, rng)``, or ``noise(x, y)`` with the parameters y of a single simulation. The second kind
        draws from numpy's global generator, which is seeded from ``rng`` for the call and put back after it.

    Attributes
    ----------
    takes_parameters : bool
        True for the second kind.

    Raises
    ------
    TypeError
        For a function that cannot be called with two arguments.

    Examples
    --------
    >>> NoiseFunction(lambda x, rng: x).takes_parameters, NoiseFunction(lambda x, y: (x, y)).takes_parameters
    (False, True)
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.takes_parameters = _second_name(function) in PARAMETERS

    def __call__(self, x: NDArray[Any], rng: np.random.Generator, parameters: Any = None) -> tuple[Any, ...]:
        """Data that the function returns, as (x,), (x, x_err) or (x, x_err, mask).

        Parameters
        ----------
        x : ndarray
            Simulations without noise; a copy, as the function may add its noise in place.
        rng : numpy.random.Generator
        parameters : object, optional
            Of the simulation, for a function that takes them.

        Raises
        ------
        TypeError, ValueError
            For what it returns or raises otherwise.
        """
        try:
            with users_settings(), users_errors():
                if self.takes_parameters:
                    with _global_numpy(rng):
                        returned = self.function(x, parameters)
                else:
                    returned = self.function(x, rng)
        except TypeError as error:
            # The user's own error, or the sign of another signature: only both together tell.
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
            # Whatever its arguments are called, it hands the second one back, as the original package has it.
            return parts[:1]
        if self.takes_parameters and len(parts) == 2:
            return self._without_parameters(parts, x, second)
        return parts

    @staticmethod
    def _without_parameters(parts: tuple[Any, ...], x: NDArray[Any], parameters: Any) -> tuple[Any, ...]:
        """(x,), or (x, x_err) where the second part is no copy of the parameters but has the shape of x."""
        if isinstance(parameters, np.ndarray):
            if np.array_equal(np.asarray(parts[1]), parameters):
                return parts[:1]
            if np.shape(parts[1]) != x.shape or x.shape == parameters.shape:
                raise ValueError(
                    "noise: expected the parameters y as they came, got others; a noise function cannot "
                    "change them, let the simulator do so"
                )
        elif parts[1] == parameters:
            return parts[:1]
        return parts


def _second_name(function: Callable[..., Any]) -> str:
    """Name of the second argument; empty where it cannot be told."""
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
    """Within this block numpy's global generator follows from ``rng``; afterwards it is as it was."""
    before = np.random.get_state()
    np.random.seed(rng.integers(2**32, size=4, dtype=np.uint32))
    try:
        yield
    finally:
        np.random.set_state(before)
