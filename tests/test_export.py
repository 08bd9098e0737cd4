"""Files of a generated volume: right, marked as synthetic, whole or absent."""

import gzip
import io
import json
import os
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from xr2mri_core.errors import OutputError
from xr2mri_core.export import (
    montage,
    nifti_pieces,
    npy_pieces,
    nrrd_pieces,
    write_generated,
    write_nifti,
)
from xr2mri_core.export.files import _nifti
from xr2mri_core.files import atomic_files, check_writable, whole_file, whole_folder
from xr2mri_core.geometry import volume_affine
from xr2mri_core.volume import GeneratedVolume


@pytest.fixture
def generated() -> GeneratedVolume:
    volume = np.random.default_rng(0).random((16, 5, 16), np.float32)
    record = {"seed": 3, "notice": "synthetic, not for diagnosis", "warnings": []}
    affine = volume_affine(5, in_plane=10.0, size=16)
    return GeneratedVolume(volume, affine, volume * 0.5, volume * 0.1, volume[:, 0], record)


def test_nifti_has_the_values_the_affine_and_the_mark(tmp_path, generated):
    written = write_generated(generated, tmp_path)
    image = nib.load(written["volume"])
    np.testing.assert_array_equal(np.asarray(image.dataobj), generated.volume)
    np.testing.assert_allclose(image.affine, generated.affine, atol=1e-5)
    assert image.get_data_dtype() == np.float32
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
    assert b"synthetic" in image.header["descrip"].item()
    assert image.header.get_xyzt_units()[0] == "mm"


def test_a_compressed_nifti_is_the_same_bytes_at_any_time_under_any_name(tmp_path, generated):
    for name in ("a", "b"):
        path = tmp_path / f"{name}.nii.gz"
        write_nifti(path, generated.volume, generated.affine, "words")
    first, second = ((tmp_path / f"{name}.nii.gz").read_bytes() for name in ("a", "b"))
    assert first == second and first[4:8] == bytes(4)  # of gzip's time


def test_nrrd_is_the_same_volume_in_space(tmp_path, generated):
    nifti = write_generated(generated, tmp_path, "a")["volume"]
    nrrd = write_generated(generated, tmp_path, "b", volume_format="nrrd")["volume"]
    first, second = sitk.ReadImage(str(nifti)), sitk.ReadImage(str(nrrd))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(first), sitk.GetArrayFromImage(second))
    np.testing.assert_allclose(first.GetOrigin(), second.GetOrigin(), atol=1e-4)
    np.testing.assert_allclose(first.GetSpacing(), second.GetSpacing(), atol=1e-5)
    np.testing.assert_allclose(first.GetDirection(), second.GetDirection(), atol=1e-6)
    assert any("synthetic" in second.GetMetaData(key) for key in second.GetMetaDataKeys())


def test_mean_std_montage_and_record_lie_beside(tmp_path, generated):
    written = write_generated(generated, tmp_path, "knee")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "knee.json", "knee.png", "knee_mean.nii.gz", "knee_sample.nii.gz", "knee_std.nii.gz",
    ]  # fmt: skip
    record = json.loads(written["record"].read_text())
    assert record["files"]["mean"] == "knee_mean.nii.gz" and record["seed"] == 3
    with Image.open(written["montage"]) as picture:
        assert "synthetic" in picture.text["Comment"]


def test_montage_shows_radiograph_and_slices():
    slices = np.zeros((50, 32, 32), np.float32)
    sheet = montage(slices, np.ones((32, 32), np.float32), tiles=11, columns=6)
    assert sheet.shape == (2 * 32 + 18, 6 * 32)
    assert sheet[20:32, :32].min() > 0.9 and sheet[20:30, 40:60].max() == 0


def test_a_folder_in_the_way_leaves_all_files_as_they_were(tmp_path, generated):
    written = write_generated(generated, tmp_path)
    before = written["volume"].read_bytes()
    written["record"].unlink()
    written["record"].mkdir()
    with pytest.raises(OutputError, match=r"'generated.json' is a folder"):
        write_generated(replace(generated, volume=generated.volume * 0.5), tmp_path)
    assert written["volume"].read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == sorted(path.name for path in written.values())


def test_a_failure_leaves_nothing_behind(tmp_path):
    folder = tmp_path / "new"
    with pytest.raises(KeyboardInterrupt), atomic_files(folder) as files:
        files.path(folder / "a.txt").write_text("half")
        raise KeyboardInterrupt
    assert list(folder.iterdir()) == []


def test_a_full_disk_is_an_error_with_a_remedy(tmp_path, generated, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("xr2mri_core.export.writing.write_json", full)  # the last file of the set
    with pytest.raises(OutputError, match="No space left on device") as refused:
        write_generated(generated, tmp_path)
    assert refused.value.option == "out"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_really_full_device(generated, tmp_path, monkeypatch):
    real = nib.save

    def save(image, path):
        real(image, path)
        with open("/dev/full", "wb", buffering=0) as device:
            device.write(b"x")

    monkeypatch.setattr(nib, "save", save)
    with pytest.raises(OutputError, match="No space left"):
        write_generated(generated, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_unwritable_places_are_found_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        check_writable(tmp_path / "file" / "out")
    if os.geteuid() != 0:
        tmp_path.chmod(0o500)
        with pytest.raises(OutputError, match="Permission"):
            check_writable(tmp_path)


def test_unknown_format(tmp_path, generated):
    with pytest.raises(OutputError, match="nifti, nrrd"):
        write_generated(generated, tmp_path, volume_format="mha")


@pytest.mark.parametrize("known", [None, 0, 33])
@pytest.mark.parametrize("dtype", ["<f4", ">i2", "u1"])
def test_a_file_in_pieces_is_the_file(dtype, known):
    """Pieces are small, and nibabel and NumPy write the same bytes."""
    volume = (np.random.default_rng(0).random((64, 90, 70)) * 200).astype(dtype)[::-1]
    affine, seen = np.diag([-1.5, 2.0, 3.0, 1.0]), volume.copy()
    if known is not None:
        seen[:, known:] = 0
    pieces = list(nifti_pieces(volume, affine, "words", known))
    assert b"".join(pieces) == _nifti(seen, affine, "words").to_bytes()
    assert max(map(len, pieces)) <= 256 << 10 < volume.nbytes * 4
    content = b"".join(nrrd_pieces(volume, affine, "words", known))
    voxels = gzip.decompress(content.partition(b"\n\n")[2])
    assert voxels == seen.astype(seen.dtype.newbyteorder("<")).tobytes(order="F")
    array = np.load(io.BytesIO(b"".join(npy_pieces(volume, known))), allow_pickle=False)
    assert array.dtype == volume.dtype and array.tobytes() == seen.tobytes()


def test_one_file_is_whole_or_absent(tmp_path):
    path = tmp_path / "new" / "weights.bin"
    with whole_file(path) as part:
        part.write_bytes(b"old")
        assert part.parent == path.parent and part.suffix == ".bin" and not path.exists()
    with pytest.raises(KeyboardInterrupt), whole_file(path) as part:
        part.write_bytes(b"half")
        raise KeyboardInterrupt
    assert [p.name for p in path.parent.iterdir()] == ["weights.bin"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("resumable", [False, True])
def test_one_folder_is_whole_or_absent_and_is_made_once(tmp_path, resumable):
    path = tmp_path / "cases" / "knee"
    with pytest.raises(KeyboardInterrupt), whole_folder(path, resumable) as part:
        (part / "half").touch()
        raise KeyboardInterrupt
    left = [f.name for f in path.parent.iterdir()]
    assert left == (["knee.partial"] if resumable else [])
    with whole_folder(path, resumable) as part:
        assert (part / "half").exists() == resumable and not path.exists()
        (part / "rest").touch()
    assert [f.name for f in path.parent.iterdir()] == ["knee"] and (path / "rest").is_file()
    with whole_folder(path, resumable) as part:  # of a process that was a moment too late
        (part / "other").touch()
    assert (path / "rest").is_file() and not (path / "other").exists()
