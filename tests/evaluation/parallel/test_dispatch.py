"""The dispatcher by itself, on a pool that does what it is told: who is in work, tried again and blamed."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor, Future

import pytest

from nbi_sampler.evaluation.batch import WorkerError
from nbi_sampler.evaluation.dispatch import Dispatcher
from nbi_sampler.evaluation.pools import Pool


class Scripted(Pool):
    """Answers an item by a function, which may raise as a process that dies does."""

    owned = True

    def __init__(self, answer, n_workers=2):
        super().__init__("scripted processes", n_workers)
        self.answer, self.restarts, self.most_in_work = answer, 0, 0

    def call(self, function, *arguments):
        future = Future()
        future.arguments = arguments
        return future

    def wait(self, futures, timeout):
        self.most_in_work = max(self.most_in_work, len(futures))
        first = next(iter(futures))
        try:
            first.set_result(self.answer(*first.arguments))
        except Exception as error:
            first.set_exception(error)
        return {first}

    def has_started(self):
        return True

    def restart(self):
        self.restarts += 1


def dispatched(answer, items, kind=Dispatcher):
    pool = Scripted(answer)
    dispatcher = kind(pool, "survey", lambda item: pool.call(None, item))
    return pool, list(dispatcher.dispatch(items))


def dying(*items):
    def answer(item):
        if item in items:
            raise BrokenExecutor("gone")
        return 10 * item

    return answer


def test_items_are_taken_as_workers_need_them():
    taken = []
    pool, found = dispatched(lambda item: 10 * item, (taken.append(i) or i for i in range(20)))
    assert found == [(i, 10 * i) for i in range(20)] and taken == list(range(20))
    assert pool.most_in_work == 4 and pool.restarts == 0


def test_an_item_that_kills_its_process_is_a_result_and_the_others_have_theirs():
    pool, found = dispatched(dying(3, 7), range(10))
    results = dict(found)
    assert sorted(results) == list(range(10)) and len(found) == 10
    for item in (3, 7):
        assert isinstance(results.pop(item), WorkerError)
    assert results == {i: 10 * i for i in range(10) if i not in (3, 7)}
    # Among others, and alone.
    assert pool.restarts == 4


def test_what_the_call_itself_raises_ends_all():
    def answer(item):
        raise OSError("no network")

    with pytest.raises(WorkerError, match="scripted processes raised OSError: no network"):
        dispatched(answer, range(3))


def test_an_item_that_has_to_be_given_again_keeps_its_failures():
    """A new process asks for more each time, and dies with it; this must end."""

    class Asking(Dispatcher):
        def _unanswered(self, item, result):
            return item if result == "more" else None

    calls = []

    def answer(item):
        calls.append(item)
        if len(calls) % 2:
            return "more"
        raise BrokenExecutor("gone")

    _, ((item, result),) = dispatched(answer, ["one"], Asking)
    assert item == "one" and isinstance(result, WorkerError) and len(calls) == 4
