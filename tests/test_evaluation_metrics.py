"""The metrics: against reference implementations, and on images whose answer is known."""

import numpy as np
import pytest
import torch
from monai.metrics import SSIMMetric
from scipy import ndimage
from scipy.spatial.distance import cdist
from scipy.stats import pearsonr
from skimage.feature import canny
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from xr2mri_core.errors import InputError
from xr2mri_core.evaluation import metrics
from xr2mri_core.phantom.tissues import Tissue


@pytest.fixture
def random():
    return np.random.default_rng(0)


def joint_and_labels(height=128, shift=0):
    """A dark femur and tibia in bright tissue (H, W), and their labels."""
    image = np.full((height, height), 0.7, np.float32)
    labels = np.full((height, height), int(Tissue.MUSCLE), np.uint8)
    parts = ((0, 58, Tissue.TRABECULAR_MARROW), (70, height, Tissue.TIBIA_MARROW))
    for top, bottom, tissue in parts:
        columns = slice(30 + shift, 98 + shift)
        image[top:bottom, columns] = 0.2
        labels[top:bottom, columns] = int(tissue)
    return image, labels


def test_psnr_of_a_known_error():
    truth = np.zeros((2, 8, 8), np.float32)
    assert metrics.psnr(truth, truth + 0.1) == pytest.approx(20, abs=1e-4)
    assert metrics.psnr(truth, truth) == float("inf")
    half = np.arange(128).reshape(2, 8, 8) < 64
    assert metrics.psnr(truth, np.where(half, 0.1, 0.0), half) == pytest.approx(20, abs=1e-4)


def test_eight_bit_slices_would_wrap_around_and_are_refused(random):
    """15.6 dB, printed as 29 by the textbook line on bytes."""
    true = random.integers(0, 256, (4, 64, 64)).astype(np.uint8)
    noise = random.normal(0, 49, true.shape)
    image = np.clip(true + noise, 0, 255).astype(np.uint8)
    printed = 10 * np.log10(255**2 / np.mean((true - image) ** 2))
    floats = [v.astype(np.float32) / 255 for v in (true, image)]
    assert metrics.psnr(*floats) == pytest.approx(15.6, abs=0.3)
    assert 28 < printed < 30
    unlike = 10 * np.log10(
        255**2 / np.mean((true - random.permutation(true.ravel()).reshape(true.shape)) ** 2)
    )
    assert abs(unlike - printed) < 1.5  # whatever the pictures
    for measure in (metrics.psnr, metrics.ssim, metrics.ms_ssim):
        with pytest.raises(InputError, match="slices of type uint8: metrics take floats"):
            measure(true, image)


def test_multi_scale_ssim_agrees_with_another_implementation(random):
    smooth = ndimage.gaussian_filter(random.random((2, 192, 192)), (0, 3, 3)).astype(np.float32)
    truth = (smooth - smooth.min()) / np.ptp(smooth)
    image = np.clip(truth + random.normal(0, 0.1, truth.shape), 0, 1).astype(np.float32)

    def filtered(picture):
        wide = ndimage.gaussian_filter(picture, 1.5, truncate=5 / 1.5, mode="constant")
        return wide[5:-5, 5:-5]

    for k, ours in enumerate(metrics.ms_ssim(truth, image)):
        a, b, product = truth[k].astype(float), image[k].astype(float), 1.0
        for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
            mean_a, mean_b = filtered(a), filtered(b)
            var_a, var_b = filtered(a * a) - mean_a**2, filtered(b * b) - mean_b**2
            cs = (2 * (filtered(a * b) - mean_a * mean_b) + 9e-4) / (var_a + var_b + 9e-4)
            light = (2 * mean_a * mean_b + 1e-4) / (mean_a**2 + mean_b**2 + 1e-4)
            product *= max((cs * light if scale == 4 else cs).mean(), 0) ** weight
            a, b = (v.reshape(len(v) // 2, 2, -1, 2).mean((1, 3)) for v in (a, b))
        assert ours == pytest.approx(product, abs=1e-4)
    assert np.isnan(metrics.ms_ssim(truth[:, :96], image[:, :96])).all()


def test_ssim_equals_monai_and_scikit_image(random):
    truth, image = random.random((2, 3, 40, 40), np.float32)
    image = 0.7 * truth + 0.3 * image
    ours = metrics.ssim(truth, image)
    pair = (torch.from_numpy(a)[:, None] for a in (image, truth))
    monai = SSIMMetric(spatial_dims=2, data_range=1.0)(*pair).numpy()[:, 0]
    np.testing.assert_allclose(ours, monai, atol=1e-6)
    for k in range(3):
        _, local = structural_similarity(
            truth[k], image[k], data_range=1.0, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False, full=True,
        )  # fmt: skip
        assert ours[k] == pytest.approx(local[5:-5, 5:-5].mean(), abs=1e-4)


def test_the_region_runs_from_the_lower_femur_to_the_upper_tibia():
    _, labels = joint_and_labels()
    rows, columns = metrics.joint_region(labels)
    assert rows == slice(57 - 57 // 3, 70 + 57 // 3 + 1)
    assert columns == slice(30 - 8, 97 + 9)
    labels[labels == Tissue.TIBIA_MARROW] = 0
    assert metrics.joint_region(labels) is None


def test_without_labels_the_region_is_the_middle():
    assert metrics.joint_region(None, (256, 256)) == (slice(85, 171), slice(42, 214))


def test_edges_reward_the_right_place_and_not_emptiness():
    image, labels = joint_and_labels()
    moved, _ = joint_and_labels(shift=6)
    near, _ = joint_and_labels(shift=1)
    reference = metrics.Reference.of(image[None], labels[None])
    same, close, off = (reference.compare(a[None]) for a in (image, near, moved))
    empty = reference.compare(np.full_like(image, 0.5)[None])
    assert same["rssim"] == pytest.approx(1) and same["edge_f1"] == 1
    assert same["edge_distance_mm"] == 0
    assert close["edge_f1"] == 1 and close["edge_distance_mm"] > 0
    assert off["edge_f1"] < 0.8 and off["edge_distance_mm"] > close["edge_distance_mm"]
    assert empty["edge_f1"] == 0 and np.isnan(empty["edge_distance_mm"])
    assert empty["rssim"] == pytest.approx(reference.floor())
    assert 0 < reference.floor() < same["rssim"]


def test_psnr_edges_and_correlation_agree_with_other_implementations(random):
    image, labels = joint_and_labels()
    other = np.clip(joint_and_labels(shift=3)[0] + 0.05 * random.random(image.shape), 0, 1)
    other = other.astype(np.float32)
    reference = metrics.Reference.of(image[None], labels[None])
    found = reference.compare(other[None])
    expected = peak_signal_noise_ratio(image, other, data_range=1)
    assert found["psnr"] == pytest.approx(expected, rel=1e-5)

    edges = [canny(v.astype(float), sigma=3) for v in (image, other)]
    local = structural_similarity(
        *(v.astype(float) for v in edges), data_range=1, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, full=True,
    )[1]  # fmt: skip
    region = reference.regions[0]
    assert found["rssim"] == pytest.approx(local[region].mean(), abs=1e-4)
    inside = np.zeros(image.shape, bool)
    inside[region] = True
    true, own = (np.argwhere(v & inside) for v in edges)
    every = [np.argwhere(v) for v in edges]  # a partner may lie outside the region
    to_own, to_true = cdist(true, every[1]).min(1), cdist(own, every[0]).min(1)
    precision, recall = (to_true <= 2).mean(), (to_own <= 2).mean()
    assert found["edge_f1"] == pytest.approx(2 * precision * recall / (precision + recall))
    distance = np.concatenate([to_true, to_own]).mean() * metrics.PIXEL_MM
    assert found["edge_distance_mm"] == pytest.approx(distance)

    body = metrics.body_mask((image + other)[None] / 2)[0]
    correlation = metrics.adjacent_correlation(np.stack([image, other]))[0]
    assert correlation == pytest.approx(pearsonr(image[body], other[body])[0], abs=1e-6)


def test_slices_without_a_joint_do_not_count():
    image, labels = joint_and_labels()
    muscle = np.full_like(image, 0.7)
    pair = np.stack([image, muscle]), np.stack([labels, np.full_like(labels, Tissue.MUSCLE)])
    reference = metrics.Reference.of(*pair)
    assert reference.regions[1] is None
    wrong_there = np.stack([image, image])
    assert reference.compare(wrong_there)["rssim"] == pytest.approx(1)


def test_adjacent_correlation_of_identical_and_independent_slices(random):
    slices = 0.2 + 0.6 * random.random((1, 64, 64)).astype(np.float32)
    np.testing.assert_allclose(metrics.adjacent_correlation(slices.repeat(4, 0)), 1, atol=1e-6)
    independent = 0.2 + 0.6 * random.random((4, 64, 64)).astype(np.float32)
    assert np.abs(metrics.adjacent_correlation(independent)).max() < 0.1
    assert np.isnan(metrics.adjacent_correlation(np.zeros((2, 64, 64), np.float32))).all()
    assert metrics.adjacent_correlation(slices).size == 0


def test_background_noise_does_not_lower_the_correlation(random):
    slices = np.repeat(joint_and_labels()[0][None], 2, 0)
    slices[:, :, :20] = slices[:, :, 108:] = 0
    clean = metrics.adjacent_correlation(slices)[0]
    noisy = slices + (slices == 0) * 0.02 * random.random(slices.shape)
    assert metrics.adjacent_correlation(noisy)[0] > clean - 0.02


def spot(value):
    image = np.full((3, 64, 64), 0.5, np.float32)
    image[1, 20:28, 30:38] += value
    return image


@pytest.mark.parametrize(
    ("value", "gain", "agreement"), [(0.4, 1, 1), (0.2, 0.5, 1), (-0.4, -1, 0), (0, 0, 0)]
)
def test_feature_response_says_how_much_and_which_way(value, gain, agreement, random):
    blank = spot(0)
    noise = 0.01 * random.standard_normal(blank.shape).astype(np.float32)
    on = spot(value) + noise * (blank == spot(0.4))
    found = metrics.feature_response(blank, on, blank, spot(0.4))
    assert found["voxels"] == 64
    assert found["gain"] == pytest.approx(gain, abs=1e-3)
    assert found["agreement"] == pytest.approx(agreement)
    assert found["inside"] == pytest.approx(abs(value), abs=1e-3)
    assert (found["ratio"] > 5) == (value != 0)


def test_a_feature_that_changes_nothing_gives_no_answer():
    found = metrics.feature_response(spot(0), spot(0.4), spot(0), spot(0))
    assert found["voxels"] == 0 and np.isnan(found["ratio"])
