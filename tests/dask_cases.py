"""A dask cluster of two processes that start at once."""

from __future__ import annotations

import multiprocessing
from contextlib import contextmanager

import pytest


@contextmanager
def two_dask_workers():
    """Yield a client of two processes, of a fork server that has imported what they need if there is one."""
    distributed = pytest.importorskip("distributed")
    dask = pytest.importorskip("dask")
    methods = multiprocessing.get_all_start_methods()
    method = "forkserver" if "forkserver" in methods else "spawn"
    with dask.config.set({"distributed.worker.multiprocessing-method": method}):
        # After the first call, which has dask name modules of its own.
        context = distributed.utils.get_mp_context()
        if method == "forkserver":
            context.set_forkserver_preload(["distributed", "nbi_sampler.sampler.nbi"])
        options = dict(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)
        with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
            yield client
