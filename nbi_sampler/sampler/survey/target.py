"""One target of a survey: its run from the trained model, and its row in the table.

Any problem with a target becomes the status of its row.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from bilby.core.likelihood import Likelihood
from bilby.core.prior import PriorDict

from nbi_sampler.algorithm.records import QUANTILES, Observer
from nbi_sampler.algorithm.snpe import run
from nbi_sampler.amortised import Estimator, Observation
from nbi_sampler.core.randomness import stage_generator
from nbi_sampler.importance.reliability import Status
from nbi_sampler.importance.weights import systematic_indices, weighted_quantiles
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.reports.result import finished_run
from nbi_sampler.sampler.keywords import Settings, read_settings
from nbi_sampler.sampler.problem import make_forward_model, make_problem
from nbi_sampler.sampler.trained_model import start_at

__all__ = ["Plan", "Target", "failure", "without_warnings_of_bilby"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """A target to infer, with ``observed`` in the format of the model and the digest ``data`` of its data."""

    index: int
    name: str
    likelihood: Likelihood
    observed: Observation
    data: str
    seed: int

    @property
    def known(self) -> dict[str, Any]:
        """Columns of its row that are known before the run."""
        return {"index": self.index, "name": self.name, "data": self.data, "seed": self.seed}


@dataclass(frozen=True)
class Plan:
    """Everything that the targets of a survey share, including all keywords of the sampler."""

    estimator: Estimator
    priors: PriorDict
    keywords: Mapping[str, Any]
    n_samples: int

    @cached_property
    def space(self) -> ParameterSpace:
        """The priors."""
        return ParameterSpace(self.priors)

    @cached_property
    def settings(self) -> Settings:
        """The keywords."""
        return read_settings(self.keywords)

    def row(self, target: Target) -> dict[str, Any]:
        """Run one target and return its row; the status is "failed" if anything was raised."""
        start = time.perf_counter()
        try:
            with without_warnings_of_bilby():
                values = self._inferred(target)
        # The likelihood is the user's code and may raise any error. Other targets must not be affected.
        except Exception as error:
            logger.info("target %s failed", target.name, exc_info=True)
            values = failure(error)
        return {**target.known, **values, "seconds": time.perf_counter() - start}

    def _inferred(self, target: Target) -> dict[str, Any]:
        forward = make_forward_model(target.likelihood, self.space, self.settings)
        start = start_at(self.estimator, target.observed, forward)
        problem = make_problem(target.likelihood, False, self.space, forward, self.settings, start=start)
        config = replace(self.settings.snpe, seed=target.seed)
        state = run(problem, config, target.seed, Observer())
        finished = finished_run(state, problem, config, self.priors)
        moments = self._moments(finished.fields["nested_samples"], target.seed)
        return {**vars(finished.outcome), "p_value": start.p_value, **moments}

    def _moments(self, draws: Any, seed: int) -> dict[str, Any]:
        """Mean, spread, quantiles and samples of equal weight; empty without draws."""
        if draws.empty:
            return {}
        theta, weights = draws[list(self.space.names)].to_numpy(), draws["weights"].to_numpy()
        mean = weights @ theta
        chosen = systematic_indices(weights, self.n_samples, stage_generator(seed, "survey"))
        return {
            "mean": mean,
            "standard_deviation": np.sqrt(weights @ (theta - mean) ** 2),
            "quantiles": weighted_quantiles(theta, weights, QUANTILES),
            "samples": theta[chosen],
            "log_likelihood": draws["log_likelihood"].to_numpy()[chosen],
        }


@contextmanager
def without_warnings_of_bilby() -> Iterator[None]:
    """Silence the warnings that bilby's own likelihoods cause, which would appear for every target."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Parameter attribute queried", FutureWarning)
        yield


def failure(error: BaseException) -> dict[str, Any]:
    """Status and message of a target that could not be inferred."""
    return {"status": Status.FAILED, "message": f"{type(error).__name__}: {error}"}
