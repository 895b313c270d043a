"""Beginnings of a run other than the prior: a trained model at the data, or samples of a former posterior."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.algorithm.history import Draws
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal

__all__ = ["FormerSamples", "Start"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Start:
    """A trained model at the data, from which a run draws first, in place of the prior.

    Attributes
    ----------
    proposal : MixtureProposal
        With a share of the prior.
    p_value : float
        Chance that data which the model was trained for are as unlike the others as the observed ones.
    digest : str
        Tells the model.
    check : callable, optional
        ``(draws, rng) -> bool``: True where the model knows the simulations that came with draws.
    """

    proposal: MixtureProposal
    p_value: float
    digest: str
    check: Callable[[Draws, np.random.Generator], bool] | None = None


@dataclass(frozen=True, eq=False)
class FormerSamples:
    """Samples of a former posterior, to which the first proposal is fitted.

    They come from a proposal that nobody knows, so that they teach proposals and are no draws of the result.

    Attributes
    ----------
    z : ndarray, shape (n, n_dim)
        Each row once.
    log_weights : ndarray, shape (n,)
    log_likelihood : ndarray, shape (n,), optional
        As the former run had them, up to a constant; None where they are not known for the prior of now.
    digest : str
        Tells the samples.
    about : dict of str to object
        What was made of them, for people.
    """

    z: Array
    log_weights: Array
    log_likelihood: Array | None
    digest: str
    about: dict[str, Any]
