"""Proposals that an approximate likelihood teaches, where the forward model has one.

A population of walkers follows the prior times a growing power of the approximate likelihood, which takes
little time and no call of the likelihood. Its last states teach a flow, and weighted draws of this flow teach
the next one. The weights of the result come from the likelihood itself, so errors of the approximation cost
draws and do not bias the result.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nbi_sampler.algorithm.mixture import Fitting, MixtureFit
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal, PriorProposal, log_ratios
from nbi_sampler.algorithm.proposals.shares import shares_by_efficiency
from nbi_sampler.algorithm.proposals.thinned import ThinnedProposal, thinned
from nbi_sampler.algorithm.proposals.walkers import Walkers
from nbi_sampler.algorithm.proposals.weighted_draws import WeightedDraws
from nbi_sampler.algorithm.records import Observer
from nbi_sampler.algorithm.target import Target
from nbi_sampler.core.config import (
    APPROXIMATION,
    MIXTURE,
    TAUGHT_BY_DRAWS,
    TAUGHT_BY_STATES,
    TAUGHT_FLOW,
    THINNING,
)
from nbi_sampler.core.guarded import users_settings
from nbi_sampler.core.types import Array
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.forward import ForwardModel
from nbi_sampler.importance.weights import efficiency
from nbi_sampler.networks.flows import flow_factory
from nbi_sampler.networks.training.fit import TrainingInfo
from nbi_sampler.priors.space import ParameterSpace

__all__ = ["Approximation", "approximate_proposal", "has_approximation"]

logger = logging.getLogger(__name__)


def has_approximation(space: ParameterSpace, forward: ForwardModel | None) -> bool:
    """True if walkers can follow an approximate likelihood, in enough dimensions for this to pay."""
    if forward is None or space.discrete or space.n_dim < APPROXIMATION.fewest_dimensions:
        return False
    return forward.has_approximation


class Approximation:
    """The approximate log-likelihood about one draw, as a function of latent coordinates.

    Parameters
    ----------
    evaluator : Evaluator
        With a forward model that has an approximation.
    centre : ndarray, shape (n_dim,)

    Attributes
    ----------
    height : float
        Its value at that draw.
    """

    def __init__(self, evaluator: Evaluator, centre: Array) -> None:
        assert evaluator.forward is not None
        self.evaluator, self.centre, space = evaluator, centre, evaluator.space
        with users_settings():
            self._function = evaluator.forward.approximation(space.row(space.to_theta(centre[None])[0]))
        self.height = float(self(centre[None])[0])

    def about(self, centre: Array) -> Approximation:
        """The same approximation, expanded about another draw."""
        return Approximation(self.evaluator, centre)

    def __call__(self, z: Array) -> Array:
        """Log-likelihood up to a constant, shape (n,); -inf where the prior excludes z or it is undefined."""
        space = self.evaluator.space
        theta = space.to_theta(z)
        allowed = space.satisfies_constraints(theta)
        values = np.full(len(z), -np.inf)
        if allowed.any():
            with users_settings():
                values[allowed] = self._function(space.columns(theta[allowed]))
        return np.where(np.isfinite(values), values, -np.inf)

    def explored(self, rng: np.random.Generator, observer: Observer) -> tuple[Approximation, Target]:
        """States of walkers from the prior to the posterior, and the approximation about the highest."""
        settings, space = APPROXIMATION, self.evaluator.space
        last, n_steps = settings.flattened, self._scaled(settings.n_steps)
        approximation, z = self, rng.normal(size=(self._scaled(settings.n_walkers), space.n_dim))
        walkers = Walkers(z, approximation(z), space.periodic)
        while walkers.power < last:
            walkers = walkers.at_next_power(last, rng)
            *_, walkers = walkers.moved(approximation, n_steps, rng)
            observer.walked(walkers.power)
            logger.debug("power %.3f, log L %.1f", walkers.power, walkers.log_likelihood.mean())
            better = approximation.about(walkers.z[walkers.log_likelihood.argmax()])
            if better.height > approximation.height + settings.least_gain:
                approximation = better
                walkers = replace(walkers, log_likelihood=approximation(walkers.z))
        states = list(walkers.moved(approximation, self._scaled(settings.n_steps_at_end), rng))
        return approximation, _taught(states[:: -max(len(states) // settings.n_kept, 1)])

    def weighted(self, proposal: MixtureProposal, n: int, rng: np.random.Generator) -> Target:
        """Draws from a proposal with weights for the flattened approximation."""
        z = proposal.sample(n, rng)
        values = self.flattened(z)
        return Target.of_samples(WeightedDraws(z, values - proposal.log_ratio(z)), values)

    def drawn(self, proposal: MixtureProposal, rng: np.random.Generator) -> Target:
        """As many weighted draws as teach the next proposal."""
        return self.weighted(proposal, self._scaled(APPROXIMATION.n_draws), rng)

    def thinned(
        self, proposal: MixtureProposal, log_weights: Array, rng: np.random.Generator
    ) -> tuple[ThinnedProposal, float]:
        """A proposal whose draws are thinned by the approximation, and its efficiency there.

        The given log weights of draws choose the threshold. As many more draws are made as the error of the
        share that is kept requires.
        """
        kept, expected = thinned(proposal, self, log_weights)
        n_draws = len(log_weights) * (kept.log_ratio_error / THINNING.error) ** 2
        missing = int(min(n_draws, THINNING.most_draws)) - len(log_weights)
        if missing > 0:
            more = self.weighted(proposal, missing, rng).log_weights
            kept = kept.with_acceptance(np.concatenate([log_weights, more]))
        return kept, expected

    def flattened(self, z: Array) -> Array:
        """The last power of the approximation that walkers follow, shape (n,)."""
        return APPROXIMATION.flattened * self(z)

    def _scaled(self, number: int) -> int:
        return APPROXIMATION.scaled(number, self.evaluator.space.n_dim)


def _taught(states: Sequence[Walkers]) -> Target:
    """States of walkers at several times as a target."""
    z = np.concatenate([each.z for each in states])
    log_target = np.concatenate([each.power * each.log_likelihood for each in states])
    return Target.of_samples(WeightedDraws(z, np.zeros(len(z))), log_target, len(states[0].z))


def _capped(draws: Target) -> Target:
    """Draws of which a few have equal weights instead of the largest, so that these do not teach alone.

    References
    ----------
    Ionides (2008), J. Comput. Graph. Stat. 17, 295 (truncated importance sampling).
    """
    finite = np.sort(draws.log_weights[np.isfinite(draws.log_weights)])
    if not len(finite):
        return draws
    rank = int(np.clip(round(APPROXIMATION.capped * len(draws.z)), 1, len(finite)))
    return replace(draws, log_weights=np.minimum(draws.log_weights, finite[-rank]))


def approximate_proposal(
    evaluator: Evaluator,
    target: Target,
    start: MixtureProposal | None,
    highest: Array,
    fitting: Fitting,
    observer: Observer,
) -> tuple[MixtureProposal, tuple[TrainingInfo, ...], float | None]:
    """Proposal that is fitted to the approximate posterior, and whose draws are thinned by it.

    Parameters
    ----------
    evaluator : Evaluator
    target : Target
        Weighted draws. If they represent the posterior itself, a mixture that is fitted to them joins in, and
        those held out decide on its share.
    start : MixtureProposal, optional
        A proposal near the posterior. By default walkers explore the approximation from the prior.
    highest : ndarray, shape (n_dim,)
        The draw of highest likelihood so far, about which the approximation is expanded first.
    fitting : Fitting
    observer : Observer

    Returns
    -------
    MixtureProposal
    tuple of TrainingInfo
    float, optional
        Its efficiency in the approximation, if no mixture has joined it.
    """
    proposal, expected = start, None
    trainings: tuple[TrainingInfo, ...] = ()
    if proposal is None or not any(isinstance(each, ThinnedProposal) for each in proposal.members):
        thin, expected, trainings = _fitted(evaluator, start, highest, fitting, observer)
        proposal = MixtureProposal.single(thin)
    if target.exponent < 1.0:
        return proposal, trainings, expected
    return _joined(proposal, target, evaluator, fitting), trainings, None


def _joined(
    proposal: MixtureProposal, target: Target, evaluator: Evaluator, fitting: Fitting
) -> MixtureProposal:
    """A proposal and a mixture that is fitted to weighted draws, with shares by those held out."""
    usual, _ = MixtureFit(target, evaluator.space.periodic, fitting).proposal(with_flow=False)
    tested = target.tested
    assert tested.log_target is not None
    densities = log_ratios((proposal, usual), tested.z)
    by_efficiency = shares_by_efficiency(densities, tested.weights, tested.log_target, np.zeros(2))
    share = float(np.clip(by_efficiency[0], *APPROXIMATION.share))
    shares = np.concatenate([share * proposal.shares, (1.0 - share) * usual.shares])
    return MixtureProposal((*proposal.members, *usual.members), shares)


def _fitted(
    evaluator: Evaluator,
    start: MixtureProposal | None,
    highest: Array,
    fitting: Fitting,
    observer: Observer,
) -> tuple[ThinnedProposal, float, tuple[TrainingInfo, ...]]:
    """Thinned version of a flow that states of walkers teach first, and then the draws of the flow before."""
    approximation, rng = Approximation(evaluator, highest), fitting.rng
    proposal, trainings = start, []
    if proposal is None:
        approximation, states = approximation.explored(rng, observer)
        proposal, info = _learnt(states, evaluator.space, fitting._replace(config=TAUGHT_BY_STATES))
        trainings.append(info)
    by_draws = fitting._replace(config=TAUGHT_BY_DRAWS)
    draws = approximation.drawn(proposal, rng)
    capped = _capped(draws)
    for _ in range(APPROXIMATION.most_fits):
        found, but_for_few = efficiency(draws.log_weights), efficiency(capped.log_weights)
        logger.debug("efficiency %.4f in the approximation, %.4f but for few draws", found, but_for_few)
        if but_for_few >= APPROXIMATION.good or not found:
            break
        refitted, info = _learnt(capped, evaluator.space, by_draws)
        trainings.append(info)
        now = approximation.drawn(refitted, rng)
        now_capped = _capped(now)
        if efficiency(now_capped.log_weights) > but_for_few:
            proposal, draws, capped = refitted, now, now_capped
    return *approximation.thinned(proposal, draws.log_weights, rng), tuple(trainings)


def _learnt(target: Target, space: ParameterSpace, fitting: Fitting) -> tuple[MixtureProposal, TrainingInfo]:
    """A flow that learns from a target, with a small share of the prior."""
    networks = replace(fitting.networks, refinement_flows=(flow_factory(TAUGHT_FLOW),))
    flow, info = MixtureFit(target, space.periodic, fitting._replace(networks=networks)).flow()
    shares = np.array([1.0 - MIXTURE.prior_share, MIXTURE.prior_share])
    return MixtureProposal((flow, PriorProposal(space.n_dim)), shares), info
