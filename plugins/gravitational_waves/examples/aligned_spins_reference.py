"""Reference for `aligned_spins.py`: dynesty with relative binning, on its priors or on a part of them.

    python aligned_spins_reference.py --nlive 300 --naccept 15 --seed 3 --outdir build/aligned_spins_reference
    python aligned_spins_reference.py --nlive 150 --naccept 15 --cut yes --outdir build/aligned_spins_cut

Binning changes the log-likelihood of posterior draws by 0.0007 +- 0.0009. With `--cut yes` the priors are
truncated where the posterior ends, which saves calls. The evidence is corrected for this, and 1e-30 of the
weights of a run with the whole priors are outside.
"""

from __future__ import annotations

from copy import deepcopy

import bilby
import numpy as np
from aligned_spins import TRUTH
from bilby.core.prior import PriorDict
from bilby.gw.likelihood import RelativeBinningGravitationalWaveTransient
from bilby.gw.prior import BBHPriorDict
from binary_black_hole import arguments_of, detectors, located, waveforms
from scipy.optimize import minimize

HALF_WIDTH_IN_TIME = 0.015
KEPT = dict(chirp_mass=(25.0, 31.5), zenith=(2.1, 2.6), azimuth=(2.8, 3.2))
# Phase over a bin, in radians.
BINNING = 0.1


def cut(prior: PriorDict) -> tuple[PriorDict, float]:
    """Truncated priors, and the logarithm of the probability of the whole ones within the limits.

    Parameters
    ----------
    prior : bilby.core.prior.PriorDict
        Priors, which are not changed.

    Returns
    -------
    kept : bilby.core.prior.PriorDict
        The truncated priors have no constraints on single masses, because no chirp mass in the limits
        violates them.
    log_mass : float
    """
    kept = PriorDict({name: deepcopy(prior[name]) for name in prior if name not in ("mass_1", "mass_2")})
    middle = (prior["H1_time"].minimum + prior["H1_time"].maximum) / 2
    limits = KEPT | dict(H1_time=(middle - HALF_WIDTH_IN_TIME, middle + HALF_WIDTH_IN_TIME))
    log_mass = 0.0
    for name, (minimum, maximum) in limits.items():
        log_mass += float(np.log(prior[name].cdf(maximum) - prior[name].cdf(minimum)))
        kept[name].minimum, kept[name].maximum, kept[name].boundary = minimum, maximum, None
    return kept, log_mass


def place_seen_from_detectors(prior: PriorDict) -> dict[str, float]:
    """Zenith, azimuth and time at H1 of the injected signal."""
    pair = bilby.gw.detector.InterferometerList(["H1", "L1"])
    wanted = _direction(TRUTH["ra"], TRUTH["dec"])

    def distance(place: np.ndarray) -> float:
        ra, dec = bilby.gw.utils.zenith_azimuth_to_ra_dec(*place, TRUTH["geocent_time"], pair)
        return float(np.sum((_direction(ra, dec) - wanted) ** 2))

    starts = [(1.0, 1.0), (1.0, 4.0), (2.0, 1.0), (2.0, 4.0), (0.5, 3.0)]
    settings = dict(method="Nelder-Mead", options=dict(xatol=1e-9, fatol=1e-16))
    best = min((minimize(distance, start, **settings) for start in starts), key=lambda found: found.fun)
    middle = (prior["H1_time"].minimum + prior["H1_time"].maximum) / 2
    return dict(zenith=best.x[0], azimuth=best.x[1] % (2 * np.pi), H1_time=middle)


def _direction(ra: float, dec: float) -> np.ndarray:
    return np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])


def main() -> None:
    """Run dynesty, and print the evidence for the whole priors."""
    arguments = arguments_of(
        __doc__.splitlines()[0], "aligned_spins_reference", nlive=300, naccept=15, cut="no", seed=3
    )
    observed = detectors(waveforms("IMRPhenomD"), TRUTH)
    prior = located(BBHPriorDict(aligned_spin=True), observed, TRUTH)
    binned = waveforms("IMRPhenomD", bilby.gw.source.lal_binary_black_hole_relative_binning, fiducial=0)
    # The likelihood fixes the parameters that it integrates over in these priors.
    likelihood = RelativeBinningGravitationalWaveTransient(
        interferometers=observed,
        waveform_generator=binned,
        fiducial_parameters=TRUTH | place_seen_from_detectors(prior),
        epsilon=BINNING,
        priors=prior,
        distance_marginalization=True,
        phase_marginalization=True,
        reference_frame="H1L1",
        time_reference="H1",
    )
    sampled, log_mass = cut(prior) if arguments.cut == "yes" else (prior, 0.0)
    result = bilby.run_sampler(
        likelihood,
        sampled,
        sampler="dynesty",
        nlive=arguments.nlive,
        naccept=arguments.naccept,
        sample="acceptance-walk",
        seed=arguments.seed,
        outdir=str(arguments.outdir),
        label=f"seed_{arguments.seed}",
    )
    log_bayes_factor = result.log_bayes_factor + log_mass
    print(f"log Bayes factor {log_bayes_factor:.3f} +- {result.log_evidence_err:.3f}")
    print(f"{result.num_likelihood_evaluations:,} calls; the cut is {-log_mass:.2f} nats")


if __name__ == "__main__":
    main()
