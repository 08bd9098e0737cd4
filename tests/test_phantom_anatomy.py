"""The phantom knee: sizes, pathology in its own place, and how knees differ."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from xr2mri_core.errors import FeatureError
from xr2mri_core.features import VARIABLES
from xr2mri_core.phantom import KneeShape, PhantomCase, Tissue, make_case
from xr2mri_core.transforms.mri import CLIP_PERCENTILES

WINDOW = slice(13, 63)
HEALTHY = {v.name: 0 for v in VARIABLES}
MM = np.array([0.625, 1.5, 0.625])


@lru_cache(maxsize=24)
def phantom(seed: int, *features: tuple[str, int]) -> PhantomCase:
    return make_case(seed, {**HEALTHY, **dict(features)})


def unit(case: PhantomCase) -> np.ndarray:
    window = case.mri[:, WINDOW].astype(np.float32)
    return np.clip(window / np.percentile(window, CLIP_PERCENTILES[1]), 0, 1)


def extent(labels: np.ndarray, *tissues: Tissue) -> np.ndarray:
    where = np.argwhere(np.isin(labels, tissues))
    return (where.max(0) - where.min(0) + 1) * MM


def mean_knee() -> PhantomCase:
    return make_case(5, HEALTHY, shape=KneeShape(flexion=0.0))


def test_same_seed_gives_the_same_bytes_and_another_seed_another_knee() -> None:
    first, again, other = make_case(1), make_case(1), make_case(2)
    assert first.features == again.features
    for name in ("radiograph", "mri", "labels"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
        assert not np.array_equal(getattr(first, name), getattr(other, name))


def test_the_mean_knee_has_the_sizes_of_a_segmented_real_one() -> None:
    """Bounds: pymskt's right knee (femur 75 x 62 mm, tibia 71 x 51 mm, patella 41 x 39 x 21 mm)."""
    labels = mean_knee().labels
    bone = np.isin(labels, (Tissue.TRABECULAR_MARROW, Tissue.TIBIA_MARROW))
    femur = extent(labels, Tissue.TRABECULAR_MARROW)
    tibia = extent(labels, Tissue.TIBIA_MARROW)
    patella = extent(labels, Tissue.PATELLA_MARROW, Tissue.PATELLAR_CARTILAGE)
    assert bone.any()
    assert 70 < femur[0] < 90 and 55 < femur[1] < 70
    assert 64 < tibia[0] < 82 and 42 < tibia[1] < 58
    assert 33 < patella[0] < 48 and 12 < patella[1] < 26 and 33 < patella[2] < 46


def test_femoral_cartilage_is_as_thick_as_measured_ones() -> None:
    """Weight-bearing femoral cartilage of 1.5 to 2.6 mm (Eckstein 2006), by a column of voxels."""
    labels = mean_knee().labels
    femoral = (labels == Tissue.FEMORAL_CARTILAGE)[:, 38:42]
    column = femoral.sum(2) * 0.625
    thickness = np.median(column[column > 0])
    assert 1.2 <= thickness <= 3.2


def test_volumes_have_the_coherence_of_real_ones() -> None:
    """Adjacent-slice correlation of the 50 slices: real 0.85 and 0.90."""
    found = []
    for seed in range(50, 54):
        v = unit(phantom(seed))
        pairs = [np.corrcoef(v[:, i].ravel(), v[:, i + 1].ravel())[0, 1] for i in range(49)]
        found.append(np.mean(pairs))
    assert 0.82 <= np.mean(found) <= 0.92


def test_two_knees_differ_as_two_patients_do() -> None:
    """Float PSNR between the two real volumes of the paper's page: 11.2 to 11.5 dB."""
    volumes = [unit(phantom(seed)) for seed in range(50, 54)]
    psnr = [
        -10 * np.log10(np.mean((a - b) ** 2)) for i, a in enumerate(volumes) for b in volumes[:i]
    ]
    assert abs(np.mean(psnr) - 11.4) < 1.5


@pytest.mark.parametrize("variable", [v for v in VARIABLES if v.compartment], ids=lambda v: v.name)
def test_a_feature_changes_its_own_compartment(variable) -> None:
    """The largest change of the anatomy lies on the feature's side of the knee."""
    off, on = phantom(7), phantom(7, (variable.name, max(variable.grades)))
    changed = off.labels != on.labels
    assert changed.any()
    # RAS: axis 0 grows to the patient's right, which is lateral in a right knee.
    middle = np.argwhere(np.isin(off.labels, (Tissue.TRABECULAR_MARROW,)))[:, 0].mean()
    side = np.argwhere(changed)[:, 0] - middle
    lateral = np.mean(side > 0)
    if variable.finding in ("joint space narrowing", "attrition"):
        return  # the femur tilts: both sides move
    assert lateral > 0.95 if variable.compartment == "lateral" else lateral < 0.05


def test_kl_grade_alone_has_no_shape() -> None:
    assert np.array_equal(phantom(7).labels, phantom(7, ("V00XRKL", 4)).labels)


def test_a_cyst_is_bright_in_mri_and_lucent_on_the_radiograph() -> None:
    off, on = phantom(7), phantom(7, ("V00XRCYTM", 1))
    cyst = on.labels == Tissue.CYST
    assert cyst.sum() * MM.prod() > 150
    assert on.mri[cyst].mean() > 3 * off.mri[cyst].mean()
    from_front = cyst.any(1)
    assert from_front.any() and (on.radiograph != off.radiograph).any()


def test_chondrocalcinosis_is_dark_in_mri_and_dense_on_the_radiograph() -> None:
    off, on = phantom(7), phantom(7, ("V00XRCHL", 1))
    crystals = on.labels == Tissue.CHONDROCALCINOSIS
    assert crystals.any()
    assert on.mri[crystals].mean() < 0.6 * off.mri[crystals].mean()
    difference = on.radiograph.astype(float) - off.radiograph
    assert difference.max() > 100 and difference.max() > 2 * -difference.min()


def test_narrowing_takes_cartilage_and_closes_the_joint_by_grade() -> None:
    def cartilage(grade: int) -> int:
        labels = phantom(7, ("V00XRJSM", grade)).labels
        return int((labels == Tissue.TIBIAL_CARTILAGE_MEDIAL).sum())

    volumes = [cartilage(grade) for grade in range(4)]
    assert volumes == sorted(volumes, reverse=True) and volumes[3] < 0.35 * volumes[0]


@pytest.mark.parametrize("name", ["V00XROSFM", "V00XROSTL"])
def test_osteophytes_grow_with_their_grade(name: str) -> None:
    sizes = [int((phantom(7, (name, g)).labels == Tissue.OSTEOPHYTE).sum()) for g in range(4)]
    assert sizes[0] == 0 and sizes == sorted(sizes) and sizes[3] > 2 * sizes[1]


def test_an_unknown_feature_is_refused_by_name() -> None:
    with pytest.raises(FeatureError, match="V00XRFOO"):
        make_case(1, {"V00XRFOO": 1})
