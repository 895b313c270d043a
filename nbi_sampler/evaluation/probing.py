"""The calls that a draw of a problem needs: probed once, at a few draws from the prior, before a run.

One call of the user's model may serve training and weighting, or the likelihood has to be called beside it;
one call may serve many draws; one may cost so little that it is not worth sending to another process.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.core.guarded import users_errors, users_settings
from nbi_sampler.evaluation.batched_calls import BatchFunction, agrees, batched_likelihoods, batched_models
from nbi_sampler.evaluation.calls import Calls
from nbi_sampler.priors.column_function import works_at_once

__all__ = ["Probe", "probe"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Probe:
    """The result of probing.

    Attributes
    ----------
    calls : Calls
        As few as possible.
    values : ndarray, shape (n_probes,)
        Log-likelihoods.
    seconds_per_call : float
        Of the likelihood.
    seconds_per_draw : float
        Of all calls that a draw costs.
    """

    calls: Calls
    values: Array
    seconds_per_call: float
    seconds_per_draw: float

    def describe(self) -> str:
        """The calls in words."""
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
            text += f"; it does not take {', '.join(unused)}, sampled all the same"
        if calls.predict_at_once is not None:
            text += "; the model function is called in batches"
        if calls.log_likelihood_at_once is not None:
            text += "; the likelihood is called in batches"
        return text


def _not_taken(calls: Calls) -> list[str]:
    """Sampled parameters that the forward model is known not to depend on: often a misspelt argument."""
    forward = calls.forward
    if forward is None or forward.prediction_parameters is None:
        return []
    taken = {*forward.prediction_parameters, *forward.noise_parameters}
    return [name for name in calls.names if name not in taken]


def probe(calls: Calls, theta: Array, vectorized: Literal["auto"] | bool) -> Probe:
    """Call the user's code singly and at once at draws from the prior, shape (n_probes, n_dim), and compare.

    Of the calls nothing is shared or at once yet; without any draws that stays so.

    Raises
    ------
    LikelihoodError
        When the user's code raises.
    ValueError
        With ``vectorized=True``, when nothing can be called at once.
    """
    if not len(theta):
        return Probe(calls, np.zeros(0), 0.0, np.inf)
    values, seconds_per_call = _timed(calls.number, theta)
    predictions, seconds_per_draw = np.zeros(0), seconds_per_call
    if calls.forward is not None:
        predictions, seconds_per_draw = _timed(calls.prediction, theta)
        if calls.forward.has_log_likelihood:
            calls = replace(calls, shared=agrees(calls.weighed(predictions, theta), values))
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
    # A user who asks for it is believed where every probe is impossible, which shows nothing.
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
        # Given arrays, the user's code may warn of anything.
        with warnings.catch_warnings(), users_settings(), users_errors():
            warnings.simplefilter("ignore")
            copies = {name: column.copy() for name, column in columns.items()}
            if works_at_once(partial(function, copies), truth, comparison):
                return function
    return None


def _timed(function: Callable[[Array], Any], theta: Array) -> tuple[Array, float]:
    """Values of a function of single draws, and the median of the seconds that each took."""
    values, seconds = [], []
    for row in theta:
        start = time.perf_counter()
        values.append(function(row))
        seconds.append(time.perf_counter() - start)
    return np.array(values), float(np.median(seconds))
