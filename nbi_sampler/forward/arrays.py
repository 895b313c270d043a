"""Arrays of numbers from whatever users hand over, real or complex; pure numpy.

Lists, masked arrays, data frames, tensors and quantities come in; arrays of double precision come out, or an
error that names the argument. Complex data are two real channels for each of their own: the real parts, then
the imaginary parts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "as_mask",
    "as_numbers",
    "as_real_numbers",
    "channel_shape",
    "data_layout",
    "from_channels",
    "to_channels",
]


def as_numbers(values: Any, argument: str) -> NDArray[Any]:
    """What a user gave as an array of numbers of double precision.

    Masked values become NaN. The result may share memory with ``values``.

    Parameters
    ----------
    values : array_like
        Numbers of any type and library: numpy, pandas, torch, masked arrays, dimensionless quantities.
    argument : str
        What the user calls them, for the message.

    Returns
    -------
    ndarray of float64 or complex128

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
            f"{argument}: expected an array of numbers, got a {type(values).__name__} that is none "
            f"({error}); give rows of equal length"
        ) from error
    if array.dtype.kind == "O":
        array = _from_objects(array, argument)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"{argument}: expected numbers, got {_described(values, array)}; convert them first")
    return array.astype(complex if array.dtype.kind == "c" else float, copy=False)


def as_real_numbers(values: Any, argument: str) -> NDArray[np.float64]:
    """The same where complex numbers have no meaning.

    Raises
    ------
    TypeError, ValueError
        As of `as_numbers`, and for complex numbers.
    """
    array = as_numbers(values, argument)
    if np.iscomplexobj(array):
        raise TypeError(
            f"{argument}: expected real numbers, got complex ones; an uncertainty is the standard deviation "
            "of the real and of the imaginary part each, and parameters are real"
        )
    return array


def as_mask(values: Any, argument: str) -> NDArray[np.bool_]:
    """Truth values, which may come as numbers."""
    return np.asarray(as_real_numbers(values, argument) != 0.0)


def data_layout(shape: tuple[int, ...]) -> tuple[int, int]:
    """Channels and length of data of some shape: two-dimensional data keep their rows as channels.

    Parameters
    ----------
    shape : tuple of int
        Shape of the observed data.

    Returns
    -------
    tuple of int
        ``(n_channels, length)``; one channel unless the data are two-dimensional.

    Examples
    --------
    >>> data_layout((100,)), data_layout((3, 100))
    ((1, 100), (3, 100))
    """
    return (shape[0], shape[1]) if len(shape) == 2 else (1, int(np.prod(shape)))


def channel_shape(shape: tuple[int, ...], is_complex: bool) -> tuple[int, int]:
    """(n_channels, length) of data of some shape as real numbers: twice the channels where complex."""
    n_channels, length = data_layout(shape)
    return (2 * n_channels if is_complex else n_channels), length


def to_channels(data: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Real channels of data, shape (n, n_channels, length).

    Parameters
    ----------
    data : ndarray, shape (n, *shape)
        Real or complex.
    shape : tuple of int
    """
    rows = data.reshape(len(data), *data_layout(shape))
    return np.concatenate([rows.real, rows.imag], axis=1) if np.iscomplexobj(rows) else rows


def from_channels(channels: NDArray[np.float64], shape: tuple[int, ...], is_complex: bool) -> NDArray[Any]:
    """Invert `to_channels`: data of shape (n, *shape) from as many real numbers each, in any shape."""
    n = len(channels)
    if not is_complex:
        return channels.reshape(n, *shape)
    parts = channels.reshape(n, 2, -1)
    return (parts[:, 0] + 1j * parts[:, 1]).reshape(n, *shape)


def _plain(values: Any, argument: str) -> Any:
    """Without what numpy would refuse, or drop in silence: gradients, devices, units."""
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
    """Numbers that numpy keeps as objects, such as those of mixed columns of a table."""
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
