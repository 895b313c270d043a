"""Small settings of a run, its verdict, and its error in units of the claimed one."""

from __future__ import annotations

from nbi_sampler.algorithm.records import Observer
from nbi_sampler.core.config import SnpeConfig
from nbi_sampler.importance.reliability import contradicting_evidence, judge, summarise
from nbi_sampler.importance.weights import log_evidence
from nbi_sampler.networks.training.fit import TrainingInfo

QUIET = Observer()
NOT_TRAINED = TrainingInfo(best=0.0, training=(), validation=(), n_steps=0, n_skipped=0, seconds=0.0)


def settings(**changes):
    return SnpeConfig(**({"n_effective": 600, "n_sims": 300, "n_rounds": 3} | changes))


def status_of(state, config):
    batches = [record.log_evidence for record in state.records]
    contradiction = contradicting_evidence(
        log_evidence(state.final_log_weights), batches, log_evidence(state.history.log_weights)
    )
    weights = summarise(state.final_log_weights)
    return judge(weights, config.n_effective, state.n_calls, contradiction).status


def pull(state, truth):
    value, error = log_evidence(state.final_log_weights)
    assert error < 0.2
    return (value - truth) / error
