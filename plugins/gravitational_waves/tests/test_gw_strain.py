"""Whitened strain as a forward model: it gives bilby's own likelihood, or the average that bilby takes."""

from __future__ import annotations

import bilby
import bilby.gw
import cloudpickle
import numpy as np
import pytest
import torch
from bilby.core.prior import Sine, Uniform
from gw_cases import TIME, TRUTH, distance_table, generator, make
from nbi_sampler_gw import forward_model
from nbi_sampler_gw.responses import MultibandResponse
from scipy.special import logsumexp

from nbi_sampler.priors.space import ParameterSpace

AT_H1 = dict(
    reference_frame="H1L1",
    time_reference="H1",
    without=("ra", "dec", "geocent_time"),
    changed=dict(zenith=Sine(), azimuth=Uniform(0, 2 * np.pi), H1_time=Uniform(TIME - 0.05, TIME + 0.05)),
)


def rows(priors, n, seed=0):
    """Draws from the prior as dictionaries, fixed parameters among them."""
    space = ParameterSpace(priors)
    theta = space.to_theta(np.random.default_rng(seed).normal(size=(n, space.n_dim)))
    return [{**space.fixed, **space.row(each)} for each in theta]


def gaussian(model, predictions):
    """Log-likelihood ratio of predictions with white noise, shape (n,)."""
    return predictions @ model.observed - 0.5 * np.sum(predictions**2, axis=1)


@pytest.mark.parametrize("kind", ["full", "multiband"])
@pytest.mark.parametrize("keywords", [{}, AT_H1], ids=["sky", "H1L1"])
def test_likelihood_follows_from_the_prediction(detectors, kind, keywords):
    likelihood, priors = make(detectors, kind, **keywords)
    model = forward_model(likelihood)
    parameters = rows(priors, 12)
    predictions = np.array([model.simulate(row) for row in parameters])
    columns = {name: np.array([row[name] for row in parameters]) for name in parameters[0]}
    assert model.has_log_likelihood
    np.testing.assert_allclose(
        model.log_likelihood(predictions, columns),
        [likelihood.log_likelihood(dict(row)) for row in parameters],
        rtol=1e-10,
        # Waves below the band, which multi-banding correlates with the data and leaves out of the norm.
        atol=0.1 if kind == "multiband" else 0.0,
    )


def test_an_estimated_spectrum_is_no_ground_to_call_a_signal_a_poor_fit(detectors):
    model = forward_model(make(detectors)[0])
    assert model.has_log_likelihood and not model.noise_is_known


def test_detectors_may_have_bands_of_their_own(unequal_detectors):
    likelihood, priors = make(unequal_detectors)
    model = forward_model(likelihood)
    row = rows(priors, 1)[0]
    ratio = gaussian(model, model.simulate(row)[None])[0]
    assert ratio == pytest.approx(likelihood.log_likelihood_ratio(dict(row)), rel=1e-9)


@pytest.mark.parametrize("kind", ["relative", "multiband"])
def test_compressed_likelihoods_predict_what_the_full_one_does(detectors, kind):
    likelihood, _ = make(detectors, kind)
    model, full = forward_model(likelihood), forward_model(make(detectors)[0])
    near = [{**TRUTH, "chirp_mass": 28.0 + shift, "phase": 1.3 + shift} for shift in (0.0, 0.1, -0.3)]
    ours, theirs = (np.array([each.simulate(row) for row in near]) for each in (model, full))
    np.testing.assert_allclose(gaussian(model, ours), gaussian(full, theirs), atol=0.1)
    np.testing.assert_allclose(np.sum(ours**2, axis=1), np.sum(theirs**2, axis=1), rtol=5e-3)


@pytest.mark.parametrize("kind", ["full", "relative", "multiband"])
def test_noise_of_the_data_is_white(detectors, kind):
    model = forward_model(make(detectors, kind)[0])
    residual = model.observed - model.simulate(TRUTH)
    # Where a detector or a band has no data there is neither noise nor signal.
    residual = residual[residual != 0.0]
    expected = 1.0 if kind != "multiband" else pytest.approx(1.0, abs=0.15)
    error = 1.0 / np.sqrt(2 * len(residual))
    assert abs(np.std(residual) - 1.0) < 4 * error or np.std(residual) == expected


@pytest.mark.parametrize(
    "names", [("phase",), ("time",), ("time", "phase"), ("calibration",), ("distance", "phase")]
)
def test_average_over_simulations_is_the_marginalised_likelihood(detectors, names, tmp_path):
    keywords = {f"{name}_marginalization": True for name in names}
    if "calibration" in names:
        keywords |= dict(number_of_response_curves=20, calibration_lookup_table=curves(detectors, tmp_path))
    if "distance" in names:
        keywords["distance_marginalization_lookup_table"] = distance_table()
    likelihood, priors = make(detectors, **keywords)
    model = forward_model(likelihood)
    fixed = {name: value for name, value in priors.items() if isinstance(value, float)}
    row = {**TRUTH, **fixed, "time_jitter": 0.0002}
    # A parameter that means nothing changes what is drawn, and nothing else.
    many = np.array([model.simulate({**row, "number": float(i)}) for i in range(1500 * len(names))])
    log_ratio = gaussian(model, many)
    estimate = logsumexp(log_ratio) - np.log(len(many))
    weights = np.exp(log_ratio - estimate)
    error = np.std(weights) / np.sqrt(len(many))
    assert not model.has_log_likelihood and error < 0.25
    assert estimate == pytest.approx(likelihood.log_likelihood_ratio(dict(row)), abs=4 * error + 1e-3)
    assert len({each.tobytes() for each in many}) > 10


def curves(detectors, folder):
    """Calibration curves of some per cent, in the files that bilby reads."""
    files = {}
    rng = np.random.default_rng(3)
    for detector in detectors:
        frequencies = detector.frequency_array[detector.frequency_mask]
        size = 0.1 * rng.normal(size=(20, 2))
        draws = (1 + size[:, :1]) * np.exp(1j * size[:, 1:]) * np.ones_like(frequencies)
        files[detector.name] = str(folder / f"{detector.name}.h5")
        bilby.gw.detector.calibration.write_calibration_file(
            files[detector.name], frequencies, draws, correction_type="data"
        )
    return files


def test_a_draw_has_the_same_nuisances_in_every_process(detectors):
    likelihood, priors = make(detectors, phase_marginalization=True)
    model = forward_model(likelihood)
    there = cloudpickle.loads(cloudpickle.dumps(model))
    first, second = rows(priors, 2)
    np.testing.assert_array_equal(model.simulate(first), there.simulate(first))
    nudged = {**first, "chirp_mass": first["chirp_mass"] * (1 + 1e-12)}
    assert not np.allclose(model.simulate(first), model.simulate(nudged))
    assert not np.allclose(model.simulate(first), model.simulate(second))


def test_simulation_and_likelihood_share_one_waveform(detectors, monkeypatch):
    likelihood, priors = make(detectors, phase_marginalization=True)
    waves = likelihood.waveform_generator
    source, calls = waves.frequency_domain_source_model, []

    def counted(*arguments, **keywords):
        calls.append(keywords)
        return source(*arguments, **keywords)

    monkeypatch.setattr(waves, "frequency_domain_source_model", counted)
    model = forward_model(likelihood)
    for row in rows(priors, 3):
        model.simulate(row)
        likelihood.log_likelihood_ratio(row)
    assert len(calls) == 3


def test_without_a_waveform_the_prediction_is_nan(detectors):
    likelihood, priors = make(detectors)
    likelihood.waveform_generator.frequency_domain_source_model = lambda *arguments, **keywords: None
    model = forward_model(likelihood)
    assert np.isnan(model.simulate(rows(priors, 1)[0])).all()


def test_noise_is_white_and_observed_data_are_the_origin(detectors):
    model = forward_model(make(detectors)[0])
    generator_ = torch.Generator().manual_seed(1)
    prediction = torch.tensor(model.simulate(TRUTH)).repeat(200, 1)
    noise = model.noise(prediction, {}, generator_) - prediction
    assert float(noise.std()) == pytest.approx(1.0, abs=4 / np.sqrt(2 * noise.numel()))
    assert not model.stabilise(torch.tensor(model.observed)[None]).any()
    assert model.is_whitened(()) and float(model.white_noise_scale({"a": torch.ones(3)}).sum()) == 3.0


def test_likelihoods_with_code_of_their_own_are_left_alone(detectors, caplog):
    class Tempered(bilby.gw.GravitationalWaveTransient):
        def log_likelihood_ratio(self, parameters=None):
            return 0.5 * super().log_likelihood_ratio(parameters)

        def compute_log_likelihood_from_snrs(self, total_snrs, parameters=None):
            return 0.0

    tempered = Tempered(interferometers=detectors, waveform_generator=generator())
    assert forward_model(tempered) is None
    assert "Tempered: no simulations" in caplog.text and "likelihood alone" in caplog.text
    assert forward_model(bilby.core.likelihood.GaussianLikelihood([0.0], [0.0], lambda x: x, 1.0)) is None


def test_multibanding_without_interpolation_says_why_it_is_not_simulated(detectors, caplog):
    likelihood, _ = make(detectors, "multiband", linear_interpolation=False)
    assert forward_model(likelihood) is None
    assert "linear_interpolation" in caplog.text


def test_multiband_data_are_fewer(detectors):
    likelihood, _ = make(detectors, "multiband")
    response = MultibandResponse(likelihood)
    assert response.observed.shape == (3, len(likelihood.banded_frequency_points))
