"""Reference for `aligned_spins.py`: dynesty, on priors cut down to where the posterior is.

    python aligned_spins_reference.py --nlive 150 --naccept 15 --outdir build/aligned_spins_reference

The evidence is corrected for the cut, outside which 1e-30 of the weights of a run on the whole priors lie.
"""

from __future__ import annotations

from copy import deepcopy

import bilby
import numpy as np
from aligned_spins import TRUTH
from bilby.core.prior import PriorDict
from bilby.gw.prior import BBHPriorDict
from binary_black_hole import arguments_of, problem

HALF_WIDTH_IN_TIME = 0.015
KEPT = dict(chirp_mass=(25.0, 31.5), zenith=(2.1, 2.6), azimuth=(2.8, 3.2))


def cut(prior: PriorDict) -> tuple[PriorDict, float]:
    """Priors within limits, and the logarithm of what the whole ones have there.

    Parameters
    ----------
    prior : bilby.core.prior.PriorDict
        Left unchanged.

    Returns
    -------
    kept : bilby.core.prior.PriorDict
        Without the constraints on single masses, which no chirp mass within the limits violates.
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


def main() -> None:
    """Run dynesty and print the evidence on the whole priors."""
    arguments = arguments_of(
        __doc__.splitlines()[0], "aligned_spins_reference", nlive=150, naccept=15, seed=1
    )
    likelihood, prior = problem("IMRPhenomD", BBHPriorDict(aligned_spin=True), TRUTH)
    kept, log_mass = cut(prior)
    result = bilby.run_sampler(
        likelihood,
        kept,
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
