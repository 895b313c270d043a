"""Processes that evaluate draws: what happens when one fails, dies or hangs, and that they end."""

from __future__ import annotations

import copyreg
import multiprocessing
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest
import torch
import worker_cases as cases

from nbi_sampler.evaluation import dispatch, pools
from nbi_sampler.evaluation.batch import LikelihoodError, WorkerError
from nbi_sampler.evaluation.pools import opened_pool

# Python counts threads of BLAS too, which look after themselves in a fork.
pytestmark = [
    pytest.mark.filterwarnings("ignore:(?s).*multi-threaded.*fork:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:(?s).*fork.*JAX is multithreaded:RuntimeWarning"),
]


@pytest.fixture
def cannot_be_pickled(monkeypatch):
    """dask's import teaches all exceptions of the process to be."""
    monkeypatch.delitem(copyreg.dispatch_table, cases.Stubborn, raising=False)


class TestFailures:
    @pytest.mark.usefixtures("cannot_be_pickled")
    @pytest.mark.parametrize(
        ("function", "message", "cause"),
        [
            (cases.failing, "raised ZeroDivisionError: no orbit; at k=2, m=2.9", ZeroDivisionError),
            (cases.failing_stubbornly, "raised RuntimeError: Stubborn: code 3 at periastron", RuntimeError),
        ],
    )
    def test_an_error_in_a_worker_reads_as_here(self, two, function, message, cause):
        with pytest.raises(LikelihoodError, match=message) as caught:
            cases.evaluator(function, two)(cases.draws(300))
        error = caught.value
        assert error.parameters["m"] > 2.9 and isinstance(error.__cause__, cause)
        assert function.__name__ in str(error.__cause__.__cause__), "the other process's traceback is lost"
        done = error.partial.finished
        assert 0 < done.sum() < 300
        np.testing.assert_array_equal(
            error.partial.log_likelihood[done],
            cases.evaluator(cases.value)(cases.draws(300)).log_likelihood[done],
        )

    @pytest.mark.posix
    def test_a_worker_that_dies_once_costs_its_chunk(self, two, tmp_path, expected, caplog):
        function = cases.Once(tmp_path / "died", cases.die)
        evaluation = cases.evaluator(function, two)(cases.draws(300))
        assert function.path.exists() and "a worker died" in caplog.text
        np.testing.assert_array_equal(evaluation.log_likelihood, expected)

    def test_a_worker_that_hangs_once_is_killed(self, two, tmp_path, expected, caplog, monkeypatch):
        monkeypatch.setattr(dispatch, "HANGING_SECONDS", 1.0)
        function = cases.Once(tmp_path / "hung", cases.hang)
        evaluation = cases.evaluator(function, two)(cases.draws(300))
        assert function.path.exists() and "no answer from 2 processes" in caplog.text
        np.testing.assert_array_equal(evaluation.log_likelihood, expected)

    @pytest.mark.parametrize(
        ("function", "why"), [(cases.dying, "a worker died"), (cases.hanging, "no answer from 2 processes")]
    )
    @pytest.mark.posix
    def test_the_draw_that_kills_or_hangs_every_worker_is_named(self, two, function, why, monkeypatch):
        monkeypatch.setattr(dispatch, "HANGING_SECONDS", 1.0)
        with pytest.raises(WorkerError, match=rf"{why}.*, 3 times, with k=2, m=2\.9[^;]*; call") as caught:
            cases.evaluator(function, two)(cases.draws(300))
        assert "more draws" not in str(caught.value)
        assert 0 < caught.value.partial.finished.sum() < 300

    def test_a_lost_pool_of_the_user_is_not_remade(self):
        from concurrent.futures import ProcessPoolExecutor

        with ProcessPoolExecutor(2) as executor, opened_pool(1, executor) as pool:
            with pytest.raises(WorkerError, match="2 workers of ProcessPoolExecutor are lost") as caught:
                cases.evaluator(cases.dying, pool)(cases.draws(300))
        assert caught.value.partial is not None

    def test_a_closed_pool_says_so(self):
        executor = ThreadPoolExecutor(2)
        executor.shutdown()
        with opened_pool(1, executor) as pool:
            with pytest.raises(WorkerError, match=r"take no work .*keep the pool open"):
                cases.evaluator(cases.slow, pool)(cases.draws(30))


class TestOurOwnProcesses:
    def test_they_have_one_thread_and_leave_signals_alone(self, two):
        before = torch.get_num_threads()
        torch.set_num_threads(2)
        try:
            two.start(cases.evaluator(cases.slow)._calls)
        finally:
            torch.set_num_threads(before)
        states = [two._executor.submit(cases.process_state).result() for _ in range(4)]
        for state in states:
            assert state["threads"] == 1 and state["SIGINT"] == "SIG_IGN" and state["SIGTERM"] == "SIG_DFL"

    def test_they_end_with_the_block(self):
        before = set(multiprocessing.active_children())
        with opened_pool(2, None) as pool:
            cases.evaluator(cases.slow, pool)(cases.draws(30))
            ours = set(multiprocessing.active_children()) - before
            assert len(ours) == 2
        # Of the system: two threads that wait for one child leave its `Process` object in doubt for ever.
        _eventually(lambda: not any(_is_running(process.pid) for process in ours))

    @pytest.mark.parametrize("method", ["fork", pytest.param("forkserver", marks=pytest.mark.slow)])
    @pytest.mark.posix
    def test_they_end_with_a_parent_that_is_killed(self, tmp_path, method):
        """A process pool of Python's waits forever for a parent that was killed."""
        report = tmp_path / "pids"
        context = multiprocessing.get_context("fork")
        parent = context.Process(target=cases.open_pool_and_wait, args=(report, method))
        parent.start()
        pids = _eventually(lambda: report.exists() and [int(pid) for pid in report.read_text().split()])
        assert len(pids) == 2
        parent.kill()
        parent.join()
        _eventually(lambda: not any(_is_running(pid) for pid in pids))

    @pytest.mark.slow
    @pytest.mark.parametrize(("method", "n_workers"), [("spawn", 1), ("forkserver", 2)])
    @pytest.mark.posix
    def test_those_that_import_the_script_give_the_same(
        self, tmp_path, expected, monkeypatch, method, n_workers
    ):
        """One process where each has to import everything, at the start and again after its death."""
        context = cases.fork_server() if method == "forkserver" else multiprocessing.get_context(method)
        monkeypatch.setattr(multiprocessing, "get_context", lambda: context)
        monkeypatch.setattr(dispatch, "HANGING_SECONDS", 5.0)
        offset = tmp_path

        def closure(parameters):
            assert offset
            return cases.Once(tmp_path / "died", cases.die)(parameters)

        with closing(pools.OwnPool(n_workers)) as pool:
            with pytest.raises(WorkerError, match=r"_thread\.lock"):
                cases.evaluator(cases.WithLock(), pool)
            evaluation = cases.evaluator(closure, pool)(cases.draws(300))
        assert (tmp_path / "died").exists()
        np.testing.assert_array_equal(evaluation.log_likelihood, expected)


class TestProcessesThatNeverStart:
    """Another fault than a draw that kills its process."""

    def test_they_are_what_is_blamed_and_at_once(self, monkeypatch, caplog):
        monkeypatch.setattr(pools, "prepare_process", lambda *_: os._exit(3))
        with opened_pool(2, None) as pool:
            with pytest.raises(WorkerError, match="npool: expected 2 processes, got some") as caught:
                cases.evaluator(cases.slow, pool)(cases.draws(300))
        assert "likelihood:" not in str(caught.value) and "again" not in caplog.text

    @pytest.mark.posix
    def test_nor_is_a_draw_blamed_where_they_do_not_start_again(self, monkeypatch, tmp_path):
        original, started = pools.prepare_process, tmp_path / "started"

        def the_first_time(*arguments):
            if started.exists():
                os._exit(3)
            original(*arguments)

        def dying(parameters):
            started.touch()
            return cases.dying(parameters)

        monkeypatch.setattr(pools, "prepare_process", the_first_time)
        with opened_pool(2, None) as pool:
            with pytest.raises(WorkerError, match="npool: expected 2 processes, got some"):
                cases.evaluator(dying, pool)(cases.draws(300))

    @pytest.mark.slow
    def test_a_script_without_a_guard_is_shown_it(self, tmp_path):
        script = tmp_path / "script.py"
        # Processes of a fork server import the script as spawned ones do, and much faster.
        methods = multiprocessing.get_all_start_methods()
        method = "forkserver" if "forkserver" in methods else "spawn"
        script.write_text(UNGUARDED.format(outdir=tmp_path, method=method))
        process = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
        assert process.returncode == 1
        ours = process.stderr[process.stderr.rindex("WorkerError: ") :]
        assert 'if __name__ == "__main__":' in ours and f"start method '{method}'" in ours
        assert "RuntimeError: npool: the processes of this one import the main script" in process.stderr
        assert process.stdout.count("done") == 0


UNGUARDED = """
import multiprocessing, time
import bilby
if multiprocessing.get_start_method(allow_none=True) is None:
    multiprocessing.set_start_method("{method}")
    multiprocessing.set_forkserver_preload(["nbi_sampler.sampler.nbi"])
class L(bilby.Likelihood):
    def log_likelihood(self, parameters):
        time.sleep(0.001)
        return -0.5 * parameters["a"] ** 2
bilby.core.sampler.env_package_list = lambda *_, **__: None  # starts pip in each process
priors = bilby.core.prior.PriorDict(dict(a=bilby.core.prior.Uniform(-5, 5)))
bilby.run_sampler(L(), priors, sampler="nbi", outdir="{outdir}", npool=2, max_likelihood_calls=100)
print("done")
"""


def _eventually(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come about")


def _is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0] != "Z"
