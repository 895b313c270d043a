"""Two precessing black holes with higher harmonics: fifteen parameters, one of them marginalised.

    python higher_harmonics.py --n-effective 1000 --seed 1

The waveform is IMRPhenomXPHM, in which the phase of coalescence is no longer a factor of the wave. So the
phase is sampled, and the polarisation angle goes half around the circle. Only the distance is integrated out.
`binary_black_hole.py` defines the rest of the problem.
"""

from __future__ import annotations

import bilby
import bilby.gw
import numpy as np
from bilby.core.prior import PriorDict, Uniform
from bilby.gw.prior import BBHPriorDict
from binary_black_hole import MASSES_AND_PLACE, arguments_of, detectors, located, run, waveforms

__all__ = ["TRUTH", "likelihood_and_prior"]

TRUTH = MASSES_AND_PLACE | dict(mass_ratio=0.5, theta_jn=0.9, a_1=0.6, a_2=0.3, tilt_1=1.0, tilt_2=0.8)
TRUTH |= dict(phi_12=1.7, phi_jl=0.3, luminosity_distance=1200.0)
SHOWN = ("chirp_mass", "mass_ratio", "a_1", "tilt_1", "luminosity_distance", "theta_jn", "phase", "ra", "dec")


def likelihood_and_prior() -> tuple[bilby.gw.GravitationalWaveTransient, PriorDict]:
    """Likelihood with the distance integrated out, and priors with the whole circles of phase and psi."""
    generator = waveforms("IMRPhenomXPHM")
    observed = detectors(generator, TRUTH)
    prior = located(BBHPriorDict(), observed, TRUTH)
    prior["psi"] = Uniform(0, np.pi, name="psi", boundary="periodic")
    likelihood = bilby.gw.GravitationalWaveTransient(
        interferometers=observed,
        waveform_generator=generator,
        priors=prior,
        distance_marginalization=True,
        reference_frame="H1L1",
        time_reference="H1",
    )
    return likelihood, prior


def main() -> None:
    """Run, and write a summary beside the result."""
    arguments = arguments_of(
        __doc__.splitlines()[0],
        "higher_harmonics",
        n_effective=1000.0,
        max_likelihood_calls=150_000,
        seed=1,
    )
    likelihood, prior = likelihood_and_prior()
    run(likelihood, prior, {name: TRUTH[name] for name in SHOWN}, arguments)


if __name__ == "__main__":
    main()
