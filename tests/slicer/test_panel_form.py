"""The form, the options and what is remembered: every field bound, every way to fill it."""

from __future__ import annotations

import json
import xml.etree.ElementTree as xml

import pytest
from faulty_server import JOB, Answer, info, record

pytestmark = pytest.mark.gui

ROW = "ID\tSIDE\tV00XRKL\tV00XROSFM\tV00XRJSM\n9000099\t1\t3: Moderate\t2\t.\n"


def bound() -> dict[str, tuple[str, str]]:
    """Of the .ui file: parameter -> (name, class) of the widget that is bound to it."""
    from user import MODULE

    found = {}
    for widget in xml.parse(MODULE.parent / "Resources" / "UI" / "XR2MRI.ui").iter("widget"):
        for prop in widget.findall("property"):
            if prop.get("name") == "SlicerParameterName":
                found[prop.findtext("string")] = (widget.get("name"), widget.get("class"))
    return found


def test_every_bound_widget_is_there_has_its_type_and_goes_both_ways(user):
    import slicer

    node, names = user.node, bound()
    assert {"radiograph", "numSlices", "seed", "result", "realMri"} <= set(names)
    changes = {int: lambda v: v + 1, float: lambda v: v + 0.5, bool: lambda v: not v}
    for parameter, (name, kind) in names.items():
        widget = getattr(user.ui, name)
        assert widget.className() == kind, name
        value = getattr(node, parameter)
        if kind == "qMRMLNodeComboBox":
            volume = slicer.util.addVolumeFromArray(__import__("numpy").zeros((1, 32, 32)))
            volume.SetAttribute("XR2MRI.Kind", "volume")
            widget.setCurrentNode(volume)
            assert getattr(node, parameter) is volume, parameter
            setattr(node, parameter, None)
            assert widget.currentNode() is None, parameter
            continue
        shown = "checked" if isinstance(value, bool) else "value"
        assert getattr(widget, shown) == value, parameter
        changed = changes[type(value)](value)
        setattr(widget, shown, changed)
        assert getattr(node, parameter) == changed, f"{name} tells {parameter}"
        setattr(node, parameter, value)
        assert getattr(widget, shown) == value, f"{parameter} is shown by {name}"


def test_every_widget_that_the_code_names_is_in_the_file(user):
    """A name that is not there would show itself only when somebody clicks there."""
    import re

    from user import MODULE

    code = "".join(p.read_text() for p in (MODULE.parent / "XR2MRILib" / "panel").glob("*.py"))
    names = set(re.findall(r"\bui\.(\w+)", code))
    assert names and not [name for name in names if not hasattr(user.ui, name)]


def test_the_form_has_every_feature_with_all_grades(ready):
    from xr2mri_core.features import form_schema

    schema = form_schema()
    for name, described in schema["properties"].items():
        grades = [g for g in described["enum"] if g is not None]
        for grade in [*grades, "none"]:
            button = ready.grade_button(name, grade)
            assert button is not None, (name, grade)
            if grade != "none":
                assert described["x-labels"][str(grade)] in button.toolTip
        assert ready.grade_button(name, "none").checked, "not read is the default"
    assert "Nothing was read" in ready.ui.summaryLabel.text


def test_digits_set_grades_and_a_key_takes_them_back(ready):
    import qt
    from PySide6.QtTest import QTest

    ready.come_to_the_front()
    button = ready.grade_button("V00XRKL", "none")
    button.setFocus()
    ready.events()
    assert button.hasFocus()
    QTest.keyClick(button, qt.Qt.Key_3)
    assert ready.node.features == {"V00XRKL": 3} and ready.grade_button("V00XRKL", 3).checked
    focus = ready.slicer.app.focusWidget()
    assert focus is ready.grade_button("V00XRKL", 3), "the focus goes with the grade"
    QTest.keyClick(focus, qt.Qt.Key_Right)
    assert ready.node.features == {"V00XRKL": 4}
    QTest.keyClick(ready.slicer.app.focusWidget(), qt.Qt.Key_9)
    assert ready.node.features == {"V00XRKL": 4}, "a grade that does not exist is none"
    QTest.keyClick(ready.slicer.app.focusWidget(), qt.Qt.Key_Delete)
    assert ready.node.features == {}


def test_tab_reaches_every_field(ready):
    import qt
    from PySide6.QtTest import QTest

    ready.come_to_the_front()
    ready.grade_button("V00XRKL", "none").setFocus()
    reached = []
    for _ in range(60):
        focused = ready.slicer.app.focusWidget()
        if hasattr(focused, "name") and focused.name.startswith("grade_"):
            reached.append(focused.name.rsplit("_", 1)[0])
        QTest.keyClick(focused, qt.Qt.Key_Tab)
    fields = ready.widget.panel.features.form.fields
    assert {f"grade_{name}" for name in fields} <= set(reached)


def test_the_form_is_saved_and_loaded(ready, tmp_path):
    from harness import dialogs

    ready.grade(V00XRKL=2, V00XRJSM=1)
    dialogs.answer(str(tmp_path / "a.json"))
    ready.ui.saveFormButton.click()
    assert json.loads((tmp_path / "a.json").read_text()) == {"V00XRKL": 2, "V00XRJSM": 1}
    ready.ui.clearFormButton.click()
    assert ready.node.features == {} and ready.grade_button("V00XRKL", "none").checked
    dialogs.answer(str(tmp_path / "a.json"))
    ready.ui.loadFormButton.click()
    assert ready.node.features == {"V00XRKL": 2, "V00XRJSM": 1}
    (tmp_path / "bad.json").write_text('{"V00XRKL": 9}')
    dialogs.answer(str(tmp_path / "bad.json"))
    ready.ui.loadFormButton.click()
    assert "9" in ready.ui.formNote.text and ready.colour("formNote") == "bad"
    assert ready.node.features == {"V00XRKL": 2, "V00XRJSM": 1}, "a bad file changes nothing"
    ready.ui.lateralityComboBox.setCurrentIndex(2)
    dialogs.answer(str(tmp_path / "left.json"))
    ready.ui.saveFormButton.click()
    ready.ui.lateralityComboBox.setCurrentIndex(0)
    dialogs.answer(str(tmp_path / "left.json"))
    ready.ui.loadFormButton.click()
    assert ready.node.laterality == "L" and ready.ui.lateralityComboBox.currentIndex == 2
    assert ready.node.features == {"V00XRKL": 2, "V00XRJSM": 1}
    dialogs.answer(str(tmp_path / "a.json"))
    ready.ui.loadFormButton.click()
    assert ready.node.laterality == "L", "grades alone say nothing of it"
    dialogs.answer("")
    ready.ui.loadFormButton.click()  # the user thought better of it


def test_a_row_of_a_table_of_readings_is_pasted(ready):
    import qt

    qt.QApplication.clipboard().setText(ROW)
    ready.ui.pasteRowButton.click()
    assert ready.node.features == {"V00XRKL": 3, "V00XROSFM": 2}, ready.says()
    assert ready.node.laterality == "R" and ready.ui.lateralityComboBox.currentIndex == 1
    qt.QApplication.clipboard().setText("nothing of the kind")
    ready.ui.pasteRowButton.click()
    assert ready.colour("formNote") == "bad" and ready.ui.formNote.text
    assert ready.node.features == {"V00XRKL": 3, "V00XROSFM": 2}


def test_what_is_asked_for_is_what_is_sent(ready, faulty):
    ready.grade(V00XRKL=2)
    ui = ready.ui
    ui.slicesSpinBox.value, ui.stepsSpinBox.value, ui.guidanceSpinBox.value = 60, 4, 1.5
    ui.newSeedCheckBox.checked = False
    ui.seedSpinBox.value, ui.samplesSpinBox.value = 7, 2
    ui.samplerComboBox.setCurrentIndex(ui.samplerComboBox.findData("unipc"))
    ui.kindComboBox.setCurrentIndex(ui.kindComboBox.findData("mean"))
    assert "deviation" in ui.samplesNote.text and "Mean" not in ui.samplesNote.text
    ui.lateralityComboBox.setCurrentIndex(2)
    faulty.plan["POST /jobs/infer/knee_xr2mri"] = Answer(429, {"detail": "full"})
    ready.press_generate()
    ready.until_idle()
    body = next(asked.body for asked in faulty.asked if asked.method == "POST")
    sent = json.loads(body.split(b"\r\n\r\n", 1)[1].split(b"\r\n--", 1)[0])
    expected = {"num_slices": 60, "steps": 4, "guidance": 1.5, "seed": 7, "samples": 2}
    expected |= {"sampler": "unipc", "kind": "mean", "laterality": "L", "features": {"V00XRKL": 2}}
    assert {key: sent[key] for key in expected} == expected


@pytest.mark.parametrize("kinds", [["mean"], ["sample", "mean"]])
def test_a_model_that_draws_nothing_gives_a_mean_that_is_called_so(user, faulty, radiograph, kinds):
    """A server that has got such a model since it was asked, too."""
    from XR2MRILib.generation import result_of

    described = info()
    properties = described["models"]["knee_xr2mri"]["parameters"]["properties"]
    properties["kind"]["enum"] = kinds
    faulty.plan["GET /info/"] = Answer(body=described)
    faulty.plan[f"GET /jobs/{JOB}/record"] = Answer(body=record(kind="mean"))
    user.connect(faulty.url)
    user.choose(radiograph)
    box = user.ui.kindComboBox
    assert [box.itemData(i) for i in range(box.count)] == kinds
    user.press_generate()
    user.until_idle()
    body = next(asked.body for asked in faulty.asked if asked.method == "POST")
    sent = json.loads(body.split(b"\r\n\r\n", 1)[1].split(b"\r\n--", 1)[0])
    assert sent.get("kind", "sample") == kinds[0] and user.node.kind == "sample"
    made = user.node.result
    assert made.GetName().endswith("synthetic MRI, mean")
    found = result_of(made)
    assert found.request.kind == found.job.kind == "mean"


def test_nothing_is_sent_of_what_is_left_to_the_model(ready, faulty):
    """Whose own values count then, such as a guidance that its bundle sets."""
    faulty.plan["POST /jobs/infer/knee_xr2mri"] = Answer(429, {"detail": "full"})
    ready.press_generate()
    ready.until_idle()
    body = next(asked.body for asked in faulty.asked if asked.method == "POST")
    sent = json.loads(body.split(b"\r\n\r\n", 1)[1].split(b"\r\n--", 1)[0])
    assert not {"guidance", "steps", "sampler", "seed"} & set(sent)


def test_options_and_server_survive_a_restart(ready, faulty):
    ready.ui.stepsSpinBox.value, ready.ui.slicesSpinBox.value = 4, 60
    faulty.plan["POST /jobs/infer/knee_xr2mri"] = Answer(429, {"detail": "full"})
    ready.press_generate()
    ready.until_idle()
    ready.slicer.util.selectModule("")
    ready.manager.unload("XR2MRI")
    ready.slicer.mrmlScene.Clear(0)
    ready.events()
    again = type(ready)(ready.slicer)
    assert again.ui.serverComboBox.currentText == faulty.url
    assert (again.node.steps, again.node.numSlices) == (4, 60)


def test_nothing_leaves_for_another_machine_before_it_is_allowed(ready, faulty, monkeypatch):
    import qt
    from harness import dialogs

    from xr2mri_client import client

    monkeypatch.setattr(client, "is_local", lambda url: False)
    dialogs.answer(qt.QMessageBox.No)
    ready.press_generate()
    assert faulty.count("POST") == 0 and ready.logic.state == "idle"
    assert faulty.url in dialogs.shown[0] and "without the patient" in dialogs.shown[0]
    dialogs.answer(qt.QMessageBox.Yes)
    ready.generate()
    ready.generate()
    assert len(dialogs.shown) == 2, "asked once, then remembered"
    assert faulty.count("POST", "/jobs/infer") == 2


@pytest.mark.parametrize("kind", ["volume", "tiny", "generated"])
def test_what_is_no_radiograph_is_told(user, faulty, kind):
    import numpy as np

    user.connect(faulty.url)
    shape = {"volume": (20, 64, 64), "tiny": (1, 8, 8), "generated": (1, 64, 64)}[kind]
    node = user.slicer.util.addVolumeFromArray(np.zeros(shape, np.uint8), name="it")
    if kind == "generated":
        node.SetAttribute("XR2MRI.Synthetic", "1")
    user.choose(node)
    assert "it" in user.ui.radiographNote.text and user.colour("radiographNote") == "bad"
    assert not user.ui.generateButton.enabled


def test_colour_pictures_and_coronal_slices_are_radiographs(user, faulty):
    import numpy as np
    from samples import draw_knee

    user.connect(faulty.url)
    knee = draw_knee(64)
    colours = user.slicer.util.addVolumeFromArray(
        np.repeat(knee[None, ..., None], 3, -1), name="rgb", nodeClassName="vtkMRMLVectorVolumeNode"
    )
    coronal = user.slicer.util.addVolumeFromArray(knee[::-1][:, None], name="coronal")
    for node in (colours, coronal):
        user.choose(node)
        assert user.ui.generateButton.enabled, user.says()


def test_the_box_is_shown_moved_and_sent(ready, faulty):
    ready.ui.cropButton.click()
    ready.until_idle()
    roi = ready.node.cropRoi
    assert roi is not None and roi.GetDisplayNode().GetVisibility()
    assert ready.ui.cropNote.text.startswith("The middle"), "this server does not look"
    centre = [0.0, 0.0, 0.0]
    roi.GetCenter(centre)
    roi.SetCenter(centre[0] + 5, centre[1], centre[2])
    ready.events()
    assert "Your box" in ready.ui.cropNote.text and ready.ui.cropResetButton.enabled
    faulty.plan["POST /jobs/infer/knee_xr2mri"] = Answer(429, {"detail": "full"})
    ready.press_generate()
    ready.until_idle()
    body = next(a.body for a in faulty.asked if a.method == "POST" and "infer" in a.path)
    assert b'"box"' in body
    ready.ui.cropResetButton.click()
    ready.until_idle()
    assert ready.ui.cropNote.text.startswith("The middle"), "this server does not look"
