"""The verdict on a run: the worst that applies, what contradicts an evidence, and that this is reported."""

from __future__ import annotations

import copy
import json
import math
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nbi_sampler.importance.reliability import Status, contradicting_evidence, judge, summarise
from nbi_sampler.importance.weights import Evidence, equal_weight_indices

RESULT = Evidence(-10.0, 0.01)


def test_one_batch_far_above_the_result_contradicts_it_however_few_draws_it_rests_on():
    assert contradicting_evidence(RESULT, [-10.0, -1.0], None) == -1.0


@pytest.mark.parametrize("n_batches", [1, 10, 100])
def test_more_batches_allow_for_a_higher_one_by_chance(n_batches):
    allowed = -10.0 + math.log(200.0 * n_batches)
    batches = [-10.0] * (n_batches - 1)
    assert contradicting_evidence(RESULT, [*batches, allowed - 0.01], None) is None
    assert contradicting_evidence(RESULT, [*batches, allowed + 0.01], None) is not None


def test_the_mixture_of_all_draws_contradicts_only_from_above():
    assert contradicting_evidence(RESULT, [-10.0], Evidence(-9.5, 0.05)) == -9.5
    assert contradicting_evidence(RESULT, [-10.0], Evidence(-9.9, 0.05)) is None
    assert contradicting_evidence(RESULT, [-10.0], Evidence(-12.0, 0.01)) is None


def test_a_fair_batch_seldom_contradicts():
    # Markov's bound at 1 / 200: heavy-tailed weights with a mean of one, 400 runs of ten batches each.
    rng = np.random.default_rng(5)
    weights = rng.lognormal(-2.0, 2.0, size=(400, 10, 50))
    batches = np.log(weights.mean(axis=2))
    alarms = sum(contradicting_evidence(Evidence(0.0, 0.0), list(run), None) is not None for run in batches)
    assert alarms <= 400 / 200 + 3 * math.sqrt(400 / 200)


def test_a_contradiction_outranks_healthy_weights():
    weights = summarise(np.zeros(5000))
    assert judge(weights, 1000, 5000).status == "ok"
    assert judge(weights, 1000, 5000).message.endswith("5,000 likelihood calls")
    found = judge(weights, 1000, 5000, n_distinct=1700).message
    assert found.endswith("; the posterior has 5,000 rows, 1,700 of them distinct")
    assert "other seeds" in judge(weights, 1000, 5000, likelihood_only=True).message
    explored = judge(weights, 1000, 5000, likelihood_only=True, explored=True).message
    assert "approximation of the likelihood" in explored and "alone" not in explored
    verdict = judge(weights, 1000, 5000, contradiction=-3.0)
    assert verdict.status == "missing mass"
    assert "-3.00" in verdict.message and "n_sims" in verdict.message


def heavy(n, power):
    return power * np.log(np.random.default_rng(0).pareto(1.0, size=n) + 1.0)


VERDICTS = [
    (np.zeros(500), 400, {}, "ok"),
    (np.zeros(500), 400, {"misfit": "p = 0"}, "poor fit"),
    (np.zeros(500), 600, {}, "n_effective not reached"),
    (np.zeros(500), 600, {"misfit": "p = 0"}, "n_effective not reached"),
    (np.zeros(500), 600, {"adapting": True}, "n_effective not reached"),
    (np.zeros(50), 40, {}, "few distinct samples"),
    (np.append(np.zeros(5000), np.log(400.0)), 100, {}, "unreliable weights"),
    (heavy(5000, 1.0), 10, {}, "unreliable weights"),
    (heavy(5000, 1.0), 10, {"contradiction": 2.0}, "missing mass"),
    (np.zeros(500), 400, {"n_equal": 500}, "missing mass"),
    (np.full(300, -np.inf), 10, {}, "no finite likelihood"),
    (np.zeros(0), 10, {}, "no finite likelihood"),
]
# Given where no result is judged: `sampler/survey/target.py` and `reports/events.py`, whose tests see them.
ELSEWHERE = {
    "failed": "tests/sampler/survey/test_survey.py",
    "interrupted": "tests/plugins/test_plugins_events.py",
}


@pytest.mark.parametrize(("log_weights", "n_effective", "known", "status"), VERDICTS)
def test_status_is_the_worst_that_applies_and_its_message_has_the_remedy(
    log_weights, n_effective, known, status
):
    verdict = judge(summarise(log_weights), n_effective, n_calls=5000, **known)
    assert verdict.status == status
    assert verdict.status == Status.OK or verdict.status.remedy in verdict.message


def test_samples_of_a_run_that_was_still_adapting_are_not_called_valid():
    """loggamma20 of the benchmark after 80,000 calls: one of four modes, log Z 1.49 (21 errors) too low."""
    said = [
        judge(summarise(np.zeros(500)), 600, 5000, adapting=adapting).message for adapting in (False, True)
    ]
    assert ["samples are valid" in message for message in said] == [True, False]
    assert "whole modes may be missing" in said[1]


def test_every_status_is_given_by_a_test():
    missing = set(Status) - {status for *_, status in VERDICTS} - set(ELSEWHERE)
    assert not missing, f"add weights that get {missing} to VERDICTS"
    for status, path in ELSEWHERE.items():
        assert f'"{status}"' in (Path(__file__).parents[2] / path).read_text()


@pytest.mark.parametrize("status", Status)
def test_every_status_has_a_remedy_and_is_its_text_wherever_it_goes(status):
    assert status.remedy and status.remedy_of_model
    text = status.value
    assert (status, f"{status}", str(status), repr(status)) == (text, text, text, repr(text))
    assert {text: 1}[status] == 1 and json.loads(json.dumps(status)) == text
    for copied in (pickle.loads(pickle.dumps(status)), copy.deepcopy(status)):
        assert copied == status
    # Not bound to the class, so that other versions can read the pickle.
    assert b"Status" not in pickle.dumps(status)


def test_a_heavy_tail_without_mass_is_no_reason_for_distrust():
    log_weights = 0.01 * heavy(5000, 1.0) + np.where(np.arange(5000) < 3, np.log(10.0), 0.0)
    weights = summarise(log_weights)
    assert weights.ess > 0.9 * len(log_weights)
    assert judge(weights, 1000, 5000).status == "ok"


@pytest.mark.parametrize(
    "n, share, height, power, status",
    [(1_000, 0.02, 1.8, 0.9, "ok"), (100_000, 0.03, 1.2, 0.8, "unreliable weights")],
    ids=["1,000 draws", "100,000 draws"],
)
def test_a_heavy_tail_counts_where_its_mass_exceeds_the_error(n, share, height, power, status):
    """Tails that hold 4 % more than their share, which is the error of 700 draws, and seven of 30,000."""
    in_tail = np.random.default_rng(1).random(n) < share
    weights = summarise(np.where(in_tail, np.log(height) + heavy(n, power) - power, 0.0))
    assert 0.03 < weights.tail_excess < 0.05 and weights.k_hat > 0.7
    assert judge(weights, 100, n).status == status


def test_the_message_names_as_many_rows_as_there_are_where_rounding_leaves_a_hair_less():
    # Weights that differ by rounding: an effective size of 300 less 1e-13.
    weights = replace(summarise(np.zeros(300)), ess=math.nextafter(300.0, 0.0))
    rows = equal_weight_indices(np.zeros(300), np.random.default_rng(1))
    message = judge(weights, 200, 300, n_distinct=len(rows)).message
    assert f"the posterior has {len(rows)} rows, {len(rows)} of them distinct" in message
