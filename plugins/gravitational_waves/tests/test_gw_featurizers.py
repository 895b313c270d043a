"""Principal components of single detectors: what they keep of a signal, and how networks hang on to them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gw_cases import TRUTH, make
from nbi_sampler_gw import forward_model
from nbi_sampler_gw.featurizers import (
    GW_PCA,
    GW_RESNET,
    DetectorComponents,
    DetectorPcaConfig,
    DetectorResnetConfig,
)

from nbi_sampler.networks.training.noisy_data import NoisyData


@pytest.fixture(scope="module")
def data(detectors):
    """Signals of several masses that arrive at times of their own in every detector."""
    model = forward_model(make(detectors)[0])
    rng = np.random.default_rng(0)
    names = dict(chirp_mass=(26, 30), ra=(0, 6), dec=(-1, 1), geocent_time=(-0.01, 0.01))
    rows = [
        {**TRUTH, "luminosity_distance": 1000.0}
        | {name: TRUTH[name] * (name == "geocent_time") + rng.uniform(*ends) for name, ends in names.items()}
        for _ in range(400)
    ]
    predictions = np.array([model.simulate(row) for row in rows])
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return NoisyData(model, predictions, columns)


def made(data, **settings):
    featurizer = DetectorComponents(data.shape, 4, DetectorPcaConfig(**settings))
    torch.manual_seed(0)
    featurizer.fit(data, np.random.default_rng(0))
    return featurizer


@pytest.fixture(autouse=True)
def generators_put_back():
    """Leave torch's global generator as it was: initial weights are drawn from it."""
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


def test_components_belong_to_one_detector_each(data):
    components = made(data, n_components=20).components
    blocks = components.reshape(3, -1, components.shape[1])
    assert ((blocks != 0).any(1).sum(0) == 1).all()
    gram = components.T @ components
    torch.testing.assert_close(gram, torch.eye(len(gram)), atol=1e-4, rtol=0)


def test_components_keep_the_signal(data):
    featurizer = made(data, n_components=100)
    centred = data.signal - featurizer.mean
    kept = centred @ featurizer.components @ featurizer.components.T
    lost = (centred - kept).square().sum(1)
    # In units of the noise: what is lost could not be told from none by any of the networks.
    assert float(lost.median()) < 0.5
    assert float(centred.square().sum(1).median()) > 100


@pytest.mark.parametrize("kind", [GW_PCA, GW_RESNET], ids=["gw-pca", "gw-resnet"])
def test_network_learns_from_the_components(data, kind):
    torch.manual_seed(1)
    featurizer = kind.make(data.shape, 4, kind.settings(n_components=10, hidden=32, dim_out=5))
    featurizer.fit(data, np.random.default_rng(0))
    inputs = featurizer.inputs(data, torch.arange(7), torch.Generator().manual_seed(2))
    features = featurizer(inputs)
    assert features.shape == (7, 5)
    features.sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in featurizer.parameters())


def test_residual_network_survives_saving(data):
    config = DetectorResnetConfig(n_components=10, hidden=32, n_blocks=2)
    first, second = (DetectorComponents(data.shape, 4, config) for _ in range(2))
    first.fit(data, np.random.default_rng(0))
    second.load_state_dict(first.state_dict())
    example = data.signal[:5]
    torch.testing.assert_close(first(first.reduce(example)), second(second.reduce(example)))


def test_other_data_and_settings_are_refused():
    with pytest.raises(ValueError, match="2 channels for each detector"):
        DetectorComponents((1, 100), 4, DetectorPcaConfig())
    with pytest.raises(ValueError, match="n_blocks: expected an integer of at least 0, got -1"):
        DetectorResnetConfig(n_blocks=-1)
