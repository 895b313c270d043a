"""The fit of the model: a posterior predictive check with the draws of a result.

It uses predictions that were made for the result, so it does not call the user's model.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp
from torch import Tensor

from nbi_sampler.algorithm.history import Draws
from nbi_sampler.core.config import MODEL_FIT
from nbi_sampler.core.randomness import stage_generator, torch_generator
from nbi_sampler.core.types import Array
from nbi_sampler.forward import ForwardModel
from nbi_sampler.importance.residuals import (
    CHI_SQUARED,
    DISCREPANCIES,
    LARGEST,
    NEIGHBOURS,
    chi_squared,
    correlation,
    has_neighbours,
    tail_probabilities,
)
from nbi_sampler.priors.space import ParameterSpace

__all__ = ["LEAST_P_VALUES", "ModelFit", "check_fit"]

# Predictions and parameters of some draws.
Block: TypeAlias = tuple[Tensor, dict[str, Tensor]]

logger = logging.getLogger(__name__)

# Numbers in a block of predictions, so that memory does not grow with the run.
MOST_NUMBERS_AT_ONCE = 2_000_000
LEAST_P_VALUES = {
    CHI_SQUARED: MODEL_FIT.chi_squared,
    LARGEST: MODEL_FIT.largest,
    NEIGHBOURS: MODEL_FIT.neighbours,
}
SMALLEST_SHOWN = 1e-10
IN_WORDS = {
    CHI_SQUARED: "chi-squared",
    LARGEST: "the largest residual",
    NEIGHBOURS: "the products of neighbouring residuals",
}


@dataclass(frozen=True)
class ModelFit:
    """Posterior predictive p-values of a run.

    Attributes
    ----------
    p_values : dict of str to float
        P-values by test quantity: see `importance.residuals`.
    chi_squared : float
        Posterior mean of the sum of squared residuals in units of the noise.
    correlation : float
        Posterior mean of the correlation of neighbouring residuals.
    n_data : int
    residuals : ndarray, shape (n_data,)
        Posterior means in units of the noise, in the order of the forward model's sequences if these contain
        every data point once.
    """

    p_values: Mapping[str, float]
    chi_squared: float
    correlation: float
    n_data: int
    residuals: Array

    @property
    def p_value(self) -> float:
        """P-value of chi-squared."""
        return self.p_values[CHI_SQUARED]

    @property
    def against(self) -> dict[str, float]:
        """P-values that speak against the model, the smallest first."""
        found = {name: p for name, p in self.p_values.items() if p < LEAST_P_VALUES[name]}
        if self.correlation <= MODEL_FIT.most_correlated:
            found.pop(NEIGHBOURS, None)
        return dict(sorted(found.items(), key=lambda each: each[1]))

    @property
    def misfit(self) -> str | None:
        """Description of the evidence against the model; None if there is none."""
        if not self.against:
            return None
        said = [f"{_shown(p)} for {IN_WORDS[name]}" for name, p in self.against.items()]
        return (
            f"the model does not fit the data: posterior predictive p-value {' and '.join(said)}, and "
            f"chi-squared is {self.chi_squared:,.4g} for {self.n_data:,} data points"
        )

    @property
    def correlated(self) -> str | None:
        """A warning that the noise is correlated, if the model itself fits; None otherwise."""
        p = self.p_values.get(NEIGHBOURS, 1.0)
        if p >= LEAST_P_VALUES[NEIGHBOURS] or NEIGHBOURS in self.against:
            return None
        return (
            f"neighbouring residuals are correlated ({self.correlation:.2f}, posterior predictive p-value "
            f"{_shown(p)}), but the likelihood assumes independent noise: errors may be too small"
        )

    @property
    def sentence(self) -> str:
        """The p-value, in words."""
        return f"posterior predictive p-value {_shown(self.p_value)}"

    def as_dict(self) -> dict[str, Any]:
        """Entry of the result's meta data with the data for a plot of the check, in a few kilobytes.

        If there are more residuals than `MODEL_FIT.most_residuals`, each block of ``"block"`` neighbours is
        represented by the residual that is farthest from zero.
        """
        block = -(-len(self.residuals) // MODEL_FIT.most_residuals)
        cut = range(0, len(self.residuals), block)
        kept = [max(self.residuals[first : first + block], key=abs) for first in cut]
        return {
            "chi_squared": self.chi_squared,
            "n_data": self.n_data,
            "block": block,
            "residuals": [float(f"{residual:.4g}") for residual in kept],
        }


def check_fit(
    draws: Sequence[Draws], forward: ForwardModel | None, space: ParameterSpace, seed: int
) -> ModelFit | None:
    r"""Compare the observed data with data that the posterior predicts.

    .. math:: p = \mathrm{E}_{\theta | x} \left[ P\left( T(x^{rep}, \theta) \geq T(x, \theta) \right) \right]

    T is the sum of squares, the largest absolute value, or the products of neighbours of the residuals in
    units of the noise. If the residuals of data from the model are N(0, I), the probability of T is known.
    Otherwise replicas are counted.

    Parameters
    ----------
    draws : sequence of Draws
        Draws of the result.
    forward : ForwardModel, optional
    space : ParameterSpace
    seed : int
        Evaluator of the run.

    Returns
    -------
    ModelFit or None
        None if there is no forward model, if its noise is unknown, if no predictions were kept, or if the
        user's noise function fails, which the log reports.

    References
    ----------
    Gelman, Meng & Stern (1996), Statistica Sinica 6, 733, section 2. The data are used twice, so p is closer
    to 1/2 than a uniform number if the model is right. It is below a in at most 2 a of all data sets (Meng
    1994, Annals of Statistics 22, 1142).
    """
    if forward is None or not forward.noise_is_known:
        return None
    try:
        theta, predictions, weights = _predicted(draws, len(forward.observed))
        if not len(theta):
            return None
        return _checked(forward, space, theta, predictions, weights, seed)
    # Noise may be the user's function or a plugin's and may raise any error. The result must not be lost.
    except Exception as error:
        logger.warning(
            "nbi: the fit of the model could not be checked (%s: %s); look at noise=",
            type(error).__name__,
            error,
        )
        return None


def _predicted(draws: Sequence[Draws], n_data: int) -> tuple[Array, Array, Array]:
    """Parameters, predictions and weights that represent the posterior; none if too few were kept."""
    masses = [logsumexp(each.log_weights) for each in draws]
    total = logsumexp(masses) if masses else -math.inf
    theta, predictions, weights = [], [], []
    for each, mass in zip(draws, masses, strict=True):
        kept = each.evaluation.predicted
        if kept is not None and mass > -math.inf:
            theta.append(each.evaluation.theta[kept.rows])
            predictions.append(kept.predictions)
            weights.append(np.full(len(kept.rows), math.exp(mass - total) / len(kept.rows)))
    share = float(np.sum(np.concatenate(weights))) if weights else 0.0
    if share < MODEL_FIT.least_share:
        return np.zeros((0, 0)), np.zeros((0, n_data)), np.zeros(0)
    return np.concatenate(theta), np.concatenate(predictions), np.concatenate(weights) / share


def _checked(
    forward: ForwardModel, space: ParameterSpace, theta: Array, predictions: Array, weights: Array, seed: int
) -> ModelFit | None:
    """P-values, in closed form if the forward model has one, and from replicas otherwise."""
    rng = stage_generator(seed, "model fit")
    size = max(MOST_NUMBERS_AT_ONCE // predictions.shape[1], 1)
    blocks = []
    for first in range(0, len(theta), size):
        rows = slice(first, first + size)
        columns = {name: torch.as_tensor(each) for name, each in space.columns(theta[rows]).items()}
        blocks.append((torch.as_tensor(predictions[rows]), columns))
    n_data = predictions.shape[1]
    residuals = [forward.normal_residuals(*block, rng) for block in blocks]
    known = [each for each in residuals if each is not None]
    if len(known) == len(blocks):
        # Sequences refer to data points, and some noise laws have fewer residuals than data points.
        sequences = forward.sequences if known[0].shape[1] == n_data else ()
        chances = _joined([tail_probabilities(each, sequences) for each in known])
        p_values = {name: float(weights @ each) for name, each in chances.items()}
        n_data = known[0].shape[1]
    else:
        p_values = _replicated(forward, blocks, weights, torch_generator(rng))
        sequences, observed = forward.sequences, torch.as_tensor(forward.observed)[None]
        known = [_stabilised(forward, observed, block[0]) for block in blocks]
    squares = np.concatenate([chi_squared(each) for each in known])
    correlations = np.concatenate([correlation(each, sequences) for each in known])
    # Block by block, so that memory does not grow with the run.
    first, means = 0, np.zeros(known[0].shape[1])
    for each in known:
        means += weights[first : first + len(each)] @ each
        first += len(each)
    means = _in_sequence(means, sequences)
    fit = ModelFit(p_values, float(weights @ squares), float(weights @ correlations), n_data, means)
    return fit if np.isfinite(list(p_values.values())).all() else None


def _in_sequence(residuals: Array, sequences: Sequence[NDArray[np.intp]]) -> Array:
    """Put residuals of shape (n_data,) in the order of sequences, if these contain each of them once."""
    order = np.concatenate([np.zeros(0, dtype=np.intp), *sequences])
    return residuals[order] if np.array_equal(np.sort(order), np.arange(len(residuals))) else residuals


def _replicated(
    forward: ForwardModel, blocks: Sequence[Block], weights: Array, generator: torch.Generator
) -> dict[str, float]:
    """P-values from counted replicas.

    Every round makes one data set for each draw. The rounds end when each test quantity has been exceeded
    often enough, so that the p-value is almost unbiased, or when there are enough replicas for the smallest
    p-value.

    References
    ----------
    Besag & Clifford (1991), Biometrika 78, 301.
    """
    observed = torch.as_tensor(forward.observed)[None]
    of_data = _joined([_discrepancies(forward, observed, block[0]) for block in blocks])
    exceeded = {name: np.zeros(len(weights)) for name in of_data}
    most = int(
        np.clip(
            MODEL_FIT.most_numbers // len(forward.observed),
            2 * MODEL_FIT.fewest_replicas,
            MODEL_FIT.most_replicas,
        )
    )
    n_rounds = 0
    while n_rounds * len(weights) < most:
        n_rounds += 1
        replicas = [
            _discrepancies(forward, forward.noise(predictions, columns, generator), predictions)
            for predictions, columns in blocks
        ]
        for name, values in _joined(replicas).items():
            # If the noise law is undefined at a draw, there is no replica, which is not a misfit.
            exceeded[name] += ~(values < of_data[name])
        n_made = n_rounds * len(weights)
        counts = [n_made * float(weights @ each) / n_rounds for each in exceeded.values()]
        if n_made >= MODEL_FIT.fewest_replicas and min(counts) >= MODEL_FIT.often_enough:
            break
    smallest = 1.0 / (n_rounds * len(weights))
    return {name: max(float(weights @ each) / n_rounds, smallest) for name, each in exceeded.items()}


def _discrepancies(forward: ForwardModel, data: Tensor, predictions: Tensor) -> dict[str, Array]:
    residuals = _stabilised(forward, data, predictions)
    names = [name for name in DISCREPANCIES if name != NEIGHBOURS or has_neighbours(forward.sequences)]
    return {name: DISCREPANCIES[name](residuals, forward.sequences) for name in names}


def _stabilised(forward: ForwardModel, data: Tensor, predictions: Tensor) -> Array:
    """Residuals in units of the noise, shape (n, n_data)."""
    return np.asarray((forward.stabilise(data) - forward.stabilise(predictions)).numpy())


def _joined(blocks: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _shown(p: float) -> str:
    """Format a p-value."""
    if p < SMALLEST_SHOWN:
        return f"below {SMALLEST_SHOWN:.0e}"
    return f"{p:.2g}" if p < 0.1 else f"{p:.2f}"
