"""The rooms below the engine: layouts, noise laws, priors in files, weights, training sets."""

from __future__ import annotations

import json

import bilby.core.prior as bp
import numpy as np
import pytest
from scipy import stats

from nbi_sampler.amortised.layout import DataLayout
from nbi_sampler.amortised.networks import featurizer_settings, flow_settings, suited_to
from nbi_sampler.amortised.noise import NoiseLaw
from nbi_sampler.amortised.priors import NotPortable, priors_from, priors_from_json, priors_to_json
from nbi_sampler.amortised.setup import Setup
from nbi_sampler.amortised.unfamiliar import OutOfDistributionWarning, warn_of_unfamiliar
from nbi_sampler.benchmark.__main__ import main
from nbi_sampler.benchmark.amortised import Figure, amortised_table, paper
from nbi_sampler.benchmark.losses import LossRun, losses_table
from nbi_sampler.featurizers import featurizer_factory
from nbi_sampler.flows import flow_factory
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.randomness import seeded_modules

T = np.linspace(0.0, 1.0, 12)


def a_survey(n=300, seed=0):
    rng = np.random.default_rng(seed)
    x = 20.0 + 3.0 * rng.normal(size=(n, 12))
    return x, 10.0 ** rng.uniform(-3, 1, size=(n, 1)) * np.ones(12), rng.random((n, 12)) < 0.7


def test_what_networks_see_is_scaled_and_blank_where_points_are_missing():
    x, x_err, mask = a_survey()
    layout = DataLayout.learnt(x, x_err, mask)
    assert layout.roles == ("value", "log_uncertainty", "mask")
    assert layout.shape == (3, 12)
    seen = layout.encode(layout.targets(x, x_err, mask))
    assert np.all(seen[~np.repeat(mask[:, None], 3, 1)] == 0.0)
    values, log_errors = seen[:, 0][mask], seen[:, 1][mask]
    assert abs(np.median(values)) < 0.1 and 0.8 < values.std() < 1.2
    # Four decades of uncertainties are as wide as the values: their logarithm is what is scaled.
    assert np.abs(log_errors).max() < 2.5
    hidden = np.where(mask, x, np.nan)
    np.testing.assert_array_equal(layout.encode(layout.targets(hidden, x_err, mask)), seen)
    np.testing.assert_array_equal(layout.encode(layout.targets(hidden, x_err)), seen)


def test_data_beyond_the_simulations_are_moved_to_their_edge():
    x, _, _ = a_survey()
    layout = DataLayout.learnt(x)
    far = layout.targets(np.full((1, 12), 1e9))
    assert layout.encode(far).max() < 8.0
    assert layout.encode(far, clip=False).max() == 1e6


@pytest.mark.parametrize(
    ("x", "x_err", "mask", "message"),
    [
        (np.zeros((4, 11)), 1.0, None, "x: expected shape"),
        (np.zeros((4, 12)), None, None, "x_err: expected the uncertainties"),
        (np.zeros((4, 12)), np.ones(5), None, "x_err: expected uncertainties that broadcast"),
        (np.zeros((4, 12)), 1.0, np.ones(7), "mask: expected shape"),
        (np.full((4, 12), np.nan), 1.0, None, "x: expected complete data, got 48"),
        (np.zeros((4, 12)), 0.0, None, "x: expected complete data, got 48"),
    ],
)
def test_other_data_than_those_of_the_simulations_are_refused(x, x_err, mask, message):
    survey, errors, _ = a_survey()
    with pytest.raises(ValueError, match=message):
        DataLayout.learnt(survey, errors).targets(x, x_err, mask)


@pytest.mark.parametrize("x_err", [0.5, np.full(12, 0.5), np.full((4, 1), 0.5), np.full((4, 12), 0.5)])
def test_uncertainties_broadcast(x_err):
    survey, errors, _ = a_survey()
    targets = DataLayout.learnt(survey, errors).targets(survey[:4], x_err)
    np.testing.assert_array_equal(targets.x_err, np.full((4, 1, 12), 0.5))


def test_times_are_a_channel_without_uncertainty():
    x, x_err, _ = a_survey()
    series = np.stack([100.0 + T + np.zeros_like(x), x], 1)
    layout = DataLayout.learnt(series, x_err, channels=("time", "value"))
    assert layout.roles == ("time", "value", "log_uncertainty")
    seen = layout.encode(layout.targets(series, x_err))
    assert seen[:, 0].min() == 0.0 and seen[:, 0].max() == 1.0
    for wrong in (("time", "flux"), ("time", "time"), ("value",)):
        with pytest.raises(ValueError, match="channels"):
            DataLayout.learnt(series, channels=wrong)


def own_level(x, rng):
    sigma = rng.uniform(0.05, 0.5, size=(*x.shape[:-1], 1))
    return x + sigma * rng.normal(size=x.shape), sigma * np.ones_like(x)


def shared_level(x, rng):
    sigma = rng.uniform(0.05, 0.5)
    return x + sigma * rng.normal(size=x.shape), np.full(x.shape, sigma)


def hidden_level(x, rng):
    return x + rng.uniform(0.05, 0.5) * rng.normal(size=x.shape)


def shared_offset(x, rng):
    return x + 0.3 * rng.normal() + rng.normal(size=x.shape)


def level_by_brightest(x, rng):
    return x + 0.1 * np.abs(x).max() * rng.normal(size=x.shape)


def in_place(x, rng):
    x += rng.normal(size=x.shape)
    return x


def one_row_only(x, rng):
    (length,) = x.shape
    return x + rng.normal(size=length)


def with_gaps(x, rng):
    return x + rng.normal(size=x.shape), np.ones_like(x), rng.random(x.shape) < 0.6


@pytest.mark.parametrize(
    ("noise", "batched"),
    [
        (0.3, True),
        (np.full(12, 0.3), True),
        (None, True),
        (own_level, True),
        (in_place, True),
        (with_gaps, True),
        (shared_level, False),
        (hidden_level, False),
        (shared_offset, False),
        (level_by_brightest, False),
        (one_row_only, False),
    ],
)
def test_noise_is_drawn_in_batches_only_where_rows_stay_independent(noise, batched):
    predictions = np.linspace(0.5, 5.0, 40)[:, None] * np.sin(6.0 * T)
    before = predictions.copy()
    law = NoiseLaw(noise, predictions)
    assert law.batched == batched
    made = law(predictions, np.random.default_rng(1))
    np.testing.assert_array_equal(predictions, before)
    assert made.x.shape == predictions.shape
    again = law(predictions, np.random.default_rng(1))
    np.testing.assert_array_equal(made.x, again.x)
    if made.x_err is not None and noise is not with_gaps:
        assert len(np.unique(made.x_err[:, 0])) == 40


def test_noise_that_is_none_is_refused():
    predictions = np.zeros((10, 12))
    for wrong in (-1.0, np.nan, np.ones(5)):
        with pytest.raises(ValueError, match="noise: expected"):
            NoiseLaw(wrong, predictions)
    with pytest.raises(ValueError, match="tuple of 4"):
        NoiseLaw(lambda x, rng: (x, x, x, x), predictions)


def portable_priors():
    return bp.PriorDict(
        {
            "a": bp.Uniform(-1, 2, boundary="periodic"),
            "b": bp.LogUniform(1e-3, 10.0),
            "c": bp.TruncatedGaussian(0.0, 1.0, -2.0, 2.0, latex_label="$c$"),
            "d": bp.Interped(np.linspace(0, 1, 5), np.array([1.0, 2.0, 3.0, 2.0, 1.0])),
            "e": bp.DeltaFunction(3.0),
            "f": bp.Constraint(minimum=0.0, maximum=1.0),
            "g": bp.StudentT(df=4.0, mu=1.0),
        }
    )


@pytest.mark.parametrize(
    "priors", [portable_priors(), priors_from([stats.gamma(2.0, scale=3.0), stats.poisson(4)], ["x", "n"])]
)
def test_priors_come_back_from_json(priors):
    again = priors_from_json(json.loads(json.dumps(priors_to_json(priors))))
    assert list(again) == list(priors)
    assert {name: repr(prior) for name, prior in again.items()} == {n: repr(p) for n, p in priors.items()}
    z = np.random.default_rng(0).normal(size=(20, ParameterSpace(priors).n_dim))
    np.testing.assert_array_equal(ParameterSpace(priors).to_theta(z), ParameterSpace(again).to_theta(z))


class OwnPrior(bp.Uniform):
    pass


def test_priors_that_are_code_are_not_written():
    def converted(sample):
        return {**sample, "f": 1.0}

    conditional = bp.ConditionalPriorDict(
        {
            "a": bp.Uniform(0, 1),
            "b": bp.ConditionalUniform(lambda reference_params, a: {}, minimum=0, maximum=1),
        }
    )
    for priors in (
        conditional,
        bp.PriorDict({"a": OwnPrior(0, 1)}),
        bp.PriorDict({"a": bp.Uniform(0, 1), "f": bp.Constraint(0, 1)}, conversion_function=converted),
    ):
        with pytest.raises(NotPortable):
            priors_to_json(priors)


@pytest.mark.parametrize(
    "saved",
    [
        {"bilby": "FromFile", "arguments": {"file_name": "/etc/passwd"}},
        {"bilby": "os.system", "arguments": {}},
        {"bilby": "PriorDict", "arguments": {}},
        {"scipy": "rv_histogram", "arguments": [], "keywords": {}, "name": None, "latex_label": None},
        {"scipy": "__builtins__", "arguments": [], "keywords": {}, "name": None, "latex_label": None},
    ],
)
def test_a_file_cannot_ask_for_any_other_class(saved):
    with pytest.raises(NotPortable):
        priors_from_json({"a": saved})


def test_priors_of_scipy_have_their_quantiles_and_names():
    priors = priors_from([stats.uniform(2.0, 3.0), stats.norm(1.0, 0.5)], ["a", "b"])
    theta = ParameterSpace(priors).to_theta(np.array([[0.0, 1.0], [1.0, -1.0]]))
    np.testing.assert_allclose(theta, [[3.5, 1.5], [2.0 + 3.0 * stats.norm.cdf(1.0), 0.5]])
    assert list(priors) == ["a", "b"]
    np.testing.assert_allclose(priors["b"].ln_prob(1.0), stats.norm.logpdf(1.0, 1.0, 0.5))
    for wrong, labels in ((stats.norm, None), ([stats.norm], None), ([], None), ([stats.norm()], ["a", "b"])):
        with pytest.raises((TypeError, ValueError), match=r"priors|labels"):
            priors_from(wrong, labels)


def test_the_names_of_the_paper_are_understood():
    layout = DataLayout.learnt(*a_survey())
    paper = {
        "type": "resnet-gru",
        "norm": "weight_norm",
        "dim_in": 1,
        "n_rnn": 2,
        "dim_conv_max": 32,
        "depth": 2,
    }
    with seeded_modules(np.random.default_rng(0)):
        made = featurizer_factory(suited_to(layout, featurizer_settings(paper)))(layout.shape, 3)
    assert made.recipe["n_gru"] == 2 and made.recipe["dim_in"] == 3
    flow = {
        "n_dims": 3,
        "flow_hidden": 16,
        "num_cond_inputs": 64,
        "num_blocks": 2,
        "perm_seed": 3,
        "n_mog": 4,
    }
    with seeded_modules(np.random.default_rng(0)):
        assert flow_factory(flow_settings(flow))(3, made.n_features).recipe["n_mog"] == 4
    with pytest.raises(ValueError, match="did you mean 'flow_hidden'"):
        flow_factory(flow_settings({"flow_hiden": 3}))
    assert suited_to(layout, "auto")["type"] == "attention"
    assert suited_to(DataLayout.learnt(a_survey()[0]), "auto")["type"] == "resnet-gru"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"simulator": 3.0}, "simulator: expected a function"),
        ({"n_jobs": 0}, "n_jobs: expected"),
        ({"device": "gpu"}, "device: expected"),
        ({"flow": "mof"}, "flow: unknown name"),
        ({"priors": "uniform"}, "priors: expected"),
    ],
)
def test_arguments_of_an_engine_that_mean_nothing_are_refused(change, message):
    given = {
        **{"flow": "maf", "featurizer": "mlp", "simulator": None, "noise": None, "priors": portable_priors()},
        **{"labels": None, "channels": None, "seed": 1, "device": "cpu", "n_jobs": 1, "pool": None},
    }
    with pytest.raises((TypeError, ValueError), match=message):
        Setup.read({**given, **change})


def test_a_warning_where_more_is_unfamiliar_than_by_chance(recwarn):
    warn_of_unfamiliar([0.5])
    warn_of_unfamiliar([np.nan])
    warn_of_unfamiliar([0.001, *np.linspace(0.02, 1.0, 200)])
    assert not recwarn
    with pytest.warns(OutOfDistributionWarning, match=r"1 of 1 targets.*0\.001"):
        warn_of_unfamiliar([0.001])
    with pytest.warns(OutOfDistributionWarning, match="20 of 220"):
        warn_of_unfamiliar([*[0.001] * 20, *np.linspace(0.02, 1.0, 200)])


def test_tables_of_the_benchmark_say_what_was_missed(capsys):
    figures = [Figure("efficiency", ">= 0.45", "0.52", True), Figure("time", "< 60 s", "70 s", False)]
    assert "| time | < 60 s | 70 s | no |" in amortised_table(figures)
    runs = iter([LossRun("linear", "nll", (0.814, 0.535), 9.6)])
    assert "| linear | nll | 81.4 %, 53.5 % | 10 |" in losses_table(runs)
    with pytest.raises(SystemExit):
        main(["amortised", "--parts", "smal"])
    assert "expected names among small" in capsys.readouterr().err


def test_the_paper_s_networks_are_measured_by_rounds():
    figure = next(paper(n_sims=100, n_epochs=1))
    assert figure.name == "Algorithm 1 with the paper's networks, seed 1: best round"
    assert figure.measured.count("%") >= 1 and not figure.reached
