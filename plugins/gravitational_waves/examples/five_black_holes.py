"""Five precessing black holes, from face-on to edge-on, in two or three detectors.

    python five_black_holes.py --case edge_on --seed 1

Their signal-to-noise ratios are 10 to 30 and their mass ratios 0.25 to 1. The waveform is IMRPhenomPv2.
`precessing.py` is one of them, and `binary_black_hole.py` defines the rest of the problem.
"""

from __future__ import annotations

from bilby.gw.prior import BBHPriorDict
from binary_black_hole import arguments_of, problem, run
from precessing import SHOWN, TRUTH

__all__ = ["CASES"]

_ALL, _TWO = ("H1", "L1", "V1"), ("H1", "L1")
# Injected parameters and detectors. Distances are those of the signal-to-noise ratio in the first column.
CASES = {
    "tilted": (TRUTH, _ALL),  # 21
    "face_on": (TRUTH | dict(mass_ratio=1.0, theta_jn=0.2, luminosity_distance=1250.0, a_1=0.4), _ALL),  # 30
    "faint": (TRUTH | dict(mass_ratio=0.25, luminosity_distance=2300.0, a_1=0.3), _TWO),  # 10
    "from_the_side": (
        TRUTH | dict(mass_ratio=0.35, theta_jn=1.3, luminosity_distance=1300.0, a_1=0.85, a_2=0.7),
        _ALL,
    ),  # 12.5
    "edge_on": (TRUTH | dict(mass_ratio=0.7, theta_jn=1.5, luminosity_distance=800.0), _TWO),  # 18
}


def main() -> None:
    """Run one case, and write a summary beside the result."""
    arguments = arguments_of(
        __doc__.splitlines()[0],
        "five_black_holes",
        case="tilted",
        n_effective=2000.0,
        max_likelihood_calls=150_000,
        seed=1,
    )
    truth, names = CASES[arguments.case]
    likelihood, prior = problem("IMRPhenomPv2", BBHPriorDict(), truth, names)
    arguments.outdir /= arguments.case
    del arguments.case
    run(likelihood, prior, {name: truth[name] for name in SHOWN}, arguments)


if __name__ == "__main__":
    main()
