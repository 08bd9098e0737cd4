"""From MRI volumes, written here, to the slices that the network learns."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch

from xr2mri_core.errors import VolumeError
from xr2mri_core.geometry import centred_affine, slices_to_volume, volume_to_slices
from xr2mri_core.transforms import mri_transforms, read_volume
from xr2mri_core.transforms.mri import CLIP_PERCENTILES

REFERENCE = Path(__file__).parents[2] / "shared" / "reference"
SPACING = (5.0, 1.5, 5.0)  # 32 x 5 mm is the field of view


def ramps(count: int = 80, size: int = 32) -> np.ndarray:
    """A RAS volume (size, count, size) that tells every direction."""
    x, y, z = np.meshgrid(*map(np.arange, (size, count, size)), indexing="ij")
    return (x + 40 * z + 100 * (y == count // 2)).astype(np.int16)


def write(path: Path, volume: np.ndarray, spacing=SPACING, axes: str = "RAS") -> Path:
    image = nib.Nifti1Image(volume, centred_affine(volume.shape, spacing))
    turn = nib.orientations.ornt_transform(
        nib.io_orientation(image.affine), nib.orientations.axcodes2ornt(axes)
    )
    nib.save(image.as_reoriented(turn), path)
    return path


def test_the_papers_window_as_pictures_in_range(tmp_path):
    volume = ramps()
    data = mri_transforms(32)({"mri": write(tmp_path / "a.nii.gz", volume)})
    slices = data["mri"]
    assert slices.shape == (50, 1, 32, 32) and slices.dtype == torch.float32
    assert slices.min() == -1 and slices.max() == 1
    assert data["depths"].dtype == np.float32
    assert np.allclose(data["depths"], np.arange(50) / 49)
    window = volume_to_slices(volume[:, 13:63]).astype(np.float32)
    high = np.percentile(window, CLIP_PERCENTILES[1])
    expected = np.clip(window / high * 2 - 1, -1, 1)
    assert np.allclose(np.asarray(slices)[:, 0], expected, atol=1e-5)
    assert slices[40 - 13].mean() > slices[0].mean()  # the slice that was marked


@pytest.mark.parametrize("axes", ["LPS", "ASR", "SPL", "RAI", "PIR"])
def test_the_order_of_the_file_does_not_matter(tmp_path, axes):
    chain = mri_transforms(32)
    plain = chain({"mri": write(tmp_path / "a.nii", ramps())})["mri"]
    turned = chain({"mri": write(tmp_path / "b.nii", ramps(), axes=axes)})["mri"]
    assert torch.equal(torch.as_tensor(plain), torch.as_tensor(turned))


def test_nrrd_reads_as_nifti_does(tmp_path):
    path = write(tmp_path / "a.nii", ramps())
    sitk.WriteImage(sitk.ReadImage(str(path)), str(tmp_path / "a.nrrd"))
    nifti, nrrd = read_volume(path), read_volume(tmp_path / "a.nrrd")
    assert torch.equal(torch.as_tensor(nifti), torch.as_tensor(nrrd))
    assert torch.allclose(nifti.affine, nrrd.affine)
    assert nib.aff2axcodes(nrrd.affine) == ("R", "A", "S")


def test_slices_stack_back_into_the_volume(tmp_path):
    volume = ramps(50)
    item = {"mri": write(tmp_path / "a.nii", volume), "window": (0, 50)}
    data = mri_transforms(32)(item)
    back = slices_to_volume(np.asarray(data["mri"])[:, 0])
    assert back.shape == volume.shape
    inside = volume < np.percentile(volume, CLIP_PERCENTILES[1])
    assert np.corrcoef(back[inside], volume[inside])[0, 1] > 0.9999


def test_a_left_knee_is_mirrored_with_its_labels(tmp_path):
    labels = (ramps() > 800).astype(np.uint8) * 3
    item = {
        "mri": write(tmp_path / "a.nii", ramps()),
        "labels": write(tmp_path / "b.nii", labels),
    }
    chain = mri_transforms(32)
    right = chain({**item, "laterality": "R"})
    left = chain({**item, "laterality": "L"})
    located = chain({**item, "radiograph_info": {"laterality": "L", "warnings": []}})
    for key in ("mri", "labels"):
        assert torch.equal(left[key].as_tensor(), right[key].as_tensor().flip(-1))
        assert torch.equal(located[key].as_tensor(), left[key].as_tensor())
    assert right["labels"].dtype == torch.uint8
    assert (right["labels"][:, 0].numpy() == volume_to_slices(labels[:, 13:63])).all()


def test_labels_stay_labels_when_resized(tmp_path):
    labels = np.random.default_rng(0).choice([0, 4, 9], (32, 80, 32)).astype(np.uint8)
    item = {"mri": write(tmp_path / "a.nii", ramps()), "labels": write(tmp_path / "b.nii", labels)}
    data = mri_transforms(47)(item)
    assert data["labels"].shape == data["mri"].shape == (50, 1, 47, 47)
    assert set(np.unique(data["labels"])) == {0, 4, 9}


@pytest.mark.parametrize(("spacing", "shown"), [(2.5, 32), (5.0, 64), (10.0, 64)])
def test_the_field_of_view_is_160_mm(tmp_path, spacing, shown):
    path = write(tmp_path / "a.nii", ramps() + 1, (spacing, 1.5, spacing))  # 80, 160, 320 mm
    data = mri_transforms(64)({"mri": path})
    assert data["mri"].shape == (50, 1, 64, 64)
    rows = (np.asarray(data["mri"][0, 0]) > -1).any(axis=1).sum()
    assert abs(int(rows) - shown) <= 1


def test_resizing_keeps_the_edge(tmp_path):
    volume = np.full((64, 80, 64), 100, np.int16)
    volume[:, 40] += 1
    volume[30, :, 30] = 0
    data = mri_transforms(32)({"mri": write(tmp_path / "a.nii", volume, (2.5, 1.5, 2.5))})
    picture = np.asarray(data["mri"][0, 0])
    assert np.allclose(picture[0], picture[5, 5]) and np.allclose(picture[:, -1], picture[5, 5])


def test_what_is_no_volume_is_refused(tmp_path):
    chain = mri_transforms(32)

    def refusal(volume) -> str:
        nib.save(nib.Nifti1Image(volume, np.eye(4)), tmp_path / "a.nii")
        with pytest.raises(VolumeError) as caught:
            chain({"mri": tmp_path / "a.nii"})
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "three axes" in refusal(ramps()[:, 0])
    assert "three axes" in refusal(np.stack([ramps()] * 2, -1))
    assert "none in the window" in refusal(ramps()[:, :1])
    assert "the same value" in refusal(ramps() * 0)
    assert "NaN" in refusal(np.where(ramps() == 50, np.nan, ramps()).astype(np.float32))
    spot = np.zeros((32, 80, 32), np.int16)
    spot[3, 30, 3] = 1
    assert "almost empty" in refusal(spot)


def test_missing_damaged_and_mismatched_files_are_refused(tmp_path):
    chain = mri_transforms(32)
    with pytest.raises(VolumeError, match="no such file"):
        chain({"mri": tmp_path / "gone.nii"})
    for name in ("a.nii", "a.nii.gz", "a.nrrd", "a.txt"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(VolumeError, match="cannot be read"):
            chain({"mri": tmp_path / name})
    path = write(tmp_path / "whole.nii.gz", ramps())
    (tmp_path / "cut.nii.gz").write_bytes(path.read_bytes()[:2000])
    with pytest.raises(VolumeError, match="cannot be read"):
        chain({"mri": tmp_path / "cut.nii.gz"})
    labels = write(tmp_path / "labels.nii", ramps(79))
    with pytest.raises(VolumeError, match="same grid"):
        chain({"mri": path, "labels": labels})


@pytest.mark.parametrize(("moved", "fits"), [(0.1, True), (0.5, False), (20, False)])
def test_labels_that_lie_elsewhere_are_refused(tmp_path, moved, fits):
    """Of the volume's shape: its mirror image, or those of another field of view."""
    labels = write(tmp_path / "labels.nii", ramps())
    image = nib.load(labels)
    away = image.affine.copy()
    away[0, 3] += moved * SPACING[0]
    nib.save(nib.Nifti1Image(image.dataobj, away), tmp_path / "away.nii")
    item = {"mri": write(tmp_path / "a.nii", ramps(), axes="LPS"), "labels": labels}
    chain = mri_transforms(32)
    chain(item)
    item["labels"] = tmp_path / "away.nii"
    if fits:
        chain(item)
        return
    with pytest.raises(VolumeError, match=rf"up to {moved} voxels.*same grid"):
        chain(item)


@pytest.mark.skipif(not REFERENCE.exists(), reason="no reference files")
def test_a_real_volume():
    data = mri_transforms()({"mri": REFERENCE / "real_pair" / "mri.nii.gz", "window": (0, 50)})
    slices = np.asarray(data["mri"])[:, 0]
    assert slices.shape == (50, 256, 256)
    femur, tibia = slices[25, 100, 128], slices[25, 200, 120]
    assert femur < -0.5 and tibia < -0.5  # marrow is dark in water-excited images
