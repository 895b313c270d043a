"""Images through the engine: format, masks, noise, store, inference and files."""

from __future__ import annotations

import bilby.core.prior as bp
import numpy as np
import pytest
import torch

from nbi_sampler import NBI
from nbi_sampler.amortised import NoiseLevels, TensorNoise
from nbi_sampler.amortised.data_format import DataFormat, Observation
from nbi_sampler.amortised.setup import suited_to

ROWS, COLUMNS = np.mgrid[:6, :8]
BANDS = np.array([1.0, 3.0])[:, None, None]
SMALL = {"type": "resnet2d", "dim_conv": 4, "dim_conv_max": 8, "dim_out": 16}
QUICK = {"n_threads": 1, "batch_size": 64}


def ramp(parameters):
    """Two bands of a plane that is linear in both parameters, so that the posterior is known."""
    return BANDS * (parameters["flux"] + parameters["slope"] * (COLUMNS - 3.5) / 3.5)


def priors():
    return bp.PriorDict({"flux": bp.Gaussian(0.0, 1.0), "slope": bp.Gaussian(0.0, 1.0)})


def images(n=200, seed=0):
    rng = np.random.default_rng(seed)
    x = np.array([1.0, 50.0])[:, None, None] * rng.normal(size=(n, 2, 6, 8))
    return x, np.full((n, 2, 6, 8), 0.3) * BANDS, rng.random((n, 6, 8)) < 0.8


def exact(x, sigma, present):
    design = np.stack([ramp({"flux": 1.0, "slope": 0.0}), ramp({"flux": 0.0, "slope": 1.0})], -1)[:, present]
    design, data = design.reshape(-1, 2) / sigma, x[:, present].ravel() / sigma
    covariance = np.linalg.inv(np.eye(2) + design.T @ design)
    return covariance @ design.T @ data, np.sqrt(np.diag(covariance))


def test_bands_have_scales_of_their_own_and_missing_pixels_are_blank_in_all():
    x, x_err, mask = images()
    data_format = DataFormat.learnt(x, x_err, mask)
    assert data_format.roles == ("value",) * 2 + ("log_uncertainty",) * 2 + ("mask",)
    assert data_format.shape == (5, 48) and data_format.image_size == (6, 8)
    assert data_format.scale[1] > 30 * data_format.scale[0]
    seen = data_format.encode(data_format.observation(x, x_err, mask)).numpy()
    assert np.all(seen.transpose(0, 2, 1)[~mask.reshape(200, 48)] == 0.0)
    hidden = np.where(mask[:, None], x, np.nan)
    np.testing.assert_array_equal(data_format.encode(data_format.observation(hidden, x_err, mask)), seen)
    tensors = Observation(*(torch.from_numpy(part) for part in (x, x_err, mask)))
    np.testing.assert_array_equal(data_format.encode(data_format.observation_of_tensors(*tensors)), seen)
    np.testing.assert_array_equal(data_format.as_data(data_format.as_channels(x)), x)


@pytest.mark.parametrize("shape", [(), (6, 8), (4, 6, 8), (2, 6, 8), (4, 2, 6, 8)], ids=str)
def test_uncertainties_of_images_broadcast(shape):
    x, x_err, _ = images()
    given = np.arange(1.0, 1.0 + np.prod(shape, dtype=int)).reshape(shape)
    found = DataFormat.learnt(x, x_err).observation(x[:4], given).x_err
    axes = given[:, None] if shape == (4, 6, 8) else given
    np.testing.assert_array_equal(found.reshape(4, 2, 6, 8), np.broadcast_to(axes, (4, 2, 6, 8)))


@pytest.mark.parametrize("shape", [(6, 8), (4, 6, 8), (1, 6, 8)], ids=str)
def test_masks_of_images_broadcast(shape):
    x, x_err, mask = images()
    given = np.random.default_rng(1).random(shape) < 0.5
    found = DataFormat.learnt(x, x_err, mask).observation(x[:4], x_err[:4], given).mask
    np.testing.assert_array_equal(found.reshape(4, 6, 8), np.broadcast_to(given, (4, 6, 8)))


def test_a_mask_for_each_band_is_refused():
    x, x_err, mask = images()
    with pytest.raises(ValueError, match="x_mask: expected shape"):
        DataFormat.learnt(x, x_err, mask).observation(x[:4], x_err[:4], np.ones((4, 2, 6, 8)))


def test_a_format_from_before_images_had_bands_is_read_as_it_was():
    # Its file has one channel of all numbers.
    one = np.ones((1, 1))
    before = DataFormat((2, 6, 8), ("value",), False, False, 0 * one, one, -9 * one, 9 * one)
    x = images(3)[0] / 50.0
    assert before.shape == (1, 96)
    np.testing.assert_array_equal(before.encode(before.observation(x))[:, 0], x.reshape(3, 96).astype("f4"))


@pytest.mark.parametrize("shape", [(48,), (6, 8)], ids=str)
def test_series_are_refused_with_the_shape_that_images_have(shape):
    data_format = DataFormat.learnt(np.random.default_rng(0).normal(size=(50, *shape)))
    with pytest.raises(ValueError, match=r"expected data of shape \(channels, height, width\)"):
        suited_to("resnet2d", data_format)


def test_a_band_of_every_image_has_a_level_of_its_own():
    x_err = NoiseLevels(0.1, 1.0)(np.zeros((3, 2, 6, 8)), np.random.default_rng(1))[1]
    levels = x_err[:, :, 0, 0]
    assert (x_err == levels[:, :, None, None]).all() and len(np.unique(levels)) == 6


class WithBadPixels(TensorNoise):
    """Known noise; a fifth of the pixels is missing."""

    def draw(self, x, generator):
        noise = torch.randn(x.shape, generator=generator, device=x.device)
        present = torch.rand(x[:, 0].shape, generator=generator, device=x.device) > 0.2
        return x + 2.0 * noise, torch.full_like(x, 2.0), present


@pytest.mark.slow
def test_a_trained_engine_gives_the_posterior_of_images_with_bad_pixels(tmp_path):
    flow = {"flow_hidden": 32, "num_blocks": 1, "n_mog": 2}
    engine = NBI(flow, SMALL, ramp, WithBadPixels(), priors(), seed=3, device="cpu")
    engine.fit(n_sims=2000, n_epochs=15, store=tmp_path / "images.h5", training=QUICK, print_method="none")
    rng = np.random.default_rng(5)
    theta = rng.normal(size=(20, 2))
    x = np.array([ramp({"flux": a, "slope": b}) for a, b in theta]) + 2.0 * rng.normal(size=(20, 2, 6, 8))
    mask = rng.random((20, 6, 8)) < 0.8
    found = engine.infer(x, 2.0, mask, n_samples=500)
    assert np.median([each.efficiency for each in found]) > 0.5
    for each, image, present in zip(found, x, mask, strict=True):
        mean, deviation = exact(image, 2.0, present)
        error = deviation / np.sqrt(each.ess)
        assert (np.abs(each.mean - mean) < 5.0 * error).all()
    # What stands in place of a missing pixel is of no account.
    spoilt = np.where(mask[:, None], x, np.nan)
    np.testing.assert_array_equal(engine.infer(spoilt, 2.0, mask, n_samples=500)[0].weights, found[0].weights)
    engine.save(tmp_path / "images.nbi")
    again = NBI.load(tmp_path / "images.nbi", simulator=ramp, noise=WithBadPixels(), device="cpu")
    np.testing.assert_array_equal(again.infer(x, 2.0, mask, n_samples=500)[3].samples, found[3].samples)
