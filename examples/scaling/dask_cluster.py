"""A dask cluster: two processes on this machine, or the cluster whose address is the argument.

``python dask_cluster.py [tcp://scheduler:8786]``
"""

from __future__ import annotations

import sys

import bilby
from dask.distributed import Client, LocalCluster
from slow_sine import likelihood_and_priors

if __name__ == "__main__":
    likelihood, priors = likelihood_and_priors()
    cluster = sys.argv[1] if len(sys.argv) > 1 else LocalCluster(n_workers=2, threads_per_worker=1)
    with Client(cluster) as client:
        result = bilby.run_sampler(
            likelihood,
            priors,
            sampler="nbi",
            pool=client.get_executor(),
            n_effective=500,
            seed=1,
            outdir="outdir",
            label="dask_cluster",
        )
    print(f"log Z = {result.log_evidence:.2f} +- {result.log_evidence_err:.2f}, {result.sampling_time}")
