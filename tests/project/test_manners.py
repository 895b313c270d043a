"""The package in Python's own tools: names for people, and a hint where one is misspelt."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.base import clone

import nbi_sampler


def test_dir_shows_the_public_names_and_nothing_else():
    assert dir(nbi_sampler) == sorted(nbi_sampler.__all__)
    assert all(hasattr(nbi_sampler, name) for name in dir(nbi_sampler))


@pytest.mark.parametrize(
    "wrong, right",
    [("infer_mny", "infer_many"), ("Nbi", "NBI"), ("inferMany", "infer_many"), ("survey_", "Survey")],
)
def test_a_misspelt_name_gets_a_hint(wrong, right):
    with pytest.raises(AttributeError, match=f"no attribute '{wrong}'; did you mean '{right}'"):
        getattr(nbi_sampler, wrong)


def test_a_name_like_none_of_ours_gets_no_hint():
    with pytest.raises(AttributeError, match=r"no attribute 'xyzzy'$"):
        nbi_sampler.xyzzy  # noqa: B018


def engine():
    return nbi_sampler.NBI("maf", "mlp", lambda theta: theta * np.ones(4), 0.1, [stats.uniform(0, 1)], seed=1)


def test_an_engine_shows_no_method_of_scikit_learns_metadata():
    shown = {name for name in dir(engine()) if not name.startswith("_")}
    assert not {name for name in shown if "request" in name or "metadata" in name}
    assert {"fit", "infer", "predict", "get_params", "seed"} <= shown
    assert not [name for name in dir(nbi_sampler.NBI) if name.startswith("set_") and "request" in name]


def test_scikit_learn_still_clones_an_engine_and_asks_for_its_metadata():
    cloned = clone(engine())
    assert cloned.get_params()["flow"] == "maf"
    assert cloned.get_metadata_routing() is not None
