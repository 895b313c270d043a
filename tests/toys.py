"""Small problems of known evidence, below bilby's sampler class, and proposals for a run in any situation."""

from __future__ import annotations

import inspect

import bilby
import numpy as np
import torch
from bilby.core.prior import Gaussian, PriorDict
from scipy import stats

from nbi_sampler.algorithm.history import Draws
from nbi_sampler.algorithm.proposals.kernels import LatentKernels
from nbi_sampler.algorithm.proposals.proposal import FlowProposal
from nbi_sampler.algorithm.proposals.student_mixture import StudentMixture
from nbi_sampler.algorithm.step import Networks, Problem
from nbi_sampler.core.config import TrainingConfig
from nbi_sampler.evaluation.batch import Evaluation
from nbi_sampler.evaluation.calls import likelihood_function
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.forward import forward_model_for
from nbi_sampler.networks.featurizers import featurizer_factory
from nbi_sampler.networks.flows import flow_factory
from nbi_sampler.priors.space import ParameterSpace

QUICK = TrainingConfig(n_epochs=12, n_batches=10, patience=6)


def gaussian_space(n_dim):
    """Standard normal priors: theta is z."""
    return ParameterSpace(PriorDict({f"p{i}": Gaussian(0.0, 1.0, f"p{i}") for i in range(n_dim)}))


def networks(flow="maf"):
    refinement = tuple(flow_factory({"type": "maf", "num_blocks": n}) for n in (1, 2))
    return Networks(featurizer_factory("auto"), flow_factory(flow), refinement, torch.device("cpu"), 1)


def likelihood_only(function, n_dim, training=QUICK):
    """Problem whose log-likelihood is a function of theta of shape (n_dim,)."""
    space = gaussian_space(n_dim)

    def log_likelihood(parameters):
        return function(np.array([parameters[name] for name in space.names]))

    evaluator = Evaluator(space, log_likelihood, None, np.random.default_rng(0))
    return Problem(evaluator, networks(), training, training)


def linear_gaussian(n_dim, n_data=20, sigma=0.5, training=QUICK):
    """Problem with a linear model and Gaussian noise that is recognised, and its log evidence."""
    rng = np.random.default_rng(n_dim)
    design = rng.normal(size=(n_data, n_dim))
    data = design @ rng.normal(size=n_dim) + sigma * rng.normal(size=n_data)
    names = [f"p{i}" for i in range(n_dim)]

    def model(x, **parameters):
        return sum(parameters[name] * column for name, column in zip(names, design.T, strict=True))

    kinds = inspect.Parameter.POSITIONAL_OR_KEYWORD
    model.__signature__ = inspect.Signature([inspect.Parameter(name, kinds) for name in ("x", *names)])
    likelihood = bilby.core.likelihood.GaussianLikelihood(np.arange(n_data), data, model, sigma=sigma)
    function = likelihood_function(likelihood, False)
    forward = forward_model_for(likelihood)
    evaluator = Evaluator(gaussian_space(n_dim), function, forward, np.random.default_rng(0))
    covariance = design @ design.T + sigma**2 * np.eye(n_data)
    evidence = stats.multivariate_normal.logpdf(data, np.zeros(n_data), covariance)
    return Problem(evaluator, networks(), training, training), evidence


def bump(centre, width):
    """Log-likelihood of a normalised Gaussian at ``centre``, and its evidence under N(0, I)."""
    centre = np.asarray(centre, dtype=float)
    evidence = stats.norm.logpdf(centre, 0.0, np.hypot(1.0, width)).sum()
    constant = -0.5 * len(centre) * np.log(2 * np.pi * width**2)
    return lambda theta: constant - 0.5 * np.sum((theta - centre) ** 2, axis=-1) / width**2, evidence


def student(centre, width, degrees=10.0):
    """Proposal of one kernel."""
    centre = np.atleast_1d(np.asarray(centre, dtype=float))
    factor = width * np.eye(len(centre))
    mixture = StudentMixture(np.ones(1), centre[None], factor[None], degrees)
    return LatentKernels(mixture, np.zeros(len(centre)))


def drawn(proposal, log_likelihood, n, rng):
    """Draws with the log-likelihoods of a function of z, shape (n, n_dim)."""
    z = proposal.sample(n, rng)
    evaluation = Evaluation(z, log_likelihood(z), None, n_calls=n, n_nan=0, seconds=0.0)
    return Draws(z, proposal.log_ratio(z), evaluation)


def is_flow(member):
    return isinstance(member, FlowProposal)
