"""Posteriors with discrete states: the evidence and the probability of every state, known in closed form."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import bilby
import numpy as np
import pytest
import toys
from scipy.special import logsumexp
from small_runs import run_nbi

from nbi_sampler.algorithm import one_state
from nbi_sampler.algorithm.by_state import StatesFit
from nbi_sampler.algorithm.history import History
from nbi_sampler.algorithm.mixture import Fitting
from nbi_sampler.algorithm.one_state import OneState
from nbi_sampler.algorithm.proposals.by_state import StateMixture, SubspaceProposal
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal, PriorProposal
from nbi_sampler.algorithm.refinement import fit_to_weights
from nbi_sampler.algorithm.target import Target, choose_target
from nbi_sampler.core.config import REFINEMENT
from nbi_sampler.importance.weights import effective_sample_size, efficiency
from nbi_sampler.priors.discrete import DiscreteParts
from nbi_sampler.priors.space import ParameterSpace

HEIGHT, HALF_WIDTH, SIGMA, N_DATA = 0.3, 5.0, 0.3, 20
PRIOR = bilby.core.prior


class Switches(bilby.Likelihood):
    """A linear model of which any amplitude may be zero."""

    def __init__(self, n_switches, seed):
        super().__init__()
        rng = np.random.default_rng(seed)
        self.design = rng.normal(size=(N_DATA, n_switches))
        truth = np.array([0.9, 0.0, -0.15])[:n_switches]
        self.data = self.design @ truth + SIGMA * rng.normal(size=N_DATA)

    def log_likelihood(self, parameters):
        amplitudes = np.array([parameters[f"a{i}"] for i in range(self.design.shape[1])])
        residual = (self.data - self.design @ amplitudes) / SIGMA
        return -0.5 * residual @ residual

    def exact(self):
        """Log evidence, and the probability of every combination of switches."""
        n = self.design.shape[1]
        terms = {}
        for on in itertools.product((False, True), repeat=n):
            design = self.design[:, np.array(on)]
            k = design.shape[1]
            fitted = np.linalg.lstsq(design, self.data, rcond=None)[0] if k else np.zeros(0)
            residual = (self.data - design @ fitted) / SIGMA
            log_z = -0.5 * residual @ residual + (n - k) * math.log(HEIGHT)
            log_z += k * math.log((1.0 - HEIGHT) / (2.0 * HALF_WIDTH) * math.sqrt(2.0 * math.pi) * SIGMA)
            terms[on] = log_z - 0.5 * np.linalg.slogdet(design.T @ design)[1]
        total = logsumexp(list(terms.values()))
        return total, {on: math.exp(term - total) for on, term in terms.items()}


def slab_and_spike():
    return PRIOR.SlabSpikePrior(
        PRIOR.Uniform(-HALF_WIDTH, HALF_WIDTH), spike_location=0.0, spike_height=HEIGHT
    )


@pytest.mark.slow
@pytest.mark.parametrize(("n_switches", "seed"), [(1, 1), (3, 2), (3, 13)])
def test_switches_have_the_right_evidence_and_probabilities_at_few_calls(n_switches, seed, tmp_path):
    likelihood = Switches(n_switches, seed)
    priors = {f"a{i}": slab_and_spike() for i in range(n_switches)} | {"idle": PRIOR.Uniform(0.0, 1.0)}
    result = run_nbi(likelihood, priors, tmp_path, n_effective=1000, n_sims="auto", seed=seed)
    own = result.meta_data["nbi"]
    assert own["status"] == "ok", own["message"]
    log_z, probabilities = likelihood.exact()
    assert abs(result.log_evidence - log_z) < 3.0 * result.log_evidence_err
    assert result.log_evidence_err < 0.05
    draws = result.nested_samples
    weights = draws["weights"].to_numpy()
    on = draws[[f"a{i}" for i in range(n_switches)]].to_numpy() != 0.0
    for state, expected in probabilities.items():
        found = weights[(on == state).all(axis=1)].sum()
        error = math.sqrt(expected * (1.0 - expected) / own["ess"])
        assert abs(found - expected) < 4.0 * error + 1e-3, state
    # The first scan of two and of four dimensions, and efficient draws after it.
    assert result.num_likelihood_evaluations < {1: 26_000, 3: 9_000}[n_switches]


@pytest.fixture(scope="module")
def mixed():
    """Draws of the prior of a discrete and two continuous parameters, of which one matters in one state."""
    space = ParameterSpace(
        PRIOR.PriorDict(
            {"k": PRIOR.Categorical(2), "a": PRIOR.Gaussian(0.0, 1.0), "b": PRIOR.Gaussian(0.0, 1.0)}
        )
    )

    def log_likelihood(z):
        second = space.to_theta(z)[:, 0] == 1.0
        wide = -0.5 * ((z[:, 1] - 0.5) / 0.4) ** 2
        return wide + np.where(second, -0.5 * ((z[:, 2] + 1.0) / 0.3) ** 2 + 1.5, 0.0)

    prior = MixtureProposal.single(PriorProposal(3))
    rng = np.random.default_rng(4)
    history = History().extended(toys.drawn(prior, log_likelihood, 6000, rng), prior)
    return space, log_likelihood, history


def test_each_state_is_fitted_in_the_parameters_that_matter_in_it(mixed, monkeypatch):
    space, _, history = mixed
    seen = {}

    class Recorded(one_state.MixtureFit):
        def __init__(self, target, periodic, fitting, flows_in):
            one = flows_in.__self__
            seen[int(one.state[0])] = one.continuous[one.informed].tolist()
            self.n_dim = target.z.shape[1]

        def proposal(self, with_flow=True):
            return PriorProposal(self.n_dim), ()

    monkeypatch.setattr(one_state, "MixtureFit", Recorded)
    fit = StatesFit(choose_target(history, 3, False), space, None).by_state()
    assert seen == {1: [1], 2: [1, 2]}
    assert fit.covered == pytest.approx(1.0)
    mixture = fit.members[0]
    assert isinstance(mixture, StateMixture)
    assert all(isinstance(member, SubspaceProposal) for member in mixture.members)


@pytest.mark.takes_seconds
def test_a_proposal_by_state_is_efficient_where_steps_would_have_to_be_drawn(mixed):
    space, log_likelihood, history = mixed
    fitting = Fitting(toys.networks(), toys.QUICK, np.random.default_rng(1))
    proposal, _ = fit_to_weights(choose_target(history, 3, False), space, fitting)
    draws = toys.drawn(proposal, log_likelihood, 4000, np.random.default_rng(2))
    assert efficiency(draws.log_weights) > 0.8


def test_a_state_with_few_effective_draws_is_found_from_what_a_smaller_power_shows():
    """Otherwise its few draws, from a proposal that is too wide, miss it, and log Z is too low under "ok"."""
    rng = np.random.default_rng(3)
    z = rng.normal(size=(160, 2))
    log_likelihood = -0.5 * ((z[:, 0] - 0.9) / 0.05) ** 2
    made = [
        Target(z, power * log_likelihood, np.zeros(160, dtype=bool), 1.0, power * log_likelihood)
        for power in (1.0, 0.5, 0.1)
    ]
    assert effective_sample_size(made[0].log_weights) < 8.0
    continuous = DiscreteParts((np.zeros(0),) * 2, (np.zeros(0),) * 2)
    one = OneState(continuous, np.zeros(2, dtype=int), replace(made[0], wider=tuple(made[1:])))
    kernels = one.extrapolated()
    y = kernels.sample(4000, rng)
    log_weights = -0.5 * ((y[:, 0] - 0.9) / 0.05) ** 2 - kernels.log_ratio(y)
    assert efficiency(log_weights) > 0.2


def test_the_top_of_a_paraboloid_is_found_where_few_draws_have_all_the_weight(rng):
    """A state of three switches had 0.008 of the mass under "ok" instead of 0.054."""
    n_dim, centre, width = 3, np.array([0.8, -1.1, 0.3]), 0.1
    z = rng.normal(size=(300, n_dim))
    log_likelihood = -0.5 * ((z - centre) ** 2).sum(axis=1) / width**2
    made = []
    for power in (1.0, *REFINEMENT.wide_exponents):
        log_target = power * log_likelihood
        kept = log_target > log_target.max() - REFINEMENT.negligible
        held_out = np.zeros(kept.sum(), dtype=bool)
        made.append(Target(z[kept], log_target[kept], held_out, power, log_target[kept]))
    assert effective_sample_size(made[0].log_weights) < 3.0
    continuous = DiscreteParts((np.zeros(0),) * n_dim, (np.zeros(0),) * n_dim)
    one = OneState(continuous, np.zeros(n_dim, dtype=int), replace(made[0], wider=tuple(made[1:])))
    kernel = one.by_regression()
    y = kernel.sample(4000, rng)
    log_weights = -0.5 * ((y - centre) ** 2).sum(axis=1) / width**2 - kernel.log_ratio(y)
    # A Gaussian that is wider by a factor s has the efficiency ((2 s^2 - 1) / s^4)^(3 / 2): 0.76 with 1.3.
    assert efficiency(log_weights) == pytest.approx(0.76, abs=0.04)
