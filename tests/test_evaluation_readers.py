"""What reads generated volumes: structures, grades, calibration, greys; against other programs."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from monai.metrics import compute_roc_auc
from scipy import linalg, ndimage
from scipy.spatial.distance import cdist
from scipy.stats import mannwhitneyu, wasserstein_distance
from torch.nn import functional as F
from torchvision.models import alexnet, inception_v3
from torchvision.models.feature_extraction import create_feature_extractor

from xr2mri_core.errors import WeightsError
from xr2mri_core.evaluation import calibration, distribution, perceptual, readers
from xr2mri_core.features import VARIABLES
from xr2mri_core.phantom.tissues import Tissue
from xr2mri_core.training.cache import from_bytes


@pytest.fixture
def random():
    return np.random.default_rng(0)


# --- structures -------------------------------------------------------------------------------


def test_structures_are_those_of_the_tissues():
    labels = np.array([Tissue.AIR, Tissue.TRABECULAR_MARROW, Tissue.PATELLAR_CARTILAGE,
                       Tissue.MENISCUS_LATERAL, Tissue.MUSCLE, Tissue.TIBIA_MARROW])  # fmt: skip
    assert readers.structures_of(labels).tolist() == [0, 1, 3, 4, 0, 2]


def test_dice_and_surface_distance_agree_with_brute_force(random):
    true = np.zeros((8, 24, 24), np.uint8)
    true[2:6, 4:16, 5:18], true[2:6, 16:20, 5:18] = 1, 3
    found = np.roll(true, (1, 2), (0, 1))
    scores = readers.structure_scores(true, found)
    spacing = np.array([73.5 / 7, 0.625, 0.625])

    def surface(mask):
        return np.argwhere(mask & ~ndimage.binary_erosion(mask)) * spacing

    for index, name in ((1, "femur"), (3, "cartilage")):
        a, b = true == index, found == index
        assert scores[f"dice_{name}"] == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))
        far = cdist(surface(a), surface(b))
        expected = np.concatenate([far.min(0), far.min(1)]).mean()
        assert scores[f"surface_{name}"] == pytest.approx(expected, rel=1e-5)
    assert np.isnan(scores["dice_tibia"]) and np.isnan(scores["surface_tibia"])
    nothing = readers.structure_scores(true, np.zeros_like(true))
    assert nothing["dice_femur"] == 0 and np.isnan(nothing["surface_femur"])


def test_a_segmenter_learns_and_is_kept(random, tmp_path):
    labels = np.zeros((2, 6, 64, 64), np.uint8)
    labels[:, :, 4:28, 12:52], labels[:, :, 34:60, 12:52] = 13, 14
    labels[:, :, 28:32, 12:52] = Tissue.FEMORAL_CARTILAGE
    grey = np.select([labels == 13, labels == 14, labels == 18], [60, 90, 230], 150)
    grey = (grey + random.normal(0, 8, grey.shape)).clip(0, 255).astype(np.uint8)
    cache = _Cache({"slices": grey, "labels": labels})
    file = tmp_path / "readers" / "segmenter.safetensors"

    def load(steps):
        torch.manual_seed(0)
        return readers.load_or_train(
            readers.Segmenter((8, 16, 16)), file,
            lambda n: readers.train_segmenter(n, cache, steps=steps, batch=4), "segmenter",
        )  # fmt: skip

    true = readers.structures_of(labels[0])
    found = load(60).segment(grey[0] / 255)
    scores = readers.structure_scores(true, found)
    assert min(scores["dice_femur"], scores["dice_tibia"]) > 0.9 and scores["dice_cartilage"] > 0.6
    assert np.array_equal(load(0).segment(grey[0] / 255), found)
    assert file.stat().st_mode & 0o777 == 0o644
    torch.save({}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError):
        readers.load_or_train(
            readers.Segmenter(), tmp_path / "other.safetensors", lambda n: 0.0, ""
        )


class _Read(readers.Segmenter):
    """Takes a tenth of the grey for the structure's number."""

    def forward(self, slices):
        return F.one_hot((5 * (slices[:, 0] + 1)).round().long(), 5).movedim(-1, 1).float()


def test_a_bone_is_in_one_piece_and_cartilage_need_not_be():
    wanted = np.zeros((6, 32, 32), np.uint8)
    wanted[1:5, 2:14, 4:28], wanted[1:5, 18:30, 4:28] = 1, 2
    wanted[1:5, 14:16, 4:12] = wanted[1:5, 14:16, 20:28] = 3
    crumbs = wanted.copy()
    crumbs[5, 30:, 30:], crumbs[0, :2, :2] = 1, 2
    assert np.array_equal(_Read().segment(crumbs / 10), wanted)


class _Cache(SimpleNamespace):
    """Arrays of a `SliceCache`."""

    def __init__(self, arrays, items=()):
        super().__init__(arrays=arrays, items=items, slices_per_case=arrays["slices"].shape[1])

    def __len__(self):
        return len(self.arrays["slices"])


# --- grades -----------------------------------------------------------------------------------


def test_presence_of_a_feature_and_of_none():
    present = readers.presence({"V00XRKL": 1, "V00XROSFM": 1, "V00XRCYTL": 0})
    names = [variable.name for variable in VARIABLES]
    assert present[names.index("V00XRKL")] == 0 and present[names.index("V00XROSFM")] == 1
    assert present[names.index("V00XRCYTL")] == 0 and np.isnan(present).sum() == 16


def test_a_grader_finds_a_cyst_and_on_which_side(random):
    slices = random.normal(100, 6, (12, 4, 64, 64))
    items = []
    for case in range(12):
        medial, lateral = case % 2, (case // 2) % 2
        for present, column in ((medial, 40), (lateral, 12)):
            if present:
                slices[case, 1 + case % 2, 34:42, column : column + 8] += 120
        items.append({"features": {"V00XRCYTM": medial, "V00XRCYTL": lateral}})
    cache = _Cache({"slices": slices.clip(0, 255).astype(np.uint8)}, items)
    torch.manual_seed(0)
    grader = readers.Grader((8, 16, 16, 16))
    readers.train_grader(grader, cache, steps=60)
    scores = np.stack([grader.grade(volume / 255) for volume in cache.arrays["slices"]])
    truth = np.stack([readers.presence(item["features"]) for item in items])
    area = readers.feature_auc(scores, truth)
    assert area["V00XRCYTM"] > 0.95 and area["V00XRCYTL"] > 0.95
    assert np.isnan(area["V00XRKL"])


def test_label_maps_teach_a_grader_where_a_finding_is(random):
    labels = np.full((8, 3, 64, 64), int(Tissue.MUSCLE), np.uint8)
    for case, (row, column) in enumerate(random.integers([[16, 0]], [[42, 58]], (8, 2))):
        labels[case, case % 3, row : row + 6, column : column + 6] = Tissue.CYST
    slices = random.normal(90, 6, labels.shape) + 120 * (labels == Tissue.CYST)
    slices = slices.clip(0, 255).astype(np.uint8)
    torch.manual_seed(0)
    items = [{"features": {}}] * 8  # nobody graded them: only places are left to learn from
    grader = readers.Grader((8, 16, 16, 16))
    readers.train_grader(grader, _Cache({"slices": slices, "labels": labels}, items), steps=60)
    cysts = readers.PATHOLOGY.index(Tissue.CYST)
    seen = [grader(from_bytes(readers.joint_crop(v))[:, None])[1] for v in slices]
    found, where = torch.cat(seen)[:, cysts] > 0, torch.cat([readers.places_of(v) for v in labels])
    assert where.sum() == where[:, cysts].sum() >= 8
    right = (found & where[:, cysts].bool()).sum()
    assert right > 0.8 * where.sum() and right > 0.4 * found.sum()


def test_area_under_the_curve_is_the_share_of_pairs_in_order(random):
    truth = np.full((40, len(VARIABLES)), np.nan)
    truth[:, 0] = random.random(40) < 0.4
    scores = random.normal(size=truth.shape) + np.nan_to_num(truth)
    known = truth[:, 0] == 1
    rank = mannwhitneyu(scores[known, 0], scores[~known, 0]).statistic
    expected = rank / known.sum() / (~known).sum()
    found = readers.feature_auc(scores, truth)[VARIABLES[0].name]
    assert found == pytest.approx(expected)
    pair = (torch.from_numpy(v[:, 0]) for v in (scores, truth))
    assert found == pytest.approx(float(compute_roc_auc(*pair)), abs=1e-6)


# --- calibration ------------------------------------------------------------------------------


@pytest.mark.parametrize(("samples", "scale"), [(3, 1.0), (12, 1.0), (6, 0.5)])
def test_intervals_of_a_right_model_cover_what_they_promise(samples, scale, random):
    shape, body = (4, 80, 80), np.ones((4, 80, 80), bool)
    deviation = random.uniform(0.02, 0.1, shape)
    drawn = random.normal(0, 1, (samples, *shape)) * deviation * scale
    truth = random.normal(0, 1, shape) * deviation
    mean, std = drawn.mean(0), drawn.std(0, ddof=1)
    covered = calibration.coverage(truth, mean, std, samples, body)
    if scale == 1:
        for level in calibration.LEVELS:
            assert covered[f"cover{round(100 * level)}"] == pytest.approx(level, abs=0.012)
        curve = calibration.spread_skill(truth, drawn, body)
        assert sum(row["voxels"] for row in curve) == (body.sum() if samples > 3 else 0)
        assert np.allclose([row["error"] / row["spread"] for row in curve], 1, atol=0.06)
        assert not curve or curve[-1]["spread"] > 2 * curve[0]["spread"]
    else:
        assert covered["cover80"] < 0.6  # samples that are too much alike


# --- greys and textures -----------------------------------------------------------------------


def test_histograms_know_greys_and_no_places(random):
    truth = np.clip(random.normal(0.5, 0.08, (3, 64, 64)), 0, 1).astype(np.float32)
    moved = random.permutation(truth.ravel()).reshape(truth.shape)
    assert distribution.histogram_distance(truth, moved) == pytest.approx(0, abs=1e-9)
    assert distribution.histogram_distance(truth, truth + 0.1) == pytest.approx(0.1, abs=2e-3)
    other = truth**2
    expected = wasserstein_distance(truth.ravel(), other.ravel())  # of the greys, not of bins
    assert distribution.histogram_distance(truth, other) == pytest.approx(expected, abs=1e-3)


def test_the_spectrum_knows_waves_and_blur(random):
    rows = np.arange(64)[:, None] + np.zeros((1, 64))
    wave = (0.5 + 0.3 * np.sin(2 * np.pi * 9 * rows / 64))[None]
    spectrum = distribution.radial_spectrum(wave)
    assert spectrum.argmax() == 9 - 1
    total = np.square(np.abs(np.fft.fft2(wave[0] - wave[0].mean()))).sum()
    ring = np.rint(np.hypot(*np.meshgrid(*[np.fft.fftfreq(64) * 64] * 2))) == 9
    assert spectrum[8] * ring.sum() == pytest.approx(total)
    truth = random.random((2, 64, 64)).astype(np.float32)
    assert distribution.spectrum_distance(truth, truth[::-1]) == pytest.approx(0, abs=1e-6)
    doubled = 0.5 + 2 * (truth - 0.5)
    expected = 20 * np.log10(2)
    assert distribution.spectrum_distance(truth, doubled) == pytest.approx(expected, rel=1e-4)


# --- weights that the user brings -------------------------------------------------------------


def test_lpips_agrees_with_another_implementation(random, tmp_path, monkeypatch):
    def seeing() -> torch.nn.Module:  # AlexNet without its 58 million weights that name things
        with torch.device("meta"):
            network = alexnet()
        network.classifier = torch.nn.Identity()
        return network.to_empty(device="cpu")

    torch.manual_seed(0)
    monkeypatch.setattr(perceptual, "alexnet", seeing)
    backbone = seeing()
    for parameter in backbone.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    widths = (64, 192, 384, 256, 256)
    linear = {f"lin{i}.model.1.weight": torch.rand(1, w, 1, 1) for i, w in enumerate(widths)}
    torch.save(backbone.state_dict(), tmp_path / "alexnet.pth")
    torch.save(linear, tmp_path / "linear.pth")
    measure = perceptual.LPIPS(tmp_path / "alexnet.pth", tmp_path / "linear.pth")
    truth, image = random.random((2, 2, 64, 64), np.float32)
    assert measure(truth, truth) == 0

    extract = create_feature_extractor(backbone.eval(), [f"features.{i}" for i in (1, 4, 7, 9, 11)])
    values = []
    for k in range(2):
        seen = []
        for picture in (truth[k], image[k]):
            colour = np.stack([2 * picture - 1] * 3)
            shifted = (colour - np.array([[[-0.030]], [[-0.088]], [[-0.188]]])) / np.array(
                [[[0.458]], [[0.448]], [[0.450]]]
            )
            with torch.no_grad():
                seen.append(extract(torch.from_numpy(shifted).float()[None]))
        total = 0.0
        for weight, name in zip(linear.values(), seen[0], strict=True):
            a, b = (v[name][0].numpy() for v in seen)
            a, b = (v / np.linalg.norm(v, axis=0) for v in (a, b))
            total += np.tensordot(weight[0, :, 0, 0].numpy(), (a - b) ** 2, 1).mean()
        values.append(total)
    assert measure(truth, image) == pytest.approx(np.mean(values), rel=1e-4)
    with pytest.raises(WeightsError, match="not the five linear layers"):
        perceptual.LPIPS(tmp_path / "alexnet.pth", tmp_path / "alexnet.pth")
    with pytest.raises(WeightsError, match="weights of another network"):
        perceptual.LPIPS(tmp_path / "linear.pth", tmp_path / "linear.pth")


def test_frechet_and_kernel_distance_agree_with_their_formulas(random):
    truth, image = random.normal(size=(60, 5)), random.normal(0.3, 1.4, size=(50, 5))
    means, covs = zip(*((v.mean(0), np.cov(v, rowvar=False)) for v in (truth, image)), strict=True)
    root = np.real(linalg.sqrtm(covs[0] @ covs[1]))
    expected = np.square(means[0] - means[1]).sum() + np.trace(covs[0] + covs[1] - 2 * root)
    assert perceptual.frechet_distance(truth, image) == pytest.approx(expected, rel=1e-4)

    def kernel(a, b):
        return (a @ b / 5 + 1) ** 3

    within = [
        np.mean([kernel(v[i], v[j]) for i in range(len(v)) for j in range(len(v)) if i != j])
        for v in (truth, image)
    ]
    between = np.mean([kernel(a, b) for a in truth for b in image])
    expected = sum(within) - 2 * between
    assert perceptual.kernel_distance(truth, image) == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
def test_inception_features_are_those_of_the_pooled_layer(random, tmp_path):
    torch.manual_seed(0)
    network = inception_v3(init_weights=False, aux_logits=True)
    torch.save(network.state_dict(), tmp_path / "inception.pth")
    slices = random.random((1, 64, 64), np.float32)
    seen = perceptual.InceptionFeatures(tmp_path / "inception.pth")(slices)
    assert seen.shape == (1, 2048) and np.isfinite(seen).all()
    wide = torch.nn.functional.interpolate(
        torch.from_numpy(slices)[None], (299, 299), mode="bilinear", antialias=True
    )
    extract = create_feature_extractor(network.eval(), ["flatten"])
    with torch.no_grad():  # Inception's own range, [-1, 1]
        expected = extract((2 * wide - 1).expand(-1, 3, -1, -1))["flatten"]
    np.testing.assert_allclose(seen, expected.numpy(), rtol=1e-3, atol=1e-4)
