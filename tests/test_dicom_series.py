"""A generated volume as DICOM: right in space and value, the patient's own, marked, whole."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import Dataset, dcmread
from pydicom.data import DATA_ROOT
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from xr2mri_core.errors import OutputError, RadiographError, VolumeError
from xr2mri_core.export import (
    dicom_series,
    patient_and_study,
    write_dicom_series,
    write_generated,
)
from xr2mri_core.export.dicom_patient import patient_as_text, patient_from_text
from xr2mri_core.geometry import depths_of, volume_affine
from xr2mri_core.phantom.dicom import write_radiograph_dicom
from xr2mri_core.transforms.dicom_file import read_header
from xr2mri_core.transforms.dicom_text import implausible
from xr2mri_core.volume import NOTICE, GeneratedVolume

DIGEST = "0123456789abcdef" * 4


def generated_volume(slices=5, laterality="R", samples=1, size=24, width=None) -> GeneratedVolume:
    shape = (width or size, slices, size)
    volume = np.random.default_rng(0).random(shape, np.float32)
    volume.flat[:2] = 0, 1
    record = {
        "notice": NOTICE,
        "laterality": laterality,
        "features": {"V00XRKL": 2, "V00XRJSM": 1},
        "slices": slices,
        "seed": 3,
        "samples": samples,
        "sampler": "unipc",
        "steps": 20,
        "guidance": 1.0,
        "warnings": ["pixel spacing unknown"],
        "model": {"bundle": "knee_xr2mri", "size": "compact", "sha256": DIGEST},
        "versions": {"xr2mri": "0.1.0"},
    }
    several = samples > 1
    return GeneratedVolume(
        volume,
        volume_affine(slices, in_plane=160 / size, size=size),
        volume * 0.5 if several else None,
        volume * 0.1 if several else None,
        volume[:, 0],
        record,
    )


@pytest.fixture
def radiograph(tmp_path) -> Path:
    pixels = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    return write_radiograph_dicom(tmp_path / "xray.dcm", pixels, 0.2, patient_id="P01")


def edited(radiograph: Path, **values) -> Path:
    """The radiograph with other attributes; None takes one out."""
    dataset = dcmread(radiograph)
    for keyword, value in values.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(radiograph)
    return radiograph


def dciodvfy_errors(path: Path) -> list[str]:
    if not shutil.which("dciodvfy"):
        pytest.skip("dciodvfy is not installed (Debian package dicom3tools)")
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, errors="replace")
    said = (done.stdout + done.stderr).splitlines()
    assert "MRImage" in said, said  # it knew what it was looking at
    return [line for line in said if line.startswith("Error")]


def read_series(folder: Path) -> dict[str, sitk.Image]:
    """What SimpleITK, as 3D Slicer does, makes of a folder: one image for each series."""
    reader, images = sitk.ImageSeriesReader(), {}
    for uid in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)):
        names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)
        reader.SetFileNames(names)
        images[Path(names[0]).name.split("_")[0]] = reader.Execute()
    return images


# --- conformance --------------------------------------------------------------------------------


@pytest.mark.parametrize("laterality", ["R", "L", "None"])
def test_dciodvfy_finds_no_error(tmp_path, radiograph, laterality):
    generated = generated_volume(3, laterality, samples=256)
    for source in (None, radiograph):
        paths = write_dicom_series(generated, tmp_path / f"series{source is None}", source)
        assert len(paths) == 9
        for path in paths:
            assert dciodvfy_errors(path) == []


@pytest.mark.skipif(not shutil.which("dcentvfy"), reason="dcentvfy (dicom3tools) is not installed")
def test_radiograph_and_series_agree_about_patient_and_study(tmp_path, radiograph):
    paths = write_dicom_series(generated_volume(3, samples=3), tmp_path / "series", radiograph)
    done = subprocess.run(["dcentvfy", radiograph, *paths], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_dciodvfy_finds_errors_where_there_are_some(tmp_path):
    path = write_dicom_series(generated_volume(), tmp_path)[0]
    edited(path, ScanningSequence=None)
    assert dciodvfy_errors(path)


# --- space and values -----------------------------------------------------------------------------


@pytest.mark.parametrize("laterality", ["R", "L"])
@pytest.mark.parametrize("slices", [1, 2, 7, 50])
def test_simpleitk_reads_the_volume_of_the_nifti(tmp_path, slices, laterality):
    generated = generated_volume(slices, laterality)
    nifti = sitk.ReadImage(str(write_generated(generated, tmp_path / "nifti")["volume"]))
    write_dicom_series(generated, tmp_path / "dicom")
    image = read_series(tmp_path / "dicom")["volume"]
    assert image.GetPixelID() == sitk.sitkUInt16

    if slices > 1:
        upright = sitk.DICOMOrient(image, "LPS")
        expected = sitk.DICOMOrient(nifti, "LPS")
        np.testing.assert_allclose(upright.GetOrigin(), expected.GetOrigin(), atol=1e-4)
        np.testing.assert_allclose(upright.GetSpacing(), expected.GetSpacing(), atol=1e-5)
        np.testing.assert_allclose(upright.GetDirection(), expected.GetDirection(), atol=1e-6)
        values = sitk.GetArrayFromImage(upright) / 4095
        np.testing.assert_allclose(values, sitk.GetArrayFromImage(expected), atol=0.51 / 4095)

    rng = np.random.default_rng(1)
    for index in rng.integers(0, image.GetSize(), (40, 3)).tolist():  # voxel by voxel, by place
        place = image.TransformIndexToPhysicalPoint(index)
        there = nifti.TransformPhysicalPointToIndex(place)
        np.testing.assert_allclose(nifti.TransformIndexToPhysicalPoint(there), place, atol=1e-3)
        assert image[index] / 4095 == pytest.approx(nifti[there], abs=0.51 / 4095)


def test_parts_of_the_window_lie_where_they_belong(tmp_path):
    """Depths 0.5 to 1, wider than high: neither the origin nor the shape is symmetric."""
    generated = generated_volume(4, size=16, width=20)
    affine = volume_affine(depths_of(7)[3:], in_plane=10.0, size=16)
    generated = replace(generated, affine=affine)
    first, *_, last = dicom_series(generated)
    corner = affine @ [19, 3, 15, 1]  # right, anterior, superior: RAS
    np.testing.assert_allclose(first.ImagePositionPatient, corner[:3] * [-1, -1, 1])
    assert last.ImagePositionPatient[1] == pytest.approx(-affine[1, 3])
    assert (first.Rows, first.Columns) == (16, 20)
    np.testing.assert_array_equal(
        first.pixel_array, np.rint(generated.volume[::-1, 3, ::-1].T * 4095)
    )


def test_slices_are_coronal_superior_first_and_in_order():
    series = dicom_series(generated_volume(200, size=8))
    positions = [float(dataset.ImagePositionPatient[1]) for dataset in series]
    assert [dataset.InstanceNumber for dataset in series] == list(range(1, 201))
    assert positions == sorted(positions)  # anterior to posterior, along the slice normal
    np.testing.assert_allclose(np.diff(positions), 73.5 / 199, atol=1e-9)
    for dataset in series:
        assert dataset.ImageOrientationPatient == [1, 0, 0, 0, 0, -1]
        assert float(dataset.SpacingBetweenSlices) == pytest.approx(73.5 / 199, abs=1e-9)
        assert dataset.SliceThickness == 1.5
        assert dataset.SliceLocation == dataset.ImagePositionPatient[1]
    assert len({dataset.SOPInstanceUID for dataset in series}) == 200


def test_stored_values_map_to_0_1_and_the_window_shows_them_all():
    dataset = dicom_series(generated_volume())[-1]  # holds the volume's first voxels
    assert dataset.pixel_array.dtype == np.uint16
    assert (dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit) == (16, 12, 11)
    mapping = dataset.RealWorldValueMappingSequence[0]
    assert 4095 * mapping.RealWorldValueSlope == 1 and mapping.RealWorldValueIntercept == 0
    assert (mapping.RealWorldValueFirstValueMapped, mapping.RealWorldValueLastValueMapped) == (
        0,
        4095,
    )
    assert (dataset.WindowCenter, dataset.WindowWidth) == (2048, 4096)
    assert "RescaleSlope" not in dataset


def test_values_beyond_0_1_are_cut_and_those_that_are_none_refused():
    generated = generated_volume()
    beyond = replace(generated, volume=generated.volume * 3 - 1)
    assert {dataset.pixel_array.max() for dataset in dicom_series(beyond)} == {4095}
    generated.volume[0, 0, 0] = np.nan
    with pytest.raises(VolumeError, match="not be numbers"):
        dicom_series(generated)


# --- what the files say -----------------------------------------------------------------------


def test_every_slice_says_what_it_is():
    for dataset in dicom_series(generated_volume(laterality="L")):
        assert list(dataset.ImageType[:2]) == ["DERIVED", "SECONDARY"]
        assert dataset.SeriesDescription == "XR2MRI knee L, sample: synthetic, not for diagnosis"
        assert dataset.ImageComments.startswith(NOTICE)
        assert "V00XRKL=2" in dataset.ImageComments and "spacing unknown" in dataset.ImageComments
        assert "seed 3" in dataset.DerivationDescription
        assert dataset.DerivationCodeSequence[0].CodingSchemeDesignator == "DCM"
        assert dataset.ContentQualification == "RESEARCH"
        assert dataset.BurnedInAnnotation == "NO"
        assert (dataset.Modality, dataset.BodyPartExamined, dataset.Laterality) == (
            "MR",
            "KNEE",
            "L",
        )
        assert (dataset.Manufacturer, dataset.SoftwareVersions) == ("XR2MRI", "0.1.0")
        equipment = dataset.ContributingEquipmentSequence[0]
        assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109100"
        assert equipment.ManufacturerModelName == "knee_xr2mri"
        assert DIGEST in equipment.ContributionDescription
        assert not any(element.tag.is_private for element in dataset.iterall())


def test_no_acquisition_is_invented():
    dataset = dicom_series(generated_volume())[0]
    assert dataset.ScanningSequence == "RM" and dataset.SequenceVariant == "NONE"
    for keyword in ("EchoTime", "RepetitionTime", "EchoTrainLength", "MRAcquisitionType",
                    "ScanOptions", "PatientPosition"):  # fmt: skip
        assert not dataset[keyword].value
    for keyword in ("MagneticFieldStrength", "FlipAngle", "ProtocolName", "AcquisitionDate"):
        assert keyword not in dataset


def test_a_record_without_entries_is_enough():
    generated = replace(generated_volume(), record={})
    dataset = dicom_series(generated)[0]
    assert dataset.Laterality == "" and "unknown" in dataset.ContributingEquipmentSequence[0].get(
        "ContributionDescription"
    )


def test_mean_and_std_are_series_of_the_same_study(tmp_path):
    generated = generated_volume(4, samples=8)
    write_dicom_series(generated, tmp_path)
    images = read_series(tmp_path)
    assert set(images) == {"volume", "mean", "std"}
    for kind, image in images.items():
        values = sitk.GetArrayFromImage(sitk.DICOMOrient(image, "RAS")).transpose(2, 1, 0) / 4095
        np.testing.assert_allclose(values, getattr(generated, kind), atol=0.51 / 4095)
    series = dicom_series(generated)
    assert len({dataset.SeriesInstanceUID for dataset in series}) == 3
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID"):
        assert len({dataset[keyword].value for dataset in series}) == 1
    assert "mean of 8 samples" in series[4].SeriesDescription
    assert "std of 8 samples" in series[8].SeriesDescription
    assert [item.CodeValue for item in series[4].DerivationCodeSequence] == ["123110", "113049"]
    assert len(series[0].DerivationCodeSequence) == 1
    assert series[8].WindowWidth < 500  # else it would look black


def test_datasets_do_not_share_what_they_hold():
    first, second = dicom_series(generated_volume(2))
    first.PatientName = "Changed"
    first.DerivationCodeSequence[0].CodeValue = "0"
    assert (
        second.PatientName != "Changed" and second.DerivationCodeSequence[0].CodeValue == "123110"
    )


# --- UIDs -----------------------------------------------------------------------------------------


def test_the_same_content_is_the_same_file(tmp_path, radiograph):
    first = write_dicom_series(generated_volume(), tmp_path / "a", radiograph)
    second = write_dicom_series(generated_volume(), tmp_path / "b", radiograph)
    assert [p.name for p in first] == [p.name for p in second]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_other_content_has_other_uids(radiograph):
    generated = generated_volume()
    darker = replace(generated, volume=generated.volume * 0.9)
    seed = replace(generated, record={**generated.record, "seed": 4})
    variants = [dicom_series(g, s) for g in (generated, darker, seed) for s in (None, radiograph)]
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        assert len({series[0][keyword].value for series in variants}) == 6
    assert len({series[0].StudyInstanceUID for series in variants}) == 2  # of one radiograph
    for dataset in (dataset for series in variants for dataset in series):
        assert dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID
        assert UID(dataset.SOPInstanceUID).is_valid


def test_another_volume_in_the_same_folder_is_another_series(tmp_path):
    long = generated_volume(6)
    write_dicom_series(long, tmp_path)
    write_dicom_series(generated_volume(3), tmp_path)
    assert len(list(tmp_path.iterdir())) == 9
    sizes = [
        len(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path), uid))
        for uid in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(tmp_path))
    ]
    assert sorted(sizes) == [3, 6]


# --- the radiograph's patient and study -----------------------------------------------------------


@pytest.mark.parametrize("as_dataset", [True, False])
def test_patient_and_study_are_the_radiographs(radiograph, as_dataset):
    edited(radiograph, AccessionNumber="016600000001", PatientSex="F", PatientAge="061Y")
    header = dcmread(radiograph)
    header.add_new((0x0011, 0x0010), "LO", "SECRET")
    header.add_new((0x0011, 0x1001), "LO", "private")
    header.save_as(radiograph)
    dataset = dicom_series(generated_volume(), header if as_dataset else radiograph)[0]
    for keyword in ("PatientID", "PatientName", "PatientSex", "PatientAge", "StudyInstanceUID",
                    "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "StudyDescription",
                    "PatientComments", "QualityControlSubject"):  # fmt: skip
        assert dataset[keyword].value == header[keyword].value
    for keyword in ("SeriesInstanceUID", "SOPInstanceUID", "SeriesNumber", "SeriesDescription"):
        assert dataset[keyword].value != header[keyword].value
    for keyword in ("KVP", "ExposureInuAs", "InstitutionName", "SeriesDate", "ViewPosition"):
        assert keyword not in dataset
    reference = dataset.SourceImageSequence[0]
    assert reference.ReferencedSOPInstanceUID == header.SOPInstanceUID
    assert reference.ReferencedSOPClassUID == header.SOPClassUID
    assert reference.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    assert not any(element.tag.is_private for element in dataset.iterall())


def test_without_a_dicom_radiograph_there_is_a_new_study(tmp_path):
    (tmp_path / "xray.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))
    for source in (None, tmp_path / "xray.png"):
        dataset = dicom_series(generated_volume(), source)[0]
        assert dataset.PatientID.startswith("SYNTHETIC-") and "SourceImageSequence" not in dataset
        assert NOTICE in dataset.StudyDescription


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("ISO_IR 144", "Чехов^Антон"),
        ("ISO_IR 100", "Äneas^Rüdiger"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
    ],
)
def test_names_in_other_character_sets(tmp_path, radiograph, charset, name):
    edited(radiograph, SpecificCharacterSet=charset, PatientName=name)
    path = write_dicom_series(generated_volume(1), tmp_path / "series", radiograph)[0]
    dataset = dcmread(path)
    assert dataset.SpecificCharacterSet == "ISO_IR 192" and dataset.PatientName == name
    assert dciodvfy_errors(path) == []


def test_odd_attributes_are_left_out_and_identifiers_kept(tmp_path, radiograph):
    edited(
        radiograph,
        StudyInstanceUID=None,
        PatientBirthDate="1950.01.01",
        PatientSex="Male",
        PatientAge="61",
        StudyTime="noon",
        StudyDescription="two\x00lines",
        StudyID="x" * 40,
        DeidentificationMethod=None,
        AccessionNumber="0",
    )
    path = write_dicom_series(generated_volume(1), tmp_path / "series", radiograph)[0]
    dataset = dcmread(path)
    for keyword in ("PatientBirthDate", "PatientSex", "StudyTime", "StudyID"):
        assert not dataset[keyword].value
    assert "PatientAge" not in dataset and "StudyDescription" not in dataset
    assert dataset.PatientID == "P01" and dataset.AccessionNumber == "0"
    assert UID(dataset.StudyInstanceUID).is_valid
    assert dciodvfy_errors(path) == []


def test_identifiers_with_a_backslash_stay_what_they_are(tmp_path, radiograph):
    """DICOM has it between several values: they came out as the text of a list in Python."""
    edited(radiograph, PatientID="A\\B", AccessionNumber="7\\8", PatientName="Doe^J\\Roe^J")
    source = dcmread(radiograph)
    for header in (source, patient_from_text(patient_as_text(source))):  # as from the reading box
        dataset = dicom_series(generated_volume(1), header)[0]
        dataset.save_as(tmp_path / "slice.dcm", write_like_original=False)
        written = dcmread(tmp_path / "slice.dcm")
        assert list(written.PatientID) == ["A", "B"]
        assert list(written.AccessionNumber) == ["7", "8"]
        assert [str(name) for name in written.PatientName] == ["Doe^J", "Roe^J"]


def test_a_radiograph_without_anything_known(tmp_path, radiograph):
    edited(
        radiograph, StudyInstanceUID=None, SOPInstanceUID=None, SOPClassUID=None, PatientID=None,
        PatientName=None, StudyDate=None, StudyTime=None, SpecificCharacterSet="NONSENSE",
    )  # fmt: skip
    path = write_dicom_series(generated_volume(1), tmp_path / "series", radiograph)[0]
    dataset = dcmread(path)
    assert dataset.PatientID == "" and "SourceImageSequence" not in dataset
    assert dciodvfy_errors(path) == []


def test_a_study_uid_is_kept_as_the_pacs_knows_it(radiograph):
    study = dicom_series(generated_volume(), edited(radiograph, StudyInstanceUID="1.2.03.4"))[0]
    assert study.StudyInstanceUID == "1.2.03.4"
    other = dicom_series(generated_volume(), edited(radiograph, StudyInstanceUID="none"))[0]
    assert UID(other.StudyInstanceUID).is_valid


def test_sequences_are_carried_without_private_parts(radiograph):
    issuer = Dataset()
    issuer.LocalNamespaceEntityID = "Hospital"
    issuer.add_new((0x0011, 0x0010), "LO", "SECRET")
    header = dcmread(radiograph)
    header.IssuerOfAccessionNumberSequence = [issuer]
    dataset = dicom_series(generated_volume(), header)[0]
    assert dataset.IssuerOfAccessionNumberSequence[0].LocalNamespaceEntityID == "Hospital"
    assert not any(element.tag.is_private for element in dataset.iterall())
    assert len(header.IssuerOfAccessionNumberSequence[0]) == 2  # the radiograph is as it was


@pytest.mark.parametrize(
    "name",
    ["test_files/MR_small.dcm", "test_files/no_meta.dcm", "test_files/badVR.dcm",
     "test_files/nested_priv_SQ.dcm", "test_files/ExplVR_BigEnd.dcm", "test_files/rtplan.dcm",
     "test_files/meta_missing_tsyntax.dcm", "charset_files/chrH32.dcm"],
)  # fmt: skip
def test_any_dicom_file_may_be_the_source(tmp_path, name):
    found = Path(DATA_ROOT) / name
    if not found.is_file():
        pytest.skip(f"pydicom's test data has no {name} here")
    for path in write_dicom_series(generated_volume(1), tmp_path, found):
        assert dciodvfy_errors(path) == []
        assert dcmread(path).Modality == "MR"


def test_a_cut_short_or_absent_radiograph(tmp_path, radiograph):
    with pytest.raises(RadiographError, match="cannot be read"):
        dicom_series(generated_volume(), tmp_path / "absent.dcm")
    radiograph.write_bytes(radiograph.read_bytes()[:140])
    with pytest.raises(RadiographError):
        dicom_series(generated_volume(), radiograph)


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_files_are_part_10_whatever_the_radiograph_is(tmp_path, radiograph, syntax):
    header = dcmread(radiograph)
    header.file_meta.TransferSyntaxUID = syntax
    header.is_implicit_VR = syntax.is_implicit_VR
    header.save_as(radiograph)
    for path in write_dicom_series(generated_volume(2), tmp_path / "series", radiograph):
        assert path.read_bytes()[128:132] == b"DICM"
        assert dcmread(path).file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


@pytest.mark.parametrize("existed", [True, False])
def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch, existed):
    real, saved = Dataset.save_as, []

    def save(self, path, **keywords):
        real(self, path, **keywords)
        saved.append(path)
        if len(saved) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("pydicom.dataset.FileDataset.save_as", save)
    folder = tmp_path / "series"
    if existed:
        folder.mkdir()
    with pytest.raises(OutputError, match="No space left"):
        write_dicom_series(generated_volume(), folder)
    assert list(tmp_path.rglob("*")) == ([folder] if existed else [])
    saved.clear()
    with pytest.raises(OutputError, match="No space left"):
        write_generated(generated_volume(), tmp_path / "all", volume_format="dicom")
    assert list((tmp_path / "all").rglob("*")) == []


def test_write_generated_puts_the_series_into_a_folder(tmp_path, radiograph):
    generated = replace(generated_volume(3, samples=2), source=read_header(radiograph))
    written = write_generated(generated, tmp_path / "out", "knee", "dicom")
    assert set(written) == {"volume", "montage", "record"}
    assert written["volume"] == tmp_path / "out" / "knee_dicom"
    assert sorted(written["volume"].glob("*.dcm")) == sorted(written.files[:9])
    assert written.files[9:] == [written["montage"], written["record"]]
    assert dcmread(next(written["volume"].iterdir())).PatientID == "P01"
    assert '"knee_dicom"' in written["record"].read_text()


# --- letters --------------------------------------------------------------------------------------

NAME = "Чехов^Антон"


def spelled(radiograph: Path, name: bytes, declared: str | None) -> Path:
    """The radiograph with the bytes of a patient's name, and a character set or none."""
    blank = b"X" * (len(name) + len(name) % 2)
    edited(radiograph, PatientName=blank.decode(), SpecificCharacterSet=declared)
    raw = radiograph.read_bytes()
    assert raw.count(blank) == 1
    radiograph.write_bytes(raw.replace(blank, name.ljust(len(blank))))
    return radiograph


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [("utf8", None), ("utf8", ""), ("utf8", "ISO_IR 6"), ("utf8", "ISO_IR 100"),
     ("utf8", "ISO_IR 192"), ("utf8", "ISO_IR 144"), ("utf8", "ISO_IR 13"),
     ("utf8", "GBK"), ("utf8", "GB18030"), ("utf8", "\\ISO 2022 IR 87"),
     ("iso8859_5", "ISO_IR 144"), ("gb18030", "GB18030"), ("iso2022_jp", None),
     ("iso2022_jp", "ISO_IR 100"), ("iso2022_jp", "ISO_IR 192"),
     ("iso2022_jp", "\\ISO 2022 IR 87"), ("euc_kr", "\\ISO 2022 IR 149")],
)  # fmt: skip
def test_letters_that_can_be_known_are_kept(tmp_path, radiograph, encoding, declared):
    source = spelled(radiograph, NAME.encode(encoding), declared)
    made = dcmread(write_dicom_series(generated_volume(), tmp_path / "series", source)[0])
    assert made.SpecificCharacterSet == "ISO_IR 192" and str(made.PatientName) == NAME
    assert str(read_header(source).PatientName) == NAME


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [("cp1251", None), ("cp1251", "ISO_IR 6"), ("cp1251", "ISO_IR 192"), ("latin1", None),
     ("shift_jis", None), ("koi8_r", "KOI8"),
     ("cp1251", "ISO_IR 100"), ("iso8859_5", "ISO_IR 100"), ("cp866", "ISO_IR 100"),
     ("cp1251", "ISO_IR 144"), ("koi8_r", "ISO_IR 144"), ("cp1251", "ISO_IR 101"),
     ("latin1", "ISO_IR 144"), ("latin1", "ISO_IR 126"), ("cp1251", "\\ISO 2022 IR 87")],
)  # fmt: skip
def test_of_letters_that_nobody_knows_the_bytes_are_kept(
    tmp_path, radiograph, encoding, declared, caplog
):
    name = ("Müller^Jürgen" if encoding == "latin1" else NAME).encode(encoding)
    source = spelled(radiograph, name, declared)
    generated = generated_volume()
    generated.record["warnings"] = ["an odd thing: «ж»"]
    path = write_dicom_series(generated, tmp_path / "series", source)[0]
    made = dcmread(path)
    assert "SpecificCharacterSet" not in made
    assert made.get_item("PatientName").value.rstrip() == name
    assert "no character set" in made.ImageComments and made.ImageComments.startswith(NOTICE)
    assert "kept as it is" in caplog.text
    others = "".join(str(e.value) for e in made.iterall() if e.keyword != "PatientName")
    assert others.isascii() and "an odd thing" in others
    if shutil.which("dciodvfy"):
        known = ("character repertoire", "invalid data values for Value Representations")
        assert [e for e in dciodvfy_errors(path) if not any(words in e for words in known)] == []


CAPITALS = "ИВАНОВ^ИВАН МАКАРОВА^АННА ПЕТРОВ^ПЁТР КОСТЯ ЛИ^НИНА МИНИН^КОЗЬМА"  # noqa: RUF001


@pytest.mark.parametrize("name", CAPITALS.split())
@pytest.mark.parametrize("encoding", ["cp1251", "koi8_r"])
@pytest.mark.parametrize("declared", ["iso8859_5", "latin1", "iso8859_2"])
def test_capitals_of_another_cyrillic_code_page_are_not_believed(name, encoding, declared):
    for written in (name, f"Ivanov^Ivan={name}"):
        assert implausible(written.encode(encoding).decode(declared, "replace"))


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        (
            "latin1",
            "Müller^Jürgen Ærø^Åse Núñez^Íñigo Groß^Anaïs MÜLLER^JÖRG O\xb4Neill «Noël» 5° Ö",
        ),
        ("iso8859_2", "Dvořák^Jiří Łódź^Żółć ŽIŽKA^ŠTĚPÁN Kovács^Ödön"),
        ("iso8859_5", "Чехов^Антон ИВАНОВ^ПЁТР Ђорђевић № 5 ХРУСТ ШУСТЕР^ЮРИЙ Тютчев"),  # noqa: RUF001
        ("iso8859_7", "Παπαδόπουλος^Γιώργος ΈΛΛΗ"),
        ("iso8859_8", "כהן^דוד"),
        ("iso8859_9", "Çağlar^Şükrü İĞNE^Öğüt"),
        ("shift_jis", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
        ("gbk", "王^小明 膝关节AP"),
    ],
)
def test_names_in_their_own_character_set_are_believed(encoding, names):
    known = [n for n in names.split() if n.encode(encoding, "ignore").decode(encoding) == n]
    assert len(known) > 0 and [name for name in known if implausible(name)] == []


def test_letters_of_a_dataset_in_memory(tmp_path):
    source = Dataset()
    source.PatientName, source.PatientID = NAME, "P1"
    (made, *_) = dicom_series(generated_volume(), source)
    assert made.SpecificCharacterSet == "ISO_IR 192" and made.PatientName == NAME


@pytest.mark.parametrize("encoding", ["utf8", "cp1251", "iso8859_5"])
def test_undeclared_letters_survive_in_what_is_kept_of_a_header(radiograph, encoding):
    source = read_header(spelled(radiograph, NAME.encode(encoding), None))
    kept = patient_and_study(source)
    assert dicom_series(generated_volume(), kept) == dicom_series(generated_volume(), source)


def test_what_is_kept_of_a_header_makes_the_same_series(radiograph):
    """All that a series says of patient and study comes from `patient_and_study`."""
    source = read_header(radiograph)
    source.PatientName, source.PatientSex, source.PatientSize = "Müller^Zoë", "Male", "1.8"
    source.SpecificCharacterSet = "ISO_IR 100"
    source.StudyDescription = "Knie, beidseits"
    source.private_block(0x0011, "SOMEBODY", create=True).add_new(1, "LO", "x" * 60)
    kept = patient_and_study(source)
    assert patient_and_study(kept) == kept and len(kept.to_json()) < 3000
    generated = generated_volume(2)
    for whole, less in zip(
        dicom_series(generated, source), dicom_series(generated, kept), strict=True
    ):
        assert whole == less
