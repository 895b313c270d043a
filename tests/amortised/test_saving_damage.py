"""Saved engines that a disk or a hand has changed: one error that names the file, or the same answers."""

from __future__ import annotations

import time
import warnings

import numpy as np
import pytest
from engine_cases import QUICK, an_engine, line, targets, with_gaps
from tampering import flips, tampered, truncations, written

from nbi_sampler import NBI
from nbi_sampler.amortised.engine import UnreliableWeightsWarning
from nbi_sampler.storage.archive import ArchiveError, read_archive


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Header and arrays of an engine that has learnt both for all targets and for one."""
    _, x, x_err, mask = targets(1, with_gaps)
    engine = an_engine(with_gaps).fit(n_sims=128, n_epochs=1, training=QUICK)
    own = {"x_obs": x[0], "x_err": x_err[0], "mask": mask[0]}
    engine.fit(n_sims=128, n_rounds=2, n_epochs=1, training=QUICK, **own)
    path = tmp_path_factory.mktemp("engine") / "whole.nbi"
    engine.save(path)
    return read_archive(path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "engine.nbi"


def loaded(path):
    with warnings.catch_warnings():
        # That the simulator has another name than in a file is said where the file names another.
        warnings.filterwarnings("ignore", message=".*the engine was trained with")
        return NBI.load(path, simulator=line, noise=with_gaps, device="cpu")


def answers(engine):
    _, x, x_err, mask = targets(2, with_gaps)
    with warnings.catch_warnings():
        # It has learnt next to nothing, which says nothing of its file.
        warnings.simplefilter("ignore", UnreliableWeightsWarning)
        return engine.predict(x, x_err, mask, n_samples=20)


def equal(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.takes_seconds
def test_a_field_that_is_missing_or_another_is_told_with_the_file(parts, path):
    header, arrays = parts
    for what, changed in tampered(header, 100):
        written(path, changed, arrays)
        with pytest.raises(ArchiveError, match=r"engine\.nbi: .*(field|array|estimator|refers|KeyError)"):
            print(what, loaded(path))


@pytest.mark.takes_seconds
def test_without_a_seal_it_is_read_and_no_field_ends_in_an_error_from_inside(parts, path):
    """As files were before there were any: they tell wrong types and sizes, not other numbers."""
    header, arrays = parts
    written(path, header, arrays)
    expected = answers(loaded(path))
    plain = {name: value for name, value in header.items() if name != "seal"}
    written(path, plain, arrays)
    assert equal(answers(loaded(path)), expected)
    n_told = 0
    for what, changed in tampered(plain, 80):
        written(path, changed, arrays)
        try:
            loaded(path)
        except ArchiveError as error:
            assert "engine.nbi: " in str(error)
            n_told += 1
        except Exception as error:
            raise AssertionError(f"{what}: {error!r}") from error
    assert n_told > 50


def test_cut_or_changed_anywhere_it_is_told_or_answers_the_same(parts, path):
    written(path, *parts)
    expected, whole = answers(loaded(path)), path.read_bytes()
    n_told = 0
    for content in (*truncations(whole, 6, 1), *flips(whole, 25, 2)):
        path.write_bytes(content)
        try:
            assert equal(answers(loaded(path)), expected)
        except ArchiveError as error:
            assert "engine.nbi: " in str(error)
            n_told += 1
    assert n_told > 15


@pytest.mark.parametrize("change", [{"hidden": 100_000}, {"hidden": 6000, "depth": 10}, {"dim_out": 10**12}])
def test_a_recipe_for_a_featurizer_that_the_file_does_not_hold_takes_no_memory(parts, path, change):
    header, arrays = parts
    plain = {name: value for name, value in header.items() if name != "seal"}
    written(path, {**plain, "featurizer": {**plain["featurizer"], **change}}, arrays)
    begun = time.process_time()
    with pytest.raises(ArchiveError, match=r"engine\.nbi: .*(larger than the|too large for any)"):
        loaded(path)
    assert time.process_time() - begun < 5


def test_a_class_of_another_package_is_never_made(parts, path, tmp_path):
    header, arrays = parts
    trap = tmp_path / "executed"
    for kind in ("Popen", "eval", "os.system"):
        for field in ("kind", "recipe"):
            given = {"args": f"touch {trap}"}
            evil = {"name": "x", "kind": kind, "arguments": given}
            if field == "recipe":
                evil = {"name": "x", "recipe": {"type": kind, "n_dims": 1, **given}, "state": {}}
            written(path, {**header, "objects": [evil, *header["objects"]]}, arrays)
            with pytest.raises(ArchiveError):
                loaded(path)
    assert not trap.exists()


def test_a_file_that_is_not_there_is_said_to_be_none(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected a file of NBI\.save, got .*nowhere\.nbi"):
        NBI.load(tmp_path / "nowhere.nbi")


def test_a_place_that_cannot_be_written_to_is_named_before_a_simulation(tmp_path):
    (tmp_path / "file").write_text("no folder")
    nowhere, calls = tmp_path / "file" / "engine.nbi", []

    def counted(parameters):
        calls.append(1)
        return line(parameters)

    with pytest.raises(OSError, match=r"path: expected a path that can be written to, got .*engine\.nbi"):
        an_engine(0.5).fit(100, n_epochs=1, training=QUICK).save(nowhere)
    engine = an_engine(0.5, simulator=counted)
    with pytest.raises(OSError, match="store: expected a path that can be written to, got"):
        engine.fit(300, n_epochs=1, training=QUICK, store=nowhere)
    # A few calls tell the shape of the data, and whether many can be made at once.
    assert len(calls) < 100
    with pytest.raises(TypeError, match="store: expected the path of a file, got 5"):
        engine.fit(300, n_epochs=1, training=QUICK, store=5)
