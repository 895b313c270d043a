"""Scripts for the authors' package nbi: they work with the import changed, or stop with a remedy.

The use cases are those of its demonstration notebook and of its tests, typed again at small sizes.
"""

from __future__ import annotations

import logging

import numpy as np
import pytest
from scipy.stats import uniform

import nbi_sampler as nbi
from nbi_sampler.amortised.original_nbi import IDLE, METHODS, REFUSED

T = np.linspace(0, 1, 50)
LABELS = ["phi0", "A", "omega"]
PRIORS = [uniform(0, 2 * np.pi), uniform(-4, 8), uniform(2 * np.pi, 10 * np.pi)]
FLOW = {"n_dims": 3, "flow_hidden": 32, "num_blocks": 2, "perm_seed": 3, "n_mog": 4, "num_cond_inputs": 32}
FEATURIZER = {
    **{"type": "resnet-gru", "norm": "weight_norm", "dim_in": 1, "dim_out": 32, "dim_conv_max": 32},
    **{"depth": 2, "n_rnn": 1, "dim_conv_min": 8},
}


def sine(param):
    phi0, amplitude, omega = param
    return np.sin(omega * T + phi0) * amplitude


def noise(x, y):
    x_err = np.random.uniform() * 0.45 + 0.05
    return x + np.random.normal(0, 1, size=x.shape[0]) * x_err, y


def an_engine(tmp_path, **changes):
    arguments = {"flow": FLOW, "featurizer": FEATURIZER, "simulator": sine, "priors": PRIORS}
    arguments |= {"labels": LABELS, "device": "cpu", "path": str(tmp_path / "test2"), "n_jobs": 1}
    return nbi.NBI(**arguments | changes)


def observed(sigma=0.1):
    rng = np.random.default_rng(4)
    y_true = [1.0, 2.0, 14.0]
    return y_true, sine(y_true) + rng.normal(size=50) * sigma


def quietly(function, *args, **kwargs):
    """Call it; networks that have hardly learnt give bad weights, and may say so."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return function(*args, **kwargs)


@pytest.mark.takes_seconds
def test_first_use_case_of_the_notebook_once_for_all_targets(tmp_path):
    engine = an_engine(tmp_path, seed=1)
    arguments = {"n_sims": 600, "n_rounds": 1, "n_epochs": 2, "batch_size": 64, "lr": 0.001}
    arguments |= {"early_stop_patience": 250, "min_lr": 0.001, "workers": 8, "f_val": 0.2, "plot": False}
    assert engine.fit(**arguments, noise=noise) is engine
    assert engine.noise is noise
    y_true, x_obs = observed()
    plots = {"y_true": y_true, "corner": False, "corner_reweight": False}
    given = {"x_err": np.array([0.1] * 50), "n_samples": 300, "seed": 0, **plots}
    y_pred, weights = quietly(engine.predict, x_obs, **given)
    assert y_pred.shape == (300, 3) and weights.sum() == pytest.approx(1.0)
    np.testing.assert_array_equal(quietly(engine.predict, x=x_obs, **given)[0], y_pred)
    assert not np.array_equal(quietly(engine.predict, x_obs, **given | {"seed": 1})[0], y_pred)
    # The notebook's file of networks: save and load take its place.
    engine.save(tmp_path / "best.nbi")
    loaded = nbi.NBI.load(tmp_path / "best.nbi", simulator=sine, noise=noise)
    again, same = quietly(loaded.predict, x_obs, **given)
    np.testing.assert_allclose(again, y_pred)
    np.testing.assert_allclose(same, weights)
    assert quietly(engine.sample, x_obs, n=50).shape == (50, 3)


@pytest.mark.takes_seconds
def test_second_use_case_of_the_notebook_rounds_for_one_target(tmp_path):
    y_true, x_obs = observed()
    engine = an_engine(tmp_path, seed=2)
    engine.fit(
        x_obs=x_obs,
        y_true=y_true,
        n_sims=300,
        n_rounds=2,
        n_epochs=3,
        batch_size=64,
        lr=0.0005,
        early_stop_train=True,
        early_stop_patience=50,
        noise=np.array([0.1] * 50),
    )
    assert len(engine.sequential_.records) > 1
    y_pred, weights = quietly(engine.predict, x_obs, x_err=np.array([0.1] * 50), y_true=y_true, n_samples=200)
    assert y_pred.shape == (200, 3) and weights.shape == (200,)


def test_settings_of_the_training_are_those_asked_for(tmp_path, monkeypatch):
    from nbi_sampler.amortised import engine as module

    told = {}

    def fit_estimator(simulations, setup, training, *rest):
        told.update(training)
        raise RuntimeError("enough")

    monkeypatch.setattr(module, "fit_estimator", fit_estimator)
    arguments = {"batch_size": 32, "lr": 0.01, "f_val": 0.2, "early_stop_patience": 5, "noise": 0.1}
    with pytest.raises(RuntimeError, match="enough"):
        an_engine(tmp_path).fit(n_sims=120, n_epochs=3, training={"n_threads": 1}, **arguments)
    assert told == {
        **{"n_threads": 1, "n_epochs": 3, "batch_size": 32, "learning_rate": 0.01},
        **{"validation_share": 0.2, "patience": 5},
    }


def test_effective_samples_that_are_asked_for_are_drawn():
    x = np.linspace(-1, 1, 5)
    engine = nbi.NBI("maf", "mlp", lambda theta: theta[0] * x, 0.5, [uniform(-1, 2)], seed=1)
    engine.fit(n_sims=500, n_epochs=5, training={"n_threads": 1})
    _, weights = engine.predict(0.3 * x, n_samples=100, neff_min=400, f_accept_min=0.001)
    assert 1.0 / np.square(weights).sum() > 350
    _, few = engine.predict(0.3 * x, n_samples=100, neff_min=400, f_accept_min=0.9999)
    assert len(few) == 100
    with pytest.raises(ValueError, match="neff_min: expected one target"):
        engine.predict(np.stack([x, x]), n_samples=100, neff_min=400)


@pytest.mark.parametrize(
    ("method", "arguments", "remedy"),
    [
        ("__init__", {"state_dict": "test/0/9.pth"}, r"state_dict: .* NBI.load\(path\)"),
        ("fit", {"log_like": max}, "log_like: .* pass log_likelihood="),
        ("fit", {"n_reuse": -1}, "n_reuse: .* got -1; pass loss='apt'"),
        ("fit", {"use_wandb": True}, "use_wandb: .* on_epoch="),
        ("fit", {"neff_stop": 5000}, "neff_stop: .* n_effective="),
        ("fit", {"f_accept_min": 0.3}, "f_accept_min: .* bilby.run_sampler"),
        ("fit", {"decay_type": "MultiStepLR"}, "decay_type: .* leave it out"),
        ("fit", {"x": ["0.npy", "1.npy"], "y": [[1.0], [2.0]]}, r"paths of files; load them, .*np\.load"),
        ("predict", {"x": T, "log_like": max}, "log_like: .* pass log_likelihood="),
        ("predict", {"x": T, "corner": True}, "corner: .* corner.corner"),
        ("predict", {"x": T, "corner_reweight": True}, "corner_reweight: .* corner.corner"),
        ("predict", {"x": T, "nothing": 1}, "unexpected keyword argument 'nothing'"),
        ("sample", {"x": T, "corner": True}, "corner: .* corner.corner"),
    ],
    ids=lambda value: (
        value if isinstance(value, str) else "-".join(value) if isinstance(value, dict) else None
    ),
)
def test_arguments_without_a_counterpart_are_refused_by_name(tmp_path, method, arguments, remedy):
    with pytest.raises(TypeError, match=remedy):
        if method == "__init__":
            an_engine(tmp_path, **arguments)
        else:
            getattr(an_engine(tmp_path, noise=0.1), method)(**arguments)


@pytest.mark.parametrize(
    ("argument", "settings", "told"),
    [
        ("featurizer", {**FEATURIZER, "kernel": 5}, "'kernel' is a setting of the package nbi; convolutions"),
        ("flow", {**FLOW, "clamp_0": -2}, "'clamp_0' is a setting .* log_scale_bound"),
    ],
    ids=["kernel", "clamp"],
)
def test_settings_without_a_counterpart_are_refused_by_name(tmp_path, argument, settings, told):
    with pytest.raises(ValueError, match=told):
        an_engine(tmp_path, **{argument: settings})


def test_dictionaries_of_its_readme_are_understood(tmp_path):
    featurizer = {"type": "resnet-gru", "dim_in": 1, "max_hidden": 64}
    assert an_engine(tmp_path, featurizer=featurizer)._setup.featurizer["dim_conv_max"] == 64


def test_arguments_without_effect_say_why(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("bilby"), "propagate", True)
    with caplog.at_level(logging.INFO, "bilby"):
        an_engine(tmp_path, tqdm_notebook=True)
    assert "path: without effect, as no folder is needed" in caplog.text
    assert "tqdm_notebook: without effect" in caplog.text
    assert not (tmp_path / "test2").exists()


@pytest.mark.parametrize("name", METHODS)
def test_methods_of_its_engines_are_refused_with_what_to_use(tmp_path, name):
    engine = an_engine(tmp_path)
    with pytest.raises(AttributeError, match=f"no attribute '{name}'; of nbi's engine, here: "):
        getattr(engine, name)
    with pytest.raises(AttributeError, match=r"no attribute 'nothing'$"):
        _ = engine.nothing


def test_no_argument_of_this_package_is_in_the_tables():
    import inspect

    for table in (IDLE, REFUSED):
        for method, names in table.items():
            assert not set(names) & set(inspect.signature(getattr(nbi.NBI, method)).parameters)
