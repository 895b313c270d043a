"""Whether a trained model knows how the data of a likelihood come about, by simulations that are paid for.

A model that was trained with another simulator may miss a part of the posterior without a trace in its
weights. Used by the first step of a run that starts from a model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from nbi_sampler.algorithm.history import Draws
from nbi_sampler.amortised import Estimator, Targets
from nbi_sampler.forward import ForwardModel
from nbi_sampler.randomness import torch_generator

__all__ = ["ModelCheck"]

# A density below this share of the prior's, at the truth, is a surprise. So large a share of them, and so
# many, a true posterior has next to never.
SURPRISING = 0.01
MOST_SURPRISES = 0.1
FEWEST_SURPRISES = 3
MOST_SIMULATIONS = 200


@dataclass(frozen=True)
class ModelCheck:
    r"""Compares a model with simulations of the likelihood.

    Of data x that a parameter set theta gave, the true posterior has

    .. math:: \mathrm{E}_{x | \theta}\left[p(\theta) / p(\theta | x)\right] = 1

    at every theta, so by Markov's inequality it falls below a share s of the prior, at the truth, with a
    probability of at most s. A model that does so again and again has another posterior.

    Attributes
    ----------
    estimator : Estimator
    observed : Targets
        The observed data, whose uncertainties and mask the simulations get.
    forward : ForwardModel
        Of the likelihood; its data are those that the model takes.
    """

    estimator: Estimator
    observed: Targets
    forward: ForwardModel

    def __call__(self, draws: Draws, rng: np.random.Generator) -> bool:
        """Whether the model may be believed.

        Parameters
        ----------
        draws : Draws
            With predictions. Those count at which their proposal is thinner than the prior: at others the
            model may be right and blind elsewhere.
        rng : numpy.random.Generator
            For the noise.
        """
        evaluation = draws.evaluation
        assert evaluation.predictions is not None
        rows = np.flatnonzero((draws.log_ratio < 0.0) & np.isfinite(evaluation.predictions).all(1))
        rows = rows[:MOST_SIMULATIONS]
        if len(rows) < FEWEST_SURPRISES:
            return True
        estimator, theta = self.estimator, evaluation.theta[rows]
        columns = {name: torch.as_tensor(each) for name, each in estimator.space.columns(theta).items()}
        predictions = torch.as_tensor(evaluation.predictions[rows])
        data = self.forward.noise(predictions, columns, torch_generator(rng)).numpy()
        x_err = self.observed.x_err
        simulated = Targets(
            np.where(self.observed.mask[:, None], data.reshape(len(rows), *self.observed.x.shape[1:]), 0.0),
            None if x_err is None else np.repeat(x_err, len(rows), axis=0),
            np.repeat(self.observed.mask, len(rows), axis=0),
        )
        surprises = estimator.log_ratio(theta, simulated) < math.log(SURPRISING)
        return bool(surprises.mean() <= MOST_SURPRISES or surprises.sum() < FEWEST_SURPRISES)
