"""Tests, at a few draws from the prior, of the calls that a draw of a problem needs.

One call of the user's model may serve both training and weighting, or the likelihood needs a call of its own.
One call may serve many draws. A call may be too cheap to be worth sending to another process.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from nbi_sampler.core.guarded import users_errors, users_settings
from nbi_sampler.core.types import Array
from nbi_sampler.evaluation.batched_calls import BatchFunction, agrees, batched_likelihoods, batched_models
from nbi_sampler.evaluation.calls import Calls
from nbi_sampler.priors.column_function import works_at_once

__all__ = ["Probe", "probe"]


@dataclass(frozen=True)
class Probe:
    """The calls of a problem, with their costs and values at the probes.

    Attributes
    ----------
    calls : Calls
        The fewest calls that suffice.
    values : ndarray, shape (n_probes,)
        Log-likelihoods.
    seconds_per_call : float
        Seconds of one call of the likelihood.
    seconds_per_draw : float
        Seconds of all calls that one draw needs.
    """

    calls: Calls
    values: Array
    seconds_per_call: float
    seconds_per_draw: float

    def describe(self) -> str:
        """Describe the calls in words."""
        calls, forward = self.calls, self.calls.forward
        text = (
            "likelihood only: no forward model is known for it"
            if forward is None
            else f"forward model: {forward.name}"
        )
        if forward is not None and not calls.shared:
            reason = "differs from" if forward.has_log_likelihood else "does not define"
            text += f"; it {reason} the likelihood, which is called separately for the weights"
        unused = _not_taken(calls)
        if unused:
            text += f"; it does not take {', '.join(unused)}, which the run still samples"
        if calls.predict_at_once is not None:
            text += "; the model function is called in batches"
        if calls.log_likelihood_at_once is not None:
            text += "; the likelihood is called in batches"
        return text


def _not_taken(calls: Calls) -> list[str]:
    """Sampled parameters that the forward model does not depend on, often because of a misspelt argument."""
    forward = calls.forward
    if forward is None or forward.prediction_parameters is None:
        return []
    taken = {*forward.prediction_parameters, *forward.noise_parameters}
    return [name for name in calls.names if name not in taken]


def probe(calls: Calls, theta: Array, vectorized: Literal["auto"] | bool) -> Probe:
    """Compare single and batched calls of the user's code at draws from the prior, shape (n_probes, n_dim).

    At first no call is shared or batched. Without any draws this does not change.

    Raises
    ------
    LikelihoodError
        If the user's code raises.
    ValueError
        With ``vectorized=True``, if no function can be called in batches.
    """
    if not len(theta):
        return Probe(calls, np.zeros(0), 0.0, np.inf)
    values, seconds_per_call = _timed(calls.number, theta)
    predictions, seconds_per_draw = np.zeros(0), seconds_per_call
    if calls.forward is not None:
        predictions, seconds_per_draw = _timed(calls.prediction, theta)
        if calls.forward.has_log_likelihood:
            calls = replace(calls, shared=agrees(calls.from_predictions(predictions, theta), values))
        seconds_per_draw += 0.0 if calls.shared else seconds_per_call
    if vectorized is not False:
        calls = _at_once(calls, theta, predictions, values, vectorized)
        if calls.at_once:
            start = time.perf_counter()
            list(calls(theta, np.arange(len(theta))))
            seconds_per_draw = (time.perf_counter() - start) / len(theta)
    if vectorized is True and not calls.at_once:
        raise ValueError(
            "vectorized: expected a model function that broadcasts over parameters of shape (n, 1), or a "
            "likelihood without one over shape (n,), but its batch disagrees with single calls; use "
            "vectorized='auto' or False"
        )
    return Probe(calls, values, seconds_per_call, seconds_per_draw)


def _at_once(
    calls: Calls, theta: Array, predictions: Array, values: Array, vectorized: Literal["auto"] | bool
) -> Calls:
    columns = calls.columns(theta)
    # If every probe is impossible, nothing can be compared, and a user's vectorized=True is trusted.
    comparison = partial(agrees, at_a_finite_number=vectorized is not True)
    if calls.forward is not None:
        ways = batched_models(calls.forward)
        calls = replace(calls, predict_at_once=_first_that_agrees(ways, columns, predictions, comparison))
    if not calls.shared:
        ways = batched_likelihoods(calls.log_likelihood, vectorized)
        calls = replace(calls, log_likelihood_at_once=_first_that_agrees(ways, columns, values, comparison))
    return calls


def _first_that_agrees(
    functions: Iterable[BatchFunction],
    columns: dict[str, Array],
    truth: Array,
    comparison: Callable[[Array, Array], bool],
) -> BatchFunction | None:
    for function in functions:
        # The user's code may give any warning when it gets arrays.
        with warnings.catch_warnings(), users_settings(), users_errors():
            warnings.simplefilter("ignore")
            copies = {name: column.copy() for name, column in columns.items()}
            if works_at_once(partial(function, copies), truth, comparison):
                return function
    return None


def _timed(function: Callable[[Array], Any], theta: Array) -> tuple[Array, float]:
    """Values of a function at single draws, and the median duration of a call in seconds."""
    values, seconds = [], []
    for row in theta:
        start = time.perf_counter()
        values.append(function(row))
        seconds.append(time.perf_counter() - start)
    return np.array(values), float(np.median(seconds))
