"""Result files that no run of this version has written: said, kept aside by bilby, and run again."""

from __future__ import annotations

import json

import numpy as np
import pytest
from bilby.core.prior import PriorDict, Uniform
from sampler_cases import Bowl
from small_runs import run_nbi

QUICK = dict(n_effective=200, n_sims=200, max_likelihood_calls=200, label="x", resume=True)


def without(*keys):
    def change(content):
        inner = content
        for key in keys[:-1]:
            inner = inner[key]
        del inner[keys[-1]]

    return change


def without_column(content):
    del content["posterior"]["content"]["log_prior"]


def emptied(content):
    content["meta_data"] = {}


def of_an_earlier_version(content):
    content["meta_data"]["nbi"] = {"status": "ok", "rounds": [{"phase": "prior"}]}


def without_samples(content):
    content["posterior"] = None


def nothing_at_all(content):
    content.clear()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The result file of a run."""
    outdir = tmp_path_factory.mktemp("saved")
    run_nbi(Bowl(), priors(), outdir, save="json", **QUICK)
    return (outdir / "x_result.json").read_text()


def priors():
    return PriorDict({"a": Uniform(-5, 5), "b": Uniform(-5, 5)})


@pytest.mark.parametrize(
    "change",
    [
        emptied,
        without("meta_data", "nbi"),
        of_an_earlier_version,
        without("meta_data", "likelihood"),
        without_column,
        without_samples,
        nothing_at_all,
    ],
)
def test_a_result_that_lacks_what_ours_have_is_run_again(tmp_path, bilby_log, saved, change):
    content = json.loads(saved)
    change(content)
    (tmp_path / "x_result.json").write_text(json.dumps(content))
    result = run_nbi(Bowl(), priors(), tmp_path, **QUICK)
    assert result.meta_data["nbi"]["rounds"]["0"]["n_draws"] == 200
    assert "runs again" in bilby_log.text and "Using cached result" not in bilby_log.text


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_half_a_file_is_run_again_and_kept(tmp_path, text):
    (tmp_path / "x_result.json").write_text(text)
    result = run_nbi(Bowl(), priors(), tmp_path, save="json", **QUICK)
    assert np.isfinite(result.log_evidence)
    assert (tmp_path / "x_result.json.old").read_text() == text
