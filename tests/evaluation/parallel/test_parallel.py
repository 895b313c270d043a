"""Draws evaluated by several processes: the same numbers, in less time, whatever is sent."""

from __future__ import annotations

import multiprocessing
import pickle
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial

import bilby
import numpy as np
import pytest
import worker_cases as cases

from nbi_sampler.evaluation import dispatch
from nbi_sampler.evaluation.batch import WorkerError
from nbi_sampler.evaluation.pools import opened_pool

# Python counts threads of BLAS too, which look after themselves in a fork.
pytestmark = [
    pytest.mark.filterwarnings("ignore:(?s).*multi-threaded.*fork:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:(?s).*fork.*JAX is multithreaded:RuntimeWarning"),
]


class Mapper:
    """A pool of which only ``map`` is known."""

    size = 3

    def __init__(self):
        self.n_items = []

    def map(self, function, items):
        self.n_items.append(len(items))
        return [pickle.loads(pickle.dumps(function))(item) for item in items]


def backwards(answers):
    return answers[::-1]


class Faulty(Mapper):
    """A pool whose ``map`` does something to the answers."""

    def __init__(self, fault):
        super().__init__()
        self.fault = fault

    def map(self, function, items):
        return self.fault(super().map(function, items))


class Forgetful(Executor):
    """Runs chunks at once, in a process that forgets the problem now and then, and counts what is sent."""

    def __init__(self, every):
        self.every, self.n_submitted, self.sizes = every, 0, []

    def submit(self, function, *arguments):
        from nbi_sampler.evaluation import worker_process

        self.n_submitted += 1
        if self.n_submitted % self.every == 0:
            worker_process._problems.clear()
        self.sizes.append(len(pickle.dumps(arguments)))
        future = Future()
        future.set_result(function(*arguments))
        return future


class TestSameNumbers:
    @pytest.mark.parametrize("model", [cases.scalar_line, cases.vector_line])
    def test_of_a_model_as_in_one_process(self, two, model):
        z = cases.draws(450)
        alone = cases.model_evaluator(model)(z)
        running = cases.model_evaluator(model, two)
        together = running(z)
        assert running.note.endswith("; 2 processes")
        assert ("in batches" in running.note) == (model is cases.vector_line)
        np.testing.assert_array_equal(together.log_likelihood, alone.log_likelihood)
        np.testing.assert_array_equal(together.predictions, alone.predictions)
        assert together.n_calls == alone.n_calls == 450

    def test_of_a_likelihood_as_in_one_process(self, two, expected):
        told = []
        evaluation = cases.evaluator(cases.slow, two)(cases.draws(300), told.append)
        np.testing.assert_array_equal(evaluation.log_likelihood, expected)
        assert sum(told) == 300 and evaluation.predictions is None

    def test_of_pools_of_other_people(self, expected):
        pools = [(Mapper(), 3), (Forgetful(4), 2)]
        with ThreadPoolExecutor(2) as threads, multiprocessing.Pool(2) as processes:
            pools += [(threads, 2), (processes, 2)]
            for pool, n_workers in pools:
                with opened_pool(2 if isinstance(pool, Forgetful) else 1, pool) as opened:
                    running = cases.evaluator(cases.slow, opened)
                    evaluation = running(cases.draws(300))
                assert f"{n_workers} workers of {type(pool).__name__}" in running.note
                np.testing.assert_array_equal(evaluation.log_likelihood, expected)
            assert processes.apply(abs, (-1,)) == threads.submit(abs, -1).result() == 1, "closed"

    def test_of_a_pool_that_gives_answers_back_in_another_order(self, expected):
        with opened_pool(1, Faulty(backwards)) as opened:
            evaluation = cases.evaluator(cases.slow, opened)(cases.draws(300))
        np.testing.assert_array_equal(evaluation.log_likelihood, expected)

    @pytest.mark.parametrize(
        ("fault", "got"),
        [
            (lambda answers: answers[1:], "8 answers"),
            (lambda answers: [*answers, answers[0]], "10 answers"),
            (lambda answers: [*answers[1:], answers[1]], "9 answers"),
            (lambda answers: iter(answers[:-1]), "8 answers"),
            (lambda answers: None, "NoneType of another kind"),
            (lambda answers: 3, "int of another kind"),
            (lambda answers: [each[1] for each in answers], "9 answers"),
        ],
    )
    def test_a_pool_that_loses_or_adds_answers_is_named_and_not_the_likelihood(self, fault, got, caplog):
        with opened_pool(1, Faulty(fault)) as opened:
            with pytest.raises(
                WorkerError, match=rf"pool: expected Faulty\.map .* each of 9 items, got {got}"
            ):
                cases.evaluator(cases.slow, opened)(cases.draws(300))
        assert "again" not in caplog.text

    def test_of_what_is_missing_of_an_interrupted_batch(self, two, tmp_path, expected):
        log = tmp_path / "called"
        running = cases.evaluator(cases.Logged(log), two)
        z, n_probes = cases.draws(300), len(log.read_text().splitlines())

        def interrupt(n):
            raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("nbi_sampler.evaluation.evaluator.SECONDS_BETWEEN_REPORTS", 0.0)
            with pytest.raises(KeyboardInterrupt):
                running(z, interrupt)
        partial_batch = running.interrupted()
        n_done = int(partial_batch.finished.sum())
        evaluation = running(z, resume=partial_batch)
        np.testing.assert_array_equal(evaluation.log_likelihood, expected)
        called = log.read_text().splitlines()[n_probes:]
        # Chunks that were in work when it was interrupted are lost, and no others.
        in_work = dispatch.AHEAD * 2 * (300 // (dispatch.CHUNKS_PER_WORKER * 2) + 1)
        assert 0 < n_done < 300 and 300 <= len(called) <= 300 + in_work


class TestWhatIsSent:
    def test_the_problem_goes_to_each_worker_once(self):
        heavy = cases.Heavy(200_000)
        pool = Forgetful(10**9)
        with opened_pool(2, pool) as opened:
            cases.evaluator(heavy, opened)(cases.draws(300))
        assert sum(size > 1_000_000 for size in pool.sizes) == 2
        assert max(sorted(pool.sizes)[:-2]) < 3000 and len(pool.sizes) >= 16

    def test_a_worker_that_lacks_it_is_given_it(self):
        pool = Forgetful(5)
        with opened_pool(2, pool) as opened:
            cases.evaluator(cases.Heavy(200_000), opened)(cases.draws(300))
        assert 3 <= sum(size > 1_000_000 for size in pool.sizes) < len(pool.sizes) / 2

    def test_a_likelihood_that_cannot_be_sent_is_named(self):
        with opened_pool(2, Mapper()) as pool:
            with pytest.raises(WorkerError, match=r"likelihood\.inner\['lock'\] \(_thread\.lock\).*'fork'"):
                cases.evaluator(cases.WithLock(), pool)

    def test_forked_processes_need_no_pickle(self, two):
        assert np.isfinite(cases.evaluator(cases.WithLock(), two)(cases.draws(50)).log_likelihood).all()

    def test_a_worker_that_cannot_read_it_says_why(self):
        with opened_pool(2, Mapper()) as pool:
            with pytest.raises(WorkerError, match=r"cannot load the likelihood \(ImportError: not here"):
                cases.evaluator(cases.Unreadable(), pool)(cases.draws(50))

    def test_cheap_calls_stay_here(self, two):
        running = cases.evaluator(cases.value, two)
        assert "one process, as a draw takes" in running.note
        assert np.isfinite(running(cases.draws(50)).log_likelihood).all()

    @pytest.mark.parametrize("seconds", [1e-4, 0.02, 30.0])
    def test_chunks_are_equal_in_number_and_take_the_time_they_should(self, two, seconds):
        distribution = dispatch.ChunkDispatcher(two, None, seconds)
        tasks = distribution.chunks(np.arange(2000), np.zeros((2000, 1)))
        sizes = [len(task.rows) for task in tasks]
        assert len(tasks) % 2 == 0 and sum(sizes) == 2000 and max(sizes) - min(sizes) <= 1
        assert len(tasks) >= 16
        assert max(sizes) * seconds < 1.5 * dispatch.CHUNK_SECONDS or max(sizes) == 1
        np.testing.assert_array_equal(np.concatenate([task.index for task in tasks]), np.arange(2000))


@pytest.mark.takes_seconds
@pytest.mark.usefixtures("small_fits")
class TestThroughBilby:
    @pytest.fixture
    def run(self, tmp_path):
        def run(**keywords):
            likelihood = cases.SlowLikelihood()
            settings = dict(
                n_effective=150, n_sims=100, seed=3, print_method="none", training={"n_epochs": 2}
            )
            settings |= {"outdir": str(tmp_path), "label": "many", "save": False, "resume": False}
            settings |= {"max_likelihood_calls": 600}
            return bilby.run_sampler(likelihood, cases.priors(), sampler="nbi", **settings, **keywords)

        return run

    def test_any_number_of_processes_gives_the_same_result(self, run):
        before = set(multiprocessing.active_children())
        alone, queued = run(), run(queue_size=2)
        assert alone.meta_data["nbi"]["tier"].endswith("one process")
        assert queued.meta_data["nbi"]["tier"].endswith("2 processes")
        with ThreadPoolExecutor(2) as executor:
            shared = run(pool=executor)
        for other in (queued, shared):
            assert other.log_evidence == alone.log_evidence
            np.testing.assert_array_equal(other.samples, alone.samples)
        assert set(multiprocessing.active_children()) == before


def test_two_processes_take_half_the_time(two):
    """Of a likelihood of 20 ms, which sleeps so that other work on the machine does not count."""
    z = cases.draws(150)
    function = partial(cases.slow, seconds=0.02)
    alone = cases.evaluator(function)(z).seconds
    running = cases.evaluator(function, two)
    running(z[:4])
    assert alone / running(z).seconds > 1.8
