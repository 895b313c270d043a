"""Many machines under MPI: rank 0 runs the sampler, the other ranks evaluate.

``mpiexec -n 3 python -m mpi4py.futures mpi_cluster.py``
"""

from __future__ import annotations

import bilby
from mpi4py.futures import MPIPoolExecutor
from slow_sine import likelihood_and_priors

if __name__ == "__main__":
    likelihood, priors = likelihood_and_priors()
    with MPIPoolExecutor() as pool:
        result = bilby.run_sampler(
            likelihood,
            priors,
            sampler="nbi",
            pool=pool,
            n_effective=500,
            seed=1,
            outdir="outdir",
            label="mpi_cluster",
        )
    print(f"log Z = {result.log_evidence:.2f} +- {result.log_evidence_err:.2f}, {result.sampling_time}")
