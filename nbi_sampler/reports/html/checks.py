"""Checks of a result at a glance: the value found, the value expected, and whether it is alarming."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nbi_sampler.core.config import MODEL_FIT, OOD_THRESHOLD, PRIOR_EDGES, RELIABILITY, REPORT
from nbi_sampler.importance.agreement import Agreement, agreement
from nbi_sampler.importance.reliability import Status, negligible_excess, summarise
from nbi_sampler.importance.residuals import CHI_SQUARED, LARGEST, NEIGHBOURS
from nbi_sampler.reports.html.contents import Contents
from nbi_sampler.reports.html.numbers import count, p_value, rounded, share, whole
from nbi_sampler.reports.model_fit import LEAST_P_VALUES

__all__ = ["MEANINGS", "Check", "Verdict", "agreement_of", "checks_of", "predictive_checks", "verdict_of"]

GOOD, ALARM, UNKNOWN, NOTE = "good", "alarm", "unknown", "note"

MEANINGS = {
    Status.OK: "The run has the required number of effective samples, and no check speaks against them.",
    Status.POOR_FIT: "Samples and evidence are right for this model and these priors, but the data deviate "
    "from the model by more than the noise explains.",
    Status.N_EFFECTIVE_NOT_REACHED: "The budget of likelihood calls ended first: samples and evidence are "
    "valid, with larger errors than required.",
    Status.FEW_DISTINCT_SAMPLES: "The posterior rests on few draws: means are rough, and tails and intervals "
    "are unknown.",
    Status.UNRELIABLE_WEIGHTS: "A few draws hold too much of the posterior: the error of log Z is too small, "
    "and parts of the posterior may be thin.",
    Status.MISSING_MASS: "Other draws of the run show a part of the posterior that this result almost "
    "misses: the evidence is too low.",
    Status.NO_FINITE_LIKELIHOOD: "The likelihood was zero or NaN at every call: there are no samples.",
    Status.FAILED: "The likelihood or its data raised an error.",
    Status.INTERRUPTED: "The run was stopped before it had a result.",
}
DISCREPANCIES = {
    CHI_SQUARED: ("Sum of squared residuals", "model, prior or size of the noise is wrong"),
    LARGEST: ("Largest residual", "there are outliers"),
    NEIGHBOURS: ("Products of neighbouring residuals", "the residuals have a smooth trend"),
}


@dataclass(frozen=True)
class Verdict:
    """Meaning of a status; ``level`` is "good", "note", "alarm" or "unknown"."""

    status: str
    level: str
    meaning: str
    remedy: str
    message: str


@dataclass(frozen=True)
class Check:
    """One row of the table; ``found`` is text or a number, ``level`` is as in `Verdict`."""

    name: str
    found: Any
    expected: str
    level: str
    anchor: str
    hint: str = ""


def verdict_of(contents: Contents) -> Verdict:
    """Describe what the status of a result means and what to do."""
    text = contents.view.status
    if not text:
        meaning = f"A result of sampler {str(contents.result.sampler)!r} has no data for these checks."
        remedy = "use the diagnostics of that sampler, or run the problem with sampler='nbi' and compare"
        return Verdict("no verdict", UNKNOWN, meaning, remedy, "")
    status = next((each for each in Status if each == text), None)
    if status is None:
        meaning = "Another version of nbi-sampler wrote the result, and this one does not know its status."
        remedy = "update nbi-sampler, or read the message"
        return Verdict(text, UNKNOWN, meaning, remedy, contents.view.message)
    milder = (Status.N_EFFECTIVE_NOT_REACHED,)
    level = GOOD if status == Status.OK else NOTE if status in milder else ALARM
    return Verdict(text, level, MEANINGS[status], status.remedy, contents.view.message)


def checks_of(contents: Contents) -> list[Check]:
    """Return every check of a run of this sampler, in the order of the page."""
    own, view = contents.own, contents.view
    if not own:
        return []
    found = _number(own, "ess")
    wanted = _number(own, "n_effective")
    few = ALARM if found < RELIABILITY.fewest_effective else NOTE if found < wanted else GOOD
    enough = UNKNOWN if math.isnan(found + wanted) else few
    checks = [
        Check("Effective samples", whole(found), f"at least {count(wanted)}", enough, "weights"),
        _tail(contents),
        _limited(
            "Largest weight",
            share(own.get("largest_weight_share")),
            f"at most {share(RELIABILITY.largest_share)} of the posterior",
            _number(own, "largest_weight_share") <= RELIABILITY.largest_share,
        ),
        _agreement(agreement_of(contents)),
        *predictive_checks(own),
        _edges(contents),
    ]
    n_nan = _number(own, "n_nan")
    level = UNKNOWN if math.isnan(n_nan) else GOOD if n_nan == 0.0 else NOTE
    checks.append(Check("Likelihood calls that gave NaN", count(n_nan), "none", level, "calls"))
    if model := own.get("model"):
        p = _number(model, "p_value")
        alike = UNKNOWN if math.isnan(p) else GOOD if p >= OOD_THRESHOLD else NOTE
        expected = f"p at least {OOD_THRESHOLD}, or the run does not start from the model"
        checks.append(
            Check("Data are like those of the trained model", p_value(p), expected, alike, "repeat")
        )
    return checks if view.status != Status.NO_FINITE_LIKELIHOOD else [checks[0], checks[-1]]


def agreement_of(contents: Contents) -> Agreement | None:
    """Compare the batches of a result whose log Z has a small error."""
    records = [record for record in contents.view.records if record.pooled]
    return agreement([each.evidence for each in records if each.log_evidence_err <= REPORT.largest_error])


def predictive_checks(own: Mapping[str, Any]) -> list[Check]:
    """Return a check for each test quantity of the run; a single one if the run has none."""
    values = own.get("predictive_p_values")
    if not values:
        name = "Posterior predictive p-value"
        return [Check(name, "not judged", "needs a likelihood whose noise is known", UNKNOWN, "predictive")]
    checks = []
    correlation = _number(own, "residual_correlation")
    for name, value in values.items():
        title, hint = DISCREPANCIES.get(name, (str(name).replace("_", " "), ""))
        p, limit = _number(values, name), LEAST_P_VALUES.get(name, 0.0)
        level = UNKNOWN if math.isnan(p) else GOOD if p >= limit else ALARM
        if name == NEIGHBOURS and level == ALARM and correlation <= MODEL_FIT.most_correlated:
            level = NOTE
        checks.append(
            Check(f"{title}: p-value", p_value(value), f"at least {limit:g}", level, "predictive", hint)
        )
    return checks


def _tail(contents: Contents) -> Check:
    k_hat, view = _number(contents.own, "k_hat"), contents.view
    expected = f"k-hat at most {RELIABILITY.heavy_tail}"
    if math.isnan(k_hat):
        return Check("Tail of the weights", rounded(k_hat), expected, UNKNOWN, "weights")
    level = GOOD if k_hat <= RELIABILITY.heavy_tail else ALARM
    # The status also accepts a large k-hat if almost no mass is in the tail.
    weights = summarise(view.all_log_weights)
    if level == ALARM and weights.tail_excess <= negligible_excess(weights):
        level, expected = GOOD, f"{expected}; here it is above, but the tail holds almost no mass"
    return Check("Tail of the weights", rounded(k_hat, 2), expected, level, "weights")


def _agreement(found: Agreement | None) -> Check:
    name = "Batches agree about log Z"
    if found is None:
        return Check(name, "one batch alone", "two batches to compare", UNKNOWN, "evidence")
    level = GOOD if found.p_value >= REPORT.least_agreement else NOTE
    return Check(name, p_value(found.p_value), f"p at least {REPORT.least_agreement:g}", level, "evidence")


def _edges(contents: Contents) -> Check:
    name, expected = "Posterior at an edge of a prior", "none, unless intended"
    own, records = contents.own, contents.view.records
    # A run examines the batches of its result that have enough draws.
    few = _number(own, "ess") < PRIOR_EDGES.fewest_effective
    if "at_prior_edge" not in own or few or (records and not any(record.pooled for record in records)):
        return Check(name, "not looked at", expected, UNKNOWN, "parameters")
    edges = own["at_prior_edge"]
    found = ", ".join(f"{each}: {side}" for each, side in edges.items()) or "none"
    return Check(name, found, expected, NOTE if edges else GOOD, "parameters")


def _limited(name: str, found: Any, expected: str, within: bool) -> Check:
    level = UNKNOWN if math.isnan(found.value) else GOOD if within else ALARM
    return Check(name, found, expected, level, "weights")


def _number(values: Mapping[str, Any], name: str) -> float:
    value = values.get(name)
    return float(value) if isinstance(value, int | float | np.number) else math.nan
