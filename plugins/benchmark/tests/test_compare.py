"""Results of several samplers are laid side by side, and the figures mean what they say."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import bilby
import numpy as np
import pandas as pd
import pytest
from bilby.core.prior import PriorDict, Uniform
from nbi_sampler_benchmark import compare
from nbi_sampler_benchmark.runs.records import RunRecord, run_of_result
from nbi_sampler_benchmark.samplers.comparison import Comparison
from nbi_sampler_benchmark.samplers.costs import CostLine, Crossover, cost_line, crossover, duration
from nbi_sampler_benchmark.samplers.divergence import jensen_shannon
from scipy.stats import norm


def entry_of(sampler="nbi", *, n=2000, shift=0.0, names=("a", "b"), seed=1, **changes):
    rng = np.random.default_rng([seed, len(sampler)])
    weights = rng.uniform(0.5, 1.5, size=n)
    own = {
        "theta": rng.normal(size=(n, len(names))) + shift,
        "weights": weights / weights.sum(),
        "log_evidence": -3.0,
        "log_evidence_err": 0.1,
        "calls": 4000.0,
        "seconds": 20.0,
    }
    return RunRecord(sampler=sampler, names=names, seed=seed, **own | changes)


def result_of(sampler="dynesty", weights=None, n=400, **changes):
    priors = PriorDict({"a": Uniform(-5, 5), "b": Uniform(-5, 5, latex_label="$b$")})
    draws = pd.DataFrame(np.random.default_rng(1).normal(size=(n, 2)), columns=["a", "b"])
    nested = None if weights is None else draws.assign(weights=weights, log_likelihood=0.0)
    own = {
        "log_evidence": -1.0,
        "log_evidence_err": 0.1,
        "num_likelihood_evaluations": 1000,
        "sampling_time": 5.0,
    }
    return bilby.core.result.Result(
        label="x",
        outdir=".",
        sampler=sampler,
        search_parameter_keys=["a", "b"],
        priors=priors,
        posterior=draws,
        nested_samples=nested,
        **own | changes,
    )


def test_divergence_of_two_gaussians_is_that_of_their_densities():
    rng, n = np.random.default_rng(2), 400_000
    first, second = rng.normal(0, 1, n), rng.normal(0.8, 1.3, n)
    x = np.linspace(-8, 10, 20_001)
    p, q = norm.pdf(x), norm.pdf(x, 0.8, 1.3)
    m = (p + q) / 2
    exact = np.trapezoid(0.5 * (p * np.log(p / m) + q * np.log(q / m)), x)
    got = jensen_shannon(first, np.ones(n), second, np.ones(n))
    # Both are smoothed by the same kernel, which brings them a little closer.
    assert got == pytest.approx(exact, rel=0.05)


def test_divergence_takes_weights_into_account():
    rng, n = np.random.default_rng(3), 100_000
    broad = rng.normal(0, 2, n)
    weights = norm.pdf(broad) / norm.pdf(broad, 0, 2)
    narrow = rng.normal(size=n)
    assert jensen_shannon(broad, weights, narrow, np.ones(n)) < 1e-3
    assert jensen_shannon(broad, np.ones(n), narrow, np.ones(n)) > 0.05


def test_divergence_of_separate_samples_is_log_two_and_of_constants_zero():
    x = np.linspace(0, 1, 5000)
    assert jensen_shannon(x, np.ones(5000), x + 5, np.ones(5000)) == pytest.approx(math.log(2), rel=0.02)
    assert jensen_shannon(np.ones(9), np.ones(9), np.ones(9), np.ones(9)) == 0.0


def test_samples_of_one_posterior_are_below_what_is_expected_and_others_above():
    same = [entry_of("nbi", seed=1), entry_of("dynesty", seed=2)]
    pair = Comparison(title="", runs=tuple(same)).pairs()[0]
    assert max(pair.divergences.values()) < pair.expected == 10 / min(each.ess for each in same)
    apart = Comparison(title="", runs=(same[0], entry_of("dynesty", seed=2, shift=0.5))).pairs()[0]
    assert apart.largest[1] > apart.expected


@pytest.mark.parametrize(
    ("ours", "theirs", "where", "text"),
    [
        (CostLine(30, 1e4), CostLine(10, 1e5), Crossover(20 / 9e4, math.inf), "from 222 us a call"),
        (CostLine(10, 1e4), CostLine(30, 1e5), Crossover(0, math.inf), "always"),
        (CostLine(10, 1e5), CostLine(30, 1e4), Crossover(0, 20 / 9e4), "up to 222 us a call"),
        (CostLine(30, 1e5), CostLine(10, 1e4), Crossover(0, 0), "never"),
        (CostLine(30, 1e4), CostLine(10, 1e4), Crossover(0, 0), "never"),
        (CostLine(10, 1e4), CostLine(30, 1e4), Crossover(0, math.inf), "always"),
    ],
)
def test_crossover_is_where_the_lines_cross(ours, theirs, where, text):
    found = crossover(ours, theirs)
    assert (found.start, found.end) == pytest.approx((where.start, where.end))
    assert str(found) == text
    for t in (1e-5, 1e-3, 1.0):
        assert (ours.seconds(t) < theirs.seconds(t)) == (found.start < t < found.end)


def test_cost_counts_only_what_is_outside_of_the_likelihood_as_overhead():
    runs = [
        entry_of(seconds=s, likelihood_seconds=4.0, calls=c) for s, c in ((14, 100), (24, 300), (16, 200))
    ]
    assert cost_line(runs) == CostLine(overhead=12.0, calls=200.0)
    per_sample = cost_line(runs, per_ess=True)
    assert per_sample.calls == pytest.approx(200 / runs[0].ess)


@pytest.mark.parametrize(("seconds", "text"), [(2.5, "2.5 s"), (0.0015, "1.5 ms"), (2e-6, "2 us")])
def test_duration_has_a_unit(seconds, text):
    assert duration(seconds) == text


def test_pull_is_against_the_weighted_mean_of_other_samplers():
    ours = entry_of("nbi", log_evidence=0.5, log_evidence_err=0.3)
    again = entry_of("nbi", seed=2, log_evidence=99.0, log_evidence_err=0.3)
    others = [
        entry_of("dynesty", log_evidence=0.0, log_evidence_err=0.1),
        entry_of("nautilus", log_evidence=0.3, log_evidence_err=0.2),
    ]
    found = Comparison(title="", runs=(ours, again, *others)).pull(ours)
    mean, error = (0.0 / 0.01 + 0.3 / 0.04) / (1 / 0.01 + 1 / 0.04), (1 / 0.01 + 1 / 0.04) ** -0.5
    assert found == pytest.approx((0.5 - mean) / math.hypot(0.3, error))


def test_pull_is_unknown_without_others_or_without_an_error():
    alone = Comparison(title="", runs=(entry_of("nbi"), entry_of("nbi", seed=2)))
    assert math.isnan(alone.pull(alone.runs[0]))
    without = entry_of("dynesty", log_evidence_err=math.nan)
    assert math.isnan(Comparison(title="", runs=(entry_of(), without)).pull(without))


def test_slower_likelihoods_add_their_calls():
    row = Comparison(title="", runs=(entry_of(calls=4000.0, seconds=20.0),)).rows()[0]
    assert row["seconds_if_slower"] == {"1 ms": pytest.approx(24.0), "100 ms": pytest.approx(420.0)}


def test_runs_that_were_really_slowed_down_do_not_enter_the_cost_lines():
    runs = (entry_of(seconds=20.0), entry_of(seconds=500.0, sleep=0.1, seed=1))
    assert Comparison(title="", runs=runs).cost_lines()["nbi"].overhead == 20.0


def test_results_of_bilby_are_compared_by_their_own_weights():
    weights = np.r_[np.ones(100), np.zeros(300)]
    found = compare(
        {"peer": result_of(weights=weights), "mcmc": result_of(sampler="emcee", log_evidence=None)}
    )
    first, second = found.rows()
    assert first["ess"] == pytest.approx(100) and first["calls_per_ess"] == pytest.approx(10)
    assert second["ess"] == pytest.approx(400) and math.isnan(second["log_evidence"])
    assert found.samplers == ["peer", "mcmc"]
    assert found.labels == {"a": "a", "b": "$b$"}


def test_result_that_does_not_say_how_many_calls_it_took_is_compared_all_the_same():
    silent = result_of("ultranest", weights=np.ones(400), num_likelihood_evaluations=None)
    assert math.isnan(compare([silent]).rows()[0]["calls"])


def test_names_are_those_of_the_results_where_none_are_given():
    assert compare([result_of("dynesty"), result_of("nautilus")]).samplers == ["dynesty", "nautilus"]


def test_nothing_to_compare_is_refused():
    with pytest.raises(ValueError, match="expected at least one, got none"):
        compare([])
    other = result_of()
    other.search_parameter_keys = ["c"]
    other.posterior = other.posterior.rename(columns={"a": "c"})
    with pytest.raises(ValueError, match="expected them to share a parameter, got a, b and c"):
        compare([result_of(), other])


def test_negligible_draws_are_left_out_and_the_rest_sums_to_one():
    weights = np.r_[np.ones(100), np.full(300, 1e-12)]
    run = run_of_result(result_of(weights=weights))
    assert len(run.theta) == len(run.weights) == 100
    assert run.weights.sum() == pytest.approx(1.0)


def test_json_is_strict_and_says_what_is_missing(tmp_path):
    runs = (entry_of("nbi"), entry_of("dynesty", log_evidence=math.nan, calls=math.nan))
    comparison = Comparison(title="t", runs=runs, missing={"ultranest": "not installed"})
    path = comparison.to_json(tmp_path / "deep" / "report.json")

    def refuse(text):
        raise AssertionError(f"not JSON: {text}")

    found = json.loads(path.read_text(), parse_constant=refuse)
    assert found["runs"][1]["log_evidence"] is None
    assert found["missing"] == {"ultranest": "not installed"}
    assert set(found["divergences"][0]["divergences"]) == {"a", "b"}


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    pytest.importorskip("matplotlib")
    runs = (entry_of("nbi"), entry_of("<dynesty>", shift=0.8, log_evidence=5.0), entry_of("third"))
    known = dict(log_evidence=-3.0, log_evidence_err=0.01, seconds_per_call=1e-3, truth={"a": 0.0})
    comparison = Comparison(title="one & two", runs=runs, missing={"ultranest": "not installed"}, **known)
    return comparison.to_html(tmp_path_factory.mktemp("html") / "report.html").read_text()


def test_html_page_loads_nothing_from_elsewhere(html):
    assert not re.search(r'(src|href)="(?!data:)', html)
    assert "<script" not in html and "@import" not in html
    assert html.count("data:image/png;base64,") == 3


def test_html_page_escapes_names_and_marks_what_is_off(html):
    assert "<dynesty>" not in html and "&lt;dynesty&gt;" in html and "one &amp; two" in html
    assert "ultranest is missing: not installed" in html
    assert html.count('class="off"') >= 3


def test_html_page_does_without_what_is_not_known(tmp_path):
    bare = replace(
        entry_of(), calls=math.nan, seconds=math.nan, log_evidence=math.nan, log_evidence_err=math.nan
    )
    text = Comparison(title="t", runs=(bare,)).to_html(tmp_path / "r.html").read_text()
    assert text.count("data:image/png") == 1
    words = re.sub(r'"data:[^"]*"', "", text)
    assert not re.search("<h2>Evidence|<h2>Which costs less|nan", words)
