"""Files go where they were asked for, or the run ends before the first call and leaves nothing."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from resume_cases import SHORT, Bowl, Stopping

from nbi_sampler.storage import place
from nbi_sampler.storage.place import Place, writing_to


def refused(run, tmp_path, error, message, **keywords):
    """Run, and expect an error before the first call and no file."""
    before = sorted(tmp_path.rglob("*"))
    stopping = Stopping()
    with pytest.raises(error, match=message):
        run(Bowl(stopping), **SHORT | keywords)
    assert not stopping.calls, "likelihood calls were made"
    assert sorted(tmp_path.rglob("*")) == before, "files were left"


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("a/b", r"label: expected a name without '/', .*got 'a/b'; pass folders with outdir="),
        ("a\0b", r"label: expected a name without '\\x00'"),
        ("y" * 240, r"label: .*got 'y{40}\.\.\. \(240 long\)' \(File name too long\); pass a shorter"),
        ("é" * 120, "File name too long"),
        ("\ud800", "label: expected a name"),
    ],
)
def test_a_label_that_names_no_file_is_refused_before_the_first_call(run, tmp_path, label, message):
    refused(run, tmp_path, ValueError, message, label=label)


def test_a_file_in_the_place_of_the_folder_is_named(run, tmp_path):
    (tmp_path / "file").touch()
    for outdir in ("file", "file/below"):
        refused(run, tmp_path, OSError, r"outdir: .*file.*; pass another", outdir=str(tmp_path / outdir))


@pytest.mark.parametrize(
    ("outdir", "error", "reason"),
    [
        ("d" * 300, OSError, "too long"),
        ("d" * 99 + "/" + "e" * 300, OSError, "too long"),
        ("a\0b", ValueError, "null"),
    ],
    ids=["long", "long below", "null"],
)
def test_a_folder_whose_name_no_file_can_have_is_refused_by_its_keyword(run, tmp_path, outdir, error, reason):
    message = rf"outdir: expected a folder that can be made.*{reason}.*; pass another"
    refused(run, tmp_path, error, message, outdir=f"{tmp_path}/{outdir}")


@pytest.mark.parametrize("name", ["nbi_x", "x_result.json", "nbi_x/checkpoint.npz"])
def test_a_folder_or_file_in_the_place_of_ours_is_named(run, tmp_path, name):
    if name == "nbi_x":
        (tmp_path / name).touch()
    else:
        (tmp_path / name).mkdir(parents=True)
    refused(run, tmp_path, ValueError, "label: expected a name for files in")


@pytest.mark.parametrize("fails", ["mkdir", "open"])
def test_a_folder_without_the_right_to_write_is_named(run, tmp_path, monkeypatch, fails):
    """Whoever runs the tests may have all rights."""

    allowed = getattr(Path, fails)

    def forbidden(self, *arguments, **keywords):
        if tmp_path not in self.parents:
            return allowed(self, *arguments, **keywords)
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, fails, forbidden)
    expected = r"outdir: .*new.*\(Permission denied\); pass another one, or get permission"
    refused(run, tmp_path, PermissionError, expected, outdir=str(tmp_path / "new" / "deep"))


def test_a_folder_that_is_none_says_what_was_expected(run, tmp_path):
    refused(run, tmp_path, TypeError, "outdir: expected the path of a folder, got None", outdir=None)


@pytest.mark.takes_seconds
@pytest.mark.parametrize("label", ["", ".", "a b", "ü", "y" * 200])
def test_odd_labels_that_can_be_written_are(run, tmp_path, label):
    run(Bowl(Stopping()), label=label, save=True, **SHORT)
    assert (tmp_path / f"{label}_result.json").is_file()
    assert (tmp_path / f"nbi_{label}" / "checkpoint.npz").is_file()


def test_a_result_in_a_read_only_folder_is_still_returned(run, tmp_path, monkeypatch):
    first = run(Bowl(Stopping()), save=True)

    def forbidden(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(place, "_try_to_write", forbidden)
    assert run(Bowl(Stopping())).log_evidence == first.log_evidence
    with pytest.raises(PermissionError, match="outdir"):
        run(Bowl(Stopping(), width=0.7))


class Wandering(Bowl):
    """Works in folders of its own, as models do that start programs."""

    def __init__(self, folder):
        super().__init__(Stopping())
        self.folder = folder

    def log_likelihood(self, parameters):
        os.chdir(self.folder)
        return super().log_likelihood(parameters)


@pytest.mark.takes_seconds
def test_a_likelihood_that_changes_the_folder_does_not_take_the_files_along(run, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    result = run(Wandering(elsewhere), outdir="out", save=True, plot=True, **SHORT)
    assert Path.cwd() == tmp_path and result.outdir == str(tmp_path / "out")
    assert {"x_result.json", "x_corner.png", "x_run.png", "nbi_x"} <= set(os.listdir(tmp_path / "out"))
    assert not list(elsewhere.iterdir())
    # And so for a result that is there.
    run(Wandering(elsewhere), outdir="out", save=True, **SHORT)
    assert Path.cwd() == tmp_path and not list(elsewhere.iterdir())


HOLDING = """
import multiprocessing, sys, time
from nbi_sampler.storage.place import Place, writing_to
with Place(sys.argv[1], "x", "nbi").occupied():
    # As a pool's worker, which ends a moment after its parent was killed.
    multiprocessing.get_context("fork").Process(target=time.sleep, args=(1.0,)).start()
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that is at work in the same place."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDING), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.posix
def test_a_second_run_in_the_same_place_is_refused_and_the_first_named(run, tmp_path, other, monkeypatch):
    monkeypatch.setattr(place, "WAIT_FOR_LOCK", 0.1)
    message = rf"outdir, label: .*{tmp_path} and 'x', where process {other.pid} on .*pass another label"
    refused(run, tmp_path, BlockingIOError, message)
    # Others are not in its way.
    run(Bowl(Stopping()), label="y", **SHORT)


@pytest.mark.posix
def test_a_run_after_one_that_was_killed_goes_on_at_once(run, tmp_path, other):
    (tmp_path / "nbi_x" / ".checkpoint.npz.12-ab.part").touch()
    os.kill(other.pid, signal.SIGKILL)
    start = time.monotonic()
    with Place(tmp_path, "x", "nbi").occupied():
        assert time.monotonic() - start < 3.0
        assert not list((tmp_path / "nbi_x").glob("*.part")), "what the killed one left is never removed"


def test_two_runs_of_one_process_do_not_share_a_place(tmp_path, monkeypatch):
    monkeypatch.setattr(place, "WAIT_FOR_LOCK", 0.1)
    with Place(tmp_path, "x", "nbi").occupied():
        with pytest.raises(BlockingIOError, match=f"process {os.getpid()} on"):
            Place(tmp_path, "x", "nbi").check()
    Place(tmp_path, "x", "nbi").check()


@pytest.mark.parametrize("error", [OSError(errno.ENOLCK, "No locks available"), NotImplementedError()])
def test_a_file_system_without_locks_does_no_harm(tmp_path, monkeypatch, error):
    def fail(self, timeout):
        raise error

    monkeypatch.setattr(place.FileLock, "acquire", fail)
    with Place(tmp_path, "x", "nbi").occupied():
        pass


@pytest.mark.posix
def test_no_two_of_many_are_in_one_place_and_nothing_is_left(tmp_path):
    """The file of the lock is removed by each of them, while others wait for it."""
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=count_up, args=(tmp_path, 20)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "60"
    assert not list((tmp_path / "nbi_x").iterdir())


def count_up(folder, times):
    path = folder / "count"
    for _ in range(times):
        with Place(folder, "x", "nbi").occupied():
            before = int(path.read_text()) if path.exists() else 0
            time.sleep(0.001)
            path.write_text(str(before + 1))


def test_a_full_disk_and_a_missing_right_have_remedies_of_their_own():
    for number, remedy in ((errno.ENOSPC, "free space on that disk"), (errno.EROFS, "permission to write")):
        with pytest.raises(OSError, match=f"store: expected a path .*{remedy}") as raised:
            with writing_to("store", Path("simulations.h5")):
                raise OSError(number, os.strerror(number))
        assert raised.value.errno == number
    with pytest.raises(BlockingIOError, match="another process"), writing_to("path", Path("survey.h5")):
        raise BlockingIOError("another process is writing to it")
