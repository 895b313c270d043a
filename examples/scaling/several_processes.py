"""One machine: npool= starts processes that end with the run.

``python several_processes.py [npool]``
"""

from __future__ import annotations

import sys

import bilby
from slow_sine import likelihood_and_priors

if __name__ == "__main__":
    likelihood, priors = likelihood_and_priors()
    result = bilby.run_sampler(
        likelihood,
        priors,
        sampler="nbi",
        npool=int(sys.argv[1]) if len(sys.argv) > 1 else 2,
        n_effective=500,
        seed=1,
        outdir="outdir",
        label="several_processes",
    )
    print(f"log Z = {result.log_evidence:.2f} +- {result.log_evidence_err:.2f}, {result.sampling_time}")
