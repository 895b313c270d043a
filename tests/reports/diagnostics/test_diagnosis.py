"""The verdict of a diagnosis: corrected p-values, findings in words, and the page."""

from __future__ import annotations

import re

import numpy as np
import pytest

from nbi_sampler.core.config import CALIBRATION
from nbi_sampler.reports.diagnostics import Diagnosis, ObservationCheck, assess
from nbi_sampler.reports.diagnostics.diagnosis import holm
from nbi_sampler.reports.diagnostics.local import LocalCalibration
from nbi_sampler.reports.diagnostics.words import calibration_in_words
from nbi_sampler.reports.model_fit import ModelFit

RIGHT = LocalCalibration(0.4, 200.0, np.zeros(2), np.full(2, 0.1), np.ones(2), np.full(2, 0.1))
NARROW = LocalCalibration(1e-4, 200.0, np.zeros(2), np.full(2, 0.1), np.array([1.0, 2.0]), np.full(2, 0.1))


def assessment(rng, scale=1.0, shift=0.0, n=200):
    draws = shift + scale * rng.normal(size=(n, 40, 2))
    return assess(draws, rng.normal(size=(n, 2)), names=["a<b", "b"], rng=rng)


def fit(p=0.5, **p_values):
    found = {"chi_squared": p, "largest_residual": 0.5, "neighbouring_residuals": 0.5, **p_values}
    return ModelFit(found, 30.0, 0.7, 12, np.linspace(-1, 1, 12))


def a_diagnosis(rng, scores=(0.9,), checks=None, **wrong):
    checks = [ObservationCheck(RIGHT, fit(), 0.5, 900.0, True)] if checks is None else checks
    return Diagnosis(assessment(rng, **wrong), rng.chisquare(4, 999) / 4, np.array(scores), tuple(checks))


def test_holm_corrects_for_the_number_of_tests_and_keeps_the_order():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []


@pytest.mark.takes_seconds
def test_right_engines_are_called_alarming_at_the_nominal_rate():
    rng = np.random.default_rng(2)
    n = 300
    alarming = [any(t.alarming for t in a_diagnosis(rng, scores=()).tests) for _ in range(n)]
    rate = CALIBRATION.alarming
    assert np.mean(alarming) <= rate + 4 * np.sqrt(rate * (1 - rate) / n)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (
            {"scale": 0.5},
            r"a<b: posteriors are too narrow: \d+% of the truths lie in central intervals of 68 %",
        ),
        ({"scale": 2.0}, "posteriors are too wide"),
        ({"shift": 0.5}, r"posteriors are biased: \d+% of the truths lie below the median"),
        ({"shift": -0.5}, "of the truths lie above the median"),
    ],
    ids=["narrow", "wide", "high", "low"],
)
def test_a_wrong_network_is_named_with_the_direction(rng, wrong, words):
    found = a_diagnosis(rng, **wrong)
    assert not found.passed
    assert found.problems[0].startswith("The network is not calibrated. ")
    assert re.search(words, found.problems[0]) and "What to do: train on more" in found.problems[0]


def test_ranks_uneven_in_no_named_way_are_told_so():
    assert "shape" in calibration_in_words(np.random.default_rng(0).random(500))


def test_data_that_are_unlike_the_simulations_are_named(rng):
    found = a_diagnosis(rng, scores=(9.0, 1.0))
    (said,) = found.problems
    assert "observation 0 is unlike the simulations (p = 0.001)" in said and "a rare target" in said
    unweighted = a_diagnosis(rng, scores=(9.0,), checks=[ObservationCheck(RIGHT)])
    assert "the network may say anything about it" in unweighted.problems[0]


def test_of_many_observations_some_are_rare_by_chance(rng):
    many = np.full(150, 0.9)
    many[:2] = 9.0
    assert a_diagnosis(rng, scores=many).passed
    many[:9] = 9.0
    assert len(a_diagnosis(rng, scores=many).problems) == 9


@pytest.mark.parametrize(
    ("scores", "weighted", "start"),
    [
        ((9.0,), True, "The model is misspecified: observation 0 is unlike the simulations"),
        ((0.9,), True, "The model is misspecified: observation 0 looks like the simulations, but"),
        ((0.9,), False, "The network's posterior of observation 0 does not fit it"),
        ((9.0,), False, "Data out of distribution: observation 0 is unlike the simulations"),
    ],
    ids=["unlike", "alike", "alike, no weights", "unlike, no weights"],
)
def test_misspecification_is_told_from_a_bad_network(rng, scores, weighted, start):
    check = ObservationCheck(RIGHT, fit(1e-9), 0.3, 600.0 if weighted else 2.0, weighted)
    (said,) = a_diagnosis(rng, scores=scores, checks=[check]).problems
    assert said.startswith(start) and "chi-squared is 30 for 12 data points" in said


def test_kinds_of_misfit_are_named(rng):
    check = ObservationCheck(RIGHT, fit(largest_residual=1e-9, neighbouring_residuals=1e-9), 0.3, 600.0, True)
    (said,) = a_diagnosis(rng, checks=[check]).problems
    assert "there are outliers" in said and "neighbouring residuals are correlated (0.70)" in said


def test_an_error_near_an_observation_is_named_though_averages_are_right(rng):
    found = a_diagnosis(rng, checks=[ObservationCheck(RIGHT), ObservationCheck(NARROW)], scores=(0.9, 1.0))
    (said,) = found.problems
    assert said.startswith("The network is wrong near observation 1")
    assert "posteriors of b are too narrow: true values scatter 2.00 +- 0.10 times" in said


def test_numbers_come_as_a_table(rng):
    found = a_diagnosis(rng)
    assert list(found.table.columns) == ["panel", "name", "p_value", "adjusted", "alarming"]
    assert set(found.table.panel) == {"calibration", "local calibration", "out of distribution", "predictive"}
    assert (found.table.adjusted >= found.table.p_value).all()
    assert "passed" in repr(found)


@pytest.mark.takes_seconds
def test_the_page_is_one_file_with_a_sentence_for_each_panel(rng, tmp_path):
    found = a_diagnosis(rng, scale=0.5)
    path = found.save(tmp_path / "new" / "page.html")
    text = path.read_text(encoding="utf-8")
    assert "http://" not in text and "https://" not in text and "<script" not in text
    for title in (
        "Calibration",
        "Coverage",
        "Near the observation",
        "Out of distribution",
        "Predictive check",
    ):
        section = text.split(f"<h2>{title}</h2>")[1].split("</header>")[0]
        assert len(re.sub("<.*?>", "", section).split()) > 15
    assert text.count('src="data:image/png;base64,') == 5
    assert "a&lt;b" in text and "a<b" not in text
    assert "too narrow" in text and found._repr_html_().startswith("<iframe")


def test_a_page_without_observations_has_the_panels_of_the_network(rng):
    text = Diagnosis(assessment(rng), rng.random(100), np.empty(0)).html
    assert "<h2>Calibration</h2>" in text and "<h2>Near the observation</h2>" not in text
    assert "passed" in text


@pytest.mark.takes_seconds
def test_a_place_that_cannot_be_written_is_an_error_that_says_so(rng, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="path: expected a file that can be written"):
        a_diagnosis(rng).save(tmp_path / "file" / "page.html")
