"""The knee frame."""

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xr2mri_core.errors import InputError, VolumeError
from xr2mri_core.geometry import (
    Laterality,
    centred_affine,
    depth_to_mm,
    depths_of,
    mirror_picture,
    mirror_volume,
    slice_window,
    slices_to_volume,
    volume_affine,
    volume_to_slices,
)


def test_the_papers_window():
    assert slice_window(80) == (13, 63)


@given(st.integers(2, 2000))
def test_the_window_is_the_stated_part(count):
    start, stop = slice_window(count)
    kept = [k for k in range(count) if 16 * count <= 100 * k < 78 * count]
    assert kept == list(range(start, stop))


@pytest.mark.parametrize("count", [-3, 0, 1])
def test_no_window_in_too_few_slices(count):
    with pytest.raises(VolumeError, match=str(count)):
        slice_window(count)


def test_depths():
    assert depths_of(1).tolist() == [0.5]
    assert np.allclose(depths_of(50), np.arange(50) / 49)
    with pytest.raises(InputError):
        depths_of(0)


def test_depths_lie_where_the_acquired_slices_do():
    assert (depth_to_mm(0.0), depth_to_mm(1.0)) == (-39.75, 33.75)


def test_generated_volumes_overlay_acquired_ones():
    acquired = centred_affine((256, 80, 256), (0.625, 1.5, 0.625))
    generated = volume_affine(50)
    assert np.allclose(acquired @ [7, 13, 9, 1], generated @ [7, 0, 9, 1])
    assert np.allclose(acquired @ [7, 62, 9, 1], generated @ [7, 49, 9, 1])
    assert nib.aff2axcodes(generated) == ("R", "A", "S")


@given(st.integers(2, 600))
def test_any_number_of_slices_spans_the_window(count):
    affine = volume_affine(count)
    assert affine[1, 1] == pytest.approx(49 * 1.5 / (count - 1))
    assert affine[1, 3] + (count - 1) * affine[1, 1] == pytest.approx(depth_to_mm(1))
    assert np.allclose(affine, volume_affine(depths_of(count)))


def test_part_of_the_window_and_a_single_slice():
    affine = volume_affine([0.5, 0.6, 0.7])
    assert affine[1, 1] == pytest.approx(7.35)
    assert affine[1, 3] == pytest.approx(depth_to_mm(0.5))
    assert volume_affine([0.25])[1, 1] == 1.5
    assert volume_affine([0.9, 0.9001])[1, 1] == pytest.approx(0.00735)
    volume_affine([round(depth, 6) for depth in depths_of(200)])  # as text states them


@pytest.mark.parametrize(
    "depths",
    [
        [0, 0.1, 0.3],
        [1, 0],
        [0.5, 0.5],
        [],
        [0, float("nan")],
        [[0]],
        [0, 1e-4, 2.01e-4],
        [0, 9e-5],
    ],
)
def test_depths_without_one_spacing_have_no_affine(depths):
    with pytest.raises(VolumeError):
        volume_affine(depths)


def test_slices_and_volume_are_inverse_and_follow_the_convention():
    slices = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    volume = slices_to_volume(slices)
    assert volume.shape == (4, 2, 3)
    for k, r, c in np.ndindex(slices.shape):
        assert volume[3 - c, k, 2 - r] == slices[k, r, c]
    assert (volume_to_slices(volume) == slices).all()


def test_mirroring_picture_and_volume_is_the_same_thing():
    slices = np.random.default_rng(0).normal(size=(2, 3, 4))
    mirrored = mirror_volume(slices_to_volume(slices))
    assert (slices_to_volume(mirror_picture(slices)) == mirrored).all()
    assert (mirror_volume(mirrored) == slices_to_volume(slices)).all()


@pytest.mark.parametrize(
    ("value", "side"),
    [
        *[(value, Laterality.RIGHT) for value in ("R", "right", " RIGHT", 1, "1: Right", 1.0)],
        *[(value, Laterality.LEFT) for value in ("l", "Left", 2, "2: Left", Laterality.LEFT)],
        *[(value, Laterality.LEFT) for value in ("2.0", "2,0", "2.0: Left")],
        *[(value, None) for value in (None, "", "auto", "U")],
    ],
)
def test_laterality(value, side):
    assert Laterality.parse(value) is side


@pytest.mark.parametrize("value", ["B", "3", "rechts", 0, 1.5, "nan"])
def test_an_unknown_laterality_is_refused(value):
    with pytest.raises(InputError, match="R, L and auto"):
        Laterality.parse(value)
