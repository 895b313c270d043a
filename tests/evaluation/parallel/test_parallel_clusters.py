"""Engines that people run on clusters, here on one machine but in processes of their own: dask, MPI, ray."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import worker_cases as cases
from dask_cases import two_dask_workers

from nbi_sampler.evaluation.pools import opened_pool

pytestmark = pytest.mark.slow

MPI_SCRIPT = """
import worker_cases as cases
from mpi4py.futures import MPIPoolExecutor
from nbi_sampler.evaluation.pools import opened_pool

if __name__ == "__main__":
    def closure(parameters):
        return cases.slow(parameters)

    with MPIPoolExecutor() as executor, opened_pool(1, executor) as pool:
        running = cases.evaluator(closure, pool)
        evaluation = running(cases.draws(300))
    print(running.note)
    print(" ".join(value.hex() for value in evaluation.log_likelihood))
"""


@pytest.mark.filterwarnings("ignore")
def test_dask(expected):
    """A cluster of two processes."""
    with two_dask_workers() as client, opened_pool(1, client.get_executor()) as pool:
        running = cases.evaluator(cases.Heavy(1000), pool)
        evaluation = running(cases.draws(300))
        assert "2 workers of ClientExecutor" in running.note
        np.testing.assert_array_equal(evaluation.log_likelihood, expected)


def test_mpi(expected, tmp_path):
    """Two ranks that work and one that asks; a closure goes to them although they cannot import it."""
    pytest.importorskip("mpi4py")
    mpiexec = shutil.which("mpiexec")
    if mpiexec is None:
        pytest.skip("no mpiexec: install openmpi-bin and libopenmpi-dev")
    script = tmp_path / "script.py"
    script.write_text(f"import sys; sys.path.insert(0, {str(Path(cases.__file__).parent)!r})\n{MPI_SCRIPT}")
    allowed = dict.fromkeys(
        ("ALLOW_RUN_AS_ROOT", "ALLOW_RUN_AS_ROOT_CONFIRM", "MCA_rmaps_base_oversubscribe"), "1"
    )
    done = subprocess.run(
        [mpiexec, "-n", "3", sys.executable, "-m", "mpi4py.futures", str(script)],
        env={**os.environ, **{f"OMPI_{name}": value for name, value in allowed.items()}},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    note, values = done.stdout.strip().splitlines()[-2:]
    assert "2 workers of MPIPoolExecutor" in note
    np.testing.assert_array_equal([float.fromhex(value) for value in values.split()], expected)


@pytest.mark.filterwarnings("ignore")
def test_ray(expected, monkeypatch):
    ray = pytest.importorskip("ray")
    from ray.util.multiprocessing import Pool

    monkeypatch.setenv("PYTHONPATH", str(Path(cases.__file__).parent))
    try:
        with Pool(2) as ray_pool, opened_pool(1, ray_pool) as pool:
            evaluation = cases.evaluator(cases.Heavy(1000), pool)(cases.draws(300))
    finally:
        ray.shutdown()
    np.testing.assert_array_equal(evaluation.log_likelihood, expected)
