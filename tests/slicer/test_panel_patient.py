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
def asking(user, faulty, radiograph):
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


def test_what_is_given_is_sent(asking, faulty):
    assert asking.shown("patientFrame") and shown(asking) == ("", "not given", "")
    assert "demographics" not in sent(asking, faulty), "nothing was given"
    asking.tell(age="61", sex="female", bmi="27.5")
    assert sent(asking, faulty)["demographics"] == {"age": 61, "sex": "F", "bmi": 27.5}
    assert "Age 61 years, Sex female, Body mass index 27.5 kg/m2" in asking.ui.summaryLabel.text
    asking.tell(age="", sex="not given")
    assert sent(asking, faulty)["demographics"] == {"bmi": 27.5}


def test_what_is_still_being_typed_is_taken(asking, faulty):
    asking.patient_field("age").text = "70"  # and the button is pressed by its key
    assert sent(asking, faulty)["demographics"] == {"age": 70}


def test_what_is_not_accepted_is_told_and_not_sent(asking, faulty):
    asking.tell(age="12")
    assert not asking.ui.generateButton.enabled, "though nothing else has changed"
    asking.tell(sex="male")
    note = asking.ui.patientNote.text
    assert note == "Age cannot be 12. Accepted are 18 to 110 years, or nothing."
    assert asking.colour("patientNote") == "bad"
    assert not asking.ui.generateButton.enabled and asking.ui.progressNote.text == note
    assert asking.patient_field("age").text == "12", "it stays, to be mended"
    asking.tell(age="62")
    assert asking.ui.patientNote.text == ""
    assert sent(asking, faulty)["demographics"] == {"age": 62, "sex": "M"}


def test_another_radiograph_is_another_patient(asking, faulty):
    asking.tell(age="61", sex="male")
    sent(asking, faulty)
    first = asking.node.radiograph
    asking.tell(bmi="200")
    other = asking.slicer.util.addVolumeFromArray(draw_knee(64)[None], name="other")
    asking.choose(other)
    assert shown(asking) == ("", "not given", "") and asking.ui.patientNote.text == ""
    assert asking.ui.generateButton.enabled
    asking.choose(first)
    assert shown(asking) == ("61", "male", ""), "what was sent with it is known"


def test_it_is_saved_and_loaded_with_the_features(asking, tmp_path):
    from harness import dialogs

    asking.grade(V00XRKL=2)
    asking.tell(age="61", sex="female")
    path = tmp_path / "form.json"
    dialogs.answer(str(path))
    asking.ui.saveFormButton.click()
    saved = json.loads(path.read_text())
    assert saved == {"features": {"V00XRKL": 2}, "demographics": {"age": 61, "sex": "F"}}
    asking.ui.clearFormButton.click()
    asking.events()
    assert shown(asking) == ("", "not given", "") and asking.node.features == {}
    dialogs.answer(str(path))
    asking.ui.loadFormButton.click()
    asking.events()
    assert shown(asking) == ("61", "female", "") and asking.node.features == {"V00XRKL": 2}
    path.write_text(json.dumps({"V00XRKL": 3}))
    dialogs.answer(str(path))
    asking.ui.loadFormButton.click()
    asking.events()
    assert shown(asking) == ("61", "female", ""), "grades alone say nothing of the patient"
    assert asking.node.features == {"V00XRKL": 3} and parse_features(asking.node.features)
    saved["demographics"]["age"] = 7
    path.write_text(json.dumps(saved))
    dialogs.answer(str(path))
    asking.ui.loadFormButton.click()
    asking.events()
    assert "Age 7" in asking.ui.patientNote.text and shown(asking) == ("", "female", "")


def test_it_is_saved_with_the_scene(asking, tmp_path):
    asking.tell(age="61", bmi="30")
    assert asking.slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    asking.slicer.mrmlScene.Clear(0)
    asking.events()
    assert shown(asking) == ("", "not given", "")
    asking.slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    asking.events()
    assert shown(asking) == ("61", "not given", "30")


def test_a_model_that_does_not_ask_gets_nothing_and_forgets_nothing(asking, faulty):
    asking.tell(age="61")
    faulty.plan["GET /info/"] = Answer(body=info(None))
    asking.connect(faulty.url)
    assert not asking.shown("patientFrame") and "demographics" not in sent(asking, faulty)
    faulty.plan["GET /info/"] = Answer(body=info(demographics_schema()))
    asking.connect(faulty.url)
    assert shown(asking) == ("61", "not given", "")


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


def test_what_if_keeps_the_patient(asking, faulty):
    asking.tell(age="61")
    asking.generate()
    asking.tell(age="80")
    ui = asking.ui
    ui.whatIfFeature.setCurrentIndex(ui.whatIfFeature.findData("V00XRKL"))
    ui.whatIfGrade.setCurrentIndex(ui.whatIfGrade.findData(4))
    ui.whatIfButton.click()
    asking.until_idle()
    body = [asked.body for asked in faulty.asked if asked.method == "POST"][-1]
    assert b'"demographics": {"age": 61}' in body, "one thing is changed, the rest is as it was"
