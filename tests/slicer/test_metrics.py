"""The module's own numbers and encodings, free of Slicer, against the libraries of the project."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from xr2mri_client.errors import FormError
from xr2mri_core.evaluation import metrics
from xr2mri_core.transforms import mri as transforms_mri
from xr2mri_core.transforms.radiograph_file import read_radiograph
from XR2MRILib import nrrd
from XR2MRILib.metrics import CLIP_PERCENTILES, NoOverlap, compare, psnr, sobel, ssim
from XR2MRILib.request import Request


@pytest.fixture
def pair():
    """Two pictures (40, 48) in [0, 1] that resemble each other."""
    noise = np.random.default_rng(3).random((2, 40, 48))
    truth = ndimage.gaussian_filter(noise[0], 2) * 2 - 0.5
    return np.clip(truth, 0, 1), np.clip(truth + 0.2 * (noise[1] - 0.5), 0, 1)


def test_psnr_and_ssim_are_those_of_the_evaluation(pair):
    truth, image = (picture.astype(np.float32) for picture in pair)
    assert psnr(truth, image) == pytest.approx(metrics.psnr(truth, image))
    assert ssim(truth, image) == pytest.approx(metrics.ssim(truth[None], image[None])[0], abs=1e-5)
    assert psnr(truth, truth) == np.inf and ssim(truth, truth) == pytest.approx(1)


def test_sobel_is_one_at_a_step(pair):
    down, across = (ndimage.sobel(pair[0], axis, mode="nearest") for axis in (0, 1))
    np.testing.assert_allclose(sobel(pair[0]), np.hypot(down, across) / 4, atol=1e-6)
    step = np.zeros((5, 6))
    step[:, 3:] = 1
    assert sobel(step).max() == 1


def affine_of(spacing, centre=(0, 0, 0), shape=(1, 1, 1)):
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = np.subtract(centre, np.multiply(np.subtract(shape, 1) / 2, spacing))
    return affine


@pytest.fixture
def smooth():
    """A smooth volume (24, 6, 30) in [0, 1], a tenth of it at the top grey, with its affine."""
    noise = np.random.default_rng(5).random((24, 6, 30))
    smooth = ndimage.gaussian_filter(noise, 2)
    low, high = smooth.min(), np.percentile(smooth, 90)
    array = np.clip((smooth - low) / (high - low), 0, 1)
    return array.astype(np.float32), affine_of((2, 3, 2), shape=array.shape)


def test_the_same_volume_in_other_axes_and_units_does_not_differ(smooth):
    array, affine = smooth
    turned = np.transpose(array[::-1], (2, 0, 1)) * 900  # (Z, flipped X, Y), as a scanner's
    there = np.eye(4)
    there[:3, 0], there[:3, 1], there[:3, 2] = affine[:3, 2], -affine[:3, 0], affine[:3, 1]
    there[:3, 3] = affine[:3, 3] + affine[:3, 0] * (array.shape[0] - 1)
    found = compare(array, affine, turned.astype(np.int16), there)
    assert found.ssim.shape == (6,)
    assert np.abs(found.difference).mean() < 0.03, "but for the percentile that becomes 1"
    assert found.volume_ssim > 0.98 and found.volume_psnr > 30 and np.abs(found.edges).max() < 0.1


def test_resampling_is_trilinear(smooth):
    array, affine = smooth
    moved = affine.copy()
    moved[:3, 3] += (0.5, -1.0, 0.3)
    found = compare(array, affine, array, moved)
    at = np.indices(array.shape) - np.array([0.25, -1 / 3, 0.15]).reshape(3, 1, 1, 1)
    expected = ndimage.map_coordinates(array, at, order=1, mode="nearest")
    low, high = np.percentile(array[::2, ::2, ::2], CLIP_PERCENTILES)
    expected = np.clip((expected - low) / (high - low), 0, 1)
    inner = np.s_[2:-2, 1:-1, 2:-2]
    real = array - found.difference
    np.testing.assert_allclose(real[inner], expected[inner], atol=1e-4)


def test_a_real_volume_is_normalised_as_those_of_the_training():
    assert CLIP_PERCENTILES == transforms_mri.CLIP_PERCENTILES


def test_volumes_that_lie_apart_are_refused_or_aligned(smooth):
    array, affine = smooth
    far = affine.copy()
    far[:3, 3] += 500
    with pytest.raises(NoOverlap, match="covers 0 %"):
        compare(array, affine, array, far)
    found = compare(array, affine, array, far, align_centres=True)
    assert found.volume_ssim > 0.9


def test_a_comparison_can_be_ended(smooth):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(*smooth, *smooth, check=stop)


TYPES = ("?", "u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "g")


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("channels", [0, 3])
def test_the_server_reads_what_is_encoded(tmp_path, dtype, channels):
    shape = (40, 56, channels) if channels else (40, 56)
    picture = np.random.default_rng(1).integers(0, 100, shape).astype(dtype)
    if channels:
        picture[...] = picture[..., :1]
    (tmp_path / "sent").write_bytes(nrrd.encode(picture, (0.2, 0.3)))
    pixels, info = read_radiograph(tmp_path / "sent")
    np.testing.assert_allclose(pixels, picture[..., 0] if channels else picture, atol=1e-3)
    assert info["spacing_mm"] == pytest.approx((0.2, 0.3)) and info["laterality"] is None


@pytest.mark.parametrize(
    ("values", "becomes"),
    [
        ([-5, 7], "int32"),
        ([0, 2**32 - 1], "uint32"),
        ([-1, 2**32 - 1], "float64"),
        ([0, 2**52], "float64"),
    ],
)
def test_integers_of_64_bits_keep_their_values(values, becomes):
    picture = np.array([values] * 2, np.int64)
    made = nrrd.common(picture)
    assert made.dtype == becomes and np.array_equal(made, picture)


def test_pixels_that_are_no_numbers_are_refused():
    with pytest.raises(TypeError, match="complex64"):
        nrrd.encode(np.zeros((20, 20), np.complex64), (1.0, 1.0))


@pytest.mark.parametrize("dtype", [bool, np.float16, np.int64, np.uint64])
def test_a_real_volume_of_any_type_is_compared(smooth, dtype):
    generated, affine = smooth
    real = (generated > 0.5).astype(dtype)
    found = compare(generated, affine, real, affine)
    assert np.array_equal(found.difference, generated - real.astype(np.float32))


def test_a_spacing_of_one_is_unknown_to_the_server(tmp_path):
    picture = np.arange(1600, dtype=np.uint16).reshape(40, 40)
    (tmp_path / "sent").write_bytes(nrrd.encode(picture, (1.0, 1.0)))
    assert read_radiograph(tmp_path / "sent")[1]["spacing_mm"] is None


def test_a_request_comes_back_from_its_attribute():
    request = Request({"V00XRKL": 2}, "L", (1, 2, 30, 40), 100, samples=3, seed=2**40)
    request = replace(request, demographics={"age": 61, "sex": "F"})
    assert Request.from_json(request.to_json()) == request
    assert request.parameters() == {
        "features": {"V00XRKL": 2},
        "demographics": {"age": 61, "sex": "F"},
        "laterality": "L",
        "box": [1, 2, 30, 40],
        "num_slices": 100,
        "samples": 3,
        "seed": 2**40,
    }
    changed = request.what_if({"V00XRKL": None, "V00XRJSM": 1}, 9)
    assert (dict(changed.features), changed.seed) == ({"V00XRJSM": 1}, 9)
    for text in ("", "[]", "{", '{"box": 3}'):
        with pytest.raises(FormError):
            Request.from_json(text)
