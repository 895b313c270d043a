"""The format of the data of a survey: checks of user input, and the rows of numbers that networks see.

A target is a series with one or several channels, or an image with one or several bands, perhaps with
uncertainties and a mask, all of one shape within a survey. The pixels of an image are the points of a series,
row by row. The format is learnt from simulations with noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from nbi_sampler.core.config import DATA_FORMAT, nearest
from nbi_sampler.core.types import Array
from nbi_sampler.forward.arrays import (
    as_mask,
    as_numbers,
    as_real_numbers,
    channels_and_length,
    from_channels,
    to_channels,
)
from nbi_sampler.networks.featurizers.base import zero_and_unit

__all__ = ["ROLES", "DataFormat", "Observation", "one_mask"]

ROLES = ("value", "time", "band")


class Observation(NamedTuple):
    """Data of one or many targets, arrays or tensors: as they are given, or as `DataFormat` has checked them.

    Attributes
    ----------
    x : ndarray, shape (..., *data_shape)
        Checked: shape (n, n_channels, length), zero where a point is missing; of complex data the real parts
        of all channels, then the imaginary parts.
    x_err : ndarray, or None
        Uncertainties. Checked: shape (n, n_values, length), one where a point is missing.
    mask : ndarray, or None
        True where a point is present. Checked: shape (n, length).
    """

    x: Any
    x_err: Any = None
    mask: Any = None

    @classmethod
    def read(
        cls, x: Any, x_err: Any = None, mask: Any = None, names: Sequence[str] = ("x_obs", "x_err", "x_mask")
    ) -> Observation:
        """Arrays of what a user gives, with the names of the three for messages.

        Raises
        ------
        TypeError, ValueError
            For what are no numbers.
        """
        return cls(
            as_numbers(x, names[0]),
            None if x_err is None else as_real_numbers(x_err, names[1]),
            None if mask is None else as_mask(mask, names[2]),
        )


@dataclass(frozen=True)
class DataFormat:
    """Shape, channels and scales of the data of all targets.

    Attributes
    ----------
    data_shape : tuple of int
        Of x, as users give it.
    channels : tuple of str
        What each row of x is: "value", "time" or "band"; of complex data two values a row.
    has_uncertainty, has_mask : bool
        True where networks see x_err, and mask.
    shift, scale : ndarray, shape (n_rows, 1)
        Of every row that networks see: those of x, the logarithms of x_err, the mask.
    low, high : ndarray, shape (n_rows, 1)
        Range of the simulations in these units.
    is_complex : bool
        True where x is complex.
    """

    data_shape: tuple[int, ...]
    channels: tuple[str, ...]
    has_uncertainty: bool
    has_mask: bool
    shift: Array
    scale: Array
    low: Array
    high: Array
    is_complex: bool = False

    @classmethod
    def learnt(
        cls,
        x: ArrayLike,
        x_err: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        channels: Sequence[str] | None = None,
    ) -> DataFormat:
        """Learn shape and scales from simulations with noise.

        Parameters
        ----------
        x : array_like, shape (n, *data_shape)
        x_err, mask : array_like, optional
            See `observation`.
        channels : sequence of str, optional
            All are values when None.

        Raises
        ------
        ValueError
            For channels that do not fit the data.
        """
        x = as_numbers(x, "x")
        data_shape, is_complex = x.shape[1:], np.iscomplexobj(x)
        n_channels, _ = channels_and_length(data_shape)
        roles = ("value",) * n_channels if channels is None else tuple(channels)
        _check_channels(roles, n_channels, data_shape, is_complex)
        roles *= 1 + is_complex
        has_parts = x_err is not None, mask is not None
        one = np.ones((len(roles) + has_parts[0] * roles.count("value") + has_parts[1], 1))
        plain = cls(data_shape, roles, *has_parts, 0.0 * one, one, -np.inf * one, np.inf * one, is_complex)
        observation = plain.observation(x, x_err, mask)
        rows, present = plain._rows(observation).numpy(), observation.mask
        scales = [_shift_and_scale(rows[:, i][present], role) for i, role in enumerate(plain.roles)]
        shift, scale = (np.array(column)[:, None] for column in zip(*scales, strict=True))
        scaled = np.where(present[:, None], (rows - shift) / scale, 0.0)
        low, high = scaled.min((0, 2))[:, None], scaled.max((0, 2))[:, None]
        return replace(plain, shift=shift, scale=scale, low=low, high=high)

    @property
    def shape(self) -> tuple[int, int]:
        """(n_rows, length) of what networks see."""
        return len(self.shift), self.channel_shape[1]

    @property
    def roles(self) -> tuple[str, ...]:
        """Meaning of each row: the channels, then "log_uncertainty" of every value, then "mask"."""
        uncertainties = ("log_uncertainty",) * (self.has_uncertainty * self.channels.count("value"))
        return (*self.channels, *uncertainties, *("mask",) * self.has_mask)

    def is_single(self, x: ArrayLike) -> bool:
        """Return whether x is the data of one target and not of several."""
        return as_numbers(x, "x_obs").ndim == len(self.data_shape)

    @property
    def channel_shape(self) -> tuple[int, int]:
        """(n_channels, length) of x as real numbers."""
        # Files of engines that were trained on images before these had bands know of one channel.
        n_channels = len(self.channels)
        return n_channels, math.prod(self.data_shape) * (1 + self.is_complex) // n_channels

    @property
    def image_size(self) -> tuple[int, int] | None:
        """(height, width) where data have the shape (n_channels, height, width)."""
        return (self.data_shape[1], self.data_shape[2]) if len(self.data_shape) == 3 else None

    def as_data(self, channels: Array) -> NDArray[Any]:
        """Data of shape (n, *data_shape) of their real channels, as users give them."""
        return from_channels(channels, self.data_shape, self.is_complex)

    def as_channels(self, data: NDArray[Any]) -> Array:
        """Real channels, shape (n, n_channels, length), of data of shape (n, *data_shape)."""
        rows = to_channels(data.astype(complex) if self.is_complex else data, self.data_shape)
        return rows.reshape(len(rows), *self.channel_shape)

    def as_errors(self, errors: Array) -> Array:
        """Uncertainties of shape (n, *data_shape) of those of all channels, shape (n, n_channels, length)."""
        return errors[:, : len(self.channels) // (1 + self.is_complex)].reshape(-1, *self.data_shape)

    def observation(
        self, x: Any, x_err: Any = None, mask: Any = None, *, for_networks: bool = True
    ) -> Observation:
        """Check data of one target or of several.

        Parameters
        ----------
        x : array_like, shape (*data_shape) or (n, *data_shape)
        x_err : array_like, optional
            Anything that broadcasts to the values: one number, shape (length,), (n, length), (n, 1) or
            (n, n_values, length); of images (n, height, width) for all bands, or the shape of the data.
        mask : array_like of bool, shape (length,) or (n, length), optional
            True where a point is present; of images (height, width) or (n, height, width). Where networks see
            a mask, points that are not finite or have no positive uncertainty count as missing too, and it
            can be left out where there are such points.
        for_networks : bool
            False allows uncertainties that networks do not see, for weights.

        Raises
        ------
        TypeError, ValueError
            For what is no data of the shape and kind of the simulations, for uncertainties that are missing
            or not asked for, or for missing points where networks see no mask.
        """
        given = Observation.read(x, x_err, mask)
        n_axes = len(self.data_shape)
        if given.x.ndim == n_axes:
            given = Observation(*(None if a is None else a[None] if a.ndim == n_axes else a for a in given))
        data = self._checked(given.x)
        if (x_err is None and self.has_uncertainty) or (
            x_err is not None and not self.has_uncertainty and for_networks
        ):
            raise ValueError(
                f"x_err: expected {'the uncertainties, as' if self.has_uncertainty else 'None, as none'} in "
                f"the simulations, got {'None' if x_err is None else 'an array'}; the noise function returns "
                "(x, x_err) where networks are to know the uncertainties"
            )
        n, _, length = data.shape
        errors: Any = None
        told, good = np.ones((n, length), dtype=bool), np.asarray(np.isfinite(data).all(1))
        if mask is not None:
            try:
                told = self._mask(torch.from_numpy(np.array(given.mask)), n).numpy()
            except RuntimeError as error:
                raise ValueError(
                    f"x_mask: expected shape ({length},) or ({n}, {length}), got {np.shape(mask)}; one value "
                    "for each point, for all channels"
                ) from error
        if x_err is not None:
            try:
                errors = self._errors(torch.from_numpy(np.array(given.x_err)), n).numpy()
            except RuntimeError as error:
                raise ValueError(
                    f"x_err: expected uncertainties that broadcast to {self._errors_shape(n)} (targets, "
                    f"values, length), got shape {np.shape(x_err)}; (n, 1) is one uncertainty a target"
                ) from error
            good &= np.asarray((np.isfinite(errors) & (errors > 0)).all(1))
        self._check_present(told, good, data, errors, mask is not None)
        present = told & good
        blank = ~present[:, None]
        errors = None if errors is None else np.where(blank, 1.0, errors)
        return Observation(np.where(blank, 0.0, data), errors, present)

    def observation_of_tensors(self, x: Tensor, x_err: Tensor | None, mask: Tensor | None) -> Observation:
        """The same of tensors as a noise law gives them, of several targets, unchecked: no device waits."""
        n, rows = len(x), x.reshape(len(x), -1, self.shape[1])
        if self.is_complex:
            rows = rows if rows.is_complex() else rows + 0j
            rows = torch.cat([rows.real, rows.imag], 1)
        present = torch.isfinite(rows).all(1)
        if x_err is not None:
            x_err = self._errors(x_err, n)
            present = present & (torch.isfinite(x_err) & (x_err > 0)).all(1)
        if mask is not None:
            present = present & self._mask(mask, n)
        return Observation(rows, x_err, present)

    def encode(self, observation: Observation, clip: bool = True) -> Tensor:
        """Scaled rows that networks see, shape (n, n_rows, length), float32: zero where a point is missing.

        Parameters
        ----------
        observation : Observation
            Checked; on the device of its tensors.
        clip : bool
            True to move values far outside the range of the simulations to its edge.
        """
        rows = self._rows(observation)
        shift, scale, low, high = self._scales_on(rows.device)
        scaled = (rows - shift) / scale
        if clip:
            scaled = scaled.clamp(low, high)
        present = _tensor(observation.mask)[:, None]
        largest = DATA_FORMAT.largest
        return torch.where(present, scaled.clamp(-largest, largest), 0.0).float()

    def _rows(self, observation: Observation) -> Tensor:
        rows = [_tensor(observation.x)]
        if self.has_uncertainty:
            rows.append(_tensor(observation.x_err).log())
        if self.has_mask:
            rows.append(_tensor(observation.mask)[:, None])
        return torch.cat(rows, 1) if len(rows) > 1 else rows[0]

    @cached_property
    def _scales(self) -> dict[torch.device, tuple[Tensor, ...]]:
        return {}

    def _scales_on(self, device: torch.device) -> tuple[Tensor, ...]:
        """Shift, scale and edges on a device, copied there once: a captured step cannot wait for a copy."""
        if device not in self._scales:
            margin = DATA_FORMAT.margin * (self.high - self.low)
            parts = self.shift, self.scale, self.low - margin, self.high + margin
            self._scales[device] = tuple(torch.tensor(part, device=device) for part in parts)
        return self._scales[device]

    def _checked(self, data: NDArray[Any]) -> Array:
        """Real channels of data of several targets."""
        if data.ndim == 0 or not len(data) or data.shape[1:] != self.data_shape:
            shape = ", ".join(map(str, self.data_shape))
            raise ValueError(
                f"x_obs: expected data of shape {self.data_shape}, or of (n, {shape}) for n targets, got "
                f"{data.shape[1:] if len(np.atleast_1d(data)) == 1 else data.shape}; give data of the shape "
                "of the simulations, and x_mask= where points are missing"
            )
        if np.iscomplexobj(data) and not self.is_complex:
            raise ValueError(
                "x_obs: expected real data, as those of the training were, got complex; train with a "
                "simulator or noise that returns complex data"
            )
        return self.as_channels(data)

    def _check_present(
        self,
        told: NDArray[np.bool_],
        good: NDArray[np.bool_],
        data: Array,
        errors: Array | None,
        is_told: bool,
    ) -> None:
        """Refuse missing points where networks do not know of any, and silence where they do."""
        if self.has_mask:
            if not is_told and good.all():
                raise ValueError(
                    "x_mask: expected which points are present, as in the training, got None and no point "
                    "that is NaN; pass x_mask=, True where a point is present (x_mask=True for complete data)"
                )
            return
        if told.all() and good.all():
            return
        wrong = {"masked": int((~told).sum()), "not finite": int((~np.isfinite(data)).any(1).sum())}
        found = ", ".join(f"{n} {what}" for what, n in wrong.items() if n)
        if not found and errors is not None:
            bad = ~(np.isfinite(errors) & (errors > 0))
            raise ValueError(
                f"x_err: expected positive finite uncertainties, got {int(bad.any(1).sum())} of "
                f"{told.size} that are not, such as {errors[bad][0]:.6g}; points without one are missing, "
                "which networks know where the noise function returns (x, x_err, mask)"
            )
        raise ValueError(
            f"x_obs: expected complete data, as in the training, got {told.size} points of which {found}; "
            "train with a noise function that returns (x, x_err, mask)"
        )

    def _errors_shape(self, n: int) -> tuple[int, int, int]:
        """Shape of the uncertainties; that of a complex point holds for both of its parts."""
        return n, self.channels.count("value") // (1 + self.is_complex), self.shape[1]

    def _errors(self, errors: Tensor, n: int) -> Tensor:
        """Uncertainties of shape (n, n_values, length) from what broadcasts to the data."""
        shape = self._errors_shape(n)
        errors = self._by_points(errors)
        if errors.ndim == 2 and (shape[1] == 1 or (self.image_size and len(errors) != shape[1])):
            errors = errors[:, None]
        return errors.broadcast_to(shape).repeat(1, 1 + self.is_complex, 1)

    def _mask(self, mask: Tensor, n: int) -> Tensor:
        """Presence of points, shape (n, length)."""
        mask = self._by_points(mask)
        mask = mask.reshape(len(mask), -1) if mask.ndim > 2 else mask
        return mask.bool().broadcast_to(n, self.shape[1])

    def _by_points(self, part: Tensor) -> Tensor:
        """Pixels along one axis, of a part that has a value for each pixel of an image; else as it is."""
        if len(self.data_shape) > 2 and part.shape[-len(self.data_shape) :] == self.data_shape:
            return part.reshape(-1, len(self.channels) // (1 + self.is_complex), self.shape[1])
        if self.image_size and part.ndim > 1 and part.shape[-2:] == self.image_size:
            return part.flatten(-2)
        return part


def _tensor(part: Any) -> Tensor:
    return part if isinstance(part, Tensor) else torch.from_numpy(part)


def _check_channels(
    roles: tuple[str, ...], n_channels: int, data_shape: tuple[int, ...], is_complex: bool
) -> None:
    for role in roles:
        if role not in ROLES:
            raise ValueError(f"channels: unknown role {role!r}; {nearest(str(role), ROLES)}")
    if len(roles) != n_channels or "value" not in roles or max(map(roles.count, ("time", "band"))) > 1:
        raise ValueError(
            f"channels: expected a role for each of the {n_channels} row(s) of data of shape {data_shape}, "
            f"one value at least and time and band once, got {roles}"
        )
    if is_complex and set(roles) != {"value"}:
        raise ValueError(
            f"channels: expected values alone, as data are complex, got {roles}; give times, bands and the "
            "real and imaginary parts as real rows instead"
        )


def _shift_and_scale(points: Array, role: str) -> tuple[float, float]:
    """Zero and unit of a row; the standard deviation is the unit where most points are the same."""
    if role in ("band", "mask") or not len(points):
        return 0.0, 1.0
    shift, spread = zero_and_unit(points, role)
    return shift, spread if spread > 0 else float(points.std() or 1.0)


def one_mask(x_mask: ArrayLike | None, mask: ArrayLike | None) -> ArrayLike | None:
    """Return the mask, which has two names."""
    if x_mask is not None and mask is not None:
        raise TypeError("x_mask: expected one mask, got mask= too, which is another name of it; leave it out")
    return mask if x_mask is None else x_mask
