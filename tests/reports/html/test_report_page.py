"""The page of a result: it needs nothing else, says what the result says, and hurts no browser."""

from __future__ import annotations

import base64
import html
import logging
import re

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from page_cases import PageParser, changed

from nbi_sampler.core.config import REPORT
from nbi_sampler.importance.reliability import Status
from nbi_sampler.importance.weights import weighted_quantiles
from nbi_sampler.reports.html import report
from nbi_sampler.reports.html.checks import MEANINGS
from nbi_sampler.reports.meta_data import rounds_of

HOSTILE = '</title><script>alert("1")</script> & $x_0$ <b>'


@pytest.mark.takes_seconds
def test_the_page_loads_nothing(page):
    parsed = PageParser(page.html)
    for tag, attributes in parsed.elements:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base"}
        for name in ("src", "href", "srcset", "data", "poster", "action", "background"):
            assert attributes.get(name, "#").startswith(("data:image/png;base64,", "#")), (tag, name)
        assert not [name for name in attributes if name.startswith("on")]
    assert "://" not in page.html and "@import" not in page.html and "url(" not in page.html
    policy = [each for each in parsed.all("meta") if each.get("http-equiv") == "Content-Security-Policy"]
    assert policy[0]["content"].startswith("default-src 'none'")


def test_every_number_is_that_of_the_result(result, page):
    numbers, own = PageParser(page.html).numbers, result.meta_data["nbi"]
    expected = [result.log_evidence, result.log_evidence_err, result.information_gain]
    names = (
        "ess n_effective n_distinct k_hat efficiency largest_weight_share n_calls n_nan predictive_p_value"
    )
    expected += [own[name] for name in (*names.split(), "residual_correlation")]
    expected += own["predictive_p_values"].values()
    expected += [own["predictive_check"][name] for name in ("chi_squared", "n_data")]
    for row in rounds_of(result):
        expected += [row[name] for name in ("n_draws", "n_calls", "efficiency", "log_evidence")]
    assert set(expected) <= set(numbers)


def test_texts_of_numbers_are_their_values(page):
    for value, text in re.findall(r'<data value="([^"]+)">([^<]+)</data>', page.html):
        plain = text.replace("\N{MINUS SIGN}", "-").replace(",", "").replace("∞", "inf")
        plain, percent = re.subn("\N{NARROW NO-BREAK SPACE}%$", "", plain)
        if "×" in plain or plain == "not known":
            continue
        shown = float(plain) / (100.0 if percent else 1.0)
        n_decimals = len(plain.partition(".")[2])
        # Effective samples are rounded down, as the rows of the posterior are.
        allowed = 1.0 if n_decimals == 0 else 0.51 * 10.0**-n_decimals
        assert abs(shown - float(value)) <= allowed / (100.0 if percent else 1.0), (value, text)


def test_calls_of_all_phases_add_up(result, page):
    section = page.html.split('<section id="calls">')[1].split("</section>")[0]
    rows = [
        PageParser(row).numbers for row in re.findall(r"<tr><th scope=\"row\">.*?</tr>", section, re.DOTALL)
    ]
    assert len(rows) == len({row["phase"] for row in rounds_of(result)})
    assert sum(row[1] for row in rows) == result.meta_data["nbi"]["n_calls"]
    assert sum(row[2] for row in rows) == pytest.approx(1.0)


def test_calls_that_belong_to_no_batch_are_named(result, no_figures):
    more = result.meta_data["nbi"]["n_calls"] + 17
    parsed = PageParser(report(changed(result, n_calls=more)).html)
    assert 17.0 in parsed.numbers and "other" in parsed.text


def test_prior_and_posterior_of_each_parameter(result, page):
    numbers = PageParser(page.html).numbers
    frame = result.nested_samples
    for i, name in enumerate(result.search_parameter_keys):
        after = weighted_quantiles(frame[[name]].to_numpy(), frame["weights"].to_numpy(), [0.16, 0.5, 0.84])[
            0
        ]
        before = rounds_of(result)[0]["quantiles"][i]
        assert after[1] in numbers and before[2] in numbers
        assert any(np.isclose(each, (before[3] - before[1]) / (after[2] - after[0])) for each in numbers)
    assert {1.0, 0.5} <= set(numbers), "injected values"
    assert "Uniform(minimum=-5, maximum=5)" in PageParser(page.html).text


def test_the_bar_within_the_prior_is_where_the_posterior_is(result, page):
    bars = re.findall(r'class="one" x="([\d.]+)" y="4" width="([\d.]+)"', page.html)
    for (x, width), name in zip(bars, result.search_parameter_keys, strict=True):
        prior = result.priors[name]
        low, high = ((float(each) - 4) / 152 for each in (x, float(x) + float(width)))
        frame = result.nested_samples
        ends = weighted_quantiles(frame[[name]].to_numpy(), frame["weights"].to_numpy(), [0.16, 0.84])[0]
        assert [low, high] == pytest.approx(prior.cdf(ends), abs=1e-3)


@pytest.mark.parametrize("status", list(Status), ids=str)
def test_every_status_is_explained_with_its_remedy(status, result, no_figures):
    assert status in MEANINGS, "say what it means in MEANINGS of reports/html/checks.py"
    made = report(changed(result, status=str(status), message="what the run said"))
    text = PageParser(made.html).text
    assert made.status == status
    for said in (MEANINGS[status], status.remedy, "what the run said"):
        assert said in text


def test_a_status_of_another_version_is_said_not_to_be_known(result, no_figures):
    assert "this one does not know its status" in report(changed(result, status="marvellous")).html


@pytest.mark.parametrize(
    "entries, words",
    [
        ({"k_hat": 0.9, "status": "unreliable weights"}, "Tail of the weights"),
        ({"largest_weight_share": 0.3}, "Largest weight"),
        ({"predictive_p_values": {"chi_squared": 1e-5}}, "Sum of squared residuals: p-value"),
        ({"ess": 20.0}, "Effective samples"),
    ],
)
def test_what_is_alarming_is_called_so(entries, words, result, no_figures):
    def alarming(made):
        return re.findall(r'#\w+">([^<]+)</a></th>(?:(?!</tr>).)*status alarm', made.html)

    assert not alarming(report(result))
    weights = result.nested_samples.copy()
    weights.loc[0, "weights"] = 1.0
    heavy = changed(result, **entries)
    heavy.nested_samples = weights
    assert alarming(report(heavy)) == [words]


@pytest.mark.parametrize(
    "edges, found, level",
    [
        (None, "none", "good"),
        ({"slope": "upper"}, "slope: upper", "note"),
        (..., "not looked at", "unknown"),
    ],
)
def test_edges_of_priors_are_named(edges, found, level, result, no_figures):
    made = report(changed(result, at_prior_edge=edges)).html
    row = re.search(r"Posterior at an edge of a prior</a></th><td>(.*?)</td>.*?status (\w+)", made)
    assert row.groups() == (found, level)
    assert ("upper edge" in made) == (level == "note")


def test_a_heavy_tail_without_mass_is_no_alarm(result, no_figures):
    text = PageParser(report(changed(result, k_hat=0.9)).html).text
    assert "the tail holds almost no mass" in text and "alarming" not in text.split("Alarming:")[0]


def test_labels_and_names_are_text_and_no_markup(result, no_figures):
    hostile = changed(result, message=HOSTILE, tier=HOSTILE, plugins={HOSTILE: {"version": HOSTILE}})
    hostile.label = HOSTILE
    hostile.search_parameter_keys = [HOSTILE, "offset"]
    hostile.nested_samples = result.nested_samples.rename(columns={"slope": HOSTILE})
    hostile.sampler_kwargs = {HOSTILE: HOSTILE}
    made = report(hostile)
    parsed = PageParser(made.html)
    assert "script" not in {tag for tag, _ in parsed.elements} and "b" in {tag for tag, _ in parsed.elements}
    assert "<script" not in made.html
    assert parsed.text.count(HOSTILE) >= 6
    assert html.unescape(re.search("<title>(.*?)</title>", made.html)[1]).startswith(HOSTILE)


@pytest.mark.takes_seconds
def test_labels_that_only_latex_can_set_are_drawn_as_names(result):
    odd = changed(result)
    odd.priors = result.priors.copy()
    odd.priors["slope"] = type(result.priors["slope"])(
        -5, 5, latex_label=r"$\alpha < \nosuchcommand{x}$ & <b>"
    )
    parsed = PageParser(report(odd).html)
    assert len(parsed.all("img")) == 7 and "What is missing" not in parsed.text


def test_pictures_are_pictures_and_are_described(page):
    images = PageParser(page.html).all("img")
    assert len(images) == 7
    for image in images:
        content = base64.b64decode(image["src"].partition(",")[2], validate=True)
        assert content.startswith(b"\x89PNG") and len(image["alt"]) > 20
        assert int(image["width"]) > 100 and int(image["height"]) > 100


def test_the_page_can_be_walked_through_without_seeing_it(page):
    parsed = PageParser(page.html)
    ids = [each["id"] for _, each in parsed.elements if "id" in each]
    assert len(ids) == len(set(ids))
    targets = {each["href"] for each in parsed.all("a")}
    assert targets and targets <= {f"#{each}" for each in ids}
    assert all("scope" in each for each in parsed.all("th"))
    assert parsed.all("html") == [{"lang": "en"}] and len(parsed.all("h1")) == 1
    assert all("aria-label" in each for each in parsed.all("svg"))
    # Each panel says how to read it, and all but the last what would be alarming.
    assert parsed.text.count("Alarming:") == len(parsed.all("section"))


def test_a_notebook_shows_the_page_in_a_frame_of_its_own(page):
    parsed = PageParser(page._repr_html_())
    ((tag, attributes),) = parsed.elements
    assert tag == "iframe" and attributes["srcdoc"] == page.html and attributes["sandbox"] == ""
    assert "html" not in repr(page).replace(".html", "")


@pytest.mark.takes_seconds
def test_the_same_result_gives_the_same_page(result, page):
    assert report(result).html == page.html


@pytest.mark.takes_seconds
def test_many_parameters_have_a_corner_plot_that_can_be_read(result, rng):
    wide = changed(result, rounds=None, predictive_check=None)
    names = [f"p{i}" for i in range(15)]
    theta = rng.normal(size=(400, 15))
    theta[:, 11] = theta[:, 3] + 0.1 * rng.normal(size=400)
    wide.search_parameter_keys = names
    wide.nested_samples = result.nested_samples.iloc[:0].reindex(columns=[*names, "weights"])
    wide.nested_samples = wide.nested_samples.reindex(range(400)).assign(
        **dict(zip(names, theta.T, strict=True)), weights=1.0 / 400
    )
    parsed = PageParser(report(wide).html)
    (shown,) = [each["alt"] for each in parsed.all("img") if each["alt"].startswith("marginal")]
    chosen = re.findall(r"p\d+", shown)
    assert len(chosen) == REPORT.most_in_corner and {"p3", "p11"} <= set(chosen)
    assert "8 of 15 parameters are shown" in parsed.text
    (shown,) = [
        each["alt"]
        for each in PageParser(report(wide, parameters=["p2", "p9"]).html).all("img")
        if each["alt"].startswith("marginal")
    ]
    assert re.findall(r"p\d+", shown) == ["p2", "p9"]


@pytest.mark.parametrize("wrong", [["slope", "nothing"], [], "nothing"])
def test_parameters_that_are_not_there_are_named(wrong, result):
    with pytest.raises(
        ValueError, match=r"parameters: expected names among slope, offset, got .*; leave it out"
    ):
        report(result, parameters=wrong)


@pytest.mark.takes_seconds
def test_nothing_outside_the_page_is_changed(result):
    before = dict(matplotlib.rcParams), plt.get_fignums(), logging.getLogger().handlers[:]
    report(result)
    assert before == (dict(matplotlib.rcParams), plt.get_fignums(), logging.getLogger().handlers)
