"""Bilby's four-parameter binary black hole (masses, distance, inclination) with and without simulations.

    python four_parameters.py --n-effective 5000 --seed 1

It is `gw_fast` of the benchmark, whose reference evidence is -8028.3437 +- 0.0018.
"""

from __future__ import annotations

import argparse

import bilby

from nbi_sampler.benchmark.problems import get_problem


def main() -> None:
    """Run and compare with the reference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-effective", type=float, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--outdir", default="build/four_parameters")
    arguments = parser.parse_args()
    problem = get_problem("gw_fast")
    result = bilby.run_sampler(
        problem.likelihood,
        problem.priors,
        sampler="nbi",
        n_effective=arguments.n_effective,
        seed=arguments.seed,
        outdir=arguments.outdir,
        label=f"seed_{arguments.seed}",
        print_method="interval-60",
        use_ratio=False,
        result_class=bilby.gw.result.CBCResult,
    )
    nbi = result.meta_data["nbi"]
    off = result.log_evidence - problem.log_evidence
    print(f"log Z {result.log_evidence:.4f} +- {result.log_evidence_err:.4f}, off by {off:+.4f}")
    print(f"{result.num_likelihood_evaluations:,} calls, status {nbi['status']}, ESS {nbi['ess']:.0f}")
    print(f"efficiency of the final proposal {nbi['efficiency']:.2f}, k-hat {nbi['k_hat']:.2f}")


if __name__ == "__main__":
    main()
