"""Targets in other processes: the trained networks go there once, whatever the pool."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import trained_lines as lines
from dask_cases import two_dask_workers

from nbi_sampler import infer_many
from nbi_sampler.sampler.survey import workers

QUICK = dict(n_effective=300, n_sims=300, n_samples=100, seed=3, print_method="none")


def targets(n):
    return [lines.likelihood(seed=i, m=slope) for i, slope in enumerate(np.linspace(-2, 2, n))]


def inferred(path, n=6, **keywords):
    return infer_many(lines.model(), targets(n), lines.priors(), path, **(QUICK | keywords))


def assert_same(first, second):
    assert first.table.drop(columns="seconds").equals(second.table.drop(columns="seconds"))
    np.testing.assert_array_equal(first.samples, second.samples)


class Forgetful(ThreadPoolExecutor):
    """One worker that notes how many bytes of networks it gets, and is replaced after some targets.

    It takes ``pause`` seconds to be replaced. In this time, it is sent the next target.
    """

    def __init__(self, lifetime, pause):
        super().__init__(1)
        self.lifetime, self.pause, self.n_targets, self.sizes = lifetime, pause, 0, []

    def submit(self, function, *arguments):
        self.sizes.append(len(arguments[1] or b""))
        return super().submit(self.call, function, *arguments)

    def call(self, function, *arguments):
        if self.n_targets % self.lifetime == 0:
            time.sleep(self.pause)
            workers._plans.clear()
        found = function(*arguments)
        self.n_targets += found is not None
        return found


@pytest.mark.takes_seconds
@pytest.mark.parametrize(
    "lifetime, pause, n_times",
    [(100, 0.0, 1), (4, 0.0, 2), (4, 0.5, 2)],
    ids=["one worker", "replaced", "replaced with two targets on the way"],
)
def test_networks_are_sent_once_to_each_worker(tmp_path, lifetime, pause, n_times):
    with Forgetful(lifetime, pause) as pool:
        found = inferred(tmp_path / "pool.h5", pool=pool)
    assert_same(found, inferred(tmp_path / "alone.h5"))
    sent = [size for size in pool.sizes if size]
    assert len(sent) == n_times and min(sent) > 100_000


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_dask_cluster_gives_the_same_table(tmp_path):
    with two_dask_workers() as client:
        client.run(_find_tests, lines.__file__.rpartition("/")[0])
        found = inferred(tmp_path / "dask.h5", pool=client.get_executor())
    assert_same(found, inferred(tmp_path / "alone.h5"))


def _find_tests(folder):
    import sys

    sys.path.insert(0, folder)
