"""Small likelihoods of bilby.gw: two seconds of three detectors, a millisecond a call."""

from __future__ import annotations

import bilby
import bilby.gw
import numpy as np
from bilby.core.prior import PriorDict, Uniform
from scipy.special import logsumexp

TIME = 1126259642.413
TRUTH = dict(
    chirp_mass=28.0,
    mass_ratio=0.8,
    chi_1=0.2,
    chi_2=0.1,
    luminosity_distance=6000.0,
    theta_jn=0.6,
    psi=0.9,
    phase=1.3,
    geocent_time=TIME,
    ra=1.375,
    dec=-1.2108,
)
SAMPLED = dict(
    chirp_mass=Uniform(25.0, 31.0),
    luminosity_distance=bilby.gw.prior.UniformSourceFrame(2000, 12000, name="luminosity_distance"),
    theta_jn=bilby.core.prior.Sine(),
    phase=Uniform(0, 2 * np.pi, boundary="periodic"),
    geocent_time=Uniform(TIME - 0.05, TIME + 0.05),
)
SOURCES = bilby.gw.source
LIKELIHOODS = bilby.gw.likelihood


def observed(*lowest):
    """Data of three detectors, from these frequencies upwards."""
    holder = bilby.core.utils.random.Generator
    before, holder.rng = holder.rng, np.random.default_rng(7)
    try:
        made = bilby.gw.detector.InterferometerList(["H1", "L1", "V1"])
        for detector, minimum in zip(made, lowest, strict=True):
            detector.minimum_frequency, detector.maximum_frequency = minimum, 250.0
        made.set_strain_data_from_power_spectral_densities(512.0, 2.0, start_time=TIME - 1.5)
        made.inject_signal(waveform_generator=generator(), parameters=dict(TRUTH))
    finally:
        holder.rng = before
    return made


def generator(source=SOURCES.lal_binary_black_hole, **arguments):
    """Waveforms of two black holes without precession."""
    if source is not SOURCES.binary_black_hole_frequency_sequence:
        arguments["minimum_frequency"] = 20.0
    return bilby.gw.WaveformGenerator(
        duration=2.0,
        sampling_frequency=512.0,
        frequency_domain_source_model=source,
        parameter_conversion=bilby.gw.conversion.convert_to_lal_binary_black_hole_parameters,
        waveform_arguments=dict(waveform_approximant="IMRPhenomD", reference_frequency=50.0, **arguments),
    )


def make(detectors, kind="full", **keywords):
    """Return a likelihood and the priors that it has changed for itself."""
    priors = PriorDict({**TRUTH, **SAMPLED, **keywords.pop("changed", {})})
    for name in keywords.pop("without", ()):
        del priors[name]
    keywords = dict(interferometers=detectors, priors=priors, **keywords)
    if kind == "relative":
        keywords.update(fiducial_parameters=dict(TRUTH), epsilon=0.05)
        waves = generator(SOURCES.lal_binary_black_hole_relative_binning, fiducial=0)
        kind_of = LIKELIHOODS.RelativeBinningGravitationalWaveTransient
        return kind_of(waveform_generator=waves, **keywords), priors
    if kind == "multiband":
        waves = generator(SOURCES.binary_black_hole_frequency_sequence)
        keywords.setdefault("reference_chirp_mass", 25.0)
        return LIKELIHOODS.MBGravitationalWaveTransient(waveform_generator=waves, **keywords), priors
    return bilby.gw.GravitationalWaveTransient(waveform_generator=generator(), **keywords), priors


def distance_table():
    """Bilby's table for the marginalisation over distance and phase, coarser than its own, in a second."""
    prior = bilby.gw.prior.UniformSourceFrame(2000, 12000, name="luminosity_distance")
    distances = np.linspace(2000, 12000, int(1e4))
    density = np.array([prior.prob(distance) for distance in distances])
    reference = prior.rescale(0.5)
    scaling = reference / distances[50::100]
    prior_mass = density[50::100] / density[50::100].sum()
    linear = bilby.gw.utils.ln_i0(np.outer(np.logspace(-5, 10, 800), scaling))
    quadratic = np.outer(np.logspace(-5, 10, 400), scaling**2) / 2
    table = np.array([logsumexp(linear - each, b=prior_mass, axis=1) for each in quadratic])
    return dict(
        distance_array=distances,
        prior_array=density,
        lookup_table=table,
        reference_distance=reference,
        phase_marginalization=True,
    )
