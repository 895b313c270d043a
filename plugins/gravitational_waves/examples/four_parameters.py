"""bilby's four-parameter binary black hole: masses, distance and inclination from the strain of H1 and L1.

    python four_parameters.py --n-effective 5000 --seed 1

It is `gw_fast` of the benchmark, whose reference evidence is -8028.3437 +- 0.0018. The script does not
mention the plugin, because an installed plugin suffices for a run to simulate strain. The plot shows the
posterior, and the whitened strain of both detectors with the band of the posterior's waves.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import bilby
import bilby.gw
from nbi_sampler_benchmark.problems.registry import get_problem
from strain_figure import draw


def main() -> None:
    """Run, compare with the reference, and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-effective", type=float, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--npool", type=int, default=2)
    parser.add_argument("--outdir", default="build/four_parameters")
    parser.add_argument("--quick", action="store_true", help="make a rough fit, which tests the installation")
    arguments = parser.parse_args()
    problem = get_problem("gw_fast")
    amount = dict(n_effective=arguments.n_effective)
    if arguments.quick:
        amount = dict(n_effective=100, n_sims=300, max_likelihood_calls=1500)
    result = bilby.run_sampler(
        problem.likelihood,
        problem.priors,
        sampler="nbi",
        seed=arguments.seed,
        npool=arguments.npool,
        outdir=arguments.outdir,
        label=f"seed_{arguments.seed}",
        print_method="interval-60",
        use_ratio=False,
        result_class=bilby.gw.result.CBCResult,
        **amount,
    )
    nbi = result.meta_data["nbi"]
    off = result.log_evidence - problem.log_evidence
    print(f"log Z {result.log_evidence:.4f} +- {result.log_evidence_err:.4f}, off by {off:+.4f}")
    print(f"{result.num_likelihood_evaluations:,} calls, status {nbi['status']}, ESS {nbi['ess']:.0f}")
    print(f"efficiency of the final proposal {nbi['efficiency']:.2f}, k-hat {nbi['k_hat']:.2f}")
    truths = bilby.gw.conversion.generate_mass_parameters(dict(problem.truth))
    draw(result, problem.likelihood, truths, Path(arguments.outdir) / "four_parameters.png")


if __name__ == "__main__":
    main()
