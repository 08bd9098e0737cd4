"""Every state and every message of the panel, with a logic that does nothing by itself."""

from __future__ import annotations

import json

import faulty_server as fake
import pytest

pytestmark = pytest.mark.gui

URL = "http://mri.hospital.example"


def info(**more):
    from xr2mri_client.jobs import read_info

    return read_info(URL, fake.info(**more))


@pytest.fixture
def mocked_ready(mocked, radiograph):
    """Connected, a radiograph chosen."""
    mocked.logic.connect(info())
    mocked.choose(radiograph)
    return mocked


@pytest.fixture
def result(mocked_ready):
    """A generated volume, as the logic leaves it in the scene."""
    import numpy as np

    from xr2mri_client.volume import Volume
    from XR2MRILib.request import Request
    from XR2MRILib.scene import display
    from XR2MRILib.scene import result as volumes

    values = np.linspace(0, 1, 16**3, dtype=np.float32).reshape(16, 16, 16)
    xray = mocked_ready.node.radiograph
    node = volumes.add_volume("knee synthetic MRI", "volume", Volume(values, np.eye(4)), xray)
    record = fake.record(notice="synthetic", warnings=[], seconds={"generate": 12.0})
    asked = Request(features={"V00XRKL": 2}, num_slices=16)
    volumes.describe(node, record, xray, asked, URL)
    display.grey(node)
    return node


def table_of(node):
    """The table of a comparison of a volume, as the logic leaves it in the scene."""
    import slicer

    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "the table")
    table.SetAttribute("XR2MRI.PSNR", "31.234")
    table.SetAttribute("XR2MRI.SSIM", "0.8765")
    node.SetNodeReferenceID("XR2MRI.table", table.GetID())
    return table


def made(node, **record):
    """What the logic tells of a volume."""
    from dataclasses import replace

    from XR2MRILib.generation import result_of

    found = result_of(node)
    return replace(found, record={**found.record, **record})


# --- states -------------------------------------------------------------------------------------

BUSY = {
    "CONNECTING": "Connecting...",
    "INSTALLING": "Installing...",
    "UNINSTALLING": "Removing...",
    "STARTING": "Starting the server...",
    "LOCATING": "Looking for the knee...",
    "IMPORTING": "Importing...",
    "CANCELLING": "Cancelling...",
    "COMPARING": "Comparing...",
    "EXPORTING": "Exporting...",
}
STARTING = ("generateButton", "exportButton", "compareButton", "whatIfButton")


def enabled(user, *names: str) -> list[str]:
    return [name for name in names if getattr(user.ui, name).enabled]


def test_before_anything_only_connecting_is_possible(mocked):
    ui = mocked.ui
    assert ui.serverStatus.text == "Not connected."
    assert ui.progressNote.text == "Connect to a server." == ui.generateButton.toolTip
    assert "it has the form" in ui.summaryLabel.text
    assert enabled(mocked, *STARTING, "cancelButton", "loadFormButton") == []
    assert ui.connectButton.enabled and not mocked.shown("progressBar")


@pytest.mark.parametrize("name", ["RUNNING", *BUSY])
def test_in_every_state_only_what_can_be_done_is_offered(mocked_ready, result, name):
    from XR2MRILib.states import State

    user = mocked_ready
    user.node.result = result
    user.node.realMri = user.slicer.util.addVolumeFromArray(
        user.slicer.util.arrayFromVolume(result).copy(), name="real MRI"
    )
    user.events()
    assert set(enabled(user, *STARTING)) >= {"generateButton", "exportButton", "compareButton"}
    user.logic.be(State[name])
    assert enabled(user, "generateButton", "exportButton", "compareButton", "whatIfButton") == []
    assert user.ui.cancelButton.enabled == (name != "CANCELLING")
    assert user.shown("progressBar")
    if name in BUSY:
        assert user.ui.progressNote.text == BUSY[name] and user.ui.progressBar.maximum == 0
    connecting = name == "CONNECTING"
    assert user.ui.connectButton.text == ("Stop" if connecting else "Connect")
    assert user.ui.connectButton.enabled == connecting and not user.ui.serverComboBox.enabled
    user.ui.cancelButton.click()
    assert (("cancel",) in user.logic.asked) == (name != "CANCELLING")
    user.logic.be(State.IDLE)
    assert "generateButton" in enabled(user, *STARTING) and not user.shown("progressBar")


PROGRESS = [
    (("connecting",), "Connecting...", None),
    (("uploading", 0.4), "Sending the radiograph...", 40),
    (("queued", 0.0, 0, 50, 1, 30.2), "Waiting in the line: 1 before yours, 31 s left", None),
    (("queued", 0.0, 0, 50, 3), "Waiting in the line: 3 before yours", None),
    (("running", 0.5, 25, 50, 0, 0.2), "25 of 50 slices, 1 s left", 50),
    (("running", 0.5, 25, 50, 0, 89.1), "25 of 50 slices, 90 s left", 50),
    (("running", 0.5, 25, 50, 0, 121.0), "25 of 50 slices, 3 min left", 50),
    (("running", 0.02, 1, 50), "1 of 50 slices", 2),
    (("fetching", 0.0, 50, 50), "Fetching the volume...", None),
    (("waiting", 0.0, 0, 0, 0, None, "It is away."), "Waiting for the server: It is away.", None),
]


@pytest.mark.parametrize(("progress", "text", "percent"), PROGRESS)
def test_progress_is_told(mocked_ready, progress, text, percent):
    from xr2mri_client.events import Progress
    from XR2MRILib.states import State

    mocked_ready.logic.be(State.RUNNING)
    mocked_ready.logic.progressed.emit(Progress(*progress))
    assert mocked_ready.ui.progressNote.text == text
    assert mocked_ready.ui.progressBar.maximum == (0 if percent is None else 100)
    assert percent is None or mocked_ready.ui.progressBar.value == percent


def test_the_slices_of_an_export_are_not_those_of_a_radiograph_that_waits(mocked_ready, result):
    """Nor is the next volume, of whatever radiograph, its volume."""
    from xr2mri_client.errors import LoginNeeded
    from xr2mri_client.events import Progress
    from XR2MRILib.batch.items import of_node
    from XR2MRILib.dicom_export import Exported
    from XR2MRILib.states import State

    user, logic, batch = mocked_ready, mocked_ready.logic, mocked_ready.widget.panel.batch.batch
    pixels = user.slicer.util.arrayFromVolume(user.node.radiograph).copy()
    other = user.slicer.util.addVolumeFromArray(pixels, name="another knee")
    logic.resumed = False
    batch.add([of_node(other)])

    def shown() -> str:
        return user.ui.batchTable.item(0, 2).text()

    user.ui.batchStartButton.click()
    logic.be(State.RUNNING)
    logic.end("failed", LoginNeeded("The login has expired."))
    assert shown() == "waiting: The login has expired."
    logic.connect(info())
    logic.be(State.EXPORTING)  # of a volume that the server has to make again
    logic.progressed.emit(Progress("running", 0.5, 25, 50))
    assert shown() == "waiting: The login has expired."
    logic.end("finished", Exported(50, "knee synthetic MRI"))
    logic.be(State.RUNNING)
    logic.end("finished", made(result))
    assert shown() == "waiting: The login has expired." and batch.left == 1
    logic.asked.clear()
    user.ui.batchStartButton.click()
    assert logic.asked[0][:2] == ("start", other) and shown() == "generating"


# --- the server ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "text", "missing"),
    [
        ({"queue": {"max": 8, "waiting": 0}}, "Connected to knee_xr2mri, XR2MRI 0.1.0.", "radiog"),
        ({}, "Connected to knee_xr2mri, XR2MRI 0.1.0, 1 waiting in line.", "radiograph"),
        ({"models": {}}, "which has no model that can generate.", "no model that can generate"),
    ],
)
def test_what_was_connected_to_is_told(mocked, more, text, missing):
    mocked.logic.connect(info(**more))
    mocked.events()
    assert mocked.ui.serverStatus.text.endswith(text) and mocked.colour("serverStatus") == "good"
    assert missing in mocked.ui.progressNote.text and not mocked.ui.generateButton.enabled


def test_who_is_logged_in_is_told(mocked):
    from dataclasses import replace

    mocked.logic.connect(replace(info(), user="eva", login_needed=True))
    assert ", as eva" in mocked.ui.serverStatus.text and "http" in mocked.ui.serverStatus.toolTip


def errors() -> dict[str, tuple]:
    """Each error that connecting may end with: colour, and what the panel then shows."""
    from xr2mri_client import errors as e

    return {
        "Unreachable": (e.Unreachable("Nobody is there."), "bad", ""),
        "WrongServer": (e.WrongServer("It is a printer."), "bad", ""),
        "VersionMismatch": (e.VersionMismatch("It is old.", True), "bad", ""),
        "LoginNeeded": (e.LoginNeeded("Who are you?"), "attention", "loginFrame"),
        "LoginFailed": (e.LoginFailed("Wrong password."), "bad", "loginFrame"),
        "TlsProblem": (e.TlsProblem("Unknown certificate."), "bad", "caFrame"),
        "Busy": (e.Busy("Too many wrong ones.", 30), "bad", ""),
        "ServerFault": (e.ServerFault("It crashed.", 500, "r1"), "bad", ""),
        "BadReply": (e.BadReply("Half a word."), "bad", ""),
        "FormError": (e.FormError("Its form is odd."), "bad", ""),
        "Unexpected": (e.Unexpected(KeyError("x")), "bad", ""),
    }


NAMES = "Unreachable WrongServer VersionMismatch LoginNeeded LoginFailed TlsProblem Busy"
NAMES += " ServerFault BadReply FormError Unexpected"


@pytest.mark.parametrize("name", NAMES.split())
def test_why_it_did_not_connect_is_told_at_the_server(mocked, name):
    error, colour, frame = errors()[name]
    mocked.ui.connectButton.click()
    assert mocked.logic.asked[-1][0] == "connectTo"
    mocked.logic.end("failed", error)
    assert mocked.ui.serverStatus.text == str(error) and mocked.colour("serverStatus") == colour
    assert mocked.ui.messageLabel.text == "", "it is said once"
    shown = [frame for frame in ("loginFrame", "caFrame") if mocked.shown(frame)]
    assert shown == ([frame] if frame else [])
    mocked.logic.connect(info())
    assert mocked.colour("serverStatus") == "good"
    assert not mocked.shown("loginFrame") and not mocked.shown("caFrame")


def test_an_address_that_cannot_be_one_is_told_at_once(mocked):
    from xr2mri_client.errors import BadAddress

    mocked.logic.refuses = BadAddress("The address is empty.")
    mocked.ui.connectButton.click()
    assert "is empty" in mocked.ui.serverStatus.text and mocked.colour("serverStatus") == "bad"


# --- what comes of it ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in NAMES.split() if not n.startswith(("Login", "Tls"))])
def test_why_a_generation_failed_is_told_below_the_button(mocked_ready, name):
    error, _colour, _frame = errors()[name]
    mocked_ready.press_generate()
    assert mocked_ready.logic.asked[-1][0] == "start"
    mocked_ready.logic.end("failed", error)
    assert (
        mocked_ready.ui.messageLabel.text == str(error)
        and mocked_ready.colour("messageLabel") == "bad"
    )
    assert mocked_ready.colour("serverStatus") == "good" and mocked_ready.ui.generateButton.enabled


def test_what_cannot_be_started_is_told_at_once(mocked_ready):
    from xr2mri_client.errors import BadRadiograph

    mocked_ready.logic.refuses = BadRadiograph("It is a cat.")
    mocked_ready.press_generate()
    assert mocked_ready.ui.messageLabel.text == "It is a cat. Choose another radiograph."
    assert mocked_ready.logic.asked == []


def test_what_nobody_asked_for_fails_silently(mocked_ready):
    from xr2mri_client.errors import NotOffered

    mocked_ready.logic.end("failed", NotOffered("It does not look for the knee."))
    assert mocked_ready.ui.messageLabel.text == ""


def test_a_generation_is_told_from_its_doubts_to_its_end(mocked_ready, result):
    from xr2mri_client.jobs import JobHandle
    from XR2MRILib.states import State

    mocked_ready.press_generate()
    mocked_ready.logic.be(State.RUNNING)
    doubt = "No knee was found."
    mocked_ready.logic.started.emit(JobHandle("1", "knee_xr2mri", 16, warnings=(doubt,)))
    assert (
        mocked_ready.ui.messageLabel.text == doubt
        and mocked_ready.colour("messageLabel") == "attention"
    )
    mocked_ready.logic.grown.emit(result, 8)
    mocked_ready.events()
    green = mocked_ready.slicer.app.layoutManager().sliceWidget("Green").mrmlSliceCompositeNode()
    assert green.GetBackgroundVolumeID() == result.GetID(), "it is shown while it grows"
    assert mocked_ready.node.result is None, "and chosen when it is whole"
    mocked_ready.logic.end("finished", made(result, warnings=[doubt]))
    assert "seed 7, 12 s on the server." in mocked_ready.ui.messageLabel.text
    assert (
        doubt in mocked_ready.ui.messageLabel.text
        and mocked_ready.colour("messageLabel") == "attention"
    )
    assert mocked_ready.node.result is result and "seed 7" in mocked_ready.ui.resultNote.text
    mocked_ready.logic.end("finished", made(result))
    assert mocked_ready.colour("messageLabel") == "good"


def test_a_cancellation_is_told(mocked_ready):
    mocked_ready.press_generate()
    mocked_ready.logic.end("cancelled")
    assert (
        mocked_ready.ui.messageLabel.text == "Cancelled."
        and mocked_ready.colour("messageLabel") == "plain"
    )


def test_a_comparison_and_an_export_are_told(mocked_ready, result):
    from XR2MRILib.compare import Compared
    from XR2MRILib.dicom_export import Exported

    table = table_of(result)
    mocked_ready.logic.end("finished", Compared(result, None, None, table, 31.234, 0.8765))
    told = "knee synthetic MRI: PSNR 31.23 dB, SSIM 0.876."
    assert mocked_ready.ui.messageLabel.text == told
    figures = "PSNR 31.23 dB, SSIM 0.876; slice by slice in the table the table."
    assert mocked_ready.ui.compareNote.text == figures
    mocked_ready.ui.exportButton.click()
    assert mocked_ready.logic.asked[-1] == ("exportDicom", result)
    mocked_ready.logic.end("finished", Exported(16, "knee synthetic MRI"))
    assert mocked_ready.ui.messageLabel.text.endswith("16 images are in the DICOM database.")


def test_figures_are_those_of_the_chosen_volume_and_messages_of_the_open_scene(
    mocked_ready, result, radiograph
):
    from XR2MRILib.compare import Compared

    user, ui = mocked_ready, mocked_ready.ui
    compared = Compared(result, None, None, table_of(result), 31.234, 0.8765)
    user.logic.end("finished", compared)
    first = user.node.radiograph
    user.choose(radiograph)
    assert user.node.result is None and not user.shown("compareNote"), "another patient's"
    user.choose(first)
    user.node.result = result
    user.events()
    assert "31.23 dB" in ui.compareNote.text and user.shown("compareNote")
    labels = ("messageLabel", "compareNote", "formNote", "patientNote", "radiographNote")
    for name in labels:
        getattr(ui, name).text = "of this patient"
    user.slicer.mrmlScene.Clear(0)
    user.events()
    assert [getattr(ui, name).text for name in labels] == [""] * len(labels)


def test_where_the_server_finds_the_knee_is_shown(mocked_ready):
    from xr2mri_client.jobs import Located
    from XR2MRILib.location import Found

    mocked_ready.ui.cropButton.click()
    assert mocked_ready.logic.asked[-1][0] == "locate"
    box = (4, 6, 44, 46)
    mocked_ready.logic.end(
        "finished", Found(mocked_ready.node.radiograph, Located(box, "R", ("Is it one?",)))
    )
    assert mocked_ready.ui.cropNote.text == "The proposed box, 40 \u00d7 40 pixels."
    assert mocked_ready.ui.radiographNote.text == "Is it one?"
    assert mocked_ready.colour("radiographNote") == "attention"


def test_another_side_has_the_server_look_again_for_a_box_that_nobody_moved(mocked_ready):
    from xr2mri_client.jobs import Located
    from XR2MRILib.location import Found
    from XR2MRILib.states import State

    user, ui, logic = mocked_ready, mocked_ready.ui, mocked_ready.logic
    ui.cropButton.click()

    def sides() -> list[str]:
        user.events()
        return [asked[2].laterality for asked in logic.asked if asked[0] == "locate"]

    def find(box, side) -> None:
        found = Found(user.node.radiograph, Located(box, "", ()), side)
        logic.end("finished", found)

    find((4, 6, 44, 46), "auto")
    ui.lateralityComboBox.setCurrentIndex(2)
    assert sides() == ["auto", "L"] and ui.cropNote.text.startswith("The middle, until the server")
    logic.be(State.LOCATING)
    ui.lateralityComboBox.setCurrentIndex(1)
    assert sides() == ["auto", "L"], "it is busy"
    find((4, 6, 54, 56), "L")
    assert sides() == ["auto", "L", "R"] and ui.cropNote.text.startswith("The middle, until")
    find((4, 6, 34, 36), "R")
    assert sides() == ["auto", "L", "R"]
    assert ui.cropNote.text == "The proposed box, 30 \u00d7 30 pixels."
    user.node.cropRoi.SetCenter(1, 2, 0)
    user.node.laterality = "L"  # as a pasted row does
    assert sides() == ["auto", "L", "R"] and "Your box" in ui.cropNote.text


def test_after_a_generation_the_box_is_where_the_server_took_it(mocked_ready, result):
    user, ui = mocked_ready, mocked_ready.ui
    user.logic.allowed = False
    ui.cropButton.click()
    assert not user.logic.asked and ui.cropNote.text.startswith("The middle, until the server")
    user.logic.end("finished", made(result, box=[4, 6, 44, 46]))
    assert ui.cropNote.text == "The proposed box, 40 \u00d7 40 pixels."
    user.logic.end("finished", made(result))
    assert ui.cropNote.text == "The proposed box, 40 \u00d7 40 pixels.", "servers may not tell it"
    user.node.cropRoi.SetCenter(1, 2, 0)
    user.logic.end("finished", made(result, box=[4, 6, 24, 26]))
    assert "Your box, 40" in ui.cropNote.text, "it is the user's by now"


def test_a_box_that_the_user_drew_is_found_again_with_its_radiograph(mocked_ready, radiograph):
    from XR2MRILib.batch.items import of_node
    from XR2MRILib.scene import known

    user, ui, panel = mocked_ready, mocked_ready.ui, mocked_ready.widget.panel
    first = user.node.radiograph
    ui.cropButton.click()
    other = user.choose(radiograph)
    user.choose(first)
    assert user.node.cropRoi is None and known.box(first) is None, "nobody has drawn any"
    ui.cropButton.click()
    user.node.cropRoi.SetCenter(1, 2, 0)
    drawn, note = panel.generate.request().box, ui.cropNote.text
    assert drawn is not None and "Your box" in note
    user.choose(other)
    assert panel.generate.request().box is None and ui.cropNote.text == ""
    boxes = [panel.batch._request(of_node(node), node).box for node in (first, other)]
    assert boxes == [drawn, None], "a batch knows it, too"
    user.choose(first)
    assert panel.generate.request().box == drawn and ui.cropNote.text == note
    assert ui.cropButton.checked, "what will be sent is shown"
    assert len(user.slicer.util.getNodesByClass("vtkMRMLMarkupsROINode")) == 1
    known.remember_box(other, drawn)  # as its copy has it, of which a part is left then
    assert known.box(other) == drawn
    user.slicer.util.updateVolumeFromArray(other, user.slicer.util.arrayFromVolume(other)[:, 1:])
    assert known.box(other) is None, "the pixels are others"
    ui.cropResetButton.click()
    user.choose(other)
    user.choose(first)
    assert panel.generate.request().box is None, "what was taken back stays so"


def test_nothing_is_sent_before_it_is_allowed(mocked_ready):
    import qt
    from harness import dialogs

    mocked_ready.logic.allowed = False
    dialogs.answer(qt.QMessageBox.No)
    mocked_ready.press_generate()
    assert mocked_ready.logic.asked == [] and URL in dialogs.shown[0]
    dialogs.answer(qt.QMessageBox.Yes)
    mocked_ready.press_generate()
    assert [asked[0] for asked in mocked_ready.logic.asked] == ["start"]


def test_a_changed_grade_is_asked_for_with_what_if(mocked_ready, result):
    mocked_ready.node.result = result
    mocked_ready.events()
    ui = mocked_ready.ui
    ui.whatIfFeature.setCurrentIndex(ui.whatIfFeature.findData("V00XRKL"))
    ui.whatIfGrade.setCurrentIndex(ui.whatIfGrade.findData(2))
    assert "It is so already" in ui.whatIfNote.text and not ui.whatIfButton.enabled
    ui.whatIfGrade.setCurrentIndex(ui.whatIfGrade.findData(4))
    ui.whatIfButton.click()
    assert mocked_ready.logic.asked[-1] == ("whatIf", result, {"V00XRKL": 4})
    mocked_ready.slicer.mrmlScene.RemoveNode(mocked_ready.node.radiograph)
    mocked_ready.events()
    assert ui.whatIfNote.text == "Its radiograph has gone." and not ui.whatIfButton.enabled


# --- the settings of another server -------------------------------------------------------------


def server_with(**knobs):
    """A server that states these limits and defaults."""
    models = json.loads(json.dumps(fake.info()["models"]))
    models["knee_xr2mri"]["parameters"]["properties"].update(knobs)
    return info(models=models)


def knob(least, most, default):
    """As pydantic describes a number, or one that may be left to the model."""
    limits = {"minimum": least, "maximum": most}
    if default is None:
        return {"anyOf": [limits, {"type": "null"}], "default": None}
    return {**limits, "default": default}


FEW = {
    "num_slices": knob(10, 80, 24),
    "samples": knob(1, 4, 2),
    "guidance": knob(0.0, 3.0, None),
}


def test_limits_and_defaults_of_the_settings_are_the_servers(mocked_ready):
    """Also after the panel was left: binding the fields gives them limits of its own."""
    ui = mocked_ready.ui
    mocked_ready.logic.connect(server_with(**FEW))
    mocked_ready.widget.exit()
    mocked_ready.widget.enter()
    fields = (ui.slicesSpinBox, ui.samplesSpinBox, ui.guidanceSpinBox)
    assert [field.maximum for field in fields] == [80, 4, 3.0]
    assert (ui.slicesSpinBox.minimum, ui.slicesSpinBox.value) == (10, 24)
    assert ui.samplesSpinBox.value == 2 and mocked_ready.node.samples == 2
    assert ui.guidanceSpinBox.text == "the model's own"
    mocked_ready.press_generate()
    asked = mocked_ready.logic.asked[-1][2]
    assert (asked.num_slices, asked.samples, asked.guidance) == (24, 2, None)
    ui.guidanceSpinBox.value = 0.0
    mocked_ready.press_generate()
    assert mocked_ready.logic.asked[-1][2].guidance == 0.0, "which is no less a wish"


def test_what_was_chosen_stays_with_another_server_as_far_as_that_takes_it(mocked_ready):
    ui = mocked_ready.ui
    mocked_ready.logic.connect(server_with(**FEW))
    ui.slicesSpinBox.value, ui.guidanceSpinBox.value = 60, 2.5
    more = {"num_slices": knob(1, 500, 100), "samples": knob(1, 9, 3), "steps": knob(1, 90, 20)}
    mocked_ready.logic.connect(server_with(**more, guidance=knob(1.0, 2.0, None)))
    assert (mocked_ready.node.numSlices, mocked_ready.node.guidance) == (60, 2.0)
    assert (mocked_ready.node.samples, mocked_ready.node.steps) == (3, 20), (
        "what nobody chose is the server's"
    )
    mocked_ready.logic.connect(server_with(num_slices=knob(1, 50, 30)))
    assert mocked_ready.node.numSlices == ui.slicesSpinBox.value == 50


@pytest.mark.parametrize("limits", [("a", 5, 1), (1, 10**30, 10**30), (None, None, None)])
def test_limits_that_are_none_break_nothing(mocked_ready, limits):
    mocked_ready.logic.connect(server_with(num_slices=knob(*limits) if limits[0] else {}))
    mocked_ready.press_generate()
    assert mocked_ready.logic.asked[-1][0] == "start"


def test_the_slider_and_its_field_go_together(mocked_ready):
    ui = mocked_ready.ui
    ui.slicesSlider.value = 70
    assert ui.slicesSpinBox.value == mocked_ready.node.numSlices == 70
    ui.slicesSpinBox.value = 1500
    assert mocked_ready.node.numSlices == 1500 and ui.slicesSlider.value == ui.slicesSlider.maximum


# --- the form of another server -----------------------------------------------------------------


def other_form() -> dict:
    """A server whose form lacks what the common one has, and grades the whole joint otherwise."""
    form = json.loads(json.dumps(fake.info()["form"]))
    kl = form["properties"]["V00XRKL"]
    kl["enum"] = [grade for grade in kl["enum"] if grade in (0, 1, 2, None)]
    return {**form, "x-groups": [g for g in form["x-groups"] if "V00XRKL" in g["properties"]]}


def test_what_a_new_servers_form_does_not_know_is_dropped_and_named(mocked_ready):
    mocked_ready.grade(V00XRKL=2, V00XRJSM=1, V00XROSFM=3)
    mocked_ready.logic.connect(info(form=other_form()))
    mocked_ready.events()
    note = mocked_ready.ui.formNote.text
    assert note.startswith("Left out") and "V00XRJSM 1" in note and "V00XROSFM 3" in note
    assert "V00XRKL" not in note and "\n" not in note
    assert mocked_ready.colour("formNote") == "attention"
    assert mocked_ready.node.features == {"V00XRKL": 2}, "what is known stays"
    mocked_ready.press_generate()
    assert dict(mocked_ready.logic.asked[-1][2].features) == {"V00XRKL": 2}, "and alone is sent"
    mocked_ready.grade(V00XRKL=1)
    assert mocked_ready.ui.formNote.text == "", "it is said once"


def test_a_grade_that_the_new_server_does_not_accept_is_dropped_too(mocked_ready):
    mocked_ready.grade(V00XRKL=4)
    mocked_ready.logic.connect(info(form=other_form()))
    mocked_ready.events()
    assert "V00XRKL 4" in mocked_ready.ui.formNote.text and mocked_ready.node.features == {}
    mocked_ready.logic.connect(info())
    mocked_ready.events()
    assert mocked_ready.ui.formNote.text == "" and mocked_ready.ui.generateButton.enabled


# --- what a server says is text -----------------------------------------------------------------

HOSTILE = '<img src="file:///etc/passwd">&amp;<h1>'


def test_what_a_server_says_is_shown_as_it_stands(mocked, radiograph):
    """Qt takes a text with tags for HTML where nobody says that it is none."""
    import qt

    form = fake.form_schema()
    for field in form["properties"].values():
        field["title"] = HOSTILE + field["title"]
        field["x-labels"] = dict.fromkeys(field["x-labels"], HOSTILE)
    for group in form["x-groups"]:
        group["title"] = HOSTILE
    given = fake.info(form=form, version=HOSTILE, software={HOSTILE: HOSTILE})
    given["models"]["knee_xr2mri"]["description"] = HOSTILE
    given["models"]["knee_xr2mri"]["demographics"] = {
        "properties": {
            "age": {"title": HOSTILE, "minimum": 1, "maximum": 99, "x-unit": HOSTILE},
            "sex": {"title": HOSTILE, "enum": ["F"], "x-labels": {"F": HOSTILE}},
        }
    }
    from xr2mri_client.errors import Refused
    from xr2mri_client.jobs import read_info

    mocked.logic.connect(read_info(URL, given))
    mocked.choose(radiograph).SetName(HOSTILE)
    mocked.logic.end("failed", Refused(HOSTILE, 400))
    panel = mocked.ui.formFrame.window()
    hostile = [label for label in panel.findChildren(qt.QLabel) if HOSTILE in label.text]
    assert len(hostile) > 10 and mocked.ui.messageLabel in hostile
    rich = [label.text for label in hostile if label.textFormat != qt.Qt.PlainText]
    assert not rich
    kinds = (qt.QToolButton, qt.QFrame, qt.QLabel, qt.QLineEdit, qt.QComboBox)
    widgets = [widget for kind in kinds for widget in panel.findChildren(kind)]
    tips = {widget.toolTip for widget in widgets if "img src" in widget.toolTip}
    assert len(tips) > 10
    document = qt.QTextDocument()
    for tip in tips:
        document.setHtml(tip)
        assert HOSTILE in document.toPlainText(), "the tip shows it as it stands"


def test_the_question_before_an_upload_is_plain(mocked_ready):
    import qt
    from harness import dialogs

    def look(box):
        assert box.textFormat == qt.Qt.PlainText
        return qt.QMessageBox.No

    mocked_ready.logic.allowed = False
    dialogs.answer(look)
    mocked_ready.ui.generateButton.click()
    assert mocked_ready.logic.asked == []
