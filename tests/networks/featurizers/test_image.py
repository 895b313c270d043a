"""Images: size of the network, positions, bands, joined tables, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from featurizer_cases import FEW, IMAGE, made
from line_cases import lines

from nbi_sampler.core.config import ImageConfig
from nbi_sampler.core.randomness import seeded_modules
from nbi_sampler.networks.featurizers import featurizer_factory
from nbi_sampler.networks.featurizers.image import image_size


def of_size(height, width, n_channels=1, **settings):
    with seeded_modules(np.random.default_rng(0)):
        what = {"type": "resnet2d", "height": height, "width": width, **settings}
        return featurizer_factory(what)((n_channels, height * width), 3)


@pytest.mark.parametrize("size", [(64, 64), (63, 65), (16, 500), (128, 5), (7, 7), (1, 1)], ids=str)
def test_a_few_pixels_are_left_whatever_the_size(size):
    featurizer = of_size(*size, n_channels=2)
    left = featurizer.network.stages(torch.zeros(1, 2, *size)).shape[2:]
    assert all(1 <= side <= 7 for side in left)
    assert all(side <= 7 or after >= 4 for side, after in zip(size, left, strict=True))
    assert sum(each.numel() for each in featurizer.parameters()) < 500_000


def test_the_number_of_stages_can_be_told():
    assert len(of_size(64, 64, depth=2).network.stages) == 2
    assert of_size(4, 4, depth=0)(torch.zeros(1, 1, 4, 4)).shape == (1, 64)


def test_where_a_source_is_matters():
    featurizer = of_size(32, 32)
    images = torch.zeros(2, 1, 32, 32)
    images[0, 0, 8, 8] = images[1, 0, 9, 8] = 5.0
    features = featurizer(featurizer.reduce(images.flatten(1)))
    assert (features[0] - features[1]).abs().max() > 1e-3


def test_a_channel_has_one_scale_for_all_of_its_pixels():
    data = lines((2, 36))
    data.signal[:, :36] *= 100.0
    featurizer = made({"type": "resnet2d", **IMAGE}, data)
    assert featurizer.scale.shape == (2, 1) and featurizer.scale[0] > 30 * featurizer.scale[1]
    images = featurizer.reduce(data.signal)
    assert images.shape == (300, 2, 6, 6)
    rows = data.signal.view(300, 2, 6, 6)
    expected = torch.asinh((rows[:, 1] - featurizer.shift[1]) / featurizer.scale[1])
    torch.testing.assert_close(images[:, 1], expected)


def test_an_image_and_a_table_of_numbers_are_joined():
    data = lines((1, 2 * 4 * 6 + 3))
    parts = [{"shape": (2, 4, 6), "type": "resnet2d", **IMAGE}, {"shape": (1, 3), "type": "mlp", **FEW}]
    featurizer = made(parts, data)
    assert featurizer.parts[0].size == (4, 6) and featurizer.n_features == 12
    before, other = featurizer(featurizer.reduce(data.signal)), data.signal.clone()
    other[:, 48:] += 1.0
    after = featurizer(featurizer.reduce(other))
    assert torch.equal(before[:, :6], after[:, :6])
    assert (before[:, 6:] - after[:, 6:]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, r"expected images of equal sides, got 1 channel\(s\) of 24 pixels"),
        ({"height": 5}, "expected images of height=5, got"),
        ({"height": 4, "width": 5}, "expected images of height=4, width=5, got"),
        ({"height": 0}, "height"),
        ({"heigth": 4}, "unknown setting 'heigth'; did you mean 'height'"),
    ],
    ids=["no square", "no multiple", "another product", "zero", "misspelt"],
)
def test_another_size_than_that_of_the_data_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        featurizer_factory({"type": "resnet2d", **settings})((1, 24), 2)


def test_one_side_gives_the_other():
    assert image_size((1, 24), ImageConfig(width=8)) == (3, 8)
    assert image_size((1, 24), ImageConfig(height=4)) == (4, 6)
    assert image_size((3, 25), ImageConfig()) == (5, 5)
