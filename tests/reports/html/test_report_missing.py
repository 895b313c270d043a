"""Pages of results that lack something: it is named, and nothing is raised from inside."""

from __future__ import annotations

import copy

import bilby
import numpy as np
import pandas as pd
import pytest
from page_cases import PageParser, changed

from nbi_sampler.importance.weights import weighted_quantiles
from nbi_sampler.reports.html import report

pytestmark = pytest.mark.usefixtures("quick_pictures", "coarse_figures")

OWN = (
    *("status", "message", "efficiency", "ess", "n_effective", "n_distinct", "k_hat", "largest_weight_share"),
    *("predictive_p_value", "predictive_p_values", "residual_correlation", "predictive_check", "model"),
    *("at_prior_edge", "n_calls", "n_nan", "rounds", "seed", "tier", "versions", "settings", "plugins"),
)
FIELDS = (
    *("label", "outdir", "sampler", "log_evidence", "log_evidence_err", "log_bayes_factor", "priors"),
    *("injection_parameters", "meta_data", "search_parameter_keys", "sampler_kwargs", "sampling_time"),
    *("nested_samples", "posterior", "information_gain", "num_likelihood_evaluations", "version"),
)
BAD = (None, "x", [], {}, {"a": {"b": 1}}, np.nan, -1, np.array([1.0, 2.0]), [{"phase": "unheard of"}])


def median(column):
    """Return that of rows of equal weight, as that of weighted draws is taken."""
    return weighted_quantiles(column.to_numpy()[:, None], np.full(len(column), 1.0 / len(column)), [0.5])[
        0, 0
    ]


@pytest.mark.takes_seconds
def test_entries_are_those_of_a_run(result):
    assert set(result.meta_data["nbi"]) <= {*OWN, "out_of_distribution"}


@pytest.mark.parametrize("name", OWN)
def test_any_entry_may_be_missing_or_anything(name, result, no_figures):
    for bad in (..., *BAD):
        PageParser(report(changed(result, **{name: bad})).html)


@pytest.mark.parametrize("name", FIELDS)
def test_any_field_may_be_missing_or_anything(name, result, no_figures):
    for bad in BAD:
        odd = copy.copy(result)
        # bilby refuses some of these by itself.
        try:
            setattr(odd, name, bad)
        except (TypeError, ValueError, AttributeError):
            continue
        PageParser(report(odd).html)


@pytest.mark.takes_seconds
@pytest.mark.parametrize("entry", ["phase", "n_draws", "log_evidence", "quantiles", "validation_loss"])
def test_any_entry_of_a_batch_may_be_missing_or_anything(entry, result):
    """On pages with the figures of batches alone, as others take most of the time and do not change."""
    own = result.meta_data["nbi"]
    rounds, alone = own["rounds"], changed(result, predictive_check=...)
    alone.nested_samples, alone.posterior = None, None
    for bad in (..., None, "x"):
        rows = {
            number: {name: value for name, value in {**row, entry: bad}.items() if value is not ...}
            for number, row in rounds.items()
        }
        PageParser(report(changed(alone, rounds=rows), parameters=["slope"]).html)


@pytest.mark.takes_seconds
def test_a_result_of_a_former_version_says_what_it_lacks(result):
    former = changed(result, predictive_check=..., n_distinct=..., predictive_p_values=..., at_prior_edge=...)
    rounds = former.meta_data["nbi"]["rounds"]
    rows = [{name: row[name] for name in row if name != "quantiles"} for row in rounds.values()]
    former.meta_data["nbi"]["rounds"] = rows
    parsed = PageParser(report(former).html)
    assert "An older version wrote this result without residuals" in parsed.text
    assert "quantiles of the batches: no picture from prior to posterior" in parsed.text
    assert len(parsed.all("img")) == 5
    assert result.log_evidence in parsed.numbers


def test_no_rounds_are_named(result):
    parsed = PageParser(report(changed(result, rounds=...)).html)
    assert "table of batches: no log Z by batch, no calls by phase" in parsed.text
    assert result.meta_data["nbi"]["n_calls"] in parsed.numbers


def test_no_draws_are_named(result):
    odd = changed(result)
    odd.nested_samples, odd.posterior = None, None
    text = PageParser(report(odd).html).text
    assert "weighted draws (nested_samples) or a posterior" in text
    assert "There are too few draws to plot" in text


@pytest.mark.takes_seconds
def test_a_posterior_serves_where_there_are_no_weighted_draws(result):
    odd = changed(result)
    odd.nested_samples = None
    parsed = PageParser(report(odd).html)
    assert median(result.posterior["slope"]) in parsed.numbers


@pytest.mark.takes_seconds
@pytest.mark.parametrize("n_rows, n_images", [(1, 0), (2, 0), (3, 1)])
def test_fewer_draws_than_parameters_have_no_corner_plot(n_rows, n_images, result):
    few = changed(result, rounds=...)
    few.nested_samples = result.nested_samples.iloc[:n_rows]
    parsed = PageParser(report(few).html)
    assert sum(each["alt"].startswith("marginal") for each in parsed.all("img")) == n_images
    assert ("no corner plot" in parsed.text) == (not n_images)


@pytest.mark.takes_seconds
def test_a_parameter_with_one_value_is_drawn(result):
    same = changed(result, rounds=...)
    same.nested_samples = result.nested_samples.assign(slope=1.0)
    parsed = PageParser(report(same).html)
    assert sum(each["alt"].startswith("marginal") for each in parsed.all("img")) == 1


def test_the_result_of_another_sampler_has_a_page_without_a_verdict(tmp_path, rng):
    posterior = pd.DataFrame({"a": rng.normal(size=200), "b": rng.normal(size=200)})
    priors = bilby.core.prior.PriorDict({name: bilby.core.prior.Uniform(-9, 9) for name in posterior})
    other = bilby.core.result.Result(
        label="other", outdir=str(tmp_path), sampler="dynesty", search_parameter_keys=["a", "b"],
        priors=priors, posterior=posterior, log_evidence=-3.25, log_evidence_err=0.125,
        sampler_kwargs={"nlive": 500, "live_points": np.zeros((500, 2)), "sample": None},
    )  # fmt: skip
    other.save_to_file(extension="json")
    made = report(tmp_path / "other_result.json")
    parsed = PageParser(made.html)
    assert made.status == "no verdict" and "this is a result of sampler 'dynesty'" in parsed.text
    assert {-3.25, 0.125, median(posterior["a"])} <= set(parsed.numbers)
    assert len(parsed.all("img")) == 1 and "nlive=500," in parsed.text
    assert not {"weights", "predictive", "calls", "checks"} & {each["id"] for each in parsed.all("section")}
