"""Relative binning of many draws at once: it is close to bilby's likelihood where the posterior is."""

from __future__ import annotations

import bilby
import numpy as np
import pytest
from bilby.core.prior import Cosine, Sine, Uniform
from gw_cases import SOURCES, TIME, TRUTH, distance_table, generator, make
from nbi_sampler_gw import forward_model
from nbi_sampler_gw.geometry import Network
from nbi_sampler_gw.relative_binning import RelativeBinning

from nbi_sampler.priors.space import ParameterSpace

AT_H1 = dict(
    reference_frame="H1L1",
    time_reference="H1",
    without=("ra", "dec", "geocent_time"),
    changed=dict(zenith=Sine(), azimuth=Uniform(0, 2 * np.pi), H1_time=Uniform(TIME - 0.05, TIME + 0.05)),
)
MARGINALISED = {
    "none": {},
    "phase": dict(phase_marginalization=True),
    "distance and phase": dict(distance_marginalization=True, phase_marginalization=True),
}


def near(priors, n=40, width=0.1, seed=1):
    """Columns of draws near the medians of the priors; the first is at the medians."""
    space = ParameterSpace(priors)
    z = width * np.random.default_rng(seed).normal(size=(n, space.n_dim))
    z[0] = 0.0
    return space, space.columns(space.to_theta(z))


def row(columns, i):
    return {name: float(column[i]) for name, column in columns.items()}


def agree(likelihood, columns, within):
    found = RelativeBinning(likelihood, row(columns, 0))(columns)
    exact = [likelihood.log_likelihood_ratio(row(columns, i)) for i in range(len(found))]
    difference = found - exact
    assert np.ptp(exact) > 30 * within
    np.testing.assert_allclose(difference - np.median(difference), 0.0, atol=within)


@pytest.mark.parametrize("integrated", MARGINALISED.values(), ids=MARGINALISED)
def test_differences_in_log_likelihood_are_those_of_bilby(detectors, integrated):
    if "distance_marginalization" in integrated:
        integrated = integrated | dict(distance_marginalization_lookup_table=distance_table())
    likelihood, priors = make(detectors, **integrated)
    agree(likelihood, near(priors)[1], within=0.2)


@pytest.mark.parametrize("kind", ["full", "relative", "multiband"])
@pytest.mark.parametrize("keywords", [{}, AT_H1], ids=["sky", "H1L1"])
def test_every_kind_of_likelihood_and_coordinates(detectors, kind, keywords):
    likelihood, priors = make(detectors, kind, **keywords)
    agree(likelihood, near(priors, width=0.05)[1], within=0.2)


def test_detectors_may_have_bands_of_their_own(unequal_detectors):
    likelihood, priors = make(unequal_detectors)
    agree(likelihood, near(priors)[1], within=0.2)


@pytest.mark.parametrize("keywords", [{}, AT_H1], ids=["sky", "H1L1"])
def test_responses_and_times_are_those_of_bilby(detectors, keywords):
    sky = {} if keywords else dict(ra=Uniform(0, 2 * np.pi), dec=Cosine(), psi=Uniform(0, np.pi))
    likelihood, priors = make(detectors, **(keywords or dict(changed=sky)))
    _, columns = near(priors, n=10, width=1.0)
    plus, cross, time = Network(likelihood).responses(columns)
    for i in range(10):
        place = {**row(columns, i), **likelihood.get_sky_frame_parameters(row(columns, i))}
        for d, detector in enumerate(detectors):
            at = place["ra"], place["dec"], place["geocent_time"]
            expected = [detector.antenna_response(*at, place["psi"], mode) for mode in ("plus", "cross")]
            # The Earth turns by 1e-4 radians in two seconds.
            np.testing.assert_allclose([plus[i, d], cross[i, d]], expected, atol=3e-4)
            arrival = place["geocent_time"] + detector.time_delay_from_geocenter(*at)
            assert time[i, d] == pytest.approx(arrival - detector.strain_data.start_time, abs=3e-6)


def test_a_neutron_star_has_tides(detectors):
    waves = bilby.gw.WaveformGenerator(
        duration=2.0,
        sampling_frequency=512.0,
        frequency_domain_source_model=SOURCES.lal_binary_neutron_star,
        parameter_conversion=bilby.gw.conversion.convert_to_lal_binary_neutron_star_parameters,
        waveform_arguments=dict(
            waveform_approximant="IMRPhenomD_NRTidal", reference_frequency=50.0, minimum_frequency=20.0
        ),
    )
    likelihood, priors = make(detectors)
    likelihood.waveform_generator = waves
    priors["lambda_tilde"], priors["delta_lambda_tilde"] = Uniform(0, 5000), Uniform(-500, 500)
    priors["chirp_mass"], priors["luminosity_distance"] = Uniform(1.19, 1.2), Uniform(10, 60)
    _, columns = near(priors, width=0.02)
    found = RelativeBinning(likelihood, row(columns, 0))(columns)
    exact = np.array([likelihood.log_likelihood_ratio(row(columns, i)) for i in range(len(found))])
    difference = found - exact
    assert np.abs(difference - np.median(difference)).max() < 0.05 * np.ptp(exact)


def test_draws_without_a_waveform_are_nan_and_harm_no_others(detectors):
    likelihood, priors = make(detectors)
    _, columns = near(priors, n=5)
    binned = RelativeBinning(likelihood, row(columns, 0))
    expected = binned(columns)
    columns["chi_1"] = np.array([0.2, 0.2, 1.7, 0.2, 0.2])
    found = binned(columns)
    assert np.isnan(found[2])
    np.testing.assert_array_equal(np.delete(found, 2), np.delete(expected, 2))


class TestWhereItIsOffered:
    def test_by_the_model_of_the_strain(self, detectors):
        likelihood, priors = make(detectors)
        model = forward_model(likelihood)
        _, columns = near(priors, n=5)
        assert model.has_approximation
        assert np.isfinite(model.approximation(row(columns, 0))(columns)).all()

    def test_not_for_a_marginalised_time(self, detectors):
        likelihood, _ = make(detectors, time_marginalization=True, jitter_time=False)
        assert not forward_model(likelihood).has_approximation

    def test_not_for_a_waveform_of_the_users_own(self, detectors):
        def own(frequency_array, **parameters):
            return SOURCES.lal_binary_black_hole(frequency_array, **parameters)

        likelihood, _ = make(detectors)
        likelihood.waveform_generator = generator(own)
        assert not RelativeBinning.is_possible(likelihood)

    def test_a_reference_without_a_waveform_is_refused(self, detectors):
        likelihood, _ = make(detectors)
        with pytest.raises(ValueError, match="about: expected parameters of a waveform"):
            RelativeBinning(likelihood, {**TRUTH, "chi_1": 1.7})
