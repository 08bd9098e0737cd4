"""Grain: measured where texture was lost, and drawn with that strength, colour and coherence."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from xr2mri_core.diffusion import DepthNoise
from xr2mri_core.networks import Grain
from xr2mri_core.networks.grain import BINS, SIGMAS, band_of, measured_grain
from xr2mri_core.training import measure_grain
from xr2mri_core.training.cache import to_bytes

DEPTHS = np.linspace(0.3, 0.3 + 11 / 49, 12)


def scene():
    """Smooth slices (12, 96, 96) with a dark and a bright half and a border between."""
    columns = np.linspace(-4, 4, 96)
    return np.broadcast_to(0.5 * np.tanh(3 * columns), (12, 96, 96)).astype(np.float32)


@pytest.fixture(scope="module")
def grain():
    """Grain measured on bright tissue that is three times as grainy as dark, 1.2 slices long."""
    plain = scene()
    noise = DepthNoise((96, 96), length=1.2, seed=4)(DEPTHS).numpy()
    true = plain + np.where(plain > 0, 0.09, 0.03) * noise
    std, length = measured_grain([(true, plain)])
    module = Grain()
    module.std.copy_(torch.from_numpy(std))
    module.length.copy_(torch.from_numpy(length))
    return module


def test_a_new_module_changes_nothing():
    images = torch.rand(3, 1, 32, 32)
    module = Grain()
    assert not module.measured and torch.equal(module(images, DEPTHS[:3], 0), images)


def test_strength_follows_the_grey_value_and_length_the_depth(grain):
    dark, bright = round(0.25 * (BINS - 1)), round(0.75 * (BINS - 1))
    for band in range(len(SIGMAS) - 1):
        assert grain.std[band, bright] == pytest.approx(3 * float(grain.std[band, dark]), rel=0.15)
    assert np.allclose(grain.length.numpy(), 1.2, atol=0.2)


def test_what_is_drawn_is_as_strong_and_as_long_as_what_was_lost(grain):
    plain = scene()
    lost = np.where(plain > 0, 0.09, 0.03) * DepthNoise((96, 96), 1.2, 9)(DEPTHS).numpy()
    made = grain(torch.from_numpy(plain.copy())[:, None], DEPTHS, seed=3)[:, 0].numpy() - plain
    for half in (slice(4, 30), slice(66, 92)):
        for band in range(len(SIGMAS) - 1):
            a, b = (band_of(v, band)[:, :, half].std() for v in (made, lost))
            assert a == pytest.approx(b, rel=0.15)
    lags = [float((v[1:] * v[:-1]).mean() / np.square(v).mean()) for v in (made, lost)]
    assert lags[0] == pytest.approx(lags[1], abs=0.06)


def test_a_blurred_border_does_not_count_as_texture():
    plain = scene()
    sharp = np.sign(plain) * 0.5
    noise = 0.02 * np.random.default_rng(0).normal(size=plain.shape)
    std, _ = measured_grain([(sharp + noise, plain)])
    fine = band_of(noise, 0).std()
    assert std[0, int(0.25 * (BINS - 1))] == pytest.approx(fine, rel=0.15)


def test_a_slice_has_the_same_grain_in_whatever_batch(grain):
    images = torch.from_numpy(scene().copy())[:, None]
    whole = grain(images, DEPTHS, seed=1)
    part = grain(images[4:7], DEPTHS[4:7], seed=1)
    assert torch.equal(whole[4:7], part)
    assert not torch.equal(whole, grain(images, DEPTHS, seed=2))


def test_samples_have_grain_and_means_have_none(volume_generator, radiograph):
    module = volume_generator.model.grain
    before = {kind: volume_generator.generate(radiograph, num_slices=4, kind=kind).volume
              for kind in ("mean", "sample")}  # fmt: skip
    module.std.fill_(0.05)
    try:
        grained = {kind: volume_generator.generate(radiograph, num_slices=4, kind=kind).volume
                   for kind in ("mean", "sample")}  # fmt: skip
    finally:
        module.std.zero_()
    np.testing.assert_array_equal(grained["mean"], before["mean"])
    fine = [v - gaussian_filter(v, (2, 0, 2)) for v in (grained["sample"], before["sample"])]
    assert fine[0].std() > fine[1].std()


@pytest.mark.parametrize("count", [25, 50, 100])
def test_the_length_along_depth_is_told_in_slices_of_the_usual_fifty(count):
    """However many slices of the window the truth has."""
    texture = 0.3 * DepthNoise((96, 96), 2.667, 1)(np.linspace(0, 1, count)).numpy()
    arrays = {"slices": to_bytes(texture)[None]}
    slices = type("Slices", (list,), {"arrays": arrays, "slices_per_case": count})([0])
    model = SimpleNamespace(grain=Grain(), to_latent=lambda x: x, to_image=torch.zeros_like)
    measure_grain(model, slices, torch.device("cpu"))
    assert float(model.grain.length) == pytest.approx(2.667, rel=0.1)
