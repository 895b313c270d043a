"""Aligned-spin binary black hole, eleven parameters, of which two are marginalised, in H1, L1 and V1.

    python aligned_spins.py --n-effective 1500 --seed 1 --outdir build/aligned_spins

Coordinates that untangle the modes: the sky as seen from the line between H1 and L1, the time of arrival at
H1, and half the circle of the polarisation angle, because with the phase integrated out a wave of one
harmonic repeats itself after a quarter turn. The evidence is that of the whole circle.

IMRPhenomD, four seconds, 20 to 300 Hz, noise at design sensitivity with a fixed seed; SNR 21.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import bilby
import bilby.gw
import numpy as np
from bilby.core.prior import PriorDict, Sine, Uniform

TRUTH = dict(
    chirp_mass=28.0,
    mass_ratio=0.8,
    chi_1=0.2,
    chi_2=0.1,
    luminosity_distance=1500.0,
    theta_jn=0.6,
    psi=2.659,
    phase=1.3,
    geocent_time=1126259642.413,
    ra=1.375,
    dec=-1.2108,
)
DURATION, SAMPLING_FREQUENCY, BAND = 4.0, 1024.0, (20.0, 300.0)


def waveforms() -> bilby.gw.WaveformGenerator:
    """Generator of the waves of two black holes with aligned spins."""
    return bilby.gw.WaveformGenerator(
        duration=DURATION,
        sampling_frequency=SAMPLING_FREQUENCY,
        frequency_domain_source_model=bilby.gw.source.lal_binary_black_hole,
        parameter_conversion=bilby.gw.conversion.convert_to_lal_binary_black_hole_parameters,
        waveform_arguments=dict(
            waveform_approximant="IMRPhenomD",
            reference_frequency=50.0,
            minimum_frequency=BAND[0],
            maximum_frequency=BAND[1],
        ),
    )


def detectors(generator: bilby.gw.WaveformGenerator) -> bilby.gw.detector.InterferometerList:
    """Three detectors with noise at design sensitivity and the signal."""
    bilby.core.utils.random.seed(88170235)
    made = bilby.gw.detector.InterferometerList(["H1", "L1", "V1"])
    for detector in made:
        detector.minimum_frequency, detector.maximum_frequency = BAND
    made.set_strain_data_from_power_spectral_densities(
        SAMPLING_FREQUENCY, DURATION, start_time=TRUTH["geocent_time"] - 2
    )
    made.inject_signal(waveform_generator=generator, parameters=TRUTH)
    return made


def priors(observed: bilby.gw.detector.InterferometerList) -> PriorDict:
    """Bilby's own for black holes with aligned spins, in the coordinates of the detectors."""
    made = bilby.gw.prior.BBHPriorDict(aligned_spin=True)
    for name in ("mass_1", "mass_2"):
        made[name].maximum = 200
    made["chirp_mass"].minimum, made["chirp_mass"].maximum = 20, 40
    made["luminosity_distance"] = bilby.gw.prior.UniformSourceFrame(100, 5000, name="luminosity_distance")
    arrival = TRUTH["geocent_time"] + observed[0].time_delay_from_geocenter(
        TRUTH["ra"], TRUTH["dec"], TRUTH["geocent_time"]
    )
    made["H1_time"] = Uniform(arrival - 0.1, arrival + 0.1, name="H1_time")
    del made["ra"], made["dec"]
    made["zenith"] = Sine(name="zenith")
    made["azimuth"] = Uniform(0, 2 * np.pi, name="azimuth", boundary="periodic")
    made["psi"] = Uniform(0, np.pi / 2, name="psi", boundary="periodic")
    return made


def problem() -> tuple[bilby.gw.GravitationalWaveTransient, PriorDict]:
    """Likelihood, with distance and phase integrated out, and priors of the nine others."""
    generator = waveforms()
    observed = detectors(generator)
    prior = priors(observed)
    likelihood = bilby.gw.GravitationalWaveTransient(
        interferometers=observed,
        waveform_generator=generator,
        priors=prior,
        distance_marginalization=True,
        phase_marginalization=True,
        reference_frame="H1L1",
        time_reference="H1",
    )
    return likelihood, prior


def main() -> None:
    """Run, and write what came out beside the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-effective", type=float, default=1500)
    parser.add_argument("--n-sims", type=int, default=5000)
    parser.add_argument("--max-likelihood-calls", type=int, default=200_000)
    parser.add_argument("--featurizer", default="gw-pca")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--outdir", type=Path, default=Path("build/aligned_spins"))
    arguments = parser.parse_args()
    likelihood, prior = problem()
    result = bilby.run_sampler(
        likelihood,
        prior,
        sampler="nbi",
        n_effective=arguments.n_effective,
        n_sims=arguments.n_sims,
        max_likelihood_calls=arguments.max_likelihood_calls,
        featurizer=arguments.featurizer,
        seed=arguments.seed,
        outdir=str(arguments.outdir),
        label=f"seed_{arguments.seed}",
        print_method="interval-60",
        result_class=bilby.gw.result.CBCResult,
    )
    summary = {
        "log_bayes_factor": result.log_bayes_factor,
        "error": result.log_evidence_err,
        "calls": result.num_likelihood_evaluations,
        **{name: result.meta_data["nbi"][name] for name in ("status", "ess", "k_hat")},
    }
    (arguments.outdir / f"seed_{arguments.seed}_summary.json").write_text(json.dumps(summary, indent=1))
    print(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
