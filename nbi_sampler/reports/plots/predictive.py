"""Data that the posterior predicts, by new calls of the forward model at draws of the result."""

from __future__ import annotations

import inspect
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from nbi_sampler.core.randomness import stage_generator, torch_generator
from nbi_sampler.core.types import Array
from nbi_sampler.forward import ForwardModel
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.reports.plots.style import percent

__all__ = ["Curves", "Predictive", "abscissa", "axis_labels", "predict"]

N_PREDICTIONS = 200
# Noise is cheap, so each prediction gets this many draws of it, within a limit of numbers.
MOST_REPEATS = 10
MOST_NUMBERS = 10_000_000
# Number of values of the independent variable between the data.
N_BETWEEN = 400
MOST_AT_DATA = 5_000
# Relative to the largest prediction. If models differ more than this at the data, they depend on more than x.
TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Curves:
    """Predictions without noise, also between the data.

    Attributes
    ----------
    x : ndarray, shape (m,)
        Increasing values that include those of the data.
    predictions : ndarray, shape (n, m)
        Predictions at the draws of `Predictive.predictions`.
    """

    x: Array
    predictions: Array


@dataclass(frozen=True, eq=False)
class Predictive:
    """Observed data and the prediction of the posterior.

    Attributes
    ----------
    x : ndarray, shape (length,), or None
        Independent variable, if the likelihood has one.
    observed : ndarray, shape (n_channels, length)
    predictions : ndarray, shape (n, n_channels, length)
        Predictions at draws from the posterior, without noise.
    replicated : ndarray, shape (n_replicated, n_channels, length)
        Predictions with noise, several for each draw.
    noise : ndarray, shape (n_channels, length)
        Standard deviation of the noise.
    curves : Curves, optional
        None if the model cannot be evaluated between the data.
    labels : tuple of two str
        Labels of the independent variable and of the data.
    """

    x: Array | None
    observed: Array
    predictions: Array
    replicated: Array
    noise: Array
    curves: Curves | None = None
    labels: tuple[str, str] = ("x", "data")

    @property
    def summary(self) -> str:
        """Describe the share of the observed points within their predicted interval."""
        low, high = np.quantile(self.replicated, [0.025, 0.975], axis=0)
        share = np.mean((self.observed >= low) & (self.observed <= high))
        return (
            f"{percent(share)} of {self.observed.size:,} points lie within the 95 % interval of the data "
            f"that {len(self.predictions)} draws from the posterior predict"
        )


def predict(
    forward: ForwardModel,
    space: ParameterSpace,
    theta: Array,
    weights: Array,
    x: Array | None = None,
    seconds: float = 10.0,
    labels: tuple[str, str] = ("x", "data"),
) -> Predictive | None:
    """Predict data at draws of the result, theta of shape (n, n_dim), with weights that sum to one.

    No call starts after ``seconds``, except for the first two. These calls are not counted as calls of the
    run. The result is None if fewer than two predictions are finite. ``x``, shape (length,), is the
    independent variable. If the model can be evaluated between its values, it is, within another ``seconds``.
    """
    if not len(theta):
        return None
    rng = stage_generator(0, "predict")
    chosen = theta[rng.choice(len(theta), N_PREDICTIONS, p=weights)]
    made: list[Array] = []
    start = time.monotonic()
    for row in chosen:
        if len(made) >= 2 and time.monotonic() - start > seconds:
            break
        made.append(forward.simulate(space.row(row)))
    predictions = np.array(made)
    finite = np.isfinite(predictions).all(axis=1)
    chosen, predictions = chosen[: len(made)][finite], predictions[finite]
    found = _replicated(forward, space, chosen, predictions, x)
    if found is None or x is None:
        return found and replace(found, labels=labels)
    return replace(found, labels=labels, curves=_curves(forward, space, chosen, predictions, x, seconds))


def _curves(
    forward: ForwardModel, space: ParameterSpace, theta: Array, predictions: Array, x: Array, seconds: float
) -> Curves | None:
    """Predictions between the data; None if the model has none, or disagrees at the data."""
    if len(x) > MOST_AT_DATA or not x.min() < x.max():
        return None
    grid = np.union1d(x, np.linspace(x.min(), x.max(), N_BETWEEN))
    at_data = np.searchsorted(grid, x)
    made: list[Array] = []
    start = time.monotonic()
    for row, prediction in zip(theta, predictions, strict=True):
        if len(made) >= 2 and time.monotonic() - start > seconds:
            break
        try:
            curve = forward.simulate_at(grid, space.row(row))
        # The user's function may not support other values of x.
        except Exception:
            return None
        largest = float(np.abs(prediction).max())
        if curve is None or not np.allclose(curve[at_data], prediction, rtol=0.0, atol=TOLERANCE * largest):
            return None
        made.append(curve)
    curves = np.array(made)
    curves = curves[np.isfinite(curves).all(axis=1)]
    return Curves(grid, curves) if len(curves) >= 2 else None


def axis_labels(likelihood: Any) -> tuple[str, str]:
    """Labels of the independent variable and of the data.

    They are ``x_label`` and ``y_label`` of the likelihood if these are text. Otherwise the independent
    variable has the name of the first argument of the likelihood's function.
    """
    x, y = (getattr(likelihood, name, None) for name in ("x_label", "y_label"))
    if not isinstance(x, str):
        try:
            x = next(iter(inspect.signature(likelihood.func).parameters))
        # There is no function, or it has no arguments or no signature.
        except (AttributeError, StopIteration, TypeError, ValueError):
            x = "x"
    return x, y if isinstance(y, str) else "data"


def abscissa(likelihood: Any, forward: ForwardModel) -> Array | None:
    """Independent variable of the data of a likelihood, shape (length,), if it has one."""
    try:
        x = np.asarray(getattr(likelihood, "x", None), dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        return None
    return x if len(x) == forward.shape[1] and np.isfinite(x).all() else None


def _replicated(
    forward: ForwardModel, space: ParameterSpace, theta: Array, predictions: Array, x: Array | None
) -> Predictive | None:
    """Add noise to predictions of shape (n, n_data); None if no result is finite."""
    if len(predictions) < 2:
        return None
    n_repeats = int(np.clip(MOST_NUMBERS // predictions.size, 1, MOST_REPEATS))
    repeated = np.repeat(predictions, n_repeats, axis=0)
    columns = space.columns(np.repeat(theta, n_repeats, axis=0))
    tensors = {name: torch.as_tensor(each) for name, each in columns.items()}
    generator = torch_generator(stage_generator(0, "replicate"))
    noisy = forward.noise(torch.as_tensor(repeated), tensors, generator).numpy()
    finite = np.isfinite(noisy).all(axis=1)
    if not finite.any():
        return None
    noise = np.std(noisy[finite] - repeated[finite], axis=0)
    blocks = (forward.observed, predictions, noisy[finite], noise)
    observed, models, replicated, scale = (
        block.reshape(*block.shape[:-1], *forward.shape) for block in blocks
    )
    return Predictive(x, observed, models, replicated, scale)
