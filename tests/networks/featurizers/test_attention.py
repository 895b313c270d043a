"""Attention on irregular series: what is masked does not exist, order means nothing, sampling means all."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nbi_sampler.core.randomness import seeded_modules
from nbi_sampler.networks.featurizers import featurizer_factory

CHANNELS = ("time", "value", "uncertainty", "band", "mask")
SETTINGS = {
    "type": "attention",
    "channels": CHANNELS,
    "n_bands": 3,
    "depth": 2,
    "dim_token": 16,
    "dim_out": 8,
}


class Series:
    """Irregular light curves as a `SimulatedData`: days, magnitudes, uncertainties, bands and a mask."""

    scale = None
    has_noise_parameters = False
    device = torch.device("cpu")

    def __init__(self, n=200, length=30, channels=CHANNELS, seed=0):
        rng = np.random.default_rng(seed)
        roles = {
            "time": 2455000.0 + 300.0 * rng.random((n, length)),
            "value": 18.0 + 0.5 * rng.normal(size=(n, length)),
            "uncertainty": 10 ** rng.uniform(-3, -1, (n, length)),
            "band": rng.integers(0, 3, (n, length)).astype(float),
            "mask": (rng.random((n, length)) < rng.uniform(0.2, 1, (n, 1))).astype(float),
        }
        self.shape = (len(channels), length)
        stacked = np.stack([roles[role] for role in channels], 1)
        # Days since 2.4 million need double precision; the engine gives them from some epoch.
        stacked[:, [role == "time" for role in channels]] -= 2455000.0
        self.signal = torch.as_tensor(stacked.reshape(n, -1), dtype=torch.float32)

    def __len__(self):
        return len(self.signal)

    def draw(self, index, generator):
        return self.signal[index]


def made(data, settings=SETTINGS, seed=0):
    rng = np.random.default_rng(seed)
    with seeded_modules(rng):
        featurizer = featurizer_factory(settings)(data.shape, 3)
        featurizer.fit(data, rng)
    return featurizer.eval()


@pytest.fixture(scope="module")
def data():
    return Series()


@pytest.fixture(scope="module")
def featurizer(data):
    return made(data)


def features(featurizer, signal):
    with torch.no_grad():
        return featurizer(featurizer.reduce(signal))


def channels(data):
    return data.signal.view(len(data), *data.shape).clone()


def assert_equal_features(first, second):
    """Equal up to the rounding of sums over points in another order."""
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)


class TestMask:
    def test_what_stands_in_masked_places_changes_nothing_at_all(self, featurizer, data):
        for content in (0.0, -5.0, 1e30, np.nan, np.inf):
            changed = channels(data)
            hidden = changed[:, -1:] < 0.5
            changed[:, :-1] = torch.where(hidden, torch.tensor(content), changed[:, :-1])
            assert torch.equal(features(featurizer, data.signal), features(featurizer, changed.flatten(1)))

    def test_more_masked_points_change_nothing(self, featurizer, data):
        padding = torch.full((len(data), len(CHANNELS), 11), np.nan)
        padding[:, -1] = 0.0
        longer = torch.cat([channels(data), padding], 2).flatten(1)
        assert_equal_features(features(featurizer, longer), features(featurizer, data.signal))

    def test_masking_is_leaving_out(self, featurizer, data):
        row = channels(data)[:1]
        kept = row[:, :, row[0, -1] > 0.5]
        assert 0 < kept.shape[2] < row.shape[2]
        assert_equal_features(features(featurizer, kept.flatten(1)), features(featurizer, row.flatten(1)))

    def test_nan_as_mask_is_missing(self, featurizer, data):
        changed = channels(data)
        changed[:, -1][changed[:, -1] < 0.5] = np.nan
        assert torch.equal(features(featurizer, data.signal), features(featurizer, changed.flatten(1)))

    def test_a_point_that_is_present_counts(self, featurizer, data):
        changed = channels(data)
        changed[:, -1, 0] = 1.0 - changed[:, -1, 0]
        difference = features(featurizer, data.signal) - features(featurizer, changed.flatten(1))
        assert (difference.abs().amax(1) > 1e-4).all()

    def test_a_series_without_a_point_has_features_and_gradients(self, data):
        featurizer = made(data).train()
        empty = channels(data)
        empty[:, -1] = 0.0
        empty[:5, :-1] = np.nan
        found = featurizer(featurizer.reduce(empty.flatten(1)))
        found.square().sum().backward()
        assert torch.isfinite(found).all()
        assert torch.equal(found[0], found[1])
        for parameter in featurizer.parameters():
            assert parameter.grad is None or torch.isfinite(parameter.grad).all()

    def test_masked_places_do_not_spoil_the_scales(self):
        data, clean = Series(), Series()
        spoilt = channels(data)
        hidden = spoilt[:, -1:] < 0.5
        spoilt[:, :-1] = torch.where(hidden, torch.tensor(1e20), spoilt[:, :-1])
        data.signal = spoilt.flatten(1)
        first, second = made(clean), made(data)
        assert torch.equal(first.shift, second.shift) and torch.equal(first.scale, second.scale)


class TestSampling:
    def test_the_order_of_points_means_nothing(self, featurizer, data, rng):
        order = torch.as_tensor(rng.permutation(data.shape[1]))
        assert_equal_features(
            features(featurizer, channels(data)[:, :, order].flatten(1)), features(featurizer, data.signal)
        )

    @pytest.mark.parametrize("role", ["time", "value", "uncertainty", "band"])
    def test_every_channel_means_something(self, featurizer, data, role):
        changed = channels(data)
        i = CHANNELS.index(role)
        changed[:, i] = changed[:, i].flip(1)
        difference = features(featurizer, data.signal) - features(featurizer, changed.flatten(1))
        # Of the shortest series some are as they were.
        assert (difference.abs().amax(1) > 1e-4).float().mean() > 0.95

    def test_inputs_have_a_scale_of_about_one(self, featurizer, data):
        scaled = featurizer.reduce(data.signal)
        present = scaled[:, -1] > 0.5
        for i, role in enumerate(CHANNELS[:3]):
            points = scaled[:, i][present]
            assert points.abs().max() < 6 and 0.2 < points.std() < 2, role
        assert ((scaled[:, 0] >= 0) & (scaled[:, 0] <= 1)).all()

    def test_several_values_share_their_times(self):
        roles = ("time", "value", "value", "uncertainty", "uncertainty")
        data = Series(channels=roles)
        featurizer = made(data, {**SETTINGS, "channels": roles})
        swapped = channels(data)[:, [0, 2, 1, 3, 4]] + torch.tensor([0, 1.0, 0, 0, 0])[:, None]
        difference = features(featurizer, data.signal) - features(featurizer, swapped.flatten(1))
        assert (difference.abs().amax(1) > 1e-4).all()


class TestSettings:
    @pytest.mark.parametrize(
        ("channels", "message"),
        [
            (("time", "value"), r"channels are time, value, but the data have 5 channel\(s\) of length 30"),
            (("time", "time", "value", "band", "mask"), "channels: expected names among"),
            (("time", "value", "flux", "band", "mask"), "channels: expected names among"),
            (("uncertainty", "uncertainty", "value", "band", "mask"), "channels: expected names among"),
            (("time", "mask"), "at least one value"),
        ],
    )
    def test_channels_that_make_no_sense_are_refused(self, data, channels, message):
        with pytest.raises(ValueError, match=message):
            featurizer_factory({**SETTINGS, "channels": channels})(data.shape, 3)

    def test_heads_must_divide_the_width(self):
        with pytest.raises(ValueError, match="dim_token: expected a multiple of n_heads=4, got 30"):
            featurizer_factory({"type": "attention", "dim_token": 30})


@pytest.mark.slow
def test_it_learns_a_frequency_from_unequal_samplings(rng):
    """A sine of unknown frequency: the features know it better than a linear fit to moments could."""
    n, length = 2000, 40
    time = rng.random((n, length))
    frequency = rng.uniform(1.0, 4.0, n)
    value = np.sin(2 * np.pi * frequency[:, None] * time) + 0.1 * rng.normal(size=(n, length))
    mask = (rng.random((n, length)) < 0.7).astype(float)
    data = Series(n, length, ("time", "value", "mask"))
    data.signal = torch.as_tensor(np.stack([time, value, mask], 1).reshape(n, -1), dtype=torch.float32)
    settings = {"type": "attention", "channels": ["time", "value", "mask"], "dim_token": 32, "dim_out": 16}
    featurizer = made(data, settings).train()
    with seeded_modules(rng):
        head = torch.nn.Linear(16, 1)
    optimiser = torch.optim.AdamW([*featurizer.parameters(), *head.parameters()], 2e-3)
    target = torch.as_tensor((frequency - 2.5) / 0.866, dtype=torch.float32)
    inputs = featurizer.reduce(data.signal)
    for _ in range(5):
        for rows in torch.as_tensor(rng.permutation(1800)).split(100):
            optimiser.zero_grad()
            loss = (head(featurizer(inputs[rows]))[:, 0] - target[rows]).square().mean()
            loss.backward()
            optimiser.step()
    featurizer.eval()
    with torch.no_grad():
        error = (head(featurizer(inputs[1800:]))[:, 0] - target[1800:]).square().mean()
    print("ERR", error)
    assert error < 0.1
