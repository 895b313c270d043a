"""The first step of a run that starts from a trained model: whether its draws make the result, or begin one.

One of the steps of `snpe`; what is drawn from is made by `trained_model`.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from nbi_sampler.algorithm.history import Draws
from nbi_sampler.algorithm.state import Best, State
from nbi_sampler.algorithm.step import WARM, Start, Step
from nbi_sampler.core.config import OOD_THRESHOLD

__all__ = ["draw_from_model"]

# Seconds of a likelihood call below which twenty thousand take less time than a fit.
CHEAP = 5e-4

logger = logging.getLogger(__name__)


def draw_from_model(step: Step) -> State:
    """First batch, from a trained model: the result itself where its weights are good, or good enough.

    Where a call costs next to nothing, more draws take less time than a fit. A model that has seen nothing
    like the data, or is surprised by what the likelihood's own simulations look like, may miss a part of the
    posterior without a trace in the weights. Then the run takes the whole way from the prior, and so it does
    where the draws tell too little.
    """
    start = step.problem.start
    assert start is not None
    state = step.drawn("model", start.proposal, step.n_sims, pooled=True)
    trusted = _trusted(start, state.history.batches[-1], step.generator("check"))
    located, record = step.has_located(state), state.records[-1]
    cheap = step.problem.evaluator.seconds_per_call < CHEAP
    if trusted and (record.efficiency >= WARM or (cheap and located)):
        return replace(state, phase="final", best=Best(start.proposal, record))
    refinable = trusted and located and step.config.refine
    return replace(state.without_result(), phase="refinement" if refinable else "prior")


def _trusted(start: Start, draws: Draws, rng: np.random.Generator) -> bool:
    """Whether a trained model may give the result without what is learnt from the prior."""
    if start.p_value < OOD_THRESHOLD:
        logger.info("data are unlike those that the model was trained on (p-value %.2g)", start.p_value)
        return False
    if start.check is not None and not start.check(draws, rng):
        logger.warning(
            "model: its posteriors of simulations of this likelihood leave out the truth again and again; it "
            "was trained with another simulator or noise, so the run goes the whole way from the prior"
        )
        return False
    return True
