"""Residual networks on series: signals keep their size, and files from before keep their networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from featurizer_cases import FEW, SEQUENCE, made
from line_cases import lines

from nbi_sampler.core.randomness import seeded_modules
from nbi_sampler.networks.devices import thread_count
from nbi_sampler.networks.featurizers import featurizer_factory


def network(length=64, **settings):
    with seeded_modules(np.random.default_rng(0)):
        return featurizer_factory({"type": "resnet-gru", **settings})((1, length), 3).network


@torch.no_grad()
def test_a_signal_keeps_its_size_through_all_stages():
    wave = torch.sin(torch.linspace(0.0, 20.0, 64))[None, None]
    stages = network().stages
    strong, weak = stages(30.0 * wave), stages(3.0 * wave)
    assert 7.0 < float(strong.std() / weak.std()) < 13.0
    assert 0.3 < float(weak.std() / (3.0 * wave).std()) < 3.0


@pytest.mark.parametrize("linear", [True, False], ids=["now", "before"])
@pytest.mark.parametrize("length", [50, 7, 2, 1])
def test_a_stage_halves_the_length_and_doubles_the_width(linear, length):
    stages = network(length, depth=2, linear_trunk=linear).stages
    left = stages(torch.zeros(3, 1, length))
    assert left.shape == (3, 64, max(length // 2 // 2, 1))


def test_a_network_from_before_computes_what_it_did():
    before = network(12, depth=1, dim_conv=2, linear_trunk=False)
    x = torch.randn(4, 1, 12, generator=torch.Generator().manual_seed(1))
    expected = x
    for block in (before.stages[0], before.stages[1]):
        hidden = torch.nn.functional.gelu(block.first(expected))
        expected = torch.nn.functional.gelu(block.shortcut(expected) + block.norm(block.second(hidden)))
    torch.testing.assert_close(before.stages(x), torch.nn.functional.max_pool1d(expected, 2))


def test_the_recipe_of_joined_parts_has_their_defaults():
    # Else a later default would make other networks of it.
    parts = [{"shape": (1, 20), "type": "resnet", **SEQUENCE}, {"shape": (1, 20), "type": "mlp", **FEW}]
    recipe = made(parts, lines((2, 20))).recipe
    assert [part["type"] for part in recipe["parts"]] == ["resnet", "mlp"]
    assert recipe["parts"][0]["linear_trunk"] is True and tuple(recipe["parts"][0]["shape"]) == (1, 20)


def test_short_series_take_one_thread_whatever_the_network():
    # A second one made a step ten times as slow on a busy machine.
    assert thread_count("resnet-gru", 100) == thread_count("attention", 999) == 1
    assert thread_count("resnet-gru", 5000) == thread_count("resnet-gru") >= 1
