"""The binary black hole of the benchmark (`gw_fast`), which needs lalsuite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import bilby
import numpy as np
from bilby.core.prior import PriorDict

__all__ = ["binary_black_hole", "injected_black_hole", "mass_and_distance_priors"]

TRUTH = dict(
    mass_1=36.0,
    mass_2=29.0,
    a_1=0.4,
    a_2=0.3,
    tilt_1=0.5,
    tilt_2=1.0,
    phi_12=1.7,
    phi_jl=0.3,
    luminosity_distance=2000.0,
    theta_jn=0.4,
    psi=2.659,
    phase=1.3,
    geocent_time=1126259642.413,
    ra=1.375,
    dec=-1.2108,
)
FIXED = "a_1 a_2 tilt_1 tilt_2 phi_12 phi_jl psi ra dec geocent_time phase".split()


@contextmanager
def _bilby_generator(seed: int) -> Iterator[None]:
    """Give bilby a seeded global generator for noise and tests of priors, and restore the old one."""
    holder = bilby.core.utils.random.Generator
    before = holder.rng
    holder.rng = np.random.default_rng(seed)
    try:
        yield
    finally:
        holder.rng = before


@_bilby_generator(88170235)
def binary_black_hole() -> tuple[bilby.Likelihood, PriorDict, dict[str, float]]:
    """Two detectors, four seconds, precessing waveform; masses, distance and inclination are free.

    Returns
    -------
    tuple
        Likelihood, priors and the injected parameters.
    """
    # The noise is drawn first, because the validation of priors draws from the same generator.
    likelihood = injected_black_hole(TRUTH)
    return likelihood, mass_and_distance_priors(), dict(TRUTH)


def mass_and_distance_priors() -> PriorDict:
    """Priors of black holes with free masses, distance and inclination."""
    import bilby.gw

    priors = bilby.gw.prior.BBHPriorDict()
    for key in FIXED:
        priors[key] = TRUTH[key]
    priors.validate_prior(4.0, 20)
    return priors


def injected_black_hole(injection: Mapping[str, float]) -> bilby.Likelihood:
    """Likelihood of a signal in the noise of two detectors, which bilby's generator draws."""
    import bilby.gw

    generator = bilby.gw.WaveformGenerator(
        duration=4.0,
        sampling_frequency=2048.0,
        frequency_domain_source_model=bilby.gw.source.lal_binary_black_hole,
        parameter_conversion=bilby.gw.conversion.convert_to_lal_binary_black_hole_parameters,
        waveform_arguments=dict(
            waveform_approximant="IMRPhenomPv2", reference_frequency=50.0, minimum_frequency=20
        ),
    )
    detectors = bilby.gw.detector.InterferometerList(["H1", "L1"])
    detectors.set_strain_data_from_power_spectral_densities(
        sampling_frequency=2048.0, duration=4.0, start_time=TRUTH["geocent_time"] - 2
    )
    detectors.inject_signal(waveform_generator=generator, parameters=dict(injection))
    return bilby.gw.GravitationalWaveTransient(interferometers=detectors, waveform_generator=generator)
