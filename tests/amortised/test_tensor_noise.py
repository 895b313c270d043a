"""Noise of known laws as tensors: scale, law, device, and the same numbers as arrays give."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from nbi_sampler import NBI
from nbi_sampler.amortised import NoiseLevels, TensorNoise
from nbi_sampler.amortised.data_format import DataFormat, Observation
from nbi_sampler.amortised.noise import NoiseLaw
from nbi_sampler.amortised.training_set import SimulatedTargets
from nbi_sampler.networks.featurizers.base import SequenceInputs

CPU = torch.device("cpu")
T = np.linspace(0.0, 1.0, 12)
PREDICTIONS = 20.0 + np.linspace(0.5, 5.0, 400)[:, None] * np.sin(6.0 * T)


class OwnNoise(TensorNoise):
    """Of a user, with missing points."""

    def draw(self, x, generator):
        mask = torch.rand(x.shape, generator=generator, device=x.device) < 0.7
        noise = torch.randn(x.shape, generator=generator, device=x.device)
        return x + 0.3 * noise, torch.full_like(x, 0.3), mask


def targets_of(noise, predictions=PREDICTIONS):
    law = NoiseLaw(noise, predictions)
    data_format = DataFormat.learnt(*law(predictions, np.random.default_rng(0)))
    return SimulatedTargets(predictions, np.zeros((len(predictions), 1)), law, data_format, CPU), data_format


def survey(n=50):
    rng = np.random.default_rng(1)
    x = 20.0 + 3.0 * rng.normal(size=(n, 12))
    return x, 10.0 ** rng.uniform(-3, 1, size=(n, 12)), rng.random((n, 12)) < 0.7


@pytest.mark.parametrize("parts", ["x", "x, x_err", "x, x_err, mask", "x, level", "x, x_err, nan"])
def test_tensors_are_seen_as_arrays_are(parts):
    x, x_err, mask = survey()
    given = {
        "x": (x,),
        "x, x_err": (x, x_err),
        "x, x_err, mask": (x, x_err, mask),
        "x, level": (x, x_err[:, :1]),
        # Points that are not finite, or of no uncertainty, are missing where points may be.
        "x, x_err, nan": (np.where(x < 18.0, np.nan, x), np.where(x > 22.0, 0.0, x_err), mask),
    }[parts]
    data_format = DataFormat.learnt(*(part[10:] for part in given))
    # The largest and smallest of all are moved to the edge of what was learnt.
    given[0][0, :2] = 1e9, -1e9
    seen = data_format.encode(data_format.observation(*given))
    tensors = Observation(*(torch.from_numpy(part) for part in given))
    assert torch.equal(data_format.encode(data_format.observation_of_tensors(*tensors)), seen)
    assert seen.abs().max() > 1.0


@pytest.mark.parametrize("sigma", [0.3, np.linspace(0.1, 2.0, 12)])
def test_white_noise_has_its_size_in_every_point(sigma):
    data, data_format = targets_of(sigma)
    index = torch.full((20_000,), 7)
    drawn = data.draw(index, torch.Generator().manual_seed(1)).double() * data_format.scale[0, 0]
    np.testing.assert_allclose(drawn.std(0).numpy(), np.broadcast_to(sigma, 12), rtol=5 / np.sqrt(2 * 20_000))
    centre = (PREDICTIONS[7] - data_format.shift[0, 0]) / np.broadcast_to(sigma, 12)
    assert np.abs(drawn.mean(0).numpy() / sigma - centre).max() < 5 / np.sqrt(20_000)


@pytest.mark.parametrize("logarithmic", [False, True])
def test_levels_are_uniform_and_are_the_uncertainties(logarithmic):
    noise = NoiseLevels(0.05, 0.5, logarithmic=logarithmic)
    predictions = np.zeros((3000, 5))
    x, x_err = noise(predictions, np.random.default_rng(2))
    level = x_err[:, 0]
    assert (x_err == level[:, None]).all()
    if logarithmic:
        share = np.log(level / 0.05) / np.log(10.0)
    else:
        share = (level - 0.05) / 0.45
    assert stats.kstest(share, "uniform").pvalue > 1e-4
    assert stats.kstest((x / x_err).ravel(), "norm").pvalue > 1e-4
    one, its_error = noise(np.zeros(5), np.random.default_rng(3))
    assert one.shape == its_error.shape == (5,) and np.ptp(its_error) == 0.0


@pytest.mark.parametrize("noise", [None, 0.3, np.full(12, 0.3), NoiseLevels(0.1, 1.0), OwnNoise()])
def test_draws_follow_the_generator_alone(noise):
    data, _ = targets_of(noise)
    index = torch.arange(0, 400, 3)
    first = data.draw(index, torch.Generator().manual_seed(4))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        again = data.draw(index, torch.Generator().manual_seed(4))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(first, again) and first.dtype == torch.float32
    other = data.draw(index, torch.Generator().manual_seed(5))
    assert torch.equal(first, other) == (noise is None)
    # What was drawn has not touched the simulations.
    np.testing.assert_array_equal(data._predictions, PREDICTIONS)


class Careless(TensorNoise):
    """Makes its tensors on the default device and not on that of the data."""

    def draw(self, x, generator):
        return x + torch.zeros(x.shape)


@pytest.mark.parametrize("noise", [None, 0.3, np.full(12, 0.3), NoiseLevels(0.1, 1.0), OwnNoise()])
def test_every_tensor_is_made_on_the_device_of_the_data(noise):
    data, _ = targets_of(noise)
    index, generator = torch.arange(100), torch.Generator().manual_seed(6)
    with torch.device("meta"):
        drawn, signal = data.draw(index, generator), data.signal
    assert drawn.device == signal.device == CPU
    careless, _ = targets_of(Careless())
    with torch.device("meta"), pytest.raises(RuntimeError, match="device"):
        careless.draw(index, generator).sum().item()


def test_a_featurizer_learns_on_the_device_of_its_data():
    calls = []

    class Moved(SequenceInputs):
        def to(self, *arguments):
            calls.append("to")
            return super().to(*arguments)

        def fit(self, data, rng):
            calls.append("fit")
            super().fit(data, rng)

    with torch.random.fork_rng():
        featurizer = Moved(torch.nn.Linear(12, 4), 4, (1, 12), flat=True)
    engine = NBI("maf", featurizer, None, 0.3, [stats.uniform(0, 1)], seed=1, device="cpu")
    theta = np.random.default_rng(0).uniform(size=(200, 1))
    engine.fit(x=theta * T, y=theta, n_epochs=1)
    assert calls[:2] == ["to", "fit"]


def test_a_law_of_a_user_trains_without_arrays():
    class Watched(OwnNoise):
        n_draws = 0

        def draw(self, x, generator):
            type(self).n_draws += 1
            return super().draw(x, generator)

        def __call__(self, x, rng):
            assert len(x) > 100, "a batch was drawn as arrays"
            return super().__call__(x, rng)

    engine = NBI(
        "maf", "auto", lambda theta: theta[0] * T, Watched(), [stats.uniform(0, 1)], seed=1, device="cpu"
    )
    engine.fit(300, n_epochs=2, training={"n_threads": 1, "batch_size": 64})
    assert Watched.n_draws > 10 and engine.estimator_.data_format.has_mask
    samples, _ = engine.predict(0.5 * T, 0.3, np.ones(12, dtype=bool), n_samples=50)
    assert samples.shape == (50, 1)


@pytest.mark.parametrize("wrong", [(0.5, 0.1), (0.0, 1.0), (0.1, np.inf)])
def test_levels_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match="low, high: expected"):
        NoiseLevels(*wrong)
