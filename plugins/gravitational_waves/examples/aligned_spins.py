"""Two black holes with aligned spins: eleven parameters, two of them marginalised; H1, L1 and V1, SNR 21.

    python aligned_spins.py --n-effective 1500 --seed 1 --outdir build/aligned_spins

`binary_black_hole.py` defines the rest of the problem.
"""

from __future__ import annotations

from bilby.gw.prior import BBHPriorDict
from binary_black_hole import MASSES_AND_PLACE, arguments_of, problem, run

TRUTH = MASSES_AND_PLACE | dict(chi_1=0.2, chi_2=0.1)
SHOWN = ("chirp_mass", "mass_ratio", "chi_1", "chi_2", "luminosity_distance", "theta_jn", "ra", "dec")


def main() -> None:
    """Run, and write a summary beside the result."""
    arguments = arguments_of(
        __doc__.splitlines()[0],
        "aligned_spins",
        n_effective=1500.0,
        n_sims=5000,
        max_likelihood_calls=200_000,
        featurizer="gw-pca",
        seed=1,
    )
    likelihood, prior = problem("IMRPhenomD", BBHPriorDict(aligned_spin=True), TRUTH)
    run(likelihood, prior, {name: TRUTH[name] for name in SHOWN}, arguments)


if __name__ == "__main__":
    main()
