"""Black holes with aligned spins, drawn from the prior: a P-P test.

    nbi-sampler benchmark pp pp_aligned_spins.py --injections 20 --n-effective 1000

Eleven parameters, of which distance and phase are marginalised, in H1, L1 and V1. Most signals are faint:
of the first six, five have a signal-to-noise ratio between 2 and 8, and one has 57.
"""

from __future__ import annotations

from collections.abc import Mapping

import bilby
import bilby.gw
from aligned_spins import TRUTH
from bilby.gw.prior import BBHPriorDict
from binary_black_hole import located, marginalised, problem, waveforms, with_noise

__all__ = ["likelihood_of", "priors"]

_APPROXIMANT, _NAMES = "IMRPhenomD", ("H1", "L1", "V1")
# The first likelihood fixes distance and phase in the priors, and converts positions.
_FIRST, priors = problem(_APPROXIMANT, BBHPriorDict(aligned_spin=True), TRUTH, _NAMES)


def likelihood_of(injection: Mapping[str, float]) -> bilby.gw.GravitationalWaveTransient:
    """Likelihood of a signal in new noise. Its distance and phase are drawn from their priors."""
    observed = with_noise(_NAMES, TRUTH["geocent_time"] - 2)
    whole = located(BBHPriorDict(aligned_spin=True), observed, TRUTH)
    truth = {**injection, **{name: whole[name].sample() for name in ("luminosity_distance", "phase")}}
    truth.update(_FIRST.get_sky_frame_parameters(truth))
    generator = waveforms(_APPROXIMANT)
    observed.inject_signal(waveform_generator=generator, parameters=truth)
    return marginalised(observed, generator, whole)
