"""Age, sex and body mass index in the panel: there if the server's model asks for them."""

from __future__ import annotations

import json

import faulty_server as fake
import numpy as np
import pytest
from faulty_server import Answer
from samples import draw_knee

from xr2mri_core.demographics import demographics_schema
from xr2mri_core.features import parse_features

pytestmark = pytest.mark.gui

POST = "POST /jobs/infer/knee_xr2mri"


def info(schema: dict | None) -> dict:
    """A server whose model was trained with demographics."""
    answer = fake.info()
    answer["models"]["knee_xr2mri"]["demographics"] = schema
    return answer


@pytest.fixture
def ready(user, faulty, radiograph):
    faulty.plan["GET /info/"] = Answer(body=info(demographics_schema()))
    user.connect(faulty.url)
    user.choose(radiograph)
    return user


def shown(user) -> tuple[str, str, str]:
    return (
        user.patient_field("age").text,
        user.patient_field("sex").currentText,
        user.patient_field("bmi").text,
    )


def sent(user, faulty) -> dict:
    """The parameters of a generation that the server does not take."""
    faulty.plan[POST] = Answer(429, {"detail": "full"})
    user.press_generate()
    user.until_idle()
    body = [asked.body for asked in faulty.asked if asked.method == "POST"][-1]
    return json.loads(body.split(b"\r\n\r\n", 1)[1].split(b"\r\n--", 1)[0])


def test_nothing_is_asked_where_the_model_does_not(user, faulty, radiograph):
    user.connect(faulty.url)
    user.choose(radiograph)
    assert not user.shown("patientFrame")
    assert "demographics" not in sent(user, faulty), "servers refuse what they do not know"


def test_what_is_given_is_sent(ready, faulty):
    assert ready.shown("patientFrame") and shown(ready) == ("", "not given", "")
    assert "demographics" not in sent(ready, faulty), "nothing was given"
    ready.tell(age="61", sex="female", bmi="27.5")
    assert sent(ready, faulty)["demographics"] == {"age": 61, "sex": "F", "bmi": 27.5}
    assert "Age 61 years, Sex female, Body mass index 27.5 kg/m2" in ready.ui.summaryLabel.text
    ready.tell(age="", sex="not given")
    assert sent(ready, faulty)["demographics"] == {"bmi": 27.5}


def test_what_is_still_being_typed_is_taken(ready, faulty):
    ready.patient_field("age").text = "70"  # and the button is pressed by its key
    assert sent(ready, faulty)["demographics"] == {"age": 70}


def test_what_is_not_accepted_is_told_and_not_sent(ready, faulty):
    ready.tell(age="12")
    assert not ready.ui.generateButton.enabled, "though nothing else has changed"
    ready.tell(sex="male")
    note = ready.ui.patientNote.text
    assert note == "Age cannot be 12. Accepted are 18 to 110 years, or nothing."
    assert ready.colour("patientNote") == "bad"
    assert not ready.ui.generateButton.enabled and ready.ui.progressNote.text == note
    assert ready.patient_field("age").text == "12", "it stays, to be mended"
    ready.tell(age="62")
    assert ready.ui.patientNote.text == ""
    assert sent(ready, faulty)["demographics"] == {"age": 62, "sex": "M"}


def test_another_radiograph_is_another_patient(ready, faulty):
    ready.tell(age="61", sex="male")
    sent(ready, faulty)
    first = ready.node.radiograph
    ready.tell(bmi="200")
    other = ready.slicer.util.addVolumeFromArray(draw_knee(64)[None], name="other")
    ready.choose(other)
    assert shown(ready) == ("", "not given", "") and ready.ui.patientNote.text == ""
    assert ready.ui.generateButton.enabled
    ready.choose(first)
    assert shown(ready) == ("61", "male", ""), "what was sent with it is known"


def test_it_is_saved_and_loaded_with_the_features(ready, tmp_path):
    from harness import dialogs

    ready.grade(V00XRKL=2)
    ready.tell(age="61", sex="female")
    path = tmp_path / "form.json"
    dialogs.answer(str(path))
    ready.ui.saveFormButton.click()
    saved = json.loads(path.read_text())
    assert saved == {"features": {"V00XRKL": 2}, "demographics": {"age": 61, "sex": "F"}}
    ready.ui.clearFormButton.click()
    ready.events()
    assert shown(ready) == ("", "not given", "") and ready.node.features == {}
    dialogs.answer(str(path))
    ready.ui.loadFormButton.click()
    ready.events()
    assert shown(ready) == ("61", "female", "") and ready.node.features == {"V00XRKL": 2}
    path.write_text(json.dumps({"V00XRKL": 3}))
    dialogs.answer(str(path))
    ready.ui.loadFormButton.click()
    ready.events()
    assert shown(ready) == ("61", "female", ""), "grades alone say nothing of the patient"
    assert ready.node.features == {"V00XRKL": 3} and parse_features(ready.node.features)
    saved["demographics"]["age"] = 7
    path.write_text(json.dumps(saved))
    dialogs.answer(str(path))
    ready.ui.loadFormButton.click()
    ready.events()
    assert "Age 7" in ready.ui.patientNote.text and shown(ready) == ("", "female", "")


def test_it_is_saved_with_the_scene(ready, tmp_path):
    ready.tell(age="61", bmi="30")
    assert ready.slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    ready.slicer.mrmlScene.Clear(0)
    ready.events()
    assert shown(ready) == ("", "not given", "")
    ready.slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    ready.events()
    assert shown(ready) == ("61", "not given", "30")


def test_a_model_that_does_not_ask_gets_nothing_and_forgets_nothing(ready, faulty):
    ready.tell(age="61")
    faulty.plan["GET /info/"] = Answer(body=info(None))
    ready.connect(faulty.url)
    assert not ready.shown("patientFrame") and "demographics" not in sent(ready, faulty)
    faulty.plan["GET /info/"] = Answer(body=info(demographics_schema()))
    ready.connect(faulty.url)
    assert shown(ready) == ("61", "not given", "")


def test_a_form_that_cannot_be_used_is_told(user, faulty):
    faulty.plan["GET /info/"] = Answer(body=info({"properties": {"age": {}}}))
    user.connect(faulty.url)
    assert "form cannot be used" in user.ui.serverStatus.text
    assert user.colour("serverStatus") == "bad" and not user.ui.generateButton.enabled


@pytest.mark.parametrize(
    ("demographics", "expected"),
    [
        ({"age": 58, "sex": "F"}, ("58", "female", "")),
        ({}, ("", "not given", "")),
    ],
)
def test_dicom_tags_fill_it_in_where_they_are_there(user, faulty, tmp_path, demographics, expected):
    from DICOMLib import DICOMUtils

    from xr2mri_core.phantom.dicom import write_radiograph_dicom

    database = user.slicer.dicomDatabase
    assert database.openDatabase(str(tmp_path / "ctkDICOM.sql"))
    path = tmp_path / "xray.dcm"
    pixels = draw_knee(64).astype(np.uint16)
    write_radiograph_dicom(path, pixels, 0.4, patient_id="1", demographics=demographics)
    DICOMUtils.importDicom(str(tmp_path))
    series = database.seriesForFile(str(path))
    (node_id,) = DICOMUtils.loadSeriesByUID([series])
    user.choose(user.slicer.mrmlScene.GetNodeByID(node_id))
    faulty.plan["GET /info/"] = Answer(body=info(demographics_schema()))
    user.connect(faulty.url)
    assert shown(user) == expected, "also if the server comes after the radiograph"


def test_what_if_keeps_the_patient(ready, faulty):
    ready.tell(age="61")
    ready.generate()
    ready.tell(age="80")
    ui = ready.ui
    ui.whatIfFeature.setCurrentIndex(ui.whatIfFeature.findData("V00XRKL"))
    ui.whatIfGrade.setCurrentIndex(ui.whatIfGrade.findData(4))
    ui.whatIfButton.click()
    ready.until_idle()
    body = [asked.body for asked in faulty.asked if asked.method == "POST"][-1]
    assert b'"demographics": {"age": 61}' in body, "one thing is changed, the rest is as it was"
