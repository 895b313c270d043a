"""The data of many targets as networks see them, and the networks that suit them."""

from __future__ import annotations

import numpy as np
import pytest

from nbi_sampler.amortised.data_format import DataFormat
from nbi_sampler.amortised.setup import settings_of, suited_to
from nbi_sampler.core.randomness import seeded_modules
from nbi_sampler.networks.featurizers import featurizer_factory
from nbi_sampler.networks.flows import flow_factory

T = np.linspace(0.0, 1.0, 12)


def a_survey(n=300, seed=0):
    rng = np.random.default_rng(seed)
    x = 20.0 + 3.0 * rng.normal(size=(n, 12))
    return x, 10.0 ** rng.uniform(-3, 1, size=(n, 1)) * np.ones(12), rng.random((n, 12)) < 0.7


def test_what_networks_see_is_scaled_and_blank_where_points_are_missing():
    x, x_err, mask = a_survey()
    data_format = DataFormat.learnt(x, x_err, mask)
    assert data_format.roles == ("value", "log_uncertainty", "mask")
    assert data_format.shape == (3, 12)
    seen = data_format.encode(data_format.observation(x, x_err, mask)).numpy()
    assert np.all(seen[~np.repeat(mask[:, None], 3, 1)] == 0.0)
    values, log_errors = seen[:, 0][mask], seen[:, 1][mask]
    assert abs(np.median(values)) < 0.1 and 0.8 < values.std() < 1.2
    # Four decades of uncertainties are as wide as the values: their logarithm is what is scaled.
    assert np.abs(log_errors).max() < 2.5
    hidden = np.where(mask, x, np.nan)
    np.testing.assert_array_equal(data_format.encode(data_format.observation(hidden, x_err, mask)), seen)
    np.testing.assert_array_equal(data_format.encode(data_format.observation(hidden, x_err)), seen)


def test_data_beyond_the_simulations_are_moved_to_their_edge():
    x, _, _ = a_survey()
    data_format = DataFormat.learnt(x)
    far = data_format.observation(np.full((1, 12), 1e9))
    assert data_format.encode(far).max() < 8.0
    assert data_format.encode(far, clip=False).max() == 1e6


@pytest.mark.parametrize(
    ("x", "x_err", "mask", "message"),
    [
        (np.zeros((4, 11)), 1.0, None, "x_obs: expected data of shape"),
        (np.zeros((4, 12)), None, None, "x_err: expected the uncertainties"),
        (np.zeros((4, 12)), np.ones(5), None, "x_err: expected uncertainties that broadcast"),
        (np.zeros((4, 12)), 1.0, np.ones(7), "x_mask: expected shape"),
        (np.full((4, 12), np.nan), 1.0, None, "x_obs: expected complete data.*48 not finite"),
        (np.zeros((4, 12)), 0.0, None, "x_err: expected positive finite uncertainties, got 48 of 48"),
    ],
)
def test_other_data_than_those_of_the_simulations_are_refused(x, x_err, mask, message):
    survey, errors, _ = a_survey()
    with pytest.raises(ValueError, match=message):
        DataFormat.learnt(survey, errors).observation(x, x_err, mask)


@pytest.mark.parametrize("x_err", [0.5, np.full(12, 0.5), np.full((4, 1), 0.5), np.full((4, 12), 0.5)])
def test_uncertainties_broadcast(x_err):
    survey, errors, _ = a_survey()
    observation = DataFormat.learnt(survey, errors).observation(survey[:4], x_err)
    np.testing.assert_array_equal(observation.x_err, np.full((4, 1, 12), 0.5))


def test_times_are_a_channel_without_uncertainty():
    x, x_err, _ = a_survey()
    series = np.stack([100.0 + T + np.zeros_like(x), x], 1)
    data_format = DataFormat.learnt(series, x_err, channels=("time", "value"))
    assert data_format.roles == ("time", "value", "log_uncertainty")
    seen = data_format.encode(data_format.observation(series, x_err))
    assert seen[:, 0].min() == 0.0 and seen[:, 0].max() == 1.0
    for wrong in (("time", "flux"), ("time", "time"), ("value",)):
        with pytest.raises(ValueError, match="channels"):
            DataFormat.learnt(series, channels=wrong)


def test_the_names_of_the_paper_are_understood():
    data_format = DataFormat.learnt(*a_survey())
    paper = {
        "type": "resnet-gru",
        "norm": "weight_norm",
        "dim_in": 1,
        "n_rnn": 2,
        "dim_conv_max": 32,
        "depth": 2,
    }
    with seeded_modules(np.random.default_rng(0)):
        made = featurizer_factory(suited_to(settings_of("featurizer", paper), data_format))(
            data_format.shape, 3
        )
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
        assert flow_factory(settings_of("flow", flow))(3, made.n_features).recipe["n_mog"] == 4
    with pytest.raises(ValueError, match="did you mean 'flow_hidden'"):
        flow_factory(settings_of("flow", {"flow_hiden": 3}))
    assert suited_to("auto", data_format)["type"] == "attention"
    long = DataFormat.learnt(np.random.default_rng(1).normal(size=(20, 33)))
    assert suited_to("auto", long)["type"] == "resnet-gru"
    short = DataFormat.learnt(np.random.default_rng(1).normal(size=(20, 2, 16)))
    assert suited_to("auto", short)["type"] == "mlp"
    images = DataFormat.learnt(np.random.default_rng(1).normal(size=(20, 1, 6, 5)))
    assert suited_to("auto", images) == {"type": "resnet2d", "height": 6, "width": 5}
