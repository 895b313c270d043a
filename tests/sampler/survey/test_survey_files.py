"""The table of a survey for other programs: pandas, astropy and bilby read what it says."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
import trained_lines as lines
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.result import read_in_result

from nbi_sampler import Survey, infer_many

QUICK = dict(n_effective=300, n_sims=300, n_samples=100, seed=3, print_method="none")


def fails(x, m, c):
    raise RuntimeError('no such star, "HD 0", #1')


@pytest.fixture
def survey(tmp_path):
    """Two lines, and a target that failed with a message that needs quotes."""
    likelihoods = {
        "007": lines.likelihood(seed=1),
        "β Pic": lines.likelihood(seed=2, m=-1),
        "bad": GaussianLikelihood(lines.X, lines.data(seed=3), fails, sigma=lines.SIGMA),
    }
    return infer_many(lines.model(), likelihoods, lines.priors(), tmp_path / "survey.h5", **QUICK)


def check(table, survey, rows=slice(None)):
    """Compare columns of a table that another program has read."""
    expected = survey.table.iloc[rows]
    assert [str(each) for each in table["target"]] == list(expected.index)
    assert [str(each) for each in table["status"]] == list(expected.status)
    assert [str(each) for each in table["message"]] == list(expected.message)
    for name in ("log_evidence", "log_evidence_err", "ess", "efficiency", "n_calls", "seed"):
        np.testing.assert_array_equal(np.asarray(table[name], dtype=float), expected[name])
    for i, name in enumerate(survey.parameters):
        np.testing.assert_array_equal(np.asarray(table[f"{name}_mean"], dtype=float), survey.mean[rows, i])
        for j, percent in enumerate(("2.5", "16", "50", "84", "97.5")):
            found = np.asarray(table[f"{name}_q{percent}"], dtype=float)
            np.testing.assert_array_equal(found, survey.quantiles[rows, i, j])


def test_pandas_and_astropy_read_the_same_file(survey, tmp_path):
    path = tmp_path / "tables" / "survey.csv"
    survey.write(path)
    check(pd.read_csv(path, dtype={"target": str}), survey)
    check(pytest.importorskip("astropy.table").Table.read(path, converters={"target": str}), survey)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ending", ["ecsv", "fits", "vot"])
def test_astropy_reads_types_and_the_names_as_they_are(survey, tmp_path, ending):
    tables = pytest.importorskip("astropy.table")
    path, whole = tmp_path / f"survey.{ending}", survey
    # FITS holds ASCII.
    rows = [0, 2] if ending == "fits" else slice(None)
    survey = whole.of([whole.table.index[i] for i in (rows if ending == "fits" else range(3))])
    survey.write(path)
    survey.write(path)
    check(tables.Table.read(path), survey)


def test_other_endings_are_refused(survey, tmp_path):
    with pytest.raises(ValueError, match=r"path: expected one that ends in \.csv, .*survey\.xlsx"):
        survey.write(tmp_path / "survey.xlsx")


def test_without_astropy_the_remedy_is_named(survey, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "astropy.table", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install astropy.*ends in \.csv"):
        survey.write(tmp_path / "survey.fits")
    survey.write(tmp_path / "survey.csv")


def test_bilby_reads_the_result_of_a_target(survey, tmp_path):
    survey.result("007", lines.priors()).save_to_file(outdir=str(tmp_path), extension="json")
    found = read_in_result(str(tmp_path / "007_result.json"))
    row = survey.table.loc["007"]
    assert found.log_evidence == row.log_evidence and found.log_evidence_err == row.log_evidence_err
    assert found.priors["m"] == lines.priors()["m"]
    np.testing.assert_array_equal(found.posterior[["m", "c"]], survey.samples[0])
    np.testing.assert_allclose(found.posterior.log_prior, -2 * np.log(6))
    assert found.meta_data["nbi"]["status"] == "ok"
    assert survey.result("007").posterior.equals(survey.posterior("007"))
    assert survey.result("bad").posterior.empty


class TestSamplesAreReadWhenTheyAreAskedFor:
    def test_and_not_before(self, survey, monkeypatch):
        found = Survey.read(survey.path)
        assert not {"samples", "log_likelihood"} & set(vars(found))
        assert len(found.posterior("007")) == 100
        assert not {"samples", "log_likelihood"} & set(vars(found)), "one target reads its own row"
        np.testing.assert_array_equal(found.of(["β Pic"]).samples[0], found.samples[1])

    def test_and_those_of_another_survey_are_refused(self, survey):
        former = Survey.read(survey.path)
        infer_many(
            lines.model(),
            {"other": lines.likelihood(seed=9)},
            lines.priors(),
            survey.path,
            **QUICK,
            resume=False,
        )
        with pytest.raises(ValueError, match=r"expected the survey that was read from .*, got another; read"):
            _ = former.samples
