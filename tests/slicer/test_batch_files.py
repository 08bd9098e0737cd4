"""Which files of a folder are taken for radiographs by the command line and the Slicer module, and
which row of a table belongs to them."""

from __future__ import annotations

import gzip
import json
import unicodedata
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from samples import draw_knee

from xr2mri_client.radiograph_folder import radiographs_of
from xr2mri_core.cohort import knees_of_folder
from xr2mri_core.errors import DatalistError
from xr2mri_core.export import write_generated
from xr2mri_core.features import form_schema
from xr2mri_core.geometry import volume_affine
from xr2mri_core.phantom.dicom import write_radiograph_dicom
from xr2mri_core.volume import NOTICE, GeneratedVolume
from XR2MRILib.batch.forms import forms_of
from XR2MRILib.form import FeatureForm

ROW = json.dumps({"name": "a", "radiograph_sha256": None, "status": "failed"}) + "\n"


def by_the_command_line(folder: Path) -> set[str]:
    try:
        knees = knees_of_folder(folder)
    except DatalistError:
        return set()
    return {knee.radiograph.relative_to(folder).as_posix() for knee in knees}


def by_slicer(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in radiographs_of(folder)}


def picture(path: Path, comment: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    words = PngInfo()
    words.add_text("Comment", comment)
    Image.fromarray(draw_knee(64)).save(path, pnginfo=words if comment else None)


def nifti(path: Path, description: str) -> None:
    image = nib.Nifti1Image(np.zeros((16, 16, 1), np.int16), np.eye(4))
    image.header["descrip"] = description.encode()
    nib.save(image, path)


def nrrd(path: Path, *keys: str) -> None:
    lines = ["NRRD0004", "type: uint8", "dimension: 2", "sizes: 16 16", "encoding: raw", *keys]
    path.write_bytes("\n".join([*lines, "", ""]).encode() + bytes(256))


def radiographs(folder: Path) -> None:
    """What has to be taken, also where a mark is nearly there."""
    picture(folder / "knee.png")
    picture(folder / "deep" / "commented.png", "of a patient, for diagnosis")
    nifti(folder / "knee.nii", "XR2MRI 0.1.0 synthetic phantom")
    nifti(folder / "knee.nii.gz", "")
    nrrd(folder / "knee.nrrd", "XR2MRI.Laterality:=R", "XR2MRI.Synthetic:=0")
    write_radiograph_dicom(folder / "knee.dcm", np.uint16(draw_knee(64)), 0.2, patient_id="XR2MRI")
    write_radiograph_dicom(folder / "1.2.840.7", np.uint16(draw_knee(64)), 0.2, patient_id="P")
    (folder / "damaged.nii.gz").write_bytes(gzip.compress(bytes(400))[:20])
    (folder / "empty.png").touch()


def results(folder: Path) -> None:
    """What the command line, the server and the Slicer module write."""
    array = np.random.default_rng(0).random((16, 3, 16), np.float32)
    record = {
        "notice": NOTICE, "laterality": "R", "features": {}, "slices": 3, "seed": 1, "samples": 2,
        "sampler": "unipc", "steps": 2, "guidance": 1.0, "warnings": [],
        "model": {"bundle": "knee_xr2mri", "size": "compact", "sha256": "0" * 64},
        "versions": {"xr2mri": "0.1.0"},
    }  # fmt: skip
    made = GeneratedVolume(array, volume_affine(3, 10.0, 16), array, array, array[:, 0], record)
    for kind in ("nifti", "nrrd", "dicom"):
        write_generated(made, folder / "made" / kind, "knee", kind)
    nrrd(folder / "knee_synthetic.nrrd", "XR2MRI.Record:=" + 9000 * "x", "XR2MRI.Synthetic:=1")


@pytest.mark.parametrize("taken", [by_the_command_line, by_slicer])
def test_what_says_that_it_is_synthetic_is_no_radiograph(tmp_path, taken):
    radiographs(tmp_path)
    files = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert taken(tmp_path) == files
    results(tmp_path)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) > len(files) + 12
    assert taken(tmp_path) == files


@pytest.mark.parametrize("taken", [by_the_command_line, by_slicer])
@pytest.mark.parametrize(
    ("first_line", "is_of_a_run"),
    [
        (ROW, True),
        (ROW + "half a li", True),
        ("", False),
        ('{"image": "knee.png", "kl": 2, "status": "ok"}\n', False),
        ("[1]\n", False),
        ("no JSON\n", False),
    ],
)
def test_a_folder_of_results_is_known_by_the_rows_of_its_journal(
    tmp_path, taken, first_line, is_of_a_run
):
    picture(tmp_path / "below" / "deeper" / "knee.png")
    picture(tmp_path / "other.png")
    (tmp_path / "below" / "manifest.jsonl").write_text(first_line)
    below = set() if is_of_a_run else {"below/deeper/knee.png"}
    assert taken(tmp_path) == {"other.png"} | below
    assert taken(tmp_path / "below") == {"deeper/knee.png"}, "the folder that was named is taken"


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("in_table", ["NFC", "NFD"])
@pytest.mark.parametrize("cell", ["Müller/Knie é.png", ".\\Müller\\Knie é.png", "Knie é"])
def test_a_row_finds_its_file_however_the_system_stores_accents(tmp_path, on_disk, in_table, cell):
    path = unicodedata.normalize(on_disk, "Müller/Knie é.png")
    picture(tmp_path / path)
    forms = tmp_path / "forms.csv"
    forms.write_text(f"file,kl_grade\n{unicodedata.normalize(in_table, cell)},3\n", "utf-8")
    (knee,) = knees_of_folder(tmp_path, forms)
    assert knee.features == {"kl_grade": "3"}
    found, notes = forms_of(tmp_path, [path], FeatureForm(form_schema()))
    assert not notes and found[path].features == {"V00XRKL": 3}


@pytest.mark.parametrize(
    ("codec", "first", "guessed"),
    [("cp1252", "", True), ("cp1252", "sep=;\r\n", True), ("utf-16", "", False),
     ("utf-8-sig", "sep=;\r\n", False)],
)  # fmt: skip
def test_a_table_is_read_as_a_spreadsheet_saves_it(tmp_path, codec, first, guessed):
    picture(tmp_path / "Knie Müller.png")
    forms = tmp_path / "forms.csv"
    text = f"{first}file;kl_grade\r\nKnie Müller;3\r\nKnie Lötz;2\r\n"
    forms.write_bytes(text.encode(codec))
    found, (note,) = forms_of(tmp_path, ["Knie Müller.png"], FeatureForm(form_schema()))
    assert found["Knie Müller.png"].features == {"V00XRKL": 3}
    assert "Knie Lötz: no such radiograph" in note and ("save it as CSV UTF-8" in note) is guessed
    with pytest.raises(DatalistError, match="'Knie Lötz': no such radiograph") as caught:
        knees_of_folder(tmp_path, forms)
    assert ("save it as CSV UTF-8" in str(caught.value)) is guessed
