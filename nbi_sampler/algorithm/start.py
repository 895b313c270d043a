"""Beginnings of a run other than the prior: a trained model, or samples of a former posterior."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.algorithm.history import Draws
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal
from nbi_sampler.algorithm.proposals.weighted_draws import WeightedDraws
from nbi_sampler.algorithm.target import Target

__all__ = ["FormerSamples", "Start"]


@dataclass(frozen=True)
class Start:
    """A trained model at the data. A run draws from it first, instead of from the prior.

    Attributes
    ----------
    proposal : MixtureProposal
        With a share of the prior.
    p_value : float
        Probability that data of the training distribution are as far from the rest as the observed data.
    digest : str
        Identifies the model.
    check : callable, optional
        ``(draws, rng) -> bool``: True if the simulations that came with draws are like those of the training.
    """

    proposal: MixtureProposal
    p_value: float
    digest: str
    check: Callable[[Draws, np.random.Generator], bool] | None = None


@dataclass(frozen=True, eq=False)
class FormerSamples:
    """Samples of a former posterior, to which the first proposal is fitted. Each row occurs once.

    The proposal that they were drawn from is unknown. They train proposals, but they are not part of the
    result.

    Attributes
    ----------
    draws : WeightedDraws
    log_likelihood : ndarray, shape (n,), optional
        Values of the former run, up to a constant. None if they are unknown for the prior of now.
    digest : str
        Identifies the samples.
    about : dict of str to object
        What was made of them, for people.
    """

    draws: WeightedDraws
    log_likelihood: NDArray[np.float64] | None
    digest: str
    about: dict[str, Any]

    def target(self, offset: float | None) -> Target:
        """The samples as a target, with the former log-likelihood plus a constant; unknown without it."""
        former = self.log_likelihood
        now = None if offset is None or former is None else former + offset
        return Target.of_samples(self.draws, now)
