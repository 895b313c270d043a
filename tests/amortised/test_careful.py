"""The engine says what it leaves out, refuses what it cannot use, and shows what it does."""

from __future__ import annotations

import logging
import sys

import bilby.core.prior as bp
import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from engine_cases import LONGER, QUICK, T, an_engine, exact, line, normal_priors, targets, with_gaps
from scipy import stats
from sklearn.exceptions import NotFittedError
from small_runs import run_nbi
from trained_lines import likelihood, priors

from nbi_sampler.amortised.engine import UnreliableWeightsWarning
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.reports import progress
from nbi_sampler.storage.simulation_store import SimulationStore

LEVELS = (0.0, 1.0, 2.0, 5.0)


@pytest.fixture(scope="module")
def trained():
    return an_engine(0.5).fit(1200, n_epochs=15, training=QUICK)


@pytest.fixture(scope="module")
def masked():
    return an_engine(with_gaps).fit(300, n_epochs=2, training=QUICK)


@pytest.fixture(scope="module")
def x():
    return targets(1, lambda x, rng: (x + 0.5 * rng.normal(size=x.shape),))[1][0]


def given(n=400, seed=0):
    theta = np.random.default_rng(seed).normal(size=(n, 2))
    return theta[:, 1:] + theta[:, :1] * T, theta


def box(**changes):
    limits = {"m": bp.Uniform(-2.0, 2.0), "c": bp.Uniform(-2.0, 2.0)}
    return an_engine(0.5, priors=bp.PriorDict(limits), **changes)


# Discrete parameters


def discrete_engine():
    laws = {"m": bp.Gaussian(0.0, 1.0), "c": bp.DiscreteValues(list(LEVELS))}
    return an_engine(1.5, priors=bp.PriorDict(laws))


def sums_over_levels(x):
    """Probability of each level, and the evidence, for N(0, 1) slopes and errors of 1.5."""
    law = stats.multivariate_normal(np.zeros(10), 1.5**2 * np.eye(10) + np.outer(T, T))
    log_each = np.array([law.logpdf(x - level) for level in LEVELS])
    total = np.logaddexp.reduce(log_each)
    return np.exp(log_each - total), total - np.log(len(LEVELS))


@pytest.mark.takes_seconds
@pytest.mark.parametrize("way", ["made", "given"])
def test_probabilities_of_a_discrete_parameter_are_those_of_the_sums(way):
    rng = np.random.default_rng(4)
    engine = discrete_engine()
    theta = np.stack([rng.normal(size=1500), rng.choice(LEVELS, 1500)], 1)
    simulations = {"x": theta[:, 1:] + theta[:, :1] * T, "y": theta} if way == "given" else {}
    engine.fit(1500, n_epochs=15, training=QUICK, **simulations)
    data = line({"m": 0.5, "c": 1.0}) + 1.5 * rng.normal(size=10)
    (found,) = engine.infer(data, n_samples=4000)
    probabilities, log_evidence = sums_over_levels(data)
    assert found.status == "ok" and found.efficiency > 0.2
    for level, probability in zip(LEVELS, probabilities, strict=True):
        error = np.sqrt(probability * (1 - probability) / found.ess)
        assert abs(found.weights[found.samples[:, 1] == level].sum() - probability) < 4.5 * error + 1e-3
    assert abs(found.log_evidence - log_evidence) < 4.5 * found.log_evidence_err
    # Information about the parameters, of which that about the level is at most log 4.
    assert np.log(len(LEVELS)) + 2.0 > engine.score(data[None], np.array([[0.5, 1.0]])) > 0.0


def test_a_discrete_value_goes_anywhere_in_its_range_of_quantiles():
    priors = {"c": bp.DiscreteValues(list(LEVELS)), "k": bp.Categorical(3), "m": bp.Uniform(0.0, 1.0)}
    space = ParameterSpace(bp.PriorDict(priors))
    theta = space.to_theta(np.random.default_rng(0).normal(size=(2000, 3)))
    z = space.to_z(theta, np.random.default_rng(1))
    np.testing.assert_allclose(space.to_theta(z), theta, atol=1e-12)
    for column in z.T:
        assert stats.kstest(column, "norm").pvalue > 1e-3
    assert len(np.unique(space.to_z(theta)[:, 0])) == len(LEVELS)


# Simulations that are lost


def test_simulations_with_nan_are_counted_and_told(caplog):
    x, theta = given()
    x[:120, 3] = np.nan
    with (
        caplog.at_level(logging.INFO, "nbi_sampler"),
        pytest.warns(UserWarning, match="120 of 400 are left out.*120 hold NaN") as told,
    ):
        engine = an_engine(0.5).fit(x=x, y=theta, n_epochs=1, training=QUICK)
    assert told[0].filename == __file__
    assert "120 of 400" in caplog.text
    counts = engine.training_counts_
    assert (counts.n_given, counts.n_used, counts.n_not_finite, counts.n_outside) == (400, 280, 120, 0)


@pytest.mark.parametrize("way", ["given", "simulated", "store", "file"])
def test_where_most_simulations_are_lost_there_is_no_training(way, tmp_path):
    x, theta = given()
    x[:250, 3] = np.nan
    engine, keywords = an_engine(0.5), {"x": x, "y": theta}
    if way != "given":
        engine = an_engine(0.5, simulator=lambda p: line(p) * (np.nan if p["m"] > -0.3 else 1.0))
        keywords = {} if way == "simulated" else {"store": tmp_path / "s.h5", "in_memory": way == "store"}
    with pytest.raises(ValueError, match=r"expected most of them.*hold NaN or infinity \(narrow the priors"):
        engine.fit(400, n_epochs=1, **keywords)


def test_parameters_outside_the_prior_are_left_out_and_named():
    x, theta = given(600)
    theta = np.clip(theta, -1.9, 1.9)
    theta[:100, 0] = 50.0
    x = theta[:, 1:] + theta[:, :1] * T
    with pytest.warns(
        UserWarning, match=r"100 have parameters .*: m in 100 \(values from .* to 50, .* -2 to 2"
    ):
        engine = box().fit(x=x, y=theta, n_epochs=10, training=LONGER)
    assert engine.training_counts_.outside == {"m": 100}
    (found,) = engine.infer(line({"m": 1.0, "c": -0.5}), n_samples=1000)
    assert found.status == "ok" and found.efficiency > 0.1
    theta[:400, 0] = 50.0
    with pytest.raises(
        ValueError, match=r"got 200 of 600; 400 have parameters that the priors do not allow: m"
    ):
        box().fit(x=theta[:, 1:] + theta[:, :1] * T, y=theta, n_epochs=1)


def test_those_outside_the_prior_in_a_file_are_left_out_of_every_epoch(tmp_path):
    x, theta = given(600)
    theta = np.clip(theta, -1.9, 1.9)
    theta[::4, 1] = -7.0
    engine = box()
    fingerprint = engine._setup._fingerprint()
    with SimulationStore.create(tmp_path / "s.h5", ("m", "c"), (10,), fingerprint=fingerprint) as store:
        store.append(theta, x)
    with pytest.warns(UserWarning, match="c in 150"):
        engine.fit(600, n_epochs=1, store=tmp_path / "s.h5", in_memory=False, training=QUICK)
    assert engine.training_counts_.n_used == 450


def test_draws_that_violate_a_constraint_are_not_lost():
    priors = normal_priors()
    priors["m"], priors["above"] = bp.Uniform(-2.0, 2.0), bp.Constraint(0.0, 10.0)
    priors.conversion_function = lambda p: {**p, "above": p["m"] - 1.0}
    engine = an_engine(0.5, priors=priors).fit(600, n_epochs=1, training=QUICK)
    counts = engine.training_counts_
    assert counts.n_lost == 0 and counts.n_used + counts.n_unconstrained == 600
    assert 100 < counts.n_used < 220


@pytest.mark.parametrize(
    "prior",
    [
        bp.Cauchy(0.0, 1.0),
        bp.Gaussian(1e6, 1.0),
        bp.LogUniform(1e-8, 1e8),
        bp.PowerLaw(-2.5, 1.0, 1e6),
        bp.Uniform(1e9, 1e9 + 1.0),
        bp.Sine(),
        bp.DiscreteValues([0.1, 0.2, 0.7]),
        bp.SlabSpikePrior(bp.Uniform(0.0, 1.0), spike_location=0.5, spike_height=0.3),
        bp.Poisson(3.0) if hasattr(bp, "Poisson") else bp.Gamma(2.0, 1.0),
    ],
    ids=lambda prior: type(prior).__name__,
)
def test_no_draw_of_a_prior_counts_as_outside_it(prior):
    space = ParameterSpace(bp.PriorDict({"a": prior}))
    theta = space.to_theta(np.random.default_rng(0).normal(size=(5000, 1)))
    assert space.in_support(theta).all()
    assert space.in_support(theta.astype(np.float32)).mean() > 0.99 or prior.minimum == 1e9
    if np.isfinite(prior.maximum):
        assert not space.in_support(
            np.array([[prior.maximum + 0.01 * (prior.maximum - prior.minimum)]])
        ).any()


def test_columns_in_another_order_are_an_error_that_gives_it():
    x, theta = given()
    with pytest.raises(ValueError, match=r"order of the priors, m, c, got them in the order c, m"):
        an_engine(0.5).fit(x=x, y=theta[:, ::-1], n_epochs=1)
    engine = an_engine(0.5)
    engine.fit(x=x, y=pd.DataFrame(theta[:, ::-1], columns=["c", "m"]), n_epochs=1, training=QUICK)
    np.testing.assert_array_equal(engine.training_set_.theta, theta)
    with pytest.warns(UserWarning, match="simulations differ from those of the simulator"):
        an_engine(0.5).fit(x=x[::-1], y=theta, n_epochs=1, training=QUICK)


# Weights


def test_predict_warns_where_weights_are_bad():
    engine = an_engine(0.02).fit(150, n_epochs=1, training=QUICK)
    with pytest.warns(UnreliableWeightsWarning, match=r"1 of 1 targets have bad ones.*infer") as told:
        engine.predict(line({"m": 0.5, "c": 0.5}), n_samples=2000)
    assert told[0].filename == __file__


# Noise functions


@pytest.mark.takes_seconds
def test_noise_of_x_and_y_as_scripts_for_nbi_have_it(x):
    before = np.random.get_state()[1].copy()

    def noise(x, y):
        assert y.shape == (2,) and np.allclose(x, y[1] + y[0] * T)
        return x + 0.5 * np.random.normal(size=x.shape), y

    def other_names(simulation, whatever):
        return simulation + 0.5 * np.random.default_rng(1).normal(size=simulation.shape), whatever

    engines = [an_engine(noise).fit(300, n_epochs=4, training=QUICK) for _ in range(2)]
    np.testing.assert_array_equal(*(each.sample(x, n_samples=20) for each in engines))
    (found,) = engines[0].infer(x, 0.5)
    mean, covariance, _ = exact(x, 0.5 * np.ones(10))
    assert np.all(np.abs(found.mean - mean) < 4.5 * np.sqrt(np.diag(covariance) / found.ess))
    an_engine(other_names).fit(200, n_epochs=1, training=QUICK)
    assert np.array_equal(before, np.random.get_state()[1])


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        (lambda x: x, r"got a function of \(x\)"),
        (lambda a, b, c: a, r"got a function of \(a, b, c\)"),
        (lambda x, scale: x + 1.0 * scale, "the function raised unsupported operand"),
        (lambda x, rng: None, "got None"),
        (lambda x, rng: [x, x], "a list of arrays"),
        (lambda x, rng: "abc", "expected numbers, got text"),
        (lambda x, rng: 1.0, "got a single number"),
        (lambda x, y: (x, y + 1.0), "expected the parameters y unchanged"),
        (lambda x, rng: (x, 0.0 * x), "noise: .*expected positive finite uncertainties"),
        ("0.5", "noise: expected numbers, got text"),
    ],
)
def test_another_signature_of_noise_is_named(noise, message):
    with pytest.raises((TypeError, ValueError), match=message):
        an_engine(noise).fit(150, n_epochs=1)


# Arguments


@pytest.mark.takes_seconds
@pytest.mark.parametrize(
    ("x_obs", "message"),
    [
        ("abc", "x_obs: expected numbers, got text"),
        (["1.0"] * 10, "x_obs: expected numbers, got text"),
        (None, "x_obs: expected numbers, got None"),
        ([[1.0, 2.0], [3.0]], "x_obs: expected an array of numbers.*equal length"),
        (np.zeros(7), r"x_obs: expected data of shape \(10,\).* got \(7,\)"),
        (np.zeros((3, 2, 10)), r"got \(3, 2, 10\)"),
        (np.zeros((0, 10)), r"got \(0, 10\)"),
        (np.full(10, np.inf), "10 not finite"),
        (np.ma.masked_equal(np.zeros(10), 0.0), "10 not finite"),
        (np.array(["2020-01-01"] * 10, "datetime64[D]"), "got dates"),
    ],
)
def test_what_is_no_data_is_named(trained, x_obs, message):
    for ask in (trained.predict, trained.infer, trained.sample):
        with pytest.raises((TypeError, ValueError), match=message):
            ask(x_obs)


def test_data_with_a_unit_are_refused_as_that_of_the_simulations_is_not_known(trained, x):
    units = pytest.importorskip("astropy.units")
    with pytest.raises(TypeError, match="a quantity in mJy; give its to_value"):
        trained.predict(x * units.mJy)
    plain = trained.sample(x, n_samples=5)
    np.testing.assert_array_equal(trained.sample(x * units.dimensionless_unscaled, n_samples=5), plain)


@pytest.mark.parametrize("x_err", [0.0, -1.0, np.nan, np.r_[0.0, np.ones(9)]])
def test_an_uncertainty_that_is_none_is_refused_and_its_point_not_dropped(trained, x, x_err):
    with pytest.raises(ValueError, match="x_err: expected positive finite uncertainties"):
        trained.infer(x, x_err)


def test_numbers_of_every_library_and_precision_are_data(trained, x):
    rounded = np.round(4 * x) / 4
    expected = trained.infer(rounded, 0.5, n_samples=200)[0].weights
    read_only = rounded.copy()
    read_only.flags.writeable = False
    forms = [
        *(rounded.astype(kind) for kind in ("f2", "f4", ">f8", "g")),
        *(list(rounded), pd.Series(rounded), read_only, np.flip(rounded[::-1]), np.ma.asarray(rounded)),
        *(torch.tensor(rounded, requires_grad=True), torch.tensor(rounded).bfloat16()),
    ]
    for form in forms:
        found = trained.infer(form, torch.tensor(0.5), n_samples=200)[0]
        np.testing.assert_array_equal(found.weights, expected)
    integers = np.arange(10)
    by_integers, by_floats = (trained.infer(each, n_samples=50) for each in (integers, 1.0 * integers))
    np.testing.assert_array_equal(by_integers[0].weights, by_floats[0].weights)


@pytest.mark.parametrize("n_samples", [0, -1, 1.5, "7", True, None])
def test_a_number_of_samples_that_is_none_is_refused(trained, x, n_samples):
    for ask in (trained.predict, trained.infer, trained.sample):
        with pytest.raises(ValueError, match="n_samples: expected an integer of at least 1"):
            ask(x, n_samples=n_samples)


def test_an_engine_that_was_not_trained_says_so(x, tmp_path):
    asks = [
        *(lambda engine, name=name: getattr(engine, name)(x) for name in ("predict", "infer", "sample")),
        lambda engine: engine.score(x[None], [[0.0, 0.0]]),
        lambda engine: engine.save(tmp_path / "e.nbi"),
    ]
    for ask in asks:
        with pytest.raises(NotFittedError, match="call fit first"):
            ask(an_engine())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_sims": 0}, "n_sims: expected an integer"),
        ({"n_sims": 2.5}, "n_sims: expected an integer"),
        ({"n_sims": "auto"}, "n_sims: expected an integer"),
        ({"n_rounds": 0}, "n_rounds: expected an integer"),
        ({"n_sims": 1}, "got 1 of 1; make more"),
        ({"x": given()[0], "y": given()[1][:, :1]}, "y: expected 2 columns, one for each of m, c"),
        ({"x": "abc", "y": given()[1]}, "x: expected numbers, got text"),
        ({"x": [[1.0], [1.0, 2.0]], "y": given()[1]}, "x: expected an array of numbers"),
        (
            {"x": given()[0], "y": given()[1], "n_rounds": 2, "x_obs": T},
            "x, y: expected None with n_rounds=2",
        ),
        ({"print_method": "loud"}, "print_method: expected"),
    ],
)
def test_arguments_of_fit_that_cannot_be_used_are_named(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        an_engine(0.5).fit(**arguments)


def test_fewer_simulations_than_a_batch_will_do(x):
    engine = an_engine(0.5).fit(120, n_epochs=2, training={"n_threads": 1, "batch_size": 512})
    assert engine.sample(x, n_samples=3).shape == (3, 2)


# Masks


def test_a_forgotten_mask_is_an_error_and_both_names_are_understood(masked):
    _, x, x_err, mask = targets(2, with_gaps)
    with pytest.raises(ValueError, match=r"x_mask: expected which points are present.*got None"):
        masked.predict(x, x_err)
    by_position = masked.infer(x, x_err, mask, n_samples=50)
    for keywords in ({"x_mask": mask}, {"mask": mask}, {"x_mask": mask.astype(int)}):
        again = masked.infer(x, x_err, n_samples=50, **keywords)
        np.testing.assert_array_equal(again[1].weights, by_position[1].weights)
    by_nan = masked.infer(np.where(mask, x, np.nan), x_err, n_samples=50)
    np.testing.assert_array_equal(by_nan[1].weights, by_position[1].weights)
    assert masked.sample(x, x_err, True, n_samples=3).shape == (2, 3, 2)
    with pytest.raises(TypeError, match="x_mask: expected one mask"):
        masked.predict(x, x_err, mask, mask=mask)


def test_the_sampler_understands_both_names_of_a_mask(tmp_path):
    for name in ("x_mask", "mask"):
        with pytest.raises(ValueError, match="x_mask: expected None without model="):
            run_nbi(likelihood(), priors(), tmp_path, **{name: np.ones(25, dtype=bool)})


# What is shown


def test_the_status_of_an_inference_can_be_stored_as_any_text(trained, x, tmp_path):
    """HDF5 and YAML look at the very class, and refuse a member of an enumeration that is a text besides."""
    (one,) = trained.infer(x, n_samples=2000)
    with h5py.File(tmp_path / "own.h5", "w") as file:
        file.attrs["status"] = one.status
        file["status"] = one.status
        assert file.attrs["status"] == "ok" and file["status"][()] == b"ok"
    assert type(one.status) is str


def test_an_inference_prints_a_summary(trained, x):
    (one,) = found = trained.infer(x, n_samples=2000)
    assert len(str(found)) < 600
    # Both to the digits of the error, which is a few tenths.
    slope = f"m {one.mean[0]:.2f} +- {one.standard_deviation[0]:.2f}"
    for text in (one.status, f"{one.ess:,.0f}", f"{one.log_evidence:.3f}", slope, "c "):
        assert text in str(found) and text in str(one)
    many = trained.infer(np.stack([x] * 30), n_samples=100)
    assert isinstance(many, list) and len(str(many)) < 2500 and "20 more" in str(many)
    assert len(repr(trained)) < 1500
    assert "0 inferences" in repr(type(many)())


@pytest.mark.takes_seconds
def test_lines_tell_how_far_a_training_is(bilby_log, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    an_engine(0.5).fit(200, n_epochs=3, training=QUICK, print_method="interval-0.000001")
    text = bilby_log.text
    assert "simulating | 200 of 200" in text and "training | 2 of 3 | loss" in text
    assert "trained on 200 simulations" in text
    bilby_log.clear()
    an_engine(0.5).fit(200, n_epochs=3, training=QUICK, print_method="none")
    assert not bilby_log.text
    an_engine(0.5).fit(200, 2, 2, x_obs=T, x_err=0.5, training=QUICK, print_method="interval-0.000001")
    assert "rounds, training | 2 of 2" in bilby_log.text and "simulating" in bilby_log.text


def test_a_bar_counts_the_epochs_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    an_engine(0.5).fit(200, n_epochs=3, training=QUICK)
    shown = capsys.readouterr().err
    assert "nbi simulating" in shown and "nbi training: 100%" in shown and "3/3" in shown
    an_engine(0.5).fit(200, n_epochs=3, training=QUICK, print_method=None)
    assert not capsys.readouterr().err


def test_a_notebook_without_widgets_gets_a_bar_without_a_warning(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel", object())
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    assert progress._kind_of_bar() is not None
