"""Data of a model, its posterior by importance sampling from the prior, and the check of the fit."""

from __future__ import annotations

import numpy as np
import torch
from bilby.core.prior import PriorDict, Uniform
from forward_cases import Case, generator

from nbi_sampler.algorithm.history import Draws
from nbi_sampler.evaluation.batch import Evaluation
from nbi_sampler.forward import ForwardModel, forward_model_for
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.reports.model_fit import ModelFit, check_fit


def space_of(box: dict[str, tuple[float, float]]) -> ParameterSpace:
    return ParameterSpace(PriorDict({name: Uniform(*limits) for name, limits in box.items()}))


def data_of(model: ForwardModel, space: ParameterSpace, seed: int) -> np.ndarray:
    """Data of one draw from the prior."""
    theta = space.to_theta(np.random.default_rng(seed).normal(size=(1, space.n_dim)))
    columns = {name: torch.as_tensor(each) for name, each in space.columns(theta).items()}
    prediction = torch.as_tensor(model.simulate(space.row(theta[0])))[None]
    return model.noise(prediction, columns, generator(seed))[0].numpy()


def fit_of(
    model: ForwardModel, space: ParameterSpace, n_draws: int = 1000, seed: int = 1, **keywords
) -> ModelFit | None:
    """Check of the fit with draws from the prior, weighted."""
    return check_fit([drawn(model, space, n_draws, seed, **keywords)], model, space, seed)


def drawn(model: ForwardModel, space: ParameterSpace, n_draws: int, seed: int, log_likelihood=None) -> Draws:
    z = np.random.default_rng([seed, 1]).normal(size=(n_draws, space.n_dim))
    theta = space.to_theta(z)
    columns = space.columns(theta)
    try:
        predictions = model.simulate_batch(columns)
    except NotImplementedError:
        predictions = np.array([model.simulate(space.row(row)) for row in theta])
    log_l = (log_likelihood or model.log_likelihood)(predictions, columns)
    draws = Draws(z, np.zeros(n_draws), Evaluation(theta, log_l, predictions, n_draws, 0, 0.0))
    return draws.without_predictions(some=True)


def of_data(case: Case, data: np.ndarray) -> ForwardModel:
    model = forward_model_for(case.make(data.reshape(case.data.shape)))
    assert model is not None
    return model
