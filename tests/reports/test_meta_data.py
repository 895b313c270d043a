"""Meta data through all of bilby's file formats, and the table of rounds of earlier versions."""

from __future__ import annotations

import datetime
import itertools
from types import SimpleNamespace

import bilby
import numpy as np
import pandas as pd
import pytest
from bilby.core.prior import PriorDict, Uniform
from bilby.core.result import Result

from nbi_sampler.reports.meta_data import portable, rounds_of

ODD = {
    "rounds": (
        {"loss": [], "n": np.int64(3), "pooled": np.bool_(True)},
        {"loss": [0.5], "n": 4, "ess": np.nan},
    ),
    "empty": {},
    "nothing": None,
    "infinite": -np.inf,
    "single": np.float32(0.5),
    "matrix": np.eye(2),
    "ragged": [[1.0], [1.0, 2.0]],
    "switches": [True, False],
    "mixed": [1, None, "a"],
    "texts": ("µ", "", "b"),
    "text": "Σ \U0001f52d a\0b \ud800",
    "a/b": {"c/d": 1},
    "number": 2**80,
    "time": datetime.timedelta(minutes=1),
    "object": Uniform(0, 1),
    "function": np.linalg.norm,
    "complex": 1 + 2j,
}


@pytest.mark.parametrize("order", list(itertools.permutations(["json", "hdf5", "pkl"])))
def test_anything_is_the_same_after_every_file_format(tmp_path, order):
    expected = portable(ODD)
    priors, posterior = PriorDict({"a": Uniform(0, 1)}), pd.DataFrame({"a": [0.1, 0.2]})
    result = Result("x", str(tmp_path), "nbi", ["a"], [], [], priors, posterior=posterior)
    result.meta_data = {"nbi": portable(ODD)}
    for number, extension in enumerate(2 * order):
        outdir = str(tmp_path / str(number))
        result.save_to_file(outdir=outdir, extension=extension)
        assert not list(tmp_path.glob(f"{number}/*.temp"))
        result = bilby.read_in_result(outdir=outdir, label="x", extension=extension)
        np.testing.assert_equal(result.meta_data["nbi"], expected)
        assert [row["n"] for row in rounds_of(result)] == [3, 4]


def test_what_is_plain_stays_as_it_is():
    plain = {"a": 1, "b": [0.5, 1.5], "c": "x", "d": {"e": True, "f": None}}
    assert portable(plain) == plain


@pytest.mark.parametrize(
    "table",
    [
        tuple({"n": i} for i in range(12)),
        [{"n": i} for i in range(12)],
        {str(i): {"n": i} for i in sorted(range(12), key=str)},
    ],
)
def test_tables_of_rounds_of_all_versions_and_formats_are_read_in_order(table):
    result = SimpleNamespace(meta_data={"nbi": {"rounds": table}})
    assert [row["n"] for row in rounds_of(result)] == list(range(12))


def test_a_result_without_rounds_has_an_empty_table():
    assert rounds_of(SimpleNamespace(meta_data={"nbi": {"rounds": None}})) == []
