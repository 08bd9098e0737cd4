"""Radiographs from Slicer's DICOM database, and generated volumes that go into it."""

from __future__ import annotations

import gzip
import io
import json
import sys
import zipfile
from pathlib import Path

import faulty_server as fake
import numpy as np
import pydicom
import pytest
from faulty_server import Answer
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from samples import draw_knee

from xr2mri_core.phantom.dicom import write_radiograph_dicom

pytestmark = pytest.mark.gui

POST = "POST /jobs/infer/knee_xr2mri"
RESULT = f"GET /jobs/{fake.JOB}/result"
SERIES = "1.2.826.0.1.3680043.8.498.9"


@pytest.fixture
def database(slicer, tmp_path):
    """Slicer's DICOM database, open and empty."""
    assert slicer.dicomDatabase.openDatabase(str(tmp_path / "database" / "ctkDICOM.sql"))
    return slicer.dicomDatabase


@pytest.fixture
def pixels() -> np.ndarray:
    return draw_knee(64).astype(np.uint16) * 16


@pytest.fixture
def import_radiograph(database, pixels, tmp_path):
    """Writes a radiograph of a left knee, and has it imported and loaded as a user does."""
    from DICOMLib import DICOMUtils

    def load(tags=None, **more):
        path = tmp_path / "import" / "xray.dcm"
        path.parent.mkdir()
        given = {"patient_id": "XR-17", "laterality": "L", **more}
        write_radiograph_dicom(path, pixels, 0.4, **given)
        if tags is not None:
            data = pydicom.dcmread(path)
            for keyword, value in tags.items():
                setattr(data, keyword, value)
            data.save_as(path)
        DICOMUtils.importDicom(str(path.parent))
        (patient,) = database.patients()
        (study,) = database.studiesForPatient(patient)
        (node_id,) = DICOMUtils.loadSeriesByUID(database.seriesForStudy(study))
        import slicer

        return slicer.mrmlScene.GetNodeByID(node_id)

    return load


def sent(faulty) -> tuple[dict, bytes]:
    """The parameters and the file of the generation that was asked for last."""
    body = [asked.body for asked in faulty.asked if asked.method == "POST"][-1]
    parameters = json.loads(body.split(b"\r\n\r\n", 1)[1].split(b"\r\n--", 1)[0])
    file = body.split(b'filename="radiograph"', 1)[1].split(b"\r\n\r\n", 1)[1]
    return parameters, file[: file.rindex(b"\r\n--")]


def try_to_generate(user, faulty) -> tuple[dict, bytes]:
    """What is sent; the server takes nothing."""
    faulty.plan[POST] = Answer(429, {"detail": "full"})
    user.press_generate()
    user.until_idle()
    return sent(faulty)


def picture_in(nrrd: bytes) -> np.ndarray:
    header, data = nrrd.split(b"\n\n", 1)
    fields = dict(line.split(": ") for line in header.decode().splitlines() if ": " in line)
    columns, rows = map(int, fields["sizes"].split())
    kind = {"ushort": "<u2", "short": "<i2", "float": "<f4"}[fields["type"]]
    return np.frombuffer(data, kind).reshape(rows, columns)


def test_the_side_comes_from_the_tags_and_the_file_goes_whole(user, faulty, import_radiograph):
    user.connect(faulty.url)
    node = import_radiograph()
    user.choose(node)
    assert user.ui.lateralityNote.text == "The image says: left."
    assert user.ui.lateralityComboBox.currentIndex == 0, "nothing had to be chosen"
    parameters, file = try_to_generate(user, faulty)
    assert parameters["laterality"] == "L"
    data = pydicom.dcmread(io.BytesIO(file))
    assert data.PatientID == "XR-17", "the server exports into the patient's study"
    user.ui.lateralityComboBox.setCurrentIndex(1)
    assert user.ui.lateralityNote.text == "But the image says: left."
    assert try_to_generate(user, faulty)[0]["laterality"] == "R", "the user is right"


def test_whoever_sends_a_patients_file_is_told(user, faulty, import_radiograph, monkeypatch):
    import qt
    from harness import dialogs

    from xr2mri_client import client

    monkeypatch.setattr(client, "is_local", lambda url: False)
    user.connect(faulty.url)
    user.choose(import_radiograph())
    for pixels_only, text in ((False, "with the patient's name and ID"), (True, "without")):
        user.ui.pixelsOnlyCheckBox.checked = pixels_only
        dialogs.answer(qt.QMessageBox.No)
        user.press_generate()
        assert text in dialogs.shown[-1]
    assert faulty.count("POST") == 0


def test_who_agreed_to_pixels_is_asked_again_before_a_patients_file_goes(
    user, faulty, import_radiograph, monkeypatch
):
    import qt
    from harness import dialogs

    from xr2mri_client import client

    monkeypatch.setattr(client, "is_local", lambda url: False)
    user.connect(faulty.url)
    node, ui = import_radiograph(), user.ui
    user.choose(node)
    ui.pixelsOnlyCheckBox.checked = True
    dialogs.answer(qt.QMessageBox.Yes)
    volume = user.generate()
    made_of_pixels = len(dialogs.shown)
    ui.pixelsOnlyCheckBox.checked = False
    ui.cropButton.click()
    user.until_idle()
    assert faulty.count("POST", "/locate") == 0, "a proposal is no reason to ask"
    ui.whatIfButton.click()
    user.until_idle()
    assert len(dialogs.shown) == made_of_pixels, "as it was sent for the volume"
    user.node.result = volume
    before = faulty.count("POST")
    items = sys.modules["XR2MRILib.batch.items"]
    user.widget.panel.batch.batch.add([items.of_node(node)])
    for press in (ui.generateButton, ui.batchStartButton):
        dialogs.answer(qt.QMessageBox.No)
        press.click()
        assert "with the patient's name and ID" in dialogs.shown[-1]
    with pytest.raises(sys.modules["xr2mri_client.errors"].PermissionNeeded, match="name and ID"):
        user.logic.generate(node)
    assert faulty.count("POST") == before and user.logic.state == "idle"
    dialogs.answer(qt.QMessageBox.Yes)
    whole = user.generate()
    assert b"XR-17" in sent(faulty)[1]
    asked = len(dialogs.shown)
    user.slicer.app.settings().setValue("XR2MRI/FilesAllowed", "[]")
    user.node.result = whole
    user.events()
    for press in (ui.whatIfButton, ui.exportButton):
        dialogs.answer(qt.QMessageBox.No)
        press.click()
    assert len(dialogs.shown) == asked + 2


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize("reader", ["DCMTK", "GDCM"])
def test_bone_is_bright_in_the_pixels_alone(
    user, faulty, import_radiograph, pixels, photometric, reader
):
    """DCMTK makes a positive of MONOCHROME1, GDCM leaves the values as they are."""
    user.connect(faulty.url)
    node = import_radiograph(photometric=photometric)
    values = user.slicer.util.arrayFromVolume(node)
    assert np.array_equal(values[0], pixels), "the library that is here reads with DCMTK"
    if reader == "GDCM" and photometric == "MONOCHROME1":
        values[:] = 4095 - values
    user.choose(node)
    user.ui.pixelsOnlyCheckBox.checked = True
    _parameters, file = try_to_generate(user, faulty)
    assert b"XR-17" not in file, "nothing tells of the patient"
    picture = picture_in(file).astype(int)
    assert np.array_equal(picture - picture.min(), pixels.astype(int) - pixels.min())


@pytest.mark.parametrize("reader", ["DCMTK", "GDCM"])
def test_a_scene_that_is_opened_elsewhere_brings_what_dicom_told(
    user, faulty, import_radiograph, database, pixels, tmp_path, reader
):
    user.connect(faulty.url)
    node = import_radiograph(photometric="MONOCHROME1", demographics={"age": 61.0, "sex": "F"})
    if reader == "GDCM":
        values = user.slicer.util.arrayFromVolume(node)
        values[:] = 4095 - values
    user.choose(node)
    user.grade(V00XRKL=1)
    assert user.slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    user.slicer.mrmlScene.Clear(0)
    database.closeDatabase()
    assert database.openDatabase(str(tmp_path / "elsewhere" / "ctkDICOM.sql"))
    user.slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    user.events()
    assert user.ui.lateralityNote.text == "The image says: left."
    assert dict(user.node.demographics) == {"age": "61", "sex": "F"}
    parameters, file = try_to_generate(user, faulty)
    assert parameters["laterality"] == "L" and b"XR-17" not in file
    picture = picture_in(file).astype(int)
    assert np.array_equal(picture - picture.min(), pixels.astype(int) - pixels.min())


def test_the_volume_lies_in_the_patients_study(user, faulty, import_radiograph):
    user.connect(faulty.url)
    node = import_radiograph()
    user.choose(node)
    volume = user.generate()
    hierarchy = user.slicer.mrmlScene.GetSubjectHierarchyNode()
    study = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node))
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(volume)) == study
    assert hierarchy.GetItemUID(study, "DICOM")


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_a_patients_picture_that_was_mirrored_in_slicer_is_sent_as_it_is_shown(
    user, faulty, import_radiograph, pixels, photometric
):
    """Its file is still the other way round, and stays here."""
    user.connect(faulty.url)
    node = import_radiograph(photometric=photometric)
    flip = user.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = user.slicer.util.vtkMatrixFromArray(np.diag([-1.0, 1, 1, 1]))
    flip.SetMatrixTransformToParent(matrix)
    node.SetAndObserveTransformNodeID(flip.GetID())
    user.choose(node)
    _parameters, file = try_to_generate(user, faulty)
    picture = picture_in(file).astype(int)
    mirrored = pixels[:, ::-1].astype(int)
    assert np.array_equal(picture - picture.min(), mirrored - mirrored.min())
    node.SetAndObserveTransformNodeID(None)
    assert b"XR-17" in try_to_generate(user, faulty)[1]


def test_a_file_that_says_how_it_lies_is_left_to_the_server(user, faulty, import_radiograph):
    """Also by its pixels alone, of which the header tells it: a box is of pixels of the file."""
    user.connect(faulty.url)
    place = {"ImageOrientationPatient": [-1, 0, 0, 0, 0, -1], "ImagePositionPatient": [0, 0, 0]}
    node = import_radiograph({**place, "PatientOrientation": []})
    user.choose(node)
    directions = np.eye(3)
    node.GetIJKToRASDirections(directions)
    assert np.allclose(directions[:, :2].T, [[1, 0, 0], [0, 0, -1]]), "as Slicer shows it"
    assert b"XR-17" in try_to_generate(user, faulty)[1]
    user.ui.pixelsOnlyCheckBox.checked = True
    assert b"PatientOrientation:=R\\F\n" in try_to_generate(user, faulty)[1]


@pytest.mark.server
def test_export_puts_a_series_beside_the_radiograph(user, server, database, import_radiograph):
    from DICOMLib import DICOMUtils

    slicer = user.slicer
    user.connect(server)
    node = import_radiograph()
    user.choose(node)
    user.set_slices(30)
    volume = user.generate()
    (patient,) = database.patients()
    (study,) = database.studiesForPatient(patient)
    before = set(database.seriesForStudy(study))
    user.ui.exportButton.click()
    assert user.ui.progressNote.text == "Exporting..." and not user.ui.exportButton.enabled
    user.until_idle()
    assert "30 images are in the DICOM database" in user.ui.messageLabel.text, user.says()
    assert user.colour("messageLabel") == "good"
    assert database.patients() == [patient], "the same patient"
    (series,) = set(database.seriesForStudy(study)) - before
    assert len(database.instancesForSeries(series)) == 30
    assert series in database.displayed, "with its names in the DICOM browser"
    file = database.filesForSeries(series)[0]
    assert database.fileValue(file, "0008,0060") == "MR"
    assert "DERIVED" in database.fileValue(file, "0008,0008")
    assert not list(Path(slicer.app.temporaryPath).glob("xr2mri-*")), "nothing is left over"
    (again,) = DICOMUtils.loadSeriesByUID([series])
    again = slicer.mrmlScene.GetNodeByID(again)
    assert sorted(again.GetImageData().GetDimensions()) == sorted(
        volume.GetImageData().GetDimensions()
    )
    assert again.GetAttribute("XR2MRI.Synthetic") == "1"
    bounds = [np.zeros(6), np.zeros(6)]
    for box, one in zip(bounds, (again, volume), strict=True):
        one.GetRASBounds(box)
    assert np.allclose(*bounds, atol=0.01), "and it lies where the volume does"


def test_a_series_of_ours_is_synthetic_whichever_reader_has_read_it(user, import_radiograph):
    kind = ["DERIVED", "SECONDARY", "OTHER", "SYNTHETIC", "SAMPLE"]
    read = import_radiograph({"ImageType": kind, "Manufacturer": "XR2MRI"})
    bare = user.slicer.util.addVolumeFromArray(np.zeros((4, 4, 4), np.int16))  # has no file
    assert bare.GetAttribute("XR2MRI.Synthetic") is None
    bare.SetAttribute("DICOM.instanceUIDs", read.GetAttribute("DICOM.instanceUIDs") + " 1.2.3")
    for node in (read, bare):
        assert node.GetAttribute("XR2MRI.Synthetic") == "1"
    user.choose(read)
    assert "is a generated volume" in user.ui.radiographNote.text


# --- what can go wrong --------------------------------------------------------------------------


@pytest.fixture
def exportable(ready, faulty, database):
    """With a volume that may be exported."""
    ready.generate()
    faulty.plan[RESULT] = Answer(body=zipped(6))
    return ready


def zipped(count: int) -> bytes:
    """A series as the server sends it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for index in range(count):
            meta = FileMetaDataset()
            meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = (
                MRImageStorage,
                ExplicitVRLittleEndian,
            )
            meta.MediaStorageSOPInstanceUID = f"{SERIES}.{index}"
            data = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
            data.SOPClassUID, data.SOPInstanceUID = MRImageStorage, f"{SERIES}.{index}"
            data.SeriesInstanceUID, data.StudyInstanceUID = SERIES, f"{SERIES}.1.1"
            file = io.BytesIO()
            data.save_as(file)
            archive.writestr(f"{SERIES}.{index}.dcm", file.getvalue())
    return buffer.getvalue()


def export(user) -> str:
    """Click, and read what it says."""
    assert user.ui.exportButton.enabled
    user.ui.exportButton.click()
    user.until_idle()
    return user.ui.messageLabel.text


def nothing_is_left(user, database) -> bool:
    left = list(Path(user.slicer.app.temporaryPath).glob("xr2mri-*"))
    return database.patients() == [] and left == [] and user.logic.state == "idle"


def test_export_works_with_a_small_server(exportable, database):
    assert "6 images are in the DICOM database" in export(exportable)
    assert len(database.instancesForSeries(SERIES)) == 6


def test_export_without_an_open_database_is_told(exportable, database, faulty):
    database.closeDatabase()
    faulty.asked.clear()
    assert "Open the module DICOM once" in export(exportable)
    assert exportable.colour("messageLabel") == "bad" and not faulty.asked, (
        "before anything is sent"
    )


def test_a_disk_that_is_full_is_told_and_no_half_of_a_series_stays(exportable, database):
    database.room = 4
    message = export(exportable)
    assert "took 4 of 6 images" in message and "disk full" in message
    assert exportable.colour("messageLabel") == "bad" and nothing_is_left(exportable, database)
    database.room = None
    assert "6 images are in" in export(exportable), "and then it works"


def test_a_folder_that_takes_no_files_is_told(exportable, database, monkeypatch):
    import errno

    def full(_path, _data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    message = export(exportable)
    assert "cannot be written" in message and "No space left" in message and "disk full" in message
    monkeypatch.undo()
    assert nothing_is_left(exportable, database)


def test_a_temporary_folder_that_has_gone_is_told(exportable, database, monkeypatch, tmp_path):
    from XR2MRILib import dicom_export

    def nowhere(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(dicom_export.tempfile, "mkdtemp", nowhere)
    assert "Permission denied" in export(exportable)
    assert exportable.colour("messageLabel") == "bad" and nothing_is_left(exportable, database)


REFUSALS = {
    "cannot export": (Answer(422, {"detail": "no DICOM of this"}), "no DICOM of this"),
    "crashed": (Answer(500, {"detail": "oops"}), "tell the administrator"),
    "no series": (Answer(body=b"<html>"), "not a ZIP file"),
    "another's files": (Answer(body=b"PK\x03\x04" + bytes(80)), "damaged"),
    "packed twice": (Answer(body=gzip.compress(b"PK")), "not a ZIP file"),
}


def test_what_a_server_answers_instead_is_told(exportable, database, faulty):
    wrong = []
    for name, (answer, text) in REFUSALS.items():
        faulty.plan[RESULT] = answer
        message = export(exportable)
        if text not in message or exportable.colour("messageLabel") != "bad":
            wrong.append((name, message))
        assert nothing_is_left(exportable, database), name
    assert not wrong


def test_a_server_that_has_forgotten_the_job_makes_it_again(exportable, database, faulty):
    faulty.asked.clear()
    gone = [Answer(404, {"detail": "no job"}), Answer(body=zipped(6))]
    faulty.plan[RESULT] = gone
    assert "6 images are in" in export(exportable)
    parameters, _file = sent(faulty)
    assert parameters["seed"] == fake.SEED and parameters["output_format"] == "dicom"


def test_a_volume_of_other_weights_is_neither_made_again_nor_subtracted(ready, faulty, database):
    """As after an update of the server, which has forgotten its jobs: neither would be of it."""
    old, new = ({"sha256": digit * 64} for digit in "01")
    faulty.plan[f"GET /jobs/{fake.JOB}/record"] = Answer(body=fake.record(model=old))
    volume = ready.generate()
    faulty.plan[RESULT] = Answer(body=zipped(6))
    assert "6 images are in" in export(ready), "its job is still there"
    described = fake.info()
    described["models"]["knee_xr2mri"]["weights"] = new
    faulty.plan["GET /info/"] = Answer(body=described)
    faulty.plan[RESULT] = Answer(404, {"detail": "no job"})
    faulty.asked.clear()
    assert "other weights" in export(ready) and ready.colour("messageLabel") == "bad"
    ready.ui.whatIfButton.click()
    ready.until_idle()
    assert "other weights" in ready.ui.messageLabel.text and faulty.count("POST") == 0
    assert ready.node.result is volume and ready.node.overlay == ""


def test_export_can_be_cancelled(exportable, database, faulty):
    faulty.plan[RESULT] = Answer(body=zipped(6), pause=2)
    exportable.ui.exportButton.click()
    exportable.until(lambda: faulty.count("GET", "result") > 1, "it is asked for")
    exportable.ui.cancelButton.click()
    assert exportable.ui.messageLabel.text == "Cancelled." and nothing_is_left(exportable, database)


def test_without_its_radiograph_there_is_no_export(exportable, database):
    exportable.slicer.mrmlScene.RemoveNode(
        exportable.node.result.GetNodeReference("XR2MRI.radiograph")
    )
    exportable.events()
    assert "has gone" in export(exportable)
