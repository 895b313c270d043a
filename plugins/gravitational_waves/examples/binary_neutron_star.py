"""Two neutron stars: 128 seconds, tides and precessing low spins; 17 parameters, two of them marginalised.

    python binary_neutron_star.py --n-effective 1000 --seed 1

The likelihood is bilby's relative binning about the injected wave (IMRPhenomPv2_NRTidalv2), in H1, L1 and V1
at design sensitivity, from 23 to 2,048 Hz. With real data the fiducial wave is that of the search.
"""

from __future__ import annotations

import bilby
import bilby.gw
import numpy as np
from bilby.core.prior import PriorDict, Sine, Uniform
from bilby.gw.detector import InterferometerList
from bilby.gw.likelihood import RelativeBinningGravitationalWaveTransient
from bilby.gw.prior import BNSPriorDict
from binary_black_hole import arguments_of, run

__all__ = ["TRUTH", "likelihood_and_prior"]

TRUTH = dict(chirp_mass=1.1975, mass_ratio=0.9, a_1=0.02, a_2=0.02, tilt_1=1.0, tilt_2=0.8, phi_12=1.7)
TRUTH |= dict(phi_jl=0.3, lambda_1=400.0, lambda_2=450.0, luminosity_distance=120.0, theta_jn=0.5, psi=2.659)
TRUTH |= dict(phase=1.3, geocent_time=1187008882.4, ra=1.375, dec=-1.2108)
SHOWN = ("chirp_mass", "mass_ratio", "lambda_1", "lambda_2", "luminosity_distance", "theta_jn", "ra", "dec")
DURATION, SAMPLING_FREQUENCY, BAND = 128.0, 4096.0, (23.0, 2048.0)


def likelihood_and_prior() -> tuple[RelativeBinningGravitationalWaveTransient, PriorDict]:
    """Likelihood with distance and phase integrated out, and priors of the low-spin analysis."""
    generator = bilby.gw.WaveformGenerator(
        duration=DURATION,
        sampling_frequency=SAMPLING_FREQUENCY,
        frequency_domain_source_model=bilby.gw.source.lal_binary_neutron_star_relative_binning,
        parameter_conversion=bilby.gw.conversion.convert_to_lal_binary_neutron_star_parameters,
        waveform_arguments=dict(
            waveform_approximant="IMRPhenomPv2_NRTidalv2",
            reference_frequency=50.0,
            minimum_frequency=BAND[0],
            fiducial=1,
        ),
    )
    bilby.core.utils.random.seed(88170817)
    observed = InterferometerList(["H1", "L1", "V1"])
    for detector in observed:
        detector.minimum_frequency, detector.maximum_frequency = BAND
    observed.set_strain_data_from_power_spectral_densities(
        SAMPLING_FREQUENCY, DURATION, start_time=TRUTH["geocent_time"] - DURATION + 2.0
    )
    observed.inject_signal(waveform_generator=generator, parameters=TRUTH)
    generator.waveform_arguments["fiducial"] = 0
    prior = _prior(observed)
    likelihood = RelativeBinningGravitationalWaveTransient(
        interferometers=observed,
        waveform_generator=generator,
        fiducial_parameters=dict(TRUTH),
        priors=prior,
        distance_marginalization=True,
        phase_marginalization=True,
        reference_frame="H1L1",
        time_reference="H1",
    )
    return likelihood, prior


def _prior(observed: InterferometerList) -> PriorDict:
    prior = BNSPriorDict(aligned_spin=False)
    prior["chirp_mass"] = Uniform(1.18, 1.21, name="chirp_mass")
    prior["mass_ratio"] = Uniform(0.125, 1.0, name="mass_ratio")
    for name in ("mass_1", "mass_2"):
        prior[name] = bilby.core.prior.Constraint(0.5, 5.0, name=name)
    for name in ("a_1", "a_2"):
        prior[name] = Uniform(0.0, 0.05, name=name)
    for name in ("lambda_1", "lambda_2"):
        prior[name] = Uniform(0.0, 5000.0, name=name)
    prior["luminosity_distance"] = bilby.gw.prior.UniformSourceFrame(10, 500, name="luminosity_distance")
    arrival = TRUTH["geocent_time"] + observed[0].time_delay_from_geocenter(
        TRUTH["ra"], TRUTH["dec"], TRUTH["geocent_time"]
    )
    prior["H1_time"] = Uniform(arrival - 0.1, arrival + 0.1, name="H1_time")
    for name in ("ra", "dec"):
        prior.pop(name, None)
    prior["zenith"] = Sine(name="zenith")
    prior["azimuth"] = Uniform(0, 2 * np.pi, name="azimuth", boundary="periodic")
    prior["psi"] = Uniform(0, np.pi / 2, name="psi", boundary="periodic")
    return prior


def main() -> None:
    """Run, and write a summary beside the result."""
    arguments = arguments_of(
        __doc__.splitlines()[0],
        "binary_neutron_star",
        n_effective=1000.0,
        max_likelihood_calls=200_000,
        seed=1,
    )
    likelihood, prior = likelihood_and_prior()
    run(likelihood, prior, {name: TRUTH[name] for name in SHOWN}, arguments)


if __name__ == "__main__":
    main()
