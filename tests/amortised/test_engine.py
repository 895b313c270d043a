"""The engine on a straight line, whose posterior and evidence are known: fit, predict, save, load."""

from __future__ import annotations

import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import bilby.core.prior as bp
import numpy as np
import pytest
from engine_cases import QUICK, SMALL, T, an_engine, exact, line, own_level, targets, with_gaps
from scipy import stats
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import nbi_sampler
from nbi_sampler import NBI
from nbi_sampler.amortised.engine import OutOfDistributionWarning, UnreliableWeightsWarning
from nbi_sampler.amortised.saving import load_estimator
from nbi_sampler.storage.archive import ArchiveError, read_archive, write_archive
from nbi_sampler.storage.simulation_store import SimulationStore, StoreMismatch


@pytest.fixture(scope="module")
def trained():
    return an_engine().fit(1500, n_epochs=20, training=QUICK)


@pytest.fixture(scope="module")
def masked():
    return an_engine(with_gaps).fit(800, n_epochs=6, training=QUICK)


@pytest.mark.takes_seconds
def test_posterior_and_evidence_of_every_target_are_exact(trained):
    _, x, x_err = targets(6)
    for found, data, error in zip(trained.infer(x, x_err, n_samples=3000), x, x_err, strict=True):
        mean, covariance, log_evidence = exact(data, error)
        assert found.status == "ok" and found.efficiency > 0.3
        spread = np.sqrt(np.diag(covariance))
        np.testing.assert_allclose(
            (found.weights @ found.samples - mean) / spread, 0.0, atol=5.0 / np.sqrt(found.ess)
        )
        assert abs(found.log_evidence - log_evidence) < 5.0 * found.log_evidence_err + 1e-6
        assert found.p_value > 1e-3


def test_predict_gives_one_target_or_several_and_changes_nothing(trained):
    _, x, x_err = targets(3)
    before = {name: value.clone() for name, value in trained.estimator_.flow.state_dict().items()}
    attributes = set(vars(trained))
    samples, weights = trained.predict(x, x_err, n_samples=200)
    one, its_weights = trained.predict(x[0], x_err[0], n_samples=200)
    assert samples.shape == (3, 200, 2) and weights.shape == (3, 200)
    np.testing.assert_allclose(weights.sum(1), 1.0)
    np.testing.assert_allclose(one, samples[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(its_weights, weights[0], rtol=1e-3, atol=1e-6)
    assert set(vars(trained)) == attributes
    after = trained.estimator_.flow.state_dict()
    assert all(bool((after[name] == value).all()) for name, value in before.items())


def test_draws_without_weights_and_the_score(trained):
    theta, x, x_err = targets(200)
    samples = trained.sample(x[:2], x_err[:2], n_samples=50)
    assert samples.shape == (2, 50, 2)
    assert trained.sample(x[0], x_err[0], n_samples=50).shape == (50, 2)
    # The information in the data, less what the network loses of it.
    information = np.mean(
        [-0.5 * np.linalg.slogdet(exact(*each)[1])[1] for each in zip(x, x_err, strict=True)]
    )
    gained = trained.score(x, theta, x_err)
    assert information - 0.5 < gained < information + 0.3
    assert trained.score(x, theta[::-1], x_err) < 0.0


def test_data_unlike_the_simulations_are_warned_of(trained):
    _, x, x_err = targets(1)
    strange = x[0].copy()
    strange[3] += 30.0
    with (
        pytest.warns(OutOfDistributionWarning, match="1 of 1 targets"),
        pytest.warns(UnreliableWeightsWarning, match="1 of 1 targets have bad ones"),
    ):
        trained.predict(strange, x_err[0], n_samples=100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained.predict(x[0], x_err[0], n_samples=100)


def test_a_trained_engine_comes_back_from_its_file(trained, tmp_path):
    _, x, x_err = targets(2)
    trained.save(tmp_path / "survey.nbi")
    again = NBI.load(tmp_path / "survey.nbi", simulator=line, noise=own_level, device="cpu")
    for a, b in zip(
        again.predict(x, x_err, n_samples=100), trained.predict(x, x_err, n_samples=100), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    assert again.estimator_.names == ("m", "c")
    with pytest.warns(UserWarning, match=r"trained with .*line, got .*own_level"):
        NBI.load(tmp_path / "survey.nbi", simulator=own_level)
    other = bp.PriorDict({"m": bp.Gaussian(0.0, 2.0), "c": bp.Gaussian(0.0, 1.0)})
    with pytest.raises(ValueError, match=r"got others for m$"):
        NBI.load(tmp_path / "survey.nbi", priors=other)
    with pytest.raises(ValueError, match="simulator: expected a function"):
        NBI.load(tmp_path / "survey.nbi").predict(x, x_err)


def test_a_file_is_checked_and_executes_nothing(trained, tmp_path):
    path = tmp_path / "survey.nbi"
    trained.save(path)
    header, arrays = read_archive(path)
    for change in (
        {"format": "other"},
        {"format_version": 99},
        {"parts": [{"object": "missing.0"}]},
        {"featurizer": {"type": "mlp", "hidden": 7}},
    ):
        write_archive(path, {**header, **change}, arrays)
        with pytest.raises(ArchiveError):
            load_estimator(path)
    write_archive(path, {**header, "priors": {"m": {"bilby": "FromFile", "arguments": {}}}}, arrays)
    with pytest.raises(ValueError, match="FromFile"):
        load_estimator(path)
    path.write_bytes(b"not an archive")
    with pytest.raises(ArchiveError):
        load_estimator(path)


def test_missing_points_do_not_count_whatever_stands_there(masked):
    _, x, x_err, mask = targets(3, with_gaps)
    found = masked.infer(x, x_err, mask, n_samples=1000)
    hidden = masked.infer(np.where(mask, x, np.nan), np.where(mask, x_err, np.inf), n_samples=1000)
    for each, same, *data in zip(found, hidden, x, x_err, mask, strict=True):
        np.testing.assert_array_equal(each.weights, same.weights)
        assert abs(each.log_evidence - exact(*data)[2]) < 5.0 * each.log_evidence_err + 1e-6
    with pytest.raises(ValueError, match="complete data"):
        an_engine(0.5).fit(200, n_epochs=1, training=QUICK).predict(x[0], mask=mask[0])


def test_a_log_likelihood_of_the_user(trained):
    _, x, x_err = targets(2)

    def log_likelihood(simulations, y, observation):
        assert simulations.shape == (len(y), 10) and y.shape[1] == 2
        return stats.norm(simulations, observation.x_err).logpdf(observation.x).sum(1)

    mine = trained.infer(x, x_err, n_samples=100, log_likelihood=log_likelihood)
    gaussian = trained.infer(x, x_err, n_samples=100)
    for a, b in zip(mine, gaussian, strict=True):
        np.testing.assert_allclose(a.log_likelihood, b.log_likelihood)
    with pytest.raises(ValueError, match="a value for each of 100 draws"):
        trained.infer(x, x_err, n_samples=100, log_likelihood=lambda *_: 0.0)
    nothing = trained.infer(x[0], x_err[0], n_samples=100, log_likelihood=lambda *_: np.full(100, -np.inf))[0]
    assert nothing.status == "no finite likelihood" and np.isnan(nothing.weights).all()


def test_simulations_on_disk_are_not_made_again(tmp_path):
    made = []

    def counted(parameters):
        made.append(np.size(parameters["m"]))
        return line(parameters)

    path, engine = tmp_path / "simulations.h5", an_engine(0.5, simulator=counted)
    engine.fit(300, n_epochs=1, store=path, training=QUICK)
    made.clear()
    engine.fit(300, n_epochs=1, store=path, training=QUICK)
    assert sum(made) < 100
    longer = an_engine(0.5, simulator=counted).fit(700, n_epochs=1, store=path, training=QUICK)
    with SimulationStore.open(path) as store:
        assert len(store) == 700
        np.testing.assert_array_equal(store.read().theta, longer.training_set_.theta)
    in_one_go = an_engine(0.5).fit(700, n_epochs=1, training=QUICK).training_set_
    np.testing.assert_array_equal(in_one_go.theta, longer.training_set_.theta)
    with pytest.raises(StoreMismatch, match="m"):
        priors = bp.PriorDict({"m": bp.Uniform(0, 1), "c": bp.Gaussian(0.0, 1.0)})
        an_engine(0.5, simulator=counted, priors=priors).fit(300, store=path)


def test_processes_change_nothing():
    def one_by_one(parameters):
        time.sleep(1e-4)
        return float(parameters["c"]) + float(parameters["m"]) * T

    alone = an_engine(0.5, simulator=one_by_one).fit(200, n_epochs=1, training=QUICK)
    with ThreadPoolExecutor(2) as pool:
        shared = an_engine(0.5, simulator=one_by_one, pool=pool).fit(200, n_epochs=1, training=QUICK)
        found = shared.infer(0.5 * T, n_samples=100)[0]
    np.testing.assert_array_equal(found.log_weights, alone.infer(0.5 * T, n_samples=100)[0].log_weights)


def test_simulations_that_are_given_or_fail():
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(400, 2))
    x = theta[:, 1:] + theta[:, :1] * T
    x[::4] = np.nan
    with pytest.warns(UserWarning, match="100 of 400 are left out of the training; 100 hold NaN"):
        engine = an_engine(0.5, simulator=None).fit(x=x, y=theta, n_epochs=1, training=QUICK)
    assert engine.sample(x[1], n_samples=5).shape == (5, 2)
    for wrong in ({"x": x}, {"x": x, "y": theta[:5]}, {"x": np.full_like(x, np.nan), "y": theta}):
        with pytest.raises(ValueError, match=r"x, y|simulations: expected most"):
            an_engine(0.5).fit(**wrong)


def test_a_list_of_distributions_and_a_simulator_of_a_vector(tmp_path):
    def simulator(theta):
        c, m = theta
        return c + m * T

    laws = [stats.norm(), stats.norm()]
    engine = NBI("maf", SMALL, simulator, 0.5, laws, labels=["c", "m"], seed=1, device="cpu")
    engine.fit(300, n_epochs=2, training=QUICK)
    samples, _ = engine.predict(0.5 * T, n_samples=50)
    engine.save(tmp_path / "engine.nbi")
    again = NBI.load(tmp_path / "engine.nbi", simulator=simulator, device="cpu")
    np.testing.assert_array_equal(again.predict(0.5 * T, n_samples=50)[0], samples)
    assert again.get_params()["labels"] == ["c", "m"] and again.noise == 0.5


def test_scikit_learn_can_clone_it():
    engine = an_engine()
    copy = clone(engine)
    assert copy.get_params()["seed"] == 3 and copy.simulator is line
    assert copy.set_params(seed=4) is copy and copy._setup.entropy == 4 and engine._setup.entropy == 3
    with pytest.raises(NotFittedError):
        copy.predict(np.zeros(10), 1.0)


def test_the_package_finds_it_by_name():
    assert nbi_sampler.NBI is NBI and "NBI" in nbi_sampler.__all__
    with pytest.raises(AttributeError, match="no attribute 'NBX'"):
        _ = nbi_sampler.NBX
