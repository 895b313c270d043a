"""Properties on which the examples rest: a phase that is a factor of the wave, priors cut without loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bilby.gw.prior import BBHPriorDict


@pytest.fixture
def examples(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "examples"))


@pytest.mark.parametrize("name", ["aligned_spins", "precessing"])
def test_phase_is_a_factor_as_its_marginalisation_and_half_a_circle_of_psi_ask(examples, name):
    example = pytest.importorskip(name)
    from binary_black_hole import waveforms

    generator = waveforms({"aligned_spins": "IMRPhenomD", "precessing": "IMRPhenomPv2"}[name])
    first, second = (
        generator.frequency_domain_strain({**example.TRUTH, "phase": phase}) for phase in (0.0, 0.7)
    )
    for mode in first:
        turned = first[mode] * np.exp(1.4j)
        np.testing.assert_allclose(second[mode], turned, rtol=0, atol=1e-9 * np.abs(turned).max())


def test_cut_priors_are_parts_of_the_whole_ones_with_the_mass_that_is_said(examples):
    from aligned_spins import TRUTH
    from aligned_spins_reference import cut
    from binary_black_hole import located

    whole = located(BBHPriorDict(aligned_spin=True), [AtTheCentre()], TRUTH)
    kept, log_mass = cut(whole)
    masses = {name: np.diff(whole[name].cdf(kept[name].rescale(np.array([0.0, 1.0]))))[0] for name in kept}
    assert log_mass == pytest.approx(np.sum(np.log(list(masses.values()))))
    # Quantiles, which samplers draw from: bilby's density of a Sine knows nothing of its limits.
    for name in ("chirp_mass", "zenith", "azimuth", "H1_time"):
        low, middle = whole[name].cdf(kept[name].rescale(np.array([0.0, 0.4])))
        assert masses[name] < 0.5 and middle - low == pytest.approx(0.4 * masses[name])
    assert whole["zenith"].maximum == np.pi


def test_relative_binning_is_close_to_the_exact_likelihood_where_the_posterior_is(examples):
    """As close as a run from its samples needs, up to a constant."""
    pytest.importorskip("nbi_sampler_benchmark")
    from cheap_to_exact import binned, get_problem

    problem = get_problem("gw_fast")
    cheap, rng = binned(problem), np.random.default_rng(1)
    changes = dict(mass_1=1.0, mass_2=1.0, luminosity_distance=200.0, theta_jn=0.1)
    difference = []
    for offsets in 0.5 * rng.normal(size=(20, 4)):
        moved = {
            name: problem.truth[name] + d * s for (name, s), d in zip(changes.items(), offsets, strict=True)
        }
        both = (each.log_likelihood({**problem.truth, **moved}) for each in (cheap, problem.likelihood))
        difference.append(np.subtract(*both))
    assert np.abs(difference).max() < 0.1


class AtTheCentre:
    """A detector at the centre of the Earth."""

    def time_delay_from_geocenter(self, *place):
        return 0.0


@pytest.mark.parametrize(
    ("case", "expected"),
    [("tilted", 21.5), ("face_on", 29.9), ("faint", 9.9), ("from_the_side", 12.6), ("edge_on", 17.9)],
)
def test_signal_to_noise_ratios_of_the_five_black_holes_are_those_of_the_tables(examples, case, expected):
    from binary_black_hole import detectors, waveforms
    from five_black_holes import CASES

    squares = [
        each.meta_data["optimal_SNR"] ** 2 for each in detectors(waveforms("IMRPhenomPv2"), *CASES[case])
    ]
    assert np.sqrt(sum(squares)) == pytest.approx(expected, abs=0.1)
