"""Table I: reading, encoding and the form."""

import csv
import json

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xr2mri_core.condition import Condition
from xr2mri_core.errors import FeatureError
from xr2mri_core.features import (
    GRADINGS,
    VARIABLES,
    encode_features,
    form_schema,
    num_positions,
    one_hot_slices,
    parse_features,
    variable,
)

any_features = st.fixed_dictionaries(
    {}, optional={item.name: st.sampled_from(item.grades) for item in VARIABLES}
)


def test_table_one():
    assert len(VARIABLES) == 19
    assert [item.name for item in VARIABLES[8:11]] == ["V00XRATTM", "V00XRKL", "V00XROSFL"]
    assert len({item.key for item in VARIABLES}) == len({item.name for item in VARIABLES}) == 19
    assert num_positions("paper") == 61
    assert num_positions("oai") == num_positions() == 65


@pytest.mark.parametrize("grading", GRADINGS)
def test_one_hot_slices_tile_the_vector(grading):
    covered = np.concatenate([np.arange(99)[part] for part in one_hot_slices(grading).values()])
    assert covered.tolist() == list(range(num_positions(grading)))


@given(any_features)
def test_any_features_have_a_position_each(features):
    vector = encode_features(features)
    assert vector.dtype == np.float32 and vector.sum() == len(features)
    assert all(vector[one_hot_slices()[name]][grade] for name, grade in features.items())


@given(any_features)
def test_the_papers_grading_only_folds_attrition(features):
    vector = encode_features(features, "paper")
    assert vector.sum() == len(features)
    for name, grade in features.items():
        folded = min(grade, 1) if "XRATT" in name else grade
        assert vector[one_hot_slices("paper")[name]][folded]


def test_missing_features_are_zeros():
    assert not encode_features({}).any()
    vector = encode_features({"kl_grade": 3})
    assert np.flatnonzero(vector).tolist() == [one_hot_slices()["V00XRKL"].start + 3]


@given(any_features)
def test_every_spelling_reads_the_same(features):
    by_key = {variable(name).key: grade for name, grade in features.items()}
    labelled = {name.replace("V00", "v06"): f"{g}: {g}" for name, g in features.items()}
    bare = {name[3:].lower(): np.float64(grade) for name, grade in features.items()}
    for source in (features, by_key, labelled, bare, json.dumps(features)):
        assert parse_features(source) == features
    assert parse_features(**by_key) == features
    if features:
        row = {"ID": "9000099", "SIDE": "1: Right", **labelled}
        assert parse_features(f"{','.join(row)}\n{','.join(row.values())}\n") == features


@pytest.mark.parametrize(
    "missing",
    [None, "", " ", "NaN", float("nan"), ".", ".A", ".: Missing Form/Incomplete Workbook"],
)
def test_what_was_not_read_is_left_out(missing):
    assert parse_features({"V00XRKL": missing, "V00XRJSM": 1}) == {"V00XRJSM": 1}


@pytest.mark.parametrize("grade", ["1,0", "1,5", "1,0: Mild", " 1,5 "])
def test_decimal_commas_are_read(grade):
    assert parse_features({"V00XRJSM": grade}) == {"V00XRJSM": 1}


def test_fractional_narrowing_is_rounded_down():
    assert parse_features({"V03XRJSM": 1.6, "V03XRJSL": "2.3"}) == {"V00XRJSM": 1, "V00XRJSL": 2}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("V00XRKL", 5),
        ("V00XRKL", -1),
        ("V00XRKL", 1.5),
        ("V00XRKL", True),
        ("V00XRKL", "two"),
        ("V00XRKL", [2]),
        ("V00XRKL", float("inf")),
        ("V00XRJSM", 3.2),
        ("V00XRCYFM", 2),
        ("V00XRATTM", "4: 4"),
    ],
)
def test_a_wrong_grade_names_variable_value_and_accepted(name, value):
    with pytest.raises(FeatureError) as caught:
        parse_features({name: value})
    message = str(caught.value)
    assert name in message and repr(value) in message and "accepted are 0, 1" in message


@pytest.mark.parametrize("name", ["V00XRXX", "kl", "", "V0XRKL", 3, None])
def test_an_unknown_name_is_refused(name):
    with pytest.raises(FeatureError, match="unknown feature"):
        parse_features({name: 1})


@pytest.mark.parametrize(
    "source",
    [
        "",
        "[",
        "[1]",
        "3",
        '{"V00XRKL": NaN}',
        '{"V00XRKL": 1, "V00XRKL": 2}',
        "{" * 5000,
        b"{}",
        [("V00XRKL", 1)],
        3,
    ],
)
def test_what_is_no_form_is_refused(source):
    with pytest.raises(FeatureError):
        parse_features(source)


def test_a_variable_given_twice_is_refused():
    with pytest.raises(FeatureError, match="twice"):
        parse_features({"V00XRKL": 1, "kl_grade": 1})
    with pytest.raises(FeatureError, match="twice"):
        parse_features({"V00XRKL": 1}, kl_grade=2)
    with pytest.raises(FeatureError, match="twice"):
        parse_features("V00XRKL,V01XRKL\n1,2\n")


def test_files(tmp_path):
    features = {"V00XRJSM": 1, "V00XRKL": 2}
    (tmp_path / "form.json").write_text(json.dumps(features), encoding="utf-8-sig")
    assert parse_features(tmp_path / "form.json") == features
    for delimiter in ",|;\t":
        with (tmp_path / "form.csv").open("w", newline="") as stream:
            writer = csv.writer(stream, delimiter=delimiter)
            writer.writerows([["ID", "V00XRKL", "V00XRJSM"], ["9", "2: 2", "1"]])
        assert parse_features(tmp_path / "form.csv") == features
    with pytest.raises(FeatureError, match="twice"):
        parse_features(tmp_path / "form.csv", kl_grade=3)


@pytest.mark.parametrize(
    ("first", "separator", "encoding"),
    [("sep=;\r\n", ";", "utf-8-sig"), ("", "\t", "utf-16"), ("", ";", "cp1252")],
)
def test_a_file_of_a_spreadsheet_is_a_form(first, separator, encoding, tmp_path):
    rows = [["Name", "SIDE", "V00XRKL", "V00XRJSM"], ["M\u00fcller", "2,0", "2", "1,4"]]
    text = first + "\r\n".join(separator.join(row) for row in rows)
    (tmp_path / "form.csv").write_bytes(text.encode(encoding))
    known = Condition.parse(tmp_path / "form.csv")
    assert known.features == {"V00XRJSM": 1, "V00XRKL": 2} and known.side == "L"


@pytest.mark.parametrize("separator", list(",|;\t"))
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_row_pasted_from_oai_s_table_is_read(separator, end):
    """Beside columns that are no features, with what a spreadsheet leaves behind."""
    header = ["ID", "SIDE", "READPRJ", "V00XRKL", "V00XRJSM", "V00XRATTL"]
    cells = ["9000099", "1: Right", "15", "2: 2", "1.4", ".: Missing Form/Incomplete Workbook"]
    lines = [separator.join(header), separator.join(cells), separator * 5, ""]
    pasted = "\ufeff" + end.join(lines)
    assert parse_features(pasted) == {"V00XRJSM": 1, "V00XRKL": 2}
    assert Condition.parse(pasted, {"sex": "F"}, cysts_femur_medial=1) == Condition(
        {"V00XRCYFM": 1, "V00XRJSM": 1, "V00XRKL": 2}, {"sex": "F"}
    )


@pytest.mark.parametrize(
    ("pasted", "why"),
    [
        ("ID,V00XRKL\n1\n", "1 cells under 2 names"),
        ("ID,V00XRKL\n1,2,3\n", "3 cells under 2 names"),
        ("ID,V00XRKL\n1,2\n2,2\n", "2 rows"),
        ("V00XRKL,V01XRKL\n1,2\n", "twice"),
        ("V00XRKL,V00XRKL\n1,2\n", "twice"),
        ("ID,SIDE\n1,2\n", "no feature among"),
        ("V00XRKL\n7\n", "accepted are 0, 1, 2, 3, 4"),
        ("V00XRKL\n" + "1" * (1 << 21), "1 MB"),
        ('{"V00XRKL": 1,\n "V00XRKL": 2}', "twice"),
        ('{"features": {"V00XRKL": 1, "V00XRKL": 2}}', "twice"),
    ],
)
def test_what_is_no_row_of_one_knee_is_refused(pasted, why):
    with pytest.raises(FeatureError, match=why):
        parse_features(pasted)


def test_the_form_within_a_record_is_read(tmp_path):
    record = {"notice": "synthetic", "features": {"V00XRKL": 2}, "seed": 0}
    (tmp_path / "record.json").write_text(json.dumps(record))
    assert parse_features(tmp_path / "record.json") == {"V00XRKL": 2}
    assert parse_features(json.dumps(record, indent=1)) == {"V00XRKL": 2}


def test_files_that_are_no_form(tmp_path):
    with pytest.raises(FeatureError, match=r"form\.json"):
        parse_features(tmp_path / "form.json")
    (tmp_path / "form.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FeatureError, match=r"form\.json"):
        parse_features(tmp_path / "form.json")
    for text in ("", "V00XRKL\n", "V00XRKL\n1\n2\n"):
        (tmp_path / "form.csv").write_text(text)
        with pytest.raises(FeatureError, match="one row"):
            parse_features(tmp_path / "form.csv")
    with pytest.raises(FeatureError, match="no feature among"):
        parse_features("ID,SIDE\n3,1\n")


@given(st.text() | st.dictionaries(st.text(), st.integers() | st.floats() | st.text()))
def test_any_input_is_read_or_refused_in_one_line(source):
    try:
        features = parse_features(source)
    except FeatureError as error:
        assert "\n" not in str(error)
    else:
        assert features == parse_features(features)


def test_an_unknown_grading_is_refused():
    for use in (num_positions, one_hot_slices, form_schema):
        with pytest.raises(FeatureError, match="paper and oai"):
            use("OARSI")


@pytest.mark.parametrize("grading", GRADINGS)
def test_the_form_is_a_valid_schema_of_all_variables(grading):
    schema = json.loads(json.dumps(form_schema(grading)))
    validator = getattr(jsonschema, "Draft202012Validator", jsonschema.Draft7Validator)
    validator.check_schema(schema)
    assert list(schema["properties"]) == [item.name for item in VARIABLES]
    grouped = [name for group in schema["x-groups"] for name in group["properties"]]
    assert sorted(grouped) == sorted(schema["properties"])
    for name, field in schema["properties"].items():
        assert field["enum"] == [*variable(name).grades_in(grading), None]
        assert list(field["x-labels"]) == [str(grade) for grade in field["enum"][:-1]]
    assert schema["properties"]["V00XRATTL"]["enum"][-2] == (1 if grading == "paper" else 3)
    fields = schema["properties"].items()
    assert [name for name, field in fields if field["x-fractional"]] == ["V00XRJSM", "V00XRJSL"]
    assert [name for name, field in fields if field["x-overall"]] == ["V00XRKL"]


@given(any_features)
def test_the_form_accepts_what_the_parser_returns(features):
    jsonschema.validate(features, form_schema())


def test_the_form_refuses_what_the_parser_refuses():
    for wrong in ({"V00XRKL": 5}, {"V00XRKL": "2"}, {"V00XRXX": 1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, form_schema())
