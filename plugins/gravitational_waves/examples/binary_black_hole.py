"""Common parts of the examples of black holes in three detectors: data, coordinates, and a run.

`aligned_spins.py` and `precessing.py` add the spins. The coordinates separate the modes. They are the sky
relative to the line between H1 and L1, the time of arrival at H1, and half the circle of the polarisation
angle. Half the circle suffices: if the phase of coalescence is a factor exp(2 i phase) and is integrated out,
a wave repeats itself after a quarter turn. The evidence is that of the whole circle.

Four seconds, 20 to 300 Hz, noise at design sensitivity with a fixed seed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path

import bilby
import bilby.gw
import numpy as np
from bilby.core.prior import PriorDict, Sine, Uniform
from bilby.gw.detector import InterferometerList

__all__ = [
    "MASSES_AND_PLACE",
    "arguments_of",
    "detectors",
    "located",
    "marginalised",
    "problem",
    "run",
    "waveforms",
    "with_noise",
]

MASSES_AND_PLACE = dict(
    chirp_mass=28.0,
    mass_ratio=0.8,
    luminosity_distance=1500.0,
    theta_jn=0.6,
    psi=2.659,
    phase=1.3,
    geocent_time=1126259642.413,
    ra=1.375,
    dec=-1.2108,
)
DURATION, SAMPLING_FREQUENCY, BAND = 4.0, 1024.0, (20.0, 300.0)
FEWEST_SHOWN = 100


def waveforms(
    approximant: str,
    model: Callable[..., object] = bilby.gw.source.lal_binary_black_hole,
    **more: float,
) -> bilby.gw.WaveformGenerator:
    """Generator of the waves of two black holes.

    Parameters
    ----------
    approximant : str
        A model in which the phase is a factor exp(2 i phase), so it has no higher harmonics.
    model : callable
        bilby's frequency-domain source model.
    **more : float
        Further arguments of the waveform.

    Returns
    -------
    bilby.gw.WaveformGenerator
    """
    return bilby.gw.WaveformGenerator(
        duration=DURATION,
        sampling_frequency=SAMPLING_FREQUENCY,
        frequency_domain_source_model=model,
        parameter_conversion=bilby.gw.conversion.convert_to_lal_binary_black_hole_parameters,
        waveform_arguments=dict(
            waveform_approximant=approximant,
            reference_frequency=50.0,
            minimum_frequency=BAND[0],
            maximum_frequency=BAND[1],
            **more,
        ),
    )


def detectors(
    generator: bilby.gw.WaveformGenerator,
    truth: Mapping[str, float],
    names: Sequence[str] = ("H1", "L1", "V1"),
) -> InterferometerList:
    """Detectors with the signal and noise at design sensitivity."""
    bilby.core.utils.random.seed(88170235)
    made = with_noise(names, truth["geocent_time"] - 2)
    made.inject_signal(waveform_generator=generator, parameters=dict(truth))
    return made


def with_noise(names: Sequence[str], start_time: float) -> InterferometerList:
    """Detectors with noise at design sensitivity, which bilby's generator draws."""
    made = InterferometerList(list(names))
    for detector in made:
        detector.minimum_frequency, detector.maximum_frequency = BAND
    made.set_strain_data_from_power_spectral_densities(SAMPLING_FREQUENCY, DURATION, start_time=start_time)
    return made


def located(spins: PriorDict, observed: InterferometerList, truth: Mapping[str, float]) -> PriorDict:
    """Priors of a binary with those of its masses, distance, position and time.

    Parameters
    ----------
    spins : bilby.gw.prior.BBHPriorDict
        Priors; all other ones are bilby's. They are not changed.
    observed : bilby.gw.detector.InterferometerList
        Detectors, H1 first.
    truth : mapping of str to float

    Returns
    -------
    bilby.gw.prior.BBHPriorDict
    """
    made = deepcopy(spins)
    for name in ("mass_1", "mass_2"):
        made[name].maximum = 200
    made["chirp_mass"].minimum, made["chirp_mass"].maximum = 20, 40
    made["luminosity_distance"] = bilby.gw.prior.UniformSourceFrame(100, 5000, name="luminosity_distance")
    arrival = truth["geocent_time"] + observed[0].time_delay_from_geocenter(
        truth["ra"], truth["dec"], truth["geocent_time"]
    )
    made["H1_time"] = Uniform(arrival - 0.1, arrival + 0.1, name="H1_time")
    del made["ra"], made["dec"]
    made["zenith"] = Sine(name="zenith")
    made["azimuth"] = Uniform(0, 2 * np.pi, name="azimuth", boundary="periodic")
    made["psi"] = Uniform(0, np.pi / 2, name="psi", boundary="periodic")
    return made


def problem(
    approximant: str,
    spins: PriorDict,
    truth: Mapping[str, float],
    names: Sequence[str] = ("H1", "L1", "V1"),
) -> tuple[bilby.gw.GravitationalWaveTransient, PriorDict]:
    """Likelihood with distance and phase integrated out, and priors in which both are fixed.

    Parameters
    ----------
    approximant : str
        See `waveforms`.
    spins : bilby.gw.prior.BBHPriorDict
        Priors with the spins of the example; they are not changed.
    truth : mapping of str to float
        Injected parameters.
    names : sequence of str
        Detectors, H1 and L1 among them.

    Returns
    -------
    likelihood : bilby.gw.GravitationalWaveTransient
    prior : bilby.gw.prior.BBHPriorDict
    """
    generator = waveforms(approximant)
    observed = detectors(generator, truth, names)
    prior = located(spins, observed, truth)
    return marginalised(observed, generator, prior), prior


def marginalised(
    observed: InterferometerList, generator: bilby.gw.WaveformGenerator, prior: PriorDict
) -> bilby.gw.GravitationalWaveTransient:
    """Likelihood with distance and phase integrated out. Both become fixed in the priors."""
    return bilby.gw.GravitationalWaveTransient(
        interferometers=observed,
        waveform_generator=generator,
        priors=prior,
        distance_marginalization=True,
        phase_marginalization=True,
        reference_frame="H1L1",
        time_reference="H1",
    )


def arguments_of(description: str, outdir: str, **defaults: object) -> argparse.Namespace:
    """Arguments of the command line, each with its default."""
    parser = argparse.ArgumentParser(description=description)
    for name, default in defaults.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    parser.add_argument("--outdir", type=Path, default=Path("build") / outdir)
    return parser.parse_args()


def run(
    likelihood: bilby.gw.GravitationalWaveTransient,
    prior: PriorDict,
    truth: Mapping[str, float],
    arguments: argparse.Namespace,
) -> None:
    """Run, reconstruct distance and phase, and write a summary and a corner plot beside the result.

    Parameters
    ----------
    likelihood : bilby.gw.GravitationalWaveTransient
    prior : bilby.core.prior.PriorDict
    truth : mapping of str to float
        Parameters of the plot, with their injected values.
    arguments : argparse.Namespace
        Arguments from `arguments_of`.
    """
    settings = vars(arguments).copy()
    outdir, label = settings.pop("outdir"), f"seed_{arguments.seed}"
    result = bilby.run_sampler(
        likelihood,
        prior,
        sampler="nbi",
        **settings,
        outdir=str(outdir),
        label=label,
        print_method="interval-60",
        result_class=bilby.gw.result.CBCResult,
        conversion_function=bilby.gw.conversion.generate_all_bbh_parameters,
    )
    summary = {
        "log_bayes_factor": result.log_bayes_factor,
        "error": result.log_evidence_err,
        "calls": result.num_likelihood_evaluations,
        **{name: result.meta_data["nbi"][name] for name in ("status", "ess", "k_hat")},
    }
    (outdir / f"{label}_summary.json").write_text(json.dumps(summary, indent=1))
    print(json.dumps(summary, indent=1))
    # Contours of fewer draws have no meaning, and the plot refuses them.
    if len(result.posterior) >= FEWEST_SHOWN:
        picture = outdir / f"{label}_corner.png"
        result.plot_corner(parameters=dict(truth), filename=str(picture), bins=25, dpi=100)
