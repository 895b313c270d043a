"""Arrays of numbers from any values that users pass, real or complex, including observed data; pure numpy.

The input may be lists, masked arrays, data frames, tensors or quantities. The output is an array in double
precision, or an error that names the argument. Each complex channel becomes two real ones: first come the
real parts of all channels, then the imaginary parts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nbi_sampler.core.types import Array

__all__ = [
    "as_mask",
    "as_numbers",
    "as_observed",
    "as_real_numbers",
    "channel_shape",
    "channels_and_length",
    "from_channels",
    "robust_scale",
    "to_channels",
]

# Standard deviation of a normal law in units of its median absolute deviation.
_NORMAL_MAD = 1.4826


def as_numbers(values: Any, argument: str) -> NDArray[Any]:
    """Convert a user's values to an array of double precision, float64 or complex128.

    Masked values become NaN. The result may share memory with ``values``.

    Parameters
    ----------
    values : array_like
        Numbers of any type and library: numpy, pandas, torch, masked arrays, dimensionless quantities.
    argument : str
        The user's name for the values, for messages.

    Raises
    ------
    TypeError
        For text, dates, objects, None, and quantities with a unit.
    ValueError
        For lists of unequal length.

    Examples
    --------
    >>> as_numbers([1, 2], "x"), as_numbers([1j], "x").dtype
    (array([1., 2.]), dtype('complex128'))
    """
    if values is None:
        raise TypeError(f"{argument}: expected numbers, got None")
    if np.ma.isMaskedArray(values):
        kind = complex if np.iscomplexobj(values) else float
        return np.asarray(np.ma.filled(values.astype(kind), np.nan))
    try:
        array = np.asarray(_plain(values, argument))
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"{argument}: expected an array of numbers, got a {type(values).__name__} that is not one "
            f"({error}); give rows of equal length"
        ) from error
    if array.dtype.kind == "O":
        array = _from_objects(array, argument)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"{argument}: expected numbers, got {_described(values, array)}; convert them first")
    return array.astype(complex if array.dtype.kind == "c" else float, copy=False)


def as_real_numbers(values: Any, argument: str) -> Array:
    """Convert a user's values to an array of real numbers; complex numbers raise a TypeError."""
    array = as_numbers(values, argument)
    if np.iscomplexobj(array):
        raise TypeError(
            f"{argument}: expected real numbers, got complex ones; an uncertainty is the standard deviation "
            "of the real and of the imaginary part each, and parameters are real"
        )
    return array


def as_mask(values: Any, argument: str) -> NDArray[np.bool_]:
    """Convert to truth values; the numbers 0 and 1 are accepted.

    Raises
    ------
    TypeError, ValueError
        For other numbers, for example if uncertainties or weights are passed in place of a mask.
    """
    numbers = as_real_numbers(values, argument)
    others = numbers[(numbers != 0.0) & (numbers != 1.0)]
    if len(others):
        raise ValueError(
            f"{argument}: expected True (or 1) where a point is present, False (or 0) where it is missing, "
            f"got {len(others)} other values, the first {float(others[0])!r}; compare with a threshold, and "
            "check that uncertainties and mask are not interchanged"
        )
    return np.asarray(numbers != 0.0)


def channels_and_length(shape: tuple[int, ...]) -> tuple[int, int]:
    """Channels and length of data of any shape; rows of series and bands of images are channels.

    Examples
    --------
    >>> channels_and_length((100,)), channels_and_length((3, 100)), channels_and_length((3, 64, 64))
    ((1, 100), (3, 100), (3, 4096))
    """
    n_channels = shape[0] if len(shape) in (2, 3) else 1
    return n_channels, int(np.prod(shape)) // max(n_channels, 1)


def channel_shape(shape: tuple[int, ...], is_complex: bool) -> tuple[int, int]:
    """(n_channels, length) of data after conversion to real numbers; complex data have twice the channels."""
    n_channels, length = channels_and_length(shape)
    return (2 * n_channels if is_complex else n_channels), length


def to_channels(data: NDArray[Any], shape: tuple[int, ...]) -> Array:
    """Real channels, shape (n, n_channels, length), of data of shape (n, *shape), real or complex."""
    rows = data.reshape(len(data), *channels_and_length(shape))
    return np.concatenate([rows.real, rows.imag], axis=1) if np.iscomplexobj(rows) else rows


def from_channels(channels: Array, shape: tuple[int, ...], is_complex: bool) -> NDArray[Any]:
    """Invert `to_channels`: data of shape (n, *shape) from as many real numbers in any shape."""
    n = len(channels)
    if not is_complex:
        return channels.reshape(n, *shape)
    parts = channels.reshape(n, 2, -1)
    return (parts[:, 0] + 1j * parts[:, 1]).reshape(n, *shape)


def as_observed(values: ArrayLike, argument: str, *, allow_complex: bool = False) -> NDArray[Any]:
    """Check observed data of any shape, and copy them to double precision with at least one dimension.

    Parameters
    ----------
    values : array_like
    argument : str
        The user's name for the data, for messages.
    allow_complex : bool
        True keeps complex data complex; False refuses them.

    Raises
    ------
    ValueError
        If there are no data, or if they are complex, masked or not all finite.
    TypeError
        If they are not numbers.
    """
    n_masked = int(np.ma.count_masked(values)) if np.ma.isMaskedArray(values) else 0
    if n_masked:
        raise ValueError(
            f"{argument}: expected complete data, got {n_masked} masked point(s); leave them out of the data "
            "and of what the model is evaluated at (array[~array.mask])."
        )
    array = as_numbers(values, argument)
    if np.iscomplexobj(array) and not allow_complex:
        raise ValueError(
            f"{argument}: expected real data, got complex; stack the real and imaginary parts instead."
        )
    observed = np.atleast_1d(np.array(array))
    if observed.size == 0:
        raise ValueError(f"{argument}: expected at least one data point, got none.")
    n_bad = int(np.count_nonzero(~np.isfinite(observed)))
    if n_bad:
        raise ValueError(
            f"{argument}: expected finite data, got {n_bad} non-finite point(s) of {observed.size}; "
            "mask them: leave them out of the data, of the noise scale and of what the model is evaluated at."
        )
    return observed


def robust_scale(values: Array) -> float:
    """Rough noise level of a data set, never zero.

    It is the smaller of two scales: that of the data, and that of the differences of neighbours. The
    differences are insensitive to a signal that varies smoothly along the data.

    Parameters
    ----------
    values : ndarray, shape (length,)
        Finite. It is 1 if neither scale is positive and finite.

    Examples
    --------
    >>> robust_scale(np.zeros(5))
    1.0
    """
    differences = np.diff(values) / np.sqrt(2.0)
    candidates = [
        _NORMAL_MAD * float(np.median(np.abs(part - np.median(part))))
        for part in (values, differences)
        if part.size > 1
    ]
    usable = [scale for scale in candidates if scale > 0 and np.isfinite(scale)]
    if usable:
        return min(usable)
    fallbacks = (float(np.std(values)), float(np.max(np.abs(values))), 1.0)
    return next(scale for scale in fallbacks if scale > 0 and np.isfinite(scale))


def _plain(values: Any, argument: str) -> Any:
    """Remove what numpy would refuse or drop silently: gradients, devices, units."""
    if hasattr(values, "to_value") and hasattr(values, "unit"):
        try:
            return values.to_value("")
        except Exception as error:
            raise TypeError(
                f"{argument}: expected plain numbers, got a quantity in {values.unit}; give its "
                "to_value(unit), in the unit of the data and of the simulator"
            ) from error
    if hasattr(values, "detach") and hasattr(values, "cpu"):
        tensor = values.detach().cpu().resolve_conj().resolve_neg()
        return tensor.double() if str(tensor.dtype) == "torch.bfloat16" else tensor
    if isinstance(values, list | tuple) and not all(isinstance(each, int | float) for each in values):
        return [_plain(each, argument) for each in values]
    return values


def _from_objects(array: NDArray[Any], argument: str) -> NDArray[Any]:
    """Convert numbers that numpy holds as objects, as from mixed columns of a table."""
    if any(isinstance(each, str | bytes) or each is None for each in array.flat):
        raise TypeError(f"{argument}: expected numbers, got text or None among them; convert them first")
    try:
        kind = (
            complex if any(isinstance(each, complex | np.complexfloating) for each in array.flat) else float
        )
        return array.astype(kind)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{argument}: expected numbers, got objects ({error}); convert them first") from error


def _described(values: Any, array: NDArray[Any]) -> str:
    if array.dtype.kind in "US":
        return "text"
    return "dates" if array.dtype.kind in "mM" else f"{type(values).__name__} of {array.dtype}"
