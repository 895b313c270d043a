"""Files of engines that were saved when classes had other names: read, with the same answers."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from engine_cases import QUICK, line, normal_priors, targets, with_gaps

import nbi_sampler
from nbi_sampler import NBI
from nbi_sampler.amortised import DataFormat
from nbi_sampler.amortised.out_of_distribution import OutOfDistributionTest
from nbi_sampler.amortised.sequential import SequentialPosterior
from nbi_sampler.sampler.trained_model import digest_of
from nbi_sampler.storage.archive import read_archive, write_archive


@pytest.fixture
def former(tmp_path):
    """A small engine trained for all targets and for one, as version 0.1.0 wrote it."""
    path = tmp_path / "former.nbi"
    path.write_bytes(gzip.decompress((Path(__file__).parent / "former.nbi.gz").read_bytes()))
    return path


def loaded(path):
    with pytest.warns(UserWarning, match="the engine was trained with"):
        return NBI.load(
            path, simulator=lambda p: line(p), noise=lambda x, rng: with_gaps(x, rng), device="cpu"
        )


def test_an_engine_of_former_names_gives_the_answers_that_it_gave(former):
    engine, (_, x, x_err, mask) = loaded(former), targets(2, with_gaps)
    samples = engine.sample(x, x_err, mask, n_samples=3)[1]
    expected = [[-0.6691100403, 1.6282594070], [1.1809285178, 1.4499791600], [-0.1565184466, -2.3811738367]]
    np.testing.assert_allclose(samples, expected, rtol=1e-6)
    estimator = engine.estimator_
    p_values = estimator.p_value(estimator.observation(x, x_err, mask))
    np.testing.assert_allclose(p_values, [0.25, 0.5714285714], rtol=1e-9)
    (found,) = engine.infer(x[0], n_samples=50)
    assert found.log_evidence == pytest.approx(-8.712310396913, rel=1e-6)
    # Checkpoints and tables of surveys know a model by this.
    assert digest_of(estimator) == "76bcc5c63adadd10"


def test_files_keep_the_former_names(former, tmp_path):
    loaded(former).save(tmp_path / "again.nbi")
    kinds = [
        {each["kind"] for each in read_archive(path)[0]["objects"] if "kind" in each}
        for path in (former, tmp_path / "again.nbi")
    ]
    assert kinds[0] == kinds[1] >= {"DataLayout", "Familiarity", "Focused"}


def test_former_names_are_understood(former):
    engine = loaded(former)
    assert isinstance(engine.focused_, SequentialPosterior) and engine.focused_ is engine.sequential_
    assert nbi_sampler.amortised.DataLayout is DataFormat
    from nbi_sampler.amortised.unreliable import UnreliableWeightsWarning
    from nbi_sampler.diagnostics import Familiarity

    assert Familiarity is OutOfDistributionTest
    assert UnreliableWeightsWarning is nbi_sampler.amortised.engine.UnreliableWeightsWarning


@pytest.mark.parametrize("joined", [False, True], ids=["alone", "joined"])
def test_a_residual_network_of_a_file_from_before_is_the_network_that_it_was(joined, tmp_path):
    what = {"type": "resnet", "depth": 1, "dim_conv": 4, "dim_out": 8, "linear_trunk": False}
    parts = [{"shape": (1, 6), **what}, {"shape": (1, 4), "type": "mlp", "hidden": 8, "dim_out": 4}]
    simulate = {"simulator": line, "noise": 0.5, "priors": normal_priors(), "seed": 1, "device": "cpu"}
    engine = NBI({"flow_hidden": 8, "n_mog": 2}, parts if joined else what, **simulate)
    engine.fit(n_sims=200, n_epochs=1, training=QUICK, print_method="none").save(tmp_path / "new.nbi")
    header, arrays = read_archive(tmp_path / "new.nbi")
    # Such a file knows neither of the setting nor of seals.
    recipe = header["featurizer"]["parts"][0] if joined else header["featurizer"]
    del recipe["linear_trunk"], header["seal"]
    write_archive(tmp_path / "old.nbi", header, arrays)
    x = line({"m": 1.0, "c": 0.3})
    old = NBI.load(tmp_path / "old.nbi", simulator=line, device="cpu")
    np.testing.assert_array_equal(old.sample(x, n_samples=20), engine.sample(x, n_samples=20))
