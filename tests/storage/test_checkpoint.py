"""Conditions for the use of a checkpoint, and the message on one that is not used."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from checkpoint_cases import ASKED, find
from toys import QUICK, bump, likelihood_only

from nbi_sampler.storage.archive import ArchiveError, read_archive, sealed, write_archive
from nbi_sampler.storage.checkpoint import Checkpoint, load, read_draws, save


@pytest.mark.takes_seconds
def test_a_checkpoint_is_found_again(saved, problem, state, caplog):
    caplog.set_level(logging.INFO)
    found = find(saved, problem)
    assert (found.seed, found.seconds, found.n_draws) == (5, 12.5, sum(r.n_draws for r in state.records))
    assert found.state.records == state.records
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert f"{found.n_draws:,} draws, 12 s before" in caplog.text


def test_without_a_seed_of_ones_own_that_of_the_file_is_taken(saved, problem):
    assert find(saved, problem, seed=None).seed == 5


def test_no_file_is_no_news(path, problem, caplog):
    assert find(path, problem) is None
    assert not caplog.records


def test_an_empty_file_is_no_cause_for_a_warning(path, problem, caplog):
    caplog.set_level(logging.INFO)
    path.parent.mkdir()
    path.touch()
    assert find(path, problem) is None
    assert [record.levelname for record in caplog.records] == ["INFO"]


def in_version_1(path):
    """A checkpoint with the names that phases and fields had before."""
    header, arrays = read_archive(path)
    del header["seal"]
    former = {"n_unreliable": "n_doubted"}
    for each in header["objects"]:
        arguments = {former.get(name, name): part for name, part in each.get("arguments", {}).items()}
        if arguments.get("phase") == "mode search":
            arguments["phase"] = "climb"
        if "arguments" in each:
            each["arguments"] = arguments
    write_archive(path, sealed({**header, "format_version": 1}, arrays), arrays)
    return header


def test_a_checkpoint_of_version_1_is_read_with_the_names_of_today(path, problem, state):
    """As where a run was stopped in its search for modes, with a result that had restarted once."""
    searching = (*state.records[:-1], replace(state.records[-1], phase="mode search"))
    stopped = replace(state, phase="mode search", records=searching, n_unreliable=1)
    save(path, ("p0", "p1"), ASKED, Checkpoint(stopped, 5, 12.5))
    header = in_version_1(path)
    assert '"climb"' in str(header["objects"]).replace("'", '"') and "n_doubted" in str(header["objects"])
    found = find(path, problem).state
    assert (found.phase, found.n_unreliable, found.records) == ("mode search", 1, searching)
    np.testing.assert_array_equal(found.history.z, state.history.z)
    np.testing.assert_array_equal(read_draws(path)["z"], state.history.z)


def edited(path, **changes):
    header, arrays = read_archive(path)
    write_archive(path, {**header, **changes}, arrays)


def truncated(path):
    path.write_bytes(path.read_bytes()[:-300])


def foreign(path):
    np.savez(path, x=np.zeros(5))


def newer(path):
    edited(path, format_version=3)


def of_another_program(path):
    edited(path, format="somebody else's")


def without_an_object(path):
    edited(path, objects=read_archive(path)[0]["objects"][1:])


def of_a_dangerous_class(path):
    objects = read_archive(path)[0]["objects"]
    edited(
        path, objects=[{**objects[0], "kind": "Popen", "arguments": {"args": "touch executed"}}, *objects[1:]]
    )


def of_no_state(path):
    edited(path, state={"object": "PriorProposal.0"})


UNUSABLE = {
    "truncated": truncated,
    "another program": foreign,
    "its format is 3, this version reads 2": newer,
    "another program's": of_another_program,
    "'state' cannot be used \\(KeyError": without_an_object,
    "'state' cannot be used \\(KeyError: 'Popen'": of_a_dangerous_class,
    "holds no state": of_no_state,
}


@pytest.mark.parametrize(("reason", "spoil"), UNUSABLE.items(), ids=[f.__name__ for f in UNUSABLE.values()])
def test_a_file_that_cannot_be_used_is_reported_and_kept(saved, problem, caplog, reason, spoil):
    spoil(saved)
    content = saved.read_bytes()
    with pytest.raises(ArchiveError, match=reason):
        load(saved, ASKED, problem.networks)
    assert find(saved, problem) is None
    (record,) = caplog.records
    assert record.levelname == "WARNING" and "is not used" in record.getMessage()
    assert not saved.exists()
    assert (saved.parent / "checkpoint.old-1.npz").read_bytes() == content


def test_files_kept_aside_do_not_replace_each_other(saved, problem):
    for _ in range(2):
        content = saved.read_bytes()
        assert find(saved, problem, {"n_sims": 400}) is None
        saved.write_bytes(content)
    assert {each.name for each in saved.parent.iterdir()} == {
        *("checkpoint.npz", "checkpoint.old-1.npz", "checkpoint.old-2.npz"),
    }


def test_another_run_is_refused_and_the_difference_named(saved, problem, caplog):
    assert find(saved, problem, {"n_sims": 400}) is None
    assert "it was written for something else: n_sims (300, now 400)" in caplog.text


def test_another_seed_is_another_run(saved, problem, caplog):
    assert find(saved, problem, seed=6) is None
    assert "seed (5, now 6)" in caplog.text


def test_data_that_matter_only_at_the_peak_are_seen_to_have_changed(saved, caplog):
    """No probe from a wide prior might have told it."""
    moved = likelihood_only(bump([0.5, -0.2001], 0.3)[0], 2, QUICK)
    assert find(saved, moved) is None
    assert "the likelihood has changed" in caplog.text


def test_draws_are_read_from_any_checkpoint(saved, state):
    draws = read_draws(saved)
    assert len(draws["z"]) == sum(record.n_draws for record in state.records)
    shared = {id(each): each for each in (*state.history.batches, *state.final)}.values()
    expected = np.concatenate([each.log_weights for each in shared])
    np.testing.assert_array_equal(np.sort(draws["log_likelihood"] - draws["log_ratio"]), np.sort(expected))


def test_draws_are_read_from_nothing_else(tmp_path):
    write_archive(tmp_path / "x.npz", {"objects": []}, {})
    with pytest.raises(ArchiveError, match=r"x\.npz"):
        read_draws(tmp_path / "x.npz")
