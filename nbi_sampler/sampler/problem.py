"""The problem that a run solves, made from bilby's likelihood and priors and the settings.

The forward model is made together with the sampler, so that mistakes cost no call. The rest is made in the
run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from bilby.core.likelihood import Likelihood
from bilby.core.prior import PriorDict

from nbi_sampler.algorithm.approximation import has_approximation
from nbi_sampler.algorithm.start import FormerSamples, Start
from nbi_sampler.algorithm.step import Networks, Problem
from nbi_sampler.core.guarded import users_errors, users_settings
from nbi_sampler.core.randomness import stage_generator
from nbi_sampler.evaluation.calls import likelihood_function
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.evaluation.pools import Pool
from nbi_sampler.forward import ForwardModel, UserModel, forward_model_for
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.sampler.initial_result import samples_for
from nbi_sampler.sampler.keywords import Settings
from nbi_sampler.sampler.trained_model import check_priors, estimator_of, observed_by, start_at

__all__ = ["make_forward_model", "make_problem", "make_start", "probe_generator"]


def make_forward_model(
    likelihood: Likelihood, space: ParameterSpace, settings: Settings
) -> ForwardModel | None:
    """Make the source of simulations: the user's simulator, the recognised model of the likelihood, or None.

    Raises
    ------
    ValueError
        If a simulator has no observed data, or the priors lack a parameter of the model.
    """
    if settings.simulator is None:
        forward = forward_model_for(likelihood)
    else:
        forward = UserModel(settings.simulator, settings.noise, _observed(likelihood, settings))
    if forward is not None:
        _check_parameters(forward, space)
    return forward


def make_start(
    priors: PriorDict, space: ParameterSpace, forward: ForwardModel | None, settings: Settings
) -> Start | FormerSamples | None:
    """Make the first proposal of a run that does not start from the prior.

    Raises
    ------
    TypeError, ValueError
        If the model is not a trained one, or was trained for other priors or data; if there are no former
        samples, or they belong to another problem.
    """
    if settings.initial_result is not None:
        return samples_for(settings.initial_result, priors, space)
    if settings.model is None:
        return None
    estimator = estimator_of(settings.model, priors)
    check_priors(estimator, space)
    observed = observed_by(estimator, forward, settings.x_obs, settings.x_err, settings.x_mask)
    return start_at(estimator, observed, forward)


def make_problem(
    likelihood: Likelihood,
    use_ratio: bool,
    space: ParameterSpace,
    forward: ForwardModel | None,
    settings: Settings,
    pool: Pool | None = None,
    start: Start | FormerSamples | None = None,
    between_calls: Callable[[], None] | None = None,
    refine: bool = True,
) -> Problem:
    """Combine likelihood and networks; a few calls of the likelihood show how to call it best.

    With ``refine``, an approximation of the likelihood takes the place of rounds of simulations.
    """
    function = likelihood_function(likelihood, use_ratio)
    with users_settings(), users_errors():
        offset = -float(likelihood.noise_log_likelihood()) if use_ratio else 0.0
    rng = probe_generator()
    approximates = refine and has_approximation(space, forward)
    evaluator = Evaluator(
        space, function, forward, rng, offset, settings.vectorized, pool, between_calls, not approximates
    )
    n_threads = settings.threads(0 if forward is None else math.prod(forward.shape))
    networks = Networks(
        settings.featurizer, settings.flow, settings.refinement_flows, settings.device, n_threads
    )
    problem = Problem(evaluator, networks, start=start, approximates=approximates)
    return replace(
        problem,
        training=replace(problem.training, **settings.training),
        refinement_training=replace(problem.refinement_training, **settings.training),
    )


def probe_generator() -> np.random.Generator:
    """Generator for the first calls; without the seed, their values identify the likelihood."""
    return stage_generator(0, "probe")


def _observed(likelihood: Likelihood, settings: Settings) -> Any:
    observed = settings.x_obs
    for name in ("y", "data"):
        if observed is None:
            observed = getattr(likelihood, name, None)
    if observed is None:
        raise ValueError(
            f"x_obs: expected observed data for the simulator, got None, and "
            f"{type(likelihood).__name__} has neither 'y' nor 'data'; pass x_obs="
        )
    return observed


def _check_parameters(forward: ForwardModel, space: ParameterSpace) -> None:
    """Refuse priors without a parameter of the model, by name and before the first call."""
    needed = [*(forward.prediction_parameters or ()), *forward.noise_parameters]
    missing = [name for name in needed if name not in space.names and name not in space.fixed]
    if missing:
        given = ", ".join((*space.names, *space.fixed))
        raise ValueError(
            f"priors: expected one for every parameter of the likelihood ({forward.name}), got none for "
            f"{', '.join(missing)} beside {given}; add a prior or a fixed value. If that is the independent "
            "variable, make it the first argument of the model function"
        )
