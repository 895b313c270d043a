"""Two precessing black holes: fifteen parameters, two of them marginalised; H1, L1 and V1.

    python precessing.py --n-effective 1000 --seed 1 --outdir build/precessing

The waveform is IMRPhenomPv2. Spins tilt the orbit, and the phase of coalescence is still a factor exp(2 i
phase) to 3e-13 of the wave, so it may be integrated out analytically. IMRPhenomXPHM does not allow this.
`binary_black_hole.py` defines the rest of the problem.
"""

from __future__ import annotations

from bilby.gw.prior import BBHPriorDict
from binary_black_hole import MASSES_AND_PLACE, arguments_of, problem, run

TRUTH = MASSES_AND_PLACE | dict(a_1=0.6, a_2=0.3, tilt_1=1.0, tilt_2=0.8, phi_12=1.7, phi_jl=0.3)
SHOWN = ("chirp_mass", "mass_ratio", "a_1", "tilt_1", "luminosity_distance", "theta_jn", "ra", "dec")


def main() -> None:
    """Run, and write a summary beside the result."""
    arguments = arguments_of(
        __doc__.splitlines()[0],
        "precessing",
        n_effective=1000.0,
        n_sims=5000,
        max_likelihood_calls=400_000,
        featurizer="gw-pca",
        seed=1,
    )
    likelihood, prior = problem("IMRPhenomPv2", BBHPriorDict(), TRUTH)
    run(likelihood, prior, {name: TRUTH[name] for name in SHOWN}, arguments)


if __name__ == "__main__":
    main()
