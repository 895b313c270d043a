"""What the data of a target consist of, and how networks see them: scaled channels, missing points blank.

A target is a series with one or several channels, perhaps with uncertainties and a mask, all of one shape
within a survey. Learnt from simulations with noise; called by the training data and by the estimator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nbi_sampler.core.config import nearest
from nbi_sampler.forward.arrays import (
    as_mask,
    as_numbers,
    as_real_numbers,
    channel_shape,
    data_layout,
    from_channels,
    to_channels,
)

__all__ = ["ROLES", "DataLayout", "Targets"]

Array = NDArray[np.float64]

ROLES = ("value", "time", "band")
# Beyond the range of the simulations by this share of it, networks see its edge: they may do anything there.
MARGIN = 0.1
LARGEST = 1e6


class Targets(NamedTuple):
    """Data of several targets, checked.

    Attributes
    ----------
    x : ndarray, shape (n, n_channels, length)
        Zero where a point is missing. Of complex data the real parts of all channels, then the imaginary
        parts.
    x_err : ndarray, shape (n, n_values, length), or None
        One where a point is missing.
    mask : ndarray of bool, shape (n, length)
        Whether a point is present.
    """

    x: Array
    x_err: Array | None
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class DataLayout:
    """Shape, channels and scales of the data of all targets.

    Attributes
    ----------
    data_shape : tuple of int
        Of x, as users give it.
    channels : tuple of str
        What each row of x is: "value", "time" or "band"; of complex data two values a row.
    has_uncertainty, has_mask : bool
        Whether x_err and mask come with x.
    shift, scale : ndarray, shape (n_rows, 1)
        Of every row that networks see: those of x, the logarithms of x_err, the mask.
    low, high : ndarray, shape (n_rows, 1)
        Range of the simulations in these units.
    is_complex : bool
        Whether x is complex.
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
    ) -> DataLayout:
        """Learn shape and scales from simulations with noise.

        Parameters
        ----------
        x : array_like, shape (n, *data_shape)
        x_err, mask : array_like, optional
            See `targets`.
        channels : sequence of str, optional
            All are values when None.

        Raises
        ------
        ValueError
            For channels that do not fit the data.
        """
        x = as_numbers(x, "x")
        data_shape, is_complex = x.shape[1:], np.iscomplexobj(x)
        n_channels, _ = data_layout(data_shape)
        roles = ("value",) * n_channels if channels is None else tuple(channels)
        _check_channels(roles, n_channels, data_shape, is_complex)
        roles *= 1 + is_complex
        n_rows = len(roles) + (x_err is not None) * roles.count("value") + (mask is not None)
        zero, one = np.zeros((n_rows, 1)), np.ones((n_rows, 1))
        plain = cls(
            data_shape,
            roles,
            x_err is not None,
            mask is not None,
            zero,
            one,
            -np.inf * one,
            np.inf * one,
            is_complex,
        )
        targets = plain.targets(x, x_err, mask)
        rows = plain._rows(targets)
        scales = [_shift_and_scale(rows[:, i][targets.mask], role) for i, role in enumerate(plain.roles)]
        shift, scale = (np.array(column)[:, None] for column in zip(*scales, strict=True))
        scaled = np.where(targets.mask[:, None], (rows - shift) / scale, 0.0)
        low, high = scaled.min((0, 2))[:, None], scaled.max((0, 2))[:, None]
        return replace(plain, shift=shift, scale=scale, low=low, high=high)

    @property
    def shape(self) -> tuple[int, int]:
        """(n_rows, length) of what networks see."""
        return len(self.shift), data_layout(self.data_shape)[1]

    @property
    def roles(self) -> tuple[str, ...]:
        """What each row is: the channels, then "log_uncertainty" of every value, then "mask"."""
        uncertainties = ("log_uncertainty",) * (self.has_uncertainty * self.channels.count("value"))
        return (*self.channels, *uncertainties, *("mask",) * self.has_mask)

    @property
    def edges(self) -> tuple[Array, Array]:
        """Least and largest number that networks see in each row, shape (n_rows, 1) each."""
        margin = MARGIN * (self.high - self.low)
        return self.low - margin, self.high + margin

    def is_single(self, x: ArrayLike) -> bool:
        """Whether x is the data of one target and not of several."""
        return as_numbers(x, "x_obs").ndim == len(self.data_shape)

    @property
    def channel_shape(self) -> tuple[int, int]:
        """(n_channels, length) of x as real numbers."""
        return channel_shape(self.data_shape, self.is_complex)

    def as_data(self, channels: Array) -> NDArray[Any]:
        """Data of shape (n, *data_shape) of their real channels, as users give them."""
        return from_channels(channels, self.data_shape, self.is_complex)

    def as_channels(self, data: NDArray[Any]) -> Array:
        """Real channels, shape (n, n_channels, length), of data of shape (n, *data_shape)."""
        return to_channels(data.astype(complex) if self.is_complex else data, self.data_shape)

    def as_checked(self, x: ArrayLike) -> Array:
        """The same of data as users give them.

        Raises
        ------
        TypeError, ValueError
            For what is no data of the shape and kind of the simulations.
        """
        data = as_numbers(x, "x_obs")
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

    def as_errors(self, errors: Array) -> Array:
        """Uncertainties of shape (n, *data_shape) of those of all channels, shape (n, n_channels, length)."""
        return errors[:, : len(self.channels) // (1 + self.is_complex)].reshape(-1, *self.data_shape)

    def several(
        self, x: ArrayLike, x_err: ArrayLike | None = None, mask: ArrayLike | None = None
    ) -> tuple[NDArray[Any], Array | None, NDArray[np.bool_] | None]:
        """The same data as those of several targets, be it of one alone; what broadcasts is left as it is."""
        x = as_numbers(x, "x_obs")
        x_err = None if x_err is None else as_real_numbers(x_err, "x_err")
        mask = None if mask is None else as_mask(mask, "x_mask")
        if not self.is_single(x):
            return x, x_err, mask
        n_axes = len(self.data_shape)
        return (
            x[None],
            x_err[None] if x_err is not None and x_err.ndim == n_axes else x_err,
            mask[None] if mask is not None and mask.ndim == n_axes else mask,
        )

    def targets(self, x: ArrayLike, x_err: ArrayLike | None = None, mask: ArrayLike | None = None) -> Targets:
        """Check data of several targets.

        Parameters
        ----------
        x : array_like, shape (n, *data_shape)
        x_err : array_like, optional
            Anything that broadcasts to the values: one number, shape (length,), (n, length), (n, 1) or
            (n, n_values, length).
        mask : array_like of bool, shape (length,) or (n, length), optional
            True where a point is present. Where the layout has a mask, points that are not finite or have no
            positive uncertainty count as missing too, and it can be left out where there are such points.

        Raises
        ------
        ValueError
            For another shape, for uncertainties that are missing or not asked for, or for missing points
            where the layout has no mask.
        """
        data = self.as_checked(x)
        n, _, length = data.shape
        if (x_err is None) == self.has_uncertainty:
            raise ValueError(
                f"x_err: expected {'the uncertainties, as' if self.has_uncertainty else 'None, as none'} in "
                f"the simulations, got {'None' if x_err is None else 'an array'}; the noise function returns "
                "(x, x_err) where networks are to know the uncertainties"
            )
        present = np.ones((n, length), dtype=bool) if mask is None else self._mask(mask, n, length)
        good = np.asarray(np.isfinite(data).all(1))
        errors = None
        if x_err is not None:
            errors = self._errors(x_err, n)
            good &= np.asarray((np.isfinite(errors) & (errors > 0)).all(1))
        self._check_present(present, good, data, errors, mask is not None)
        present &= good
        blank = ~present[:, None]
        return Targets(
            np.where(blank, 0.0, data), None if errors is None else np.where(blank, 1.0, errors), present
        )

    def encode(self, targets: Targets, clip: bool = True) -> NDArray[np.float32]:
        """What networks see, shape (n, n_rows, length): zero where a point is missing.

        Parameters
        ----------
        targets : Targets
        clip : bool
            Whether values far outside the range of the simulations are moved to its edge.
        """
        scaled = (self._rows(targets) - self.shift) / self.scale
        if clip:
            scaled = np.clip(scaled, *self.edges)
        return np.where(targets.mask[:, None], scaled, 0.0).clip(-LARGEST, LARGEST).astype(np.float32)

    def _rows(self, targets: Targets) -> Array:
        rows = [targets.x]
        if targets.x_err is not None:
            rows.append(np.log(targets.x_err))
        if self.has_mask:
            rows.append(targets.mask[:, None].astype(float))
        return np.concatenate(rows, 1) if len(rows) > 1 else rows[0]

    def _check_present(
        self,
        present: NDArray[np.bool_],
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
        if present.all() and good.all():
            return
        wrong = {"masked": int((~present).sum()), "not finite": int((~np.isfinite(data)).any(1).sum())}
        found = ", ".join(f"{n} {what}" for what, n in wrong.items() if n)
        if not found and errors is not None:
            bad = ~(np.isfinite(errors) & (errors > 0))
            raise ValueError(
                f"x_err: expected positive finite uncertainties, got {int(bad.any(1).sum())} of "
                f"{present.size} that are not, such as {errors[bad][0]:.6g}; points without one are missing, "
                "which networks know where the noise function returns (x, x_err, mask)"
            )
        raise ValueError(
            f"x_obs: expected complete data, as in the training, got {present.size} points of which {found}; "
            "train with a noise function that returns (x, x_err, mask)"
        )

    def _errors(self, x_err: ArrayLike, n: int) -> Array:
        """Uncertainties of shape (n, n_values, length) from what broadcasts to the data."""
        errors = as_real_numbers(x_err, "x_err")
        # That of a complex point is the one of its real and of its imaginary part.
        n_parts = 1 + self.is_complex
        shape = (n, self.channels.count("value") // n_parts, self.channel_shape[1])
        if len(self.data_shape) > 2 and errors.shape[-len(self.data_shape) :] == self.data_shape:
            errors = errors.reshape(-1, 1, shape[2])
        if shape[1] == 1 and errors.ndim == 2:
            errors = errors[:, None]
        try:
            return np.tile(np.broadcast_to(errors, shape), (1, n_parts, 1))
        except ValueError as error:
            raise ValueError(
                f"x_err: expected uncertainties that broadcast to {shape} (targets, values, length), got "
                f"shape {np.shape(x_err)}; (n, 1) is one uncertainty a target"
            ) from error

    def _mask(self, mask: ArrayLike, n: int, length: int) -> NDArray[np.bool_]:
        present = as_mask(mask, "x_mask")
        if self.data_shape == (1, length) and present.ndim == 3:
            present = present[:, 0]
        try:
            return np.array(np.broadcast_to(present, (n, length)))
        except ValueError as error:
            raise ValueError(
                f"x_mask: expected shape ({length},) or ({n}, {length}), got {present.shape}; one value for "
                "each point, for all channels"
            ) from error


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
    """Zero and unit of a row: median and half the central 68 %, or start and range of times."""
    if role in ("band", "mask") or not len(points):
        return 0.0, 1.0
    low, middle, high = np.quantile(points, [0.0, 0.5, 1.0] if role == "time" else [0.16, 0.5, 0.84])
    spread = high - low if role == "time" else 0.5 * (high - low)
    fallback = points.std() or 1.0
    return float(low if role == "time" else middle), float(spread if spread > 0 else fallback)
