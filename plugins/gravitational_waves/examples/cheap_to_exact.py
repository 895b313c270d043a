"""A cheap likelihood first, then the exact one: relative binning, then the strain at every frequency.

    python cheap_to_exact.py --n-effective 5000 --seed 1

Masses, distance and inclination of the four-parameter binary, whose spins are known and turn the orbit
(PhenomPv2). The first run evaluates the wave at the edges of bins. Its samples start the second run, whose
weights are those of the exact likelihood. A third run begins with the prior, for comparison. A run that was
stopped continues where it was.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import bilby
import bilby.gw
from bilby.core.prior import PriorDict
from bilby.gw.likelihood import RelativeBinningGravitationalWaveTransient
from cheap_to_exact_figure import draw, seconds_of
from nbi_sampler_benchmark.problems.registry import Problem, get_problem

# Radians that the phase of the wave changes over a bin, relative to that of the fiducial one.
BINNING = 0.1
ENOUGH = dict(n_effective=1000.0)
QUICK = dict(n_effective=100.0, n_sims=300, max_likelihood_calls=1500)


def binned(problem: Problem) -> RelativeBinningGravitationalWaveTransient:
    """The likelihood of the same strain with relative binning.

    The fiducial wave is that of the injection. With real data it is that of the search or of an optimiser.
    """
    exact, truth = problem.likelihood, problem.truth
    assert isinstance(exact, bilby.gw.GravitationalWaveTransient) and truth is not None
    generator = bilby.gw.WaveformGenerator(
        duration=4.0,
        sampling_frequency=2048.0,
        frequency_domain_source_model=bilby.gw.source.lal_binary_black_hole_relative_binning,
        parameter_conversion=bilby.gw.conversion.convert_to_lal_binary_black_hole_parameters,
        waveform_arguments=exact.waveform_generator.waveform_arguments | dict(fiducial=0),
    )
    return RelativeBinningGravitationalWaveTransient(
        interferometers=exact.interferometers,
        waveform_generator=generator,
        fiducial_parameters=dict(truth),
        epsilon=BINNING,
    )


def seconds_of_a_call(likelihood: bilby.Likelihood, priors: PriorDict, n_calls: int = 100) -> float:
    """Mean time of a call at draws from the prior."""
    draws = [dict(priors.sample()) for _ in range(n_calls)]
    begin = time.perf_counter()
    for each in draws:
        likelihood.log_likelihood(each)
    return (time.perf_counter() - begin) / n_calls


def main() -> None:
    """Run three times, compare, and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-effective", type=float, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--outdir", default="build/cheap_to_exact")
    parser.add_argument("--quick", action="store_true", help="rough fits, to see that all works")
    given = parser.parse_args()
    problem = get_problem("gw_fast")
    exact, priors, cheap = problem.likelihood, problem.priors, binned(problem)
    settings: dict[str, Any] = dict(sampler="nbi", seed=given.seed, outdir=given.outdir, use_ratio=False)
    settings |= dict(print_method="interval-60", result_class=bilby.gw.result.CBCResult)
    amount = QUICK if given.quick else dict(n_effective=given.n_effective)
    start = bilby.run_sampler(cheap, priors, label="cheap", **settings, **QUICK if given.quick else ENOUGH)
    after = bilby.run_sampler(exact, priors, label="exact", initial_result=start, **settings, **amount)
    scratch = bilby.run_sampler(exact, priors, label="from_the_prior", **settings, **amount)
    runs = dict(cheap=start, exact=after, from_the_prior=scratch)
    for name, result in runs.items():
        nbi, seconds = result.meta_data["nbi"], seconds_of(result)
        print(
            f"{name:15s} log Z {result.log_evidence:.3f} +- {result.log_evidence_err:.3f}, "
            f"{nbi['n_calls']:,} calls, {seconds:.0f} s, ESS {nbi['ess']:.0f}, {nbi['status']}"
        )
    for name, likelihood in dict(cheap=cheap, exact=exact).items():
        print(f"a call of the {name} likelihood takes {1e3 * seconds_of_a_call(likelihood, priors):.2f} ms")
    draw(runs, bilby.gw.conversion.generate_mass_parameters(dict(problem.truth)), Path(given.outdir))


if __name__ == "__main__":
    main()
