"""What a model may ask of the patient, by the server's own schema."""

from __future__ import annotations

import pytest

from xr2mri_client.errors import FormError
from xr2mri_core.demographics import demographics_schema, parse_demographics
from XR2MRILib.patient import from_tags, read_fields, sift


@pytest.fixture
def fields():
    return read_fields(demographics_schema())


def test_the_fields_are_those_of_the_server(fields):
    assert [field.name for field in fields] == ["age", "sex", "bmi"]
    age, sex, bmi = fields
    assert age.accepted == "18 to 110 years" and bmi.accepted == "10 to 80 kg/m2"
    assert sex.accepted == "female, male" and list(sex.labels) == ["F", "M"]
    assert read_fields(None) == () == read_fields({})


def test_what_the_module_accepts_the_server_accepts(fields):
    given = {"age": "61", "sex": "female", "bmi": "27,5", "shoe": "43"}
    kept, refused = sift(fields, given)
    assert kept == {"age": 61, "sex": "F", "bmi": 27.5} and refused == []
    assert parse_demographics(kept) == kept
    assert sift(fields, {"age": " ", "sex": "", "bmi": None}) == ({}, [])


AGES = [("age", value) for value in ("17.9", "111", "old", "nan", True)]


@pytest.mark.parametrize(("name", "value"), [*AGES, ("bmi", "inf"), ("bmi", "0"), ("sex", "X")])
def test_what_is_not_accepted_is_told_with_what_is(fields, name, value):
    field = next(field for field in fields if field.name == name)
    with pytest.raises(FormError) as caught:
        field.parse(value)
    assert field.title in str(caught.value) and field.accepted in str(caught.value)
    assert sift(fields, {name: value}) == ({}, [f"{field.title} {value}"])


@pytest.mark.parametrize(
    ("age", "sex", "expected"),
    [
        ("061Y", "F", {"age": "61", "sex": "F"}),
        ("018M", "O", {}),
        ("", "M ", {"sex": "M"}),
        ("61", "", {}),
    ],
)
def test_dicom_tags_tell_what_they_tell(age, sex, expected):
    assert from_tags(age, sex) == expected


@pytest.mark.parametrize(
    "properties", [[1], {"age": {}}, {"age": {"title": "Age", "minimum": "x"}}]
)
def test_a_schema_that_is_none_is_refused(properties):
    with pytest.raises(FormError, match="cannot be used"):
        read_fields({"properties": properties})
