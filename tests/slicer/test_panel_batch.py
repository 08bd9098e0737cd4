"""Several radiographs: their forms, the order, faults on the way, export."""

from __future__ import annotations

import csv
import json
import types
from pathlib import Path

import faulty_server as fake
import numpy as np
import pydicom
import pytest
from faulty_server import Answer
from harness import dialogs
from PIL import Image
from test_panel_mock import info

pytestmark = pytest.mark.gui

TABLE = "file;laterality;KL_GRADE;V00XRJSM;age;station\n"


@pytest.fixture
def folder(tmp_path, radiograph) -> Path:
    """Five pictures, with features in a JSON file, a table, their names, and none."""
    place = tmp_path / "knees"
    picture = radiograph.read_bytes()
    for name in ("a.png", "below/b.png", "3/9003175L.png", "d.png", "=e.PNG", ".hidden.png"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(picture)
    form = {"features": {"V00XRKL": 4, "V00XRJSL": None}, "laterality": "left"}
    (place / "a.json").write_text(json.dumps(form))
    rows = "b;R;1: Doubtful;2;61;X\n./d.png;R;9;;;\nnone.png;R;1;;;\n"
    (place / "forms.csv").write_text(TABLE + rows, encoding="utf-8-sig")
    (place / "else.csv").write_text("station,room\n1,2\n")
    (place / "notes.txt").write_text("no radiograph")
    return place


def states(user) -> list[str]:
    table = user.ui.batchTable
    return [table.item(row, 2).text() for row in range(table.rowCount)]


def take(user, folder: Path) -> None:
    dialogs.answer(str(folder))
    user.ui.batchFolderButton.click()


def finish(user) -> None:
    batch = user.widget.panel.batch.batch
    user.until(lambda: not batch.running and user.logic.state == "idle", "all of them", 90)
    user.until_idle()


def test_a_folder_is_generated_one_after_another_and_exported(user, folder, tmp_path):
    user.rehearse()
    take(user, folder)
    table, ui = user.ui.batchTable, user.ui
    names = [table.item(row, 0).text() for row in range(table.rowCount)]
    assert sorted(names) == ["3/9003175L.png", "=e.PNG", "a.png", "below/b.png", "d.png"]
    assert "forms.csv, 4: none.png: no such radiograph" in ui.batchNote.text
    assert set(states(user)) == {"waiting"}
    user.set_slices(30)
    ui.newSeedCheckBox.checked, ui.seedSpinBox.value = False, 5
    began = []
    user.logic.started.connect(lambda job: began.append(len(user.logic._client.server.slices)))
    ui.batchStartButton.click()
    assert ui.batchStartButton.text == "Stop" and not ui.batchFolderButton.enabled
    finish(user)
    shown = dict(zip(names, states(user), strict=True))
    refused = shown.pop("d.png")
    assert "V00XRKL" in refused and "4 of 5 done" in ui.batchNote.text
    assert "Accepted are 0, 1, 2, 3, 4, or nothing." in refused, "what mends it"
    assert set(shown.values()) == {"done: seed 5"} and len(began) == 4
    jobs = user.logic._client.server.started.values()
    asked = {json.dumps(job.parameters["features"]): job.parameters["laterality"] for job in jobs}
    assert asked == {
        '{"V00XRKL": 4}': "L", '{"V00XRKL": 1, "V00XRJSM": 2}': "R", '{"V00XRKL": 3}': "L",
        "{}": "auto",
    }  # fmt: skip
    volumes = [node for node in user.volumes() if node.GetAttribute("XR2MRI.Kind") == "volume"]
    hierarchy = user.slicer.mrmlScene.GetSubjectHierarchyNode()
    assert len(volumes) == 4 and all(hierarchy.GetItemByDataNode(node) for node in volumes)
    table.cellClicked.emit(names.index("a.png"), 0)
    user.events()
    assert user.node.result.GetName().startswith("a synthetic MRI"), "a row shows its volume"
    out = tmp_path / "out"
    out.mkdir()
    dialogs.answer(str(out))
    ui.batchExportButton.click()
    user.until(lambda: "xr2mri.csv" in ui.batchNote.text, ui.batchNote.text, 60)
    rows = list(csv.DictReader((out / "xr2mri.csv").open()))
    assert {row["file"] for row in rows} == {path.name for path in out.glob("*.nrrd")}
    assert "3_9003175L_synthetic.nrrd" in {row["file"] for row in rows}
    assert "'=e.PNG" in {row["radiograph"] for row in rows}, "no formula for a spreadsheet"
    assert {row["seed"] for row in rows} == {"5"} and "not for diagnosis" in rows[0]["notice"]
    read = user.slicer.util.loadVolume(str(out / "a_synthetic.nrrd"))
    assert user.slicer.util.arrayFromVolume(read).shape[1] == 30
    header = (out / "a_synthetic.nrrd").read_bytes().split(b"\n\n", 1)[0]
    assert b"XR2MRI.Synthetic:=1" in header and b"not for diagnosis" in header
    assert read.GetAttribute("XR2MRI.Synthetic") == "1", "it comes back as what it is"
    bounds = [np.zeros(6), np.zeros(6)]
    for box, node in zip(bounds, (read, user.node.result), strict=True):
        node.GetRASBounds(box)
    assert np.allclose(*bounds, atol=1e-3), "and where it was"
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    for item in user.widget.panel.batch.batch.items:
        item.name = f"afternoon_{item.name}"  # those of another batch
    dialogs.answer(str(out))
    ui.batchExportButton.click()
    user.until(lambda: user.colour("batchNote") == "bad", "nothing is written over", 30)
    assert "xr2mri.csv is there already" in ui.batchNote.text
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_batch_is_stopped_and_goes_on_where_it_was(user, folder):
    user.rehearse()
    take(user, folder)
    user.set_slices(100)
    user.ui.batchStartButton.click()
    user.until(
        lambda: any("of 100 slices" in text for text in states(user)), "progress is shown", 60
    )
    user.ui.batchStartButton.click()
    user.events()
    assert user.logic.state == "idle" and "cancelled" in states(user)
    assert user.ui.batchStartButton.text == "Generate all"
    user.set_slices(30)
    user.ui.batchStartButton.click()
    finish(user)
    assert sum(text.startswith("done") for text in states(user)) == 4
    items, started = user.widget.panel.batch.batch.items, user.logic._client.server.started
    before, gone = len(started), next(item for item in items if item.done)
    user.slicer.mrmlScene.RemoveNode(gone.volume_node)
    user.ui.batchStartButton.click()
    finish(user)
    assert gone.done and len(started) == before + 1, "of all of them the one that was deleted"
    user.slicer.mrmlScene.Clear(0)
    user.events()
    assert sum(text == "waiting" for text in states(user)) == 4
    user.ui.sampleButton.click()
    user.events()
    user.generate()  # whose nodes have the ids of those that have gone
    assert not any(item.done for item in items) and not user.ui.batchExportButton.enabled
    user.ui.batchClearButton.click()
    assert states(user) == [] and not user.ui.batchStartButton.enabled


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_login_that_expires_during_a_batch_makes_no_volume_twice(
    user, faulty, radiograph, tmp_path, by_hand
):
    for name in ("a.png", "b.png"):
        (tmp_path / "knees").mkdir(exist_ok=True)
        (tmp_path / "knees" / name).write_bytes(radiograph.read_bytes())
    job = f"GET /jobs/{fake.JOB}"
    faulty.plan["GET /auth/"] = Answer(body={"enabled": True, "client_id": "x", "realm": None})
    faulty.plan["GET /auth/token/valid"] = Answer(body={"username": "eva"})
    faulty.plan["POST /auth/token"] = [Answer(401), Answer(body={"access_token": "fresh"})]
    faulty.plan[job] = [
        Answer(401, {"detail": "expired"}),
        Answer(body=fake.state("running", 3)),
        Answer(body=fake.state("done", fake.SLICES)),
    ]
    user.connect(faulty.url)
    take(user, tmp_path / "knees")
    user.ui.batchStartButton.click()
    user.until_idle()
    assert states(user)[0].startswith("waiting: ") and user.shown("loginFrame")
    for password in ("falsch", "geheim"):
        user.ui.userEdit.text, user.ui.passwordEdit.text = "eva", password
        if by_hand and password == "geheim":  # before it, which gives the job up
            user.logic._dropInterrupted()
        user.ui.loginButton.click()
        user.until_idle()
    if by_hand:
        user.generate()
    assert states(user)[0].startswith("waiting" if by_hand else "done")
    user.ui.batchStartButton.click()
    finish(user)
    assert all(text.startswith("done") for text in states(user))
    asked = faulty.count("POST", "/jobs/infer")
    assert (asked, len(user.volumes())) == ((4, 3) if by_hand else (2, 2))


def test_a_job_that_is_lost_during_a_login_fails_its_radiograph(user, faulty, radiograph, tmp_path):
    (tmp_path / "knees").mkdir()
    (tmp_path / "knees" / "a.png").write_bytes(radiograph.read_bytes())
    faulty.plan["GET /auth/"] = Answer(body={"enabled": True, "client_id": "x", "realm": None})
    faulty.plan["POST /auth/token"] = Answer(body={"access_token": "fresh"})
    gone = Answer(404, {"detail": "no such job: it has expired"})
    faulty.plan[f"GET /jobs/{fake.JOB}"] = [Answer(401, {"detail": "expired"}), gone]
    user.connect(faulty.url)
    take(user, tmp_path / "knees")
    user.ui.batchStartButton.click()
    user.until_idle()
    assert states(user)[0].startswith("waiting: ")
    user.ui.userEdit.text, user.ui.passwordEdit.text = "eva", "geheim"
    user.ui.loginButton.click()
    user.until_idle()
    assert states(user)[0].startswith("failed: ") and "expired" in states(user)[0]
    faulty.plan[f"GET /jobs/{fake.JOB}"] = Answer(body=fake.state("done", fake.SLICES))
    user.ui.batchStartButton.click()
    finish(user)
    assert states(user)[0].startswith("done")


@pytest.mark.parametrize("end", ["failed", "cancelled", "login cancelled"])
def test_a_radiograph_that_waits_for_a_login_does_not_end_as_another_does(
    user, faulty, radiograph, tmp_path, end
):
    (tmp_path / "knees").mkdir()
    (tmp_path / "knees" / "a.png").write_bytes(radiograph.read_bytes())
    faulty.plan["GET /auth/"] = Answer(body={"enabled": True, "client_id": "x", "realm": None})
    faulty.plan["GET /auth/token/valid"] = Answer(body={"username": "eva"})
    faulty.plan["POST /auth/token"] = Answer(body={"access_token": "fresh"})
    refused = Answer(422, {"detail": "guidance 99: more than 20"})
    queued = Answer(202, fake.state("queued"), pause=2)
    post, before = "POST /jobs/infer/knee_xr2mri", faulty.plan["POST /jobs/infer/knee_xr2mri"]
    expired = Answer(401, {"detail": "expired"})
    faulty.plan[post] = [expired, refused if end == "failed" else queued]
    user.connect(faulty.url)
    take(user, tmp_path / "knees")
    user.ui.batchStartButton.click()
    user.until_idle()
    user.ui.userEdit.text, user.ui.passwordEdit.text = "eva", "geheim"
    user.ui.loginButton.click()
    if end == "login cancelled":
        user.logic.cancel()
    else:
        user.until_idle()
        user.choose(radiograph)
        user.press_generate()
        if end == "cancelled":
            user.ui.cancelButton.click()
        user.until_idle()
    assert states(user)[0].startswith("waiting: ")
    if end == "login cancelled":
        user.ui.userEdit.text, user.ui.passwordEdit.text = "eva", "geheim"
        user.ui.loginButton.click()
        user.until_idle()
    faulty.plan[post] = before
    user.ui.batchStartButton.click()
    finish(user)
    assert states(user)[0].startswith("done")


def test_what_would_befall_all_ends_the_batch(mocked, folder):
    from xr2mri_client.errors import Busy, Unreachable

    user = mocked
    user.logic.connect(info())
    take(user, folder)
    user.logic.refuses = Unreachable("The server has gone.", "Start it.")
    user.ui.batchStartButton.click()
    assert states(user)[0] == "waiting: The server has gone." and user.logic.asked == []
    assert user.ui.batchStartButton.text == "Generate all"
    user.logic.refuses = Busy("The line is full.", retry_after=0.1)
    user.ui.batchStartButton.click()
    assert states(user)[0] == "waiting: The line is full."
    assert user.ui.batchStartButton.text == "Stop", "it waits and asks again"
    user.until(lambda: user.logic.asked, "asked again", 5)
    assert user.logic.asked[0][0] == "start"


@pytest.mark.parametrize("where", ["scene", "server"])
def test_a_batch_that_waits_does_not_go_on_in_the_next_scene_nor_with_another_server(
    mocked, folder, monkeypatch, where
):
    import qt

    from xr2mri_client.errors import Busy
    from XR2MRILib.batch import run

    monkeypatch.setattr(run, "_LEAST_WAIT_S", 0.05)
    user, fired = mocked, []
    user.logic.connect(info())
    take(user, folder)
    user.logic.refuses = Busy("The line is full.", retry_after=0.05)
    user.ui.batchStartButton.click()
    assert user.ui.batchStartButton.text == "Stop"
    if where == "scene":
        user.slicer.mrmlScene.Clear(0)
    else:
        user.logic.disconnect()
        user.logic.connect(info())
    loaded = user.slicer.util.getNodesByClass("vtkMRMLVolumeNode")
    assert {state.partition(":")[0] for state in states(user)} == {"waiting"}
    assert user.ui.batchStartButton.text == "Generate all"
    qt.QTimer.singleShot(300, lambda: fired.append(True))
    user.until(lambda: fired, "longer than the batch would have waited", 20)
    assert user.logic.asked == []
    assert user.slicer.util.getNodesByClass("vtkMRMLVolumeNode") == loaded
    assert where == "server" or loaded == []


@pytest.mark.parametrize("what", ["empty", "absent selection"])
def test_what_cannot_be_taken_is_told(user, tmp_path, what):
    user.rehearse()
    if what == "empty":
        take(user, tmp_path)
        assert "There is no radiograph in" in user.ui.batchNote.text
    else:
        user.ui.batchBrowserButton.click()
        assert "No series is selected." in user.ui.batchNote.text
    assert user.colour("batchNote") == "bad"


def test_a_file_that_is_no_picture_fails_alone(user, folder, monkeypatch, caplog):
    (folder / "a.png").write_bytes(b"no picture")
    load = user.slicer.util.loadVolume

    def odd(path, *arguments, **options):
        if path.endswith("b.png"):
            raise TypeError("a reader's own fault")
        return load(path, *arguments, **options)

    monkeypatch.setattr(user.slicer.util, "loadVolume", odd)
    (folder / "3" / "9003175L.png").unlink()
    user.rehearse()
    take(user, folder)
    user.set_slices(30)
    user.ui.batchStartButton.click()
    finish(user)
    shown = states(user)
    assert sum(text.startswith("failed") for text in shown) == 3
    assert sum(text.startswith("done") for text in shown) == 1
    assert "a reader's own fault" in " ".join(shown)


def test_radiographs_of_a_folder_of_the_hierarchy_are_taken(user):
    slicer, ui = user.slicer, user.ui
    user.rehearse()
    from XR2MRILib import sample_data

    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    parent = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Clinic")
    for sample in sample_data.SAMPLES:
        node = sample_data.load(sample)
        hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node), parent)
        user.choose(node)
    user.grade(V00XRKL=3)
    ui.lateralityComboBox.setCurrentIndex(1)
    ui.batchSection.collapsed = False
    user.events()
    combo = ui.batchHierarchyComboBox
    index = combo.findText("Clinic")
    assert index > 0
    combo.setCurrentIndex(index)
    combo.activated.emit(index)
    assert len(states(user)) == 2
    user.set_slices(30)
    ui.batchStartButton.click()
    finish(user)
    assert all(text.startswith("done") for text in states(user))
    jobs = user.logic._client.server.started.values()
    sent: dict[str, set[int]] = {}
    for job in jobs:
        grade = job.parameters["features"]["V00XRKL"]
        sent.setdefault(job.parameters["laterality"], set()).add(grade)
    assert sent == {"R": {4, 3}}, "their own grades and side, those that the user has changed"
    parents = {hierarchy.GetItemParent(hierarchy.GetItemByDataNode(n)) for n in user.volumes()}
    assert parents == {parent}, "volumes lie beside their radiographs"


@pytest.fixture
def series(slicer, tmp_path) -> dict[str, str]:
    """UIDs of two series in the DICOM database, by side; each is of a patient of its own."""
    from DICOMLib import DICOMUtils
    from samples import draw_knee

    from xr2mri_core.phantom.dicom import write_radiograph_dicom

    database = slicer.dicomDatabase
    database.openDatabase(str(tmp_path / "database" / "ctkDICOM.sql"))
    found: dict[str, str] = {}
    for side in "RL":
        path = tmp_path / side / "knee.dcm"
        path.parent.mkdir()
        write_radiograph_dicom(
            path, draw_knee().astype(np.uint16) * 16, 0.4, patient_id=side, laterality=side
        )
        DICOMUtils.importDicom(str(path.parent))
        found[side] = str(pydicom.dcmread(path, stop_before_pixels=True).SeriesInstanceUID)
    return found


@pytest.fixture
def browse(slicer, monkeypatch):
    """Has the module DICOM's browser be as a version of Slicer has it: `usual` is selected in the
    tables, `visual` in the visual browser, which is the chosen one; None where it does not tell."""

    def choose(version: str, usual: list[str], visual: list[str] | None = None) -> None:
        lists = [slicer.dicomDatabase.filesForSeries(uid) for uid in usual]
        browser = types.SimpleNamespace(fileLists=lists)
        if version != "5.6":
            browser.dicomVisualBrowser = types.SimpleNamespace(visible=False)  # the module was left
        if version == "5.12":
            view = types.SimpleNamespace(selectedSeriesInstanceUIDs=lambda: tuple(visual or ()))
            browser.dicomVisualBrowser.patientView = lambda: view
            browser.useVisualDICOMBrowser = visual is not None
        elif version == "5.10":
            browser.useExpertimentalVisualDICOMBrowser = visual is not None
        widget = types.SimpleNamespace(browserWidget=browser)
        monkeypatch.setattr(slicer.modules, "DICOMWidget", widget, raising=False)

    return choose


@pytest.mark.parametrize("version", ["5.6", "5.10", "5.12"])
def test_the_selection_of_the_dicom_browser_is_taken(user, series, browse, version):
    browse(version, list(series.values()))
    user.rehearse()
    user.ui.batchBrowserButton.click()
    user.set_slices(30)
    user.ui.batchStartButton.click()
    finish(user)
    assert len(states(user)) == 2 and all(text.startswith("done") for text in states(user))
    jobs = user.logic._client.server.started.values()
    assert {job.parameters["laterality"] for job in jobs} == {"R", "L"}


def test_the_selection_of_the_visual_dicom_browser_is_taken_and_no_older_one(user, series, browse):
    """An older one is of the usual browser, of another patient perhaps."""
    browse("5.12", [series["R"]], [series["L"]])
    user.rehearse()
    user.ui.batchBrowserButton.click()
    user.set_slices(30)
    user.ui.batchStartButton.click()
    finish(user)
    (job,) = user.logic._client.server.started.values()
    assert job.parameters["laterality"] == "L"
    user.ui.batchClearButton.click()
    browse("5.12", [series["R"]], [])
    user.ui.batchBrowserButton.click()
    assert states(user) == [] and "No series is selected." in user.ui.batchNote.text


def test_a_visual_dicom_browser_that_does_not_tell_its_selection_is_refused(user, series, browse):
    browse("5.10", [series["R"]], [series["L"]])
    user.rehearse()
    user.ui.batchBrowserButton.click()
    assert states(user) == [] and user.colour("batchNote") == "bad"
    assert "does not tell" in user.ui.batchNote.text and "Switch back" in user.ui.batchNote.text


def test_a_dicom_file_of_no_database_tells_its_side_and_is_sent_as_a_positive(user, tmp_path):
    from samples import draw_knee

    from xr2mri_core.phantom.dicom import write_radiograph_dicom

    path = tmp_path / "knees" / "1.2.840.7"
    path.parent.mkdir()
    write_radiograph_dicom(
        path, draw_knee().astype(np.uint16) * 16, 0.4, patient_id="7", laterality="L"
    )
    data = pydicom.dcmread(path)
    data.PatientAge, data.PatientSex = "061Y", "F"
    data.save_as(path)
    user.rehearse()
    take(user, path.parent)
    user.ui.batchStartButton.click()
    finish(user)
    (job,) = user.logic._client.server.started.values()
    assert job.parameters["laterality"] == "L"
    from XR2MRILib.scene import dicom_source

    item = user.widget.panel.batch.batch.items[0]
    node = user.slicer.mrmlScene.GetNodeByID(item.radiograph)
    assert dicom_source.demographics(node) == {"age": "61", "sex": "F"}
    assert not item.whole and dicom_source.file_of(node) is None, "the header stays here"


def test_a_file_that_takes_the_place_of_another_tells_its_own_side(slicer, tmp_path):
    from xr2mri_core.phantom.dicom import write_radiograph_dicom
    from XR2MRILib.scene import dicom_source

    path = tmp_path / "IM000001"
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    node.AddDefaultStorageNode()
    node.GetStorageNode().SetFileName(str(path))
    assert dicom_source.laterality(node) == "", "it is not there yet"
    for patient, side in (("7", "L"), ("19", "R")):
        pixels = np.zeros((32, 32), np.uint16)
        write_radiograph_dicom(path, pixels, 0.4, patient_id=patient, laterality=side)
        assert dicom_source.laterality(node) == side


def test_two_volumes_have_two_names_on_every_disk(slicer):
    from XR2MRILib.panel.batch import _file_name

    names: list[str] = []
    for name in ("KNEE.png", "Knee.png", "knee/1.png", "Knee_1.png", "knee.png"):
        names.append(_file_name(name, names))
    assert len({name.lower() for name in names}) == 5 and names[0] == "KNEE_synthetic.nrrd"


def test_nothing_of_an_oversized_folder_is_read(slicer, tmp_path, monkeypatch):
    from xr2mri_client.errors import BadRadiograph
    from XR2MRILib.batch import items

    monkeypatch.setattr(items, "MOST", 3)
    for index in range(5):
        Image.fromarray(np.zeros((20, 20), np.uint8)).save(tmp_path / f"{index}.png")
    with pytest.raises(BadRadiograph, match="more than 3"):
        items.of_folder(tmp_path, None)
