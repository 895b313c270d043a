"""Every featurizer through one table of properties; sizes, parts, and what is refused."""

from __future__ import annotations

import json
from typing import ClassVar

import numpy as np
import pytest
import torch
from featurizer_cases import FEW, SEQUENCE, TABLE, made, seeded_summary
from line_cases import Lines, generator, lines
from torch import nn

from nbi_sampler.core.randomness import seeded_modules
from nbi_sampler.networks.featurizers import FEATURIZERS, Featurizer, featurizer_factory
from nbi_sampler.networks.training.noisy_data import NoisyData

SHAPES = [(1, 40), (1, 37), (3, 17), (1, 1), (2, 2), (1, 3), (4, 1)]
every_featurizer = pytest.mark.parametrize("name", TABLE)
every_shape = pytest.mark.parametrize("shape", SHAPES)


def test_the_table_has_every_featurizer():
    missing = set(FEATURIZERS) - set(TABLE)
    assert not missing, f"add a small row for {missing} to TABLE of featurizer_cases.py"


@every_featurizer
@every_shape
class TestEveryFeaturizer:
    def test_shapes_from_data_to_features(self, name, shape):
        data = lines(shape)
        featurizer = made(name, data)
        index = torch.arange(0, 300, 7)
        inputs = featurizer.inputs(data, index, generator())
        reduced = featurizer.reduce(data.signal[index])
        assert inputs.shape == reduced.shape and inputs.shape[0] == len(index)
        assert inputs.dtype == torch.float32
        features = featurizer(inputs)
        assert features.shape == (len(index), featurizer.n_features)
        assert torch.isfinite(features).all()
        assert featurizer(featurizer.reduce(torch.zeros(1, data.n_data))).shape == (1, featurizer.n_features)

    def test_gradients_reach_every_parameter(self, name, shape):
        data = lines(shape)
        featurizer = made(name, data).train()
        featurizer(featurizer.inputs(data, torch.arange(32), generator())).square().sum().backward()
        for label, parameter in featurizer.named_parameters():
            assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), label

    def test_noise_is_fresh_and_follows_the_generator(self, name, shape):
        data = lines(shape)
        featurizer = made(name, data)
        index, shared = torch.arange(20), generator(1)
        first = featurizer.inputs(data, index, shared)
        assert torch.equal(first, featurizer.inputs(data, index, generator(1)))
        assert not torch.equal(first, featurizer.inputs(data, index, shared))

    def test_inputs_have_a_scale_of_about_one_whatever_the_signal(self, name, shape):
        for size in (1e-3, 1.0, 1e4):
            data = lines(shape, size=size)
            inputs = made(name, data).inputs(data, torch.arange(300), generator())
            assert inputs.abs().max() < 12
            assert 0.1 < float(inputs.std()) < 3

    def test_absurd_predictions_stay_finite(self, name, shape):
        rng = np.random.default_rng(0)
        predictions = rng.normal(size=(100, shape[0] * shape[1]))
        predictions[::10] *= 1e30
        data = NoisyData(Lines(shape), predictions, {"sigma": np.ones(100)})
        featurizer = made(name, data)
        inputs = featurizer.inputs(data, torch.arange(100), generator())
        assert torch.isfinite(inputs).all() and torch.isfinite(featurizer(inputs)).all()

    def test_a_constant_model_is_no_crash(self, name, shape):
        data = NoisyData(Lines(shape), np.ones((50, shape[0] * shape[1])), {"sigma": np.ones(50)})
        featurizer = made(name, data)
        assert torch.isfinite(featurizer(featurizer.inputs(data, torch.arange(50), generator()))).all()


@every_featurizer
class TestDeterminism:
    def test_a_seed_decides(self, name):
        data = lines((2, 20))
        first, again, other = (made(name, data, seed=seed) for seed in (1, 1, 2))
        inputs = first.inputs(data, torch.arange(10), generator())
        assert torch.equal(first(inputs), again(inputs))
        assert not torch.equal(first(inputs), other(inputs))

    def test_parameters_survive_saving(self, name, tmp_path):
        data = lines((2, 20))
        featurizer, other = made(name, data), made(name, data, seed=2)
        torch.save(featurizer.state_dict(), tmp_path / "featurizer.pt")
        other.load_state_dict(torch.load(tmp_path / "featurizer.pt", weights_only=True))
        assert torch.equal(other(other.reduce(data.signal)), featurizer(featurizer.reduce(data.signal)))

    @pytest.mark.parametrize("sigma", [(1.0, 1.0), (0.3, 4.0)], ids=["known", "inferred"])
    def test_a_new_one_of_the_same_recipe_takes_the_saved_state(self, name, sigma, tmp_path):
        # Sizes that a fit had found were missing in one that was not fitted.
        data = lines((2, 20), sigma=sigma)
        featurizer = made(name, data)
        text = json.dumps(featurizer.recipe)
        what = json.loads(text) if featurizer.recipe else seeded_summary()
        with seeded_modules(np.random.default_rng(9)):
            other = featurizer_factory(what)(data.shape, 2)
        torch.save(nn.ModuleList([featurizer]).state_dict(), tmp_path / "state.pt")
        nn.ModuleList([other]).load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        assert other.n_features == featurizer.n_features
        expected = featurizer(featurizer.reduce(data.signal))
        assert torch.equal(other.eval()(other.reduce(data.signal)), expected)

    def test_channels_matter(self, name):
        data = lines((2, 20))
        featurizer = made(name, data)
        swapped = data.signal.view(-1, 2, 20).flip(1).reshape(-1, 40)
        difference = featurizer(featurizer.reduce(data.signal)) - featurizer(featurizer.reduce(swapped))
        assert difference.abs().max() > 1e-3

    def test_noise_that_is_not_white_goes_through_the_data(self, name):
        data = lines((2, 20), white=False)
        assert data.scale is None
        featurizer = made(name, data)
        inputs = featurizer.inputs(data, torch.arange(30), generator())
        expected = featurizer.reduce(data.draw(torch.arange(30), generator()))
        assert torch.equal(inputs, expected)


class TestSizes:
    @pytest.mark.parametrize("length", [1, 16, 50, 200, 1000, 4097])
    def test_a_recurrence_has_few_steps_however_long_the_data(self, length):
        with seeded_modules(np.random.default_rng(0)):
            featurizer = featurizer_factory("resnet-gru")((2, length), 3)
        steps = featurizer.network.stages(torch.zeros(1, 2, length)).shape[-1]
        assert steps == 1 if length == 1 else steps in (2, 3)

    @pytest.mark.parametrize("name", ["resnet-gru", "resnet", "gru", "attention"])
    def test_features_follow_the_number_of_parameters(self, name):
        with seeded_modules(np.random.default_rng(0)):
            found = [featurizer_factory(name)((1, 40), n).n_features for n in (1, 3, 8, 40)]
            asked = featurizer_factory({"type": name, "dim_out": 5})((1, 40), 3).n_features
        assert found == [64, 64, 128, 256] and asked == 5


class TestJoined:
    PARTS: ClassVar = [
        {"shape": (2, 10), "type": "resnet", **SEQUENCE},
        {"shape": [1, 7], "type": "mlp", **FEW},
    ]

    def test_each_part_sees_its_own_input(self):
        data = lines((1, 27))
        featurizer = made(self.PARTS, data)
        assert featurizer.n_features == 12
        before = featurizer(featurizer.reduce(data.signal))
        for columns, changed, same in (
            (slice(0, 20), slice(0, 6), slice(6, 12)),
            (slice(20, 27), slice(6, 12), slice(0, 6)),
        ):
            other = data.signal.clone()
            other[:, columns] += torch.randn(other[:, columns].shape, generator=generator())
            after = featurizer(featurizer.reduce(other))
            assert torch.equal(before[:, same], after[:, same])
            assert (before[:, changed] - after[:, changed]).abs().max() > 1e-3

    def test_a_part_is_what_it_would_be_alone(self):
        data = lines((1, 27))
        joined = made(self.PARTS, data)
        alone = NoisyData(Lines((1, 7)), data.signal[:, 20:].double().numpy(), {"sigma": np.ones(300)})
        second = joined.parts[1]
        mean = second.mean.clone()
        second.fit(alone, np.random.default_rng(0))
        assert torch.equal(mean, second.mean)

    @pytest.mark.parametrize(
        ("parts", "message"),
        [
            ([{"shape": (2, 10), "type": "mlp"}], "its parts hold 20 numbers, but the data hold 27"),
            ([], "its parts hold 0 numbers, but the data hold 27"),
            ([{"type": "mlp"}], 'parts: expected dictionaries with a "shape"'),
            ([{"shape": (1, 27), "type": "mlpp"}], "did you mean 'mlp'"),
            (["mlp"], 'parts: expected dictionaries with a "shape"'),
            ([{"shape": (1, 3, 3, 3), "type": "mlp"}], 'parts: expected dictionaries with a "shape"'),
        ],
    )
    def test_parts_that_do_not_make_up_the_data_are_refused(self, parts, message):
        with pytest.raises(ValueError, match=message):
            featurizer_factory(parts)((1, 27), 2)


class TestFactory:
    def test_auto_is_pca(self):
        assert type(featurizer_factory("auto")((1, 10), 2)) is type(featurizer_factory("pca")((1, 10), 2))

    def test_a_user_module_is_copied_and_left_in_its_mode(self):
        original = seeded_summary()
        factory = featurizer_factory(original)
        featurizer = factory((2, 10), 3)
        assert featurizer.n_features == 5 and original.training
        with torch.no_grad():
            for parameter in featurizer.parameters():
                parameter.zero_()
        assert all((parameter != 0).any() for parameter in original.parameters())

    def test_a_user_featurizer_is_taken_as_it_is(self):
        data = lines((2, 10))
        original = made("mlp", data)
        copied = featurizer_factory(original)((2, 10), 3)
        assert isinstance(copied, Featurizer) and copied is not original
        assert torch.equal(copied.mean, original.mean)

    @pytest.mark.parametrize(
        ("featurizer", "error", "message"),
        [
            ("resnetgru", ValueError, "featurizer: unknown name 'resnetgru'; did you mean 'resnet-gru'"),
            ({"type": "pcaa"}, ValueError, "did you mean 'pca'"),
            ({"type": "gru", "dimout": 3}, ValueError, "unknown setting 'dimout'; did you mean 'dim_out'"),
            ({"depth": 3}, ValueError, "featurizer: unknown setting 'depth'"),
            ({"type": "mlp", "hidden": 0}, ValueError, "hidden"),
            (7, TypeError, "featurizer: expected a name, a dictionary or an nn.Module, got int"),
        ],
    )
    def test_what_is_not_a_featurizer_is_refused(self, featurizer, error, message):
        with pytest.raises(error, match=message):
            featurizer_factory(featurizer)

    @pytest.mark.parametrize("name", ["resnet-gru", "resnet", "gru"])
    def test_channels_must_agree_with_the_data(self, name):
        with pytest.raises(ValueError, match=r"dim_in=2, but the data have 1 channel\(s\) of length 40"):
            featurizer_factory({"type": name, "dim_in": 2})((1, 40), 2)

    def test_a_module_for_other_data_is_refused_with_the_shape(self):
        with pytest.raises(ValueError, match=r"Summary failed on data of shape \(2, 1, 40\)"):
            featurizer_factory(seeded_summary())((1, 40), 2)
        with pytest.raises(ValueError, match=r"expected output of shape \(n, n_features\), got \(2, 1, 40\)"):
            featurizer_factory(nn.Identity())((1, 40), 2)
