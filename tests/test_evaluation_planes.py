"""What tells how a volume holds in three planes, on volumes whose answer is known."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import pearsonr
from skimage.metrics import structural_similarity

from xr2mri_core.evaluation import planes
from xr2mri_core.evaluation.figures import plane_pictures
from xr2mri_core.evaluation.metrics import ssim

RNG = np.random.default_rng(0)
NOISE = RNG.normal(0.5, 0.1, (40, 48, 56)).astype(np.float32)


def body(jitter=0.0, seed=1):
    """A bright ellipsoid whose border moves by `jitter` pixels from slice to slice."""
    depth, rows, columns = np.mgrid[:40, :48, :56]
    move = np.random.default_rng(seed).normal(0, jitter, (40, 1, 1))
    radius = np.sqrt(
        ((depth - 20) / 26) ** 2 + ((rows - 24) / 20) ** 2 + ((columns - 28) / 22) ** 2
    )
    return 1 / (1 + np.exp((radius - 0.8 + move / 20) * 40)).astype(np.float32)


def test_white_noise_is_three_times_as_rough_as_it_is_far():
    assert planes.rough(NOISE) == pytest.approx(3, rel=0.03)


def test_a_ramp_along_depth_is_not_rough_and_has_no_spikes():
    ramp = np.linspace(0, 1, 40, dtype=np.float32)[:, None, None] * np.ones((1, 48, 56), np.float32)
    assert planes.rough(ramp) == pytest.approx(0, abs=1e-6) and planes.comb(ramp) == 0


def test_a_border_that_jitters_is_a_comb():
    still, moving = body(), body(1.5)
    assert planes.comb(still) < 0.02
    assert planes.comb(moving) > planes.comb(still) + 0.1
    assert planes.rough(moving) > 3 * planes.rough(still)


def test_jitter_cannot_have_all_lags_of_the_truth():
    truth = body() + 0.4 * gaussian_filter(NOISE, (1.2, 0, 0))
    blurred = gaussian_filter(truth, (3, 0, 0))
    lags = [planes.lag_correlation(truth, k) for k in planes.LAGS]
    assert lags == sorted(lags, reverse=True)
    for share in np.linspace(0, 0.5, 200):
        jittered = blurred + share * (NOISE - 0.5)
        if planes.lag_correlation(jittered, 1) <= lags[0]:
            break
    assert planes.lag_correlation(jittered, 1) == pytest.approx(lags[0], abs=0.01)
    assert planes.lag_correlation(jittered, 2) > lags[1] + 0.01


def test_coherence_agrees_with_voxel_for_voxel_counting():
    volume = body(1.0)[:12, ::6, ::6]
    lines = volume.reshape(12, -1).T.tolist()
    second = [(a - 2 * b + c) ** 2 for v in lines for a, b, c in zip(v, v[1:], v[2:], strict=False)]
    across = [(c - a) ** 2 for v in lines for a, c in zip(v, v[2:], strict=False)]
    assert planes.rough(volume) == pytest.approx(np.mean(second) / np.mean(across), rel=1e-4)
    shares = []
    for level in planes.COMB_LEVELS:
        spikes = changes = 0
        for line in lines:
            bright = [value > level * np.percentile(volume, 99) for value in line]
            for a, b, c in zip(bright, bright[1:], bright[2:], strict=False):
                changes += a != b or b != c
                spikes += a == c != b
        shares.append(spikes / changes)
    assert planes.comb(volume) == pytest.approx(np.mean(shares))
    pairs = [pearsonr(volume[k].ravel(), volume[k + 2].ravel())[0] for k in range(10)]
    assert planes.lag_correlation(volume, 2) == pytest.approx(np.mean(pairs), abs=1e-6)


def test_power_is_that_of_the_wave_that_is_there():
    columns = np.arange(256)
    wave = 0.5 + 0.2 * np.cos(2 * np.pi * 64 * columns / 256)
    slices = np.broadcast_to(wave, (8, 256, 256)).astype(np.float32)
    own = planes.power(slices)
    assert own[64] > 1e6 * own[32] and own[64] > 1e6 * own[96]
    ratio = planes.texture(slices, 0.5 + 0.5 * (slices - 0.5))
    assert ratio["power64"] == pytest.approx(0.25, rel=1e-3)


def test_similarity_in_other_planes_is_that_of_the_turned_volume():
    truth, image = body(), body(1.0)
    values = planes.in_planes(truth, image)
    sagittal = [planes.reformatted(v, "sagittal")[2::4] for v in (truth, image)]
    assert sagittal[0].shape == (14, 48, 40)
    assert values["ssim_sagittal"] == pytest.approx(float(ssim(*sagittal).mean()))
    assert planes.reformatted(truth, "axial").shape == (48, 40, 56)
    assert planes.in_planes(truth, truth)["f1_axial"] == 1
    with pytest.raises(ValueError, match="sagittal and axial"):
        planes.reformatted(truth, "oblique")


def test_three_dimensional_similarity_agrees_with_another_implementation():
    truth, image = body(), body(1.0)
    other = structural_similarity(
        truth, image, data_range=1, gaussian_weights=True, sigma=1.5, truncate=2.0,
        use_sample_covariance=False, full=True,
    )[1][3:-3, 3:-3, 3:-3].mean()  # fmt: skip
    assert planes.ssim_3d(truth, image) == pytest.approx(other, abs=2e-3)


def test_thin_volumes_have_no_third_dimension():
    thin = NOISE[:2]
    assert np.isnan(planes.rough(thin)) and np.isnan(planes.comb(thin))
    values = planes.in_planes(thin, thin)
    assert all(np.isnan(value) for value in values.values())


@pytest.mark.filterwarnings("error")
def test_pictures_without_an_edge_do_not_count_as_found():
    truth, image = body(), body(jitter=4.0)
    found = planes.in_planes(truth, image)
    padding = ((0, 0), (0, 64), (0, 64))  # columns and rows in which there is nothing
    wide = planes.in_planes(np.pad(truth, padding), np.pad(image, padding))
    for name in ("f1_sagittal", "f1_axial"):
        assert 0 < found[name] < 1
        assert wide[name] == pytest.approx(found[name], abs=0.1)
        assert np.isnan(planes.in_planes(0 * truth, 0 * truth)[name])


def test_a_fitting_deviation_scores_one():
    truth = np.zeros((4, 50, 50), np.float32)
    mean = RNG.normal(0, 0.2, truth.shape)
    assert planes.spread_error(truth, mean, np.full(truth.shape, 0.2)) == pytest.approx(1, rel=0.02)
    assert planes.spread_error(truth, mean, np.full(truth.shape, 0.1)) == pytest.approx(2, rel=0.02)


def test_pictures_of_three_planes_have_true_proportions():
    volume = np.zeros((50, 256, 256), np.float32)
    volume[10, 107, 92] = 1  # posterior of the middle, at the axial slice's level
    pictures = plane_pictures(volume, 10)
    assert [name for name, *_ in pictures] == ["coronal", "sagittal", "sagittal", "axial"]
    _, sagittal, aspect = pictures[1]
    assert sagittal.shape == (256, 50) and aspect == pytest.approx(0.625 / 1.5)
    assert sagittal[107, 10] == 1
    _, axial, aspect = pictures[3]
    assert axial.shape == (50, 256) and aspect == pytest.approx(1.5 / 0.625)
    assert axial[39, 92] == 1  # the patient's front is up
