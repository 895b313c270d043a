"""Checkpoints that a disk or a hand has changed: set aside, or read as they were written."""

from __future__ import annotations

import time
import zipfile

import numpy as np
import pytest
from checkpoint_cases import ASKED, find
from tampering import flips, tampered, truncations, written

from nbi_sampler.storage.archive import ArchiveError, read_archive
from nbi_sampler.storage.checkpoint import KINDS, load, read_draws
from nbi_sampler.storage.objects import Packer


def content_of(checkpoint):
    """All that a checkpoint is made of, for comparison."""
    packer = Packer(KINDS)
    packed = packer.pack(checkpoint.state)
    arrays = {name: (array.shape, array.tobytes()) for name, array in packer.arrays.items()}
    return packed, str(packer.objects), arrays, checkpoint.seed, checkpoint.seconds


def unsealed(header):
    return {name: value for name, value in header.items() if name != "seal"}


@pytest.fixture
def parts(saved):
    """Header and arrays of a checkpoint."""
    return read_archive(saved)


@pytest.mark.takes_seconds
def test_a_field_that_is_missing_or_another_is_never_used(saved, parts, problem):
    header, arrays = parts
    for what, changed in tampered(header, 80):
        written(saved, changed, arrays)
        with pytest.raises(ArchiveError, match=r"damaged|program|format|written for something else"):
            print(what, load(saved, ASKED, problem.networks))


def test_draws_of_a_file_with_such_a_field_are_refused_by_its_name(saved, parts):
    header, arrays = parts
    for what, changed in tampered(header, 60):
        written(saved, changed, arrays)
        with pytest.raises(ArchiveError, match=r"checkpoint\.npz: expected a complete checkpoint"):
            print(what, read_draws(saved))


@pytest.mark.takes_seconds
def test_files_of_before_there_were_seals_are_read_and_their_fields_checked(saved, parts, problem):
    header, arrays = parts
    expected = content_of(load(saved, ASKED, problem.networks))
    plain = unsealed(header)
    written(saved, plain, arrays)
    assert content_of(load(saved, ASKED, problem.networks)) == expected
    n_told = 0
    for what, changed in tampered(plain, 50):
        written(saved, changed, arrays)
        for read in (lambda: load(saved, ASKED, problem.networks), lambda: read_draws(saved)):
            try:
                read()
            except ArchiveError:
                n_told += 1
            except Exception as error:
                raise AssertionError(f"{what}: {error!r}") from error
    assert n_told > 30


def test_cut_or_changed_anywhere_it_is_set_aside_or_reads_the_same(saved, problem):
    expected = content_of(load(saved, ASKED, problem.networks))
    whole = saved.read_bytes()
    for content in (*truncations(whole, 8, 1), *flips(whole, 40, 2)):
        saved.write_bytes(content)
        try:
            assert content_of(load(saved, ASKED, problem.networks)) == expected
        except ArchiveError:
            pass
        try:
            read_draws(saved)
        except ArchiveError as error:
            assert "checkpoint.npz" in str(error)


def test_an_array_of_other_bytes_or_without_dimensions_restarts_the_run(saved, parts, problem, caplog):
    header, arrays = parts
    name = next(name for name in arrays if name.endswith("log_likelihood"))
    for is_sealed in (True, False):
        for wrong in (np.array(3.0), arrays[name][:-1], arrays[name].astype(np.int64)):
            written(saved, header if is_sealed else unsealed(header), {**arrays, name: wrong})
            assert find(saved, problem) is None
            with pytest.raises(FileNotFoundError):
                saved.read_bytes()
    written(saved, header, arrays)
    with zipfile.ZipFile(saved) as file:
        members = {each: file.read(each) for each in file.namelist()}
    with zipfile.ZipFile(saved, "w") as file:
        for each, content in members.items():
            file.writestr(each, b"other bytes" if each == f"{name}.npy" else content)
    with pytest.raises(ArchiveError, match=r"checkpoint\.npz: .*damaged|truncated"):
        read_draws(saved)
    assert find(saved, problem) is None
    assert all("is not used" in record.getMessage() for record in caplog.records)


HUGE = {
    "wide": {"flow_hidden": 100_000},
    "wide and deep": {"flow_hidden": 6000, "num_layers": 10},
    "endless": {"num_blocks": 10**9},
    "of many kernels": {"n_mog": 150_000},
}


@pytest.mark.parametrize("settings", HUGE.values(), ids=HUGE)
@pytest.mark.parametrize("is_sealed", [True, False])
@pytest.mark.posix
def test_a_recipe_for_a_network_that_the_file_does_not_hold_takes_no_memory(
    saved, parts, problem, settings, is_sealed
):
    header, arrays = parts
    flow = next(each for each in header["objects"] if "recipe" in each)
    flow["recipe"].update(settings)
    written(saved, header if is_sealed else unsealed(header), arrays)
    import resource

    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(ArchiveError, match=r"larger than the|too large for any"):
        load(saved, ASKED, problem.networks)
    # In kilobytes; a layer of 100,000 to 100,000 has forty million of them.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
    assert time.process_time() - begun < 5
