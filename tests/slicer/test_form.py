"""The feature form as plain data: the server's schema in, grades out."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xr2mri_client.errors import FormError
from xr2mri_core.condition import Condition
from xr2mri_core.errors import FeatureError
from xr2mri_core.features import VARIABLES, form_schema, parse_features
from XR2MRILib.form import FeatureForm

OAI_HEADER = "ID|SIDE|READPRJ|V00XRKL|V00XROSFM|V00XRJSM|V00XRCHL|V00XRATTM"


@pytest.fixture
def form():
    return FeatureForm(form_schema())


# --- what a panel is made from --------------------------------------------------------------------


def test_the_form_has_the_features_of_the_schema_in_groups_and_parts(form):
    assert [group.title for group in form.groups] == ["Whole knee", "Medial", "Lateral"]
    assert len(form.fields) == 19
    medial = form.groups[1].parts
    assert list(medial) == ["femur", "", "tibia"]
    assert [item.short_title for item in medial["femur"]] == ["Osteophytes", "Sclerosis", "Cysts"]
    assert [item.short_title for item in medial[""]] == [
        "Joint space narrowing",
        "Chondrocalcinosis",
    ]


def test_a_field_tells_what_its_grades_mean(form):
    field = form.field("V00XRKL")
    assert field.grades == (0, 1, 2, 3, 4) and field.group == "Whole knee" and field.part == ""
    assert "2: minimal" in field.tip.splitlines() and "not read" in field.tip
    assert field.grade_text(4) == "4 (severe)" and field.grade_text(None) == "not read"


@pytest.mark.parametrize("grading", ["oai", "paper"])
def test_the_schema_decides_which_grades_there_are(grading):
    form = FeatureForm(form_schema(grading))
    assert form.field("V00XRATTM").grades == ((0, 1, 2, 3) if grading == "oai" else (0, 1))


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"x-groups": 3},
        {"x-groups": [{"title": "A", "properties": ["X"]}], "properties": {}},
        {"x-groups": [{"title": "A", "properties": ["X"]}], "properties": {"X": {"enum": [None]}}},
    ],
)
def test_what_is_no_form_is_told(schema):
    with pytest.raises(FormError, match="form cannot be used"):
        FeatureForm(schema)


# --- values ---------------------------------------------------------------------------------------


def test_nothing_is_read_until_it_is_graded(form):
    assert form.values == {} and form.summary() == []
    form.set("kl_grade", 2)
    form.set("v03xrosfm", "1: Mild")
    assert list(form.values.items()) == [("V00XRKL", 2), ("V00XROSFM", 1)]
    assert form.summary() == [
        "Kellgren-Lawrence grade: 2 (minimal)",
        "Osteophytes, medial femur: 1 (mild)",
    ]
    form.set("V00XRKL", None)
    assert form.get("V00XRKL") is None and form.values == {"V00XROSFM": 1}
    form.clear()
    assert form.values == {}


@pytest.mark.parametrize(
    ("name", "grade", "message"),
    [
        ("V00XRKL", 5, r"V00XRKL \(Kellgren-Lawrence grade\) has 5. Accepted are 0, 1, 2, 3, 4"),
        ("V00XRKL", 1.5, "has 1.5"),
        ("V00XRKL", "severe", "has 'severe'"),
        ("V00XRKL", True, "has True"),
        ("V00XRKL", [1], r"has \[1\]"),
        ("V00XRKL", 10**400, "has 1000"),
        ("V00XRJSM", 3.5, "has 3.5"),
        ("V00XRXX", 1, "No feature is called 'V00XRXX'. Known are V00XRKL to V00XRATTL"),
        (None, 1, "No feature is called None"),
    ],
)
def test_a_wrong_value_is_told_and_changes_nothing(form, name, grade, message):
    form.replace({"V00XRKL": 1})
    with pytest.raises(FormError) as caught:
        form.set(name, grade)
    assert re.search(message, str(caught.value))
    with pytest.raises(FormError):
        form.replace({name: grade})
    assert form.values == {"V00XRKL": 1}


@pytest.mark.parametrize("grade", ["1,0", "1,5", "1,0: Mild", " 1,5 "])
def test_decimal_commas_are_read_as_the_command_line_reads_them(form, grade):
    form.set("V00XRJSM", grade)
    assert form.values == parse_features({"V00XRJSM": grade}) == {"V00XRJSM": 1}


# --- files ----------------------------------------------------------------------------------------


def test_a_saved_form_is_loaded_again_and_by_the_command_line(form, tmp_path):
    form.replace({"V00XRKL": 3, "V00XRCHL": 0})
    form.save(tmp_path / "form.json")
    other = FeatureForm(form_schema())
    other.load(tmp_path / "form.json")
    assert other.values == form.values == parse_features(tmp_path / "form.json")


@pytest.mark.parametrize("beside", [{}, {"age": "61"}])
def test_a_saved_form_tells_its_side_to_whoever_reads_it(form, tmp_path, beside):
    from XR2MRILib.batch.forms import forms_of

    form.replace({"V00XRKL": 3})
    form.save(tmp_path / "knee.json", beside, "L")
    read = FeatureForm(form_schema()).load(tmp_path / "knee.json")
    (batch,) = forms_of(tmp_path, ["knee.png"], form)[0].values()
    for found in (read, batch):
        assert (found.features, found.demographics, found.laterality) == (form.values, beside, "L")
    core = Condition.parse(tmp_path / "knee.json")
    assert core.side == "L" and core.features == form.values


def test_a_side_that_is_none_is_told_and_changes_nothing(form, tmp_path):
    form.replace({"V00XRKL": 1})
    (tmp_path / "form.json").write_text('{"features": {"V00XRKL": 2}, "laterality": "both"}')
    with pytest.raises(FormError, match="The side cannot be both"):
        form.load(tmp_path / "form.json")
    assert form.values == {"V00XRKL": 1}


def test_the_features_of_a_phantom_are_found_in_their_file(form, tmp_path):
    path = tmp_path / "features.json"
    path.write_text(json.dumps({"case": "p-1", "features": {"V00XRKL": 1}, "seed": 3}))
    form.load(path)
    assert form.values == {"V00XRKL": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "This is not JSON"),
        ("[" * 100_000, "This is not JSON"),
        ("[1]", "no object of names and grades"),
        ('{"features": 3}', "no object of names and grades"),
        ('{"V00XRKL": 1, "xrkl": 2}', "V00XRKL .* is given twice"),
        ('{"V00XRKL": 1, "V00XRKL": 2}', "V00XRKL .* is given twice"),
        ('{"V00XRKL": 9}', "has 9"),
        ('{"V00XRKL": 1e999}', "has inf"),
    ],
)
def test_a_wrong_file_is_told_and_changes_nothing(form, tmp_path, text, message):
    form.replace({"V00XRKL": 1})
    path = tmp_path / "form.json"
    path.write_text(text)
    with pytest.raises(FormError, match=message):
        form.load(path)
    assert form.values == {"V00XRKL": 1}


def test_files_that_cannot_be_read_or_written_are_told(form, tmp_path):
    with pytest.raises(FormError, match=r"none.json cannot be read: No such file"):
        form.load(tmp_path / "none.json")
    with pytest.raises(FormError, match="cannot be written"):
        form.save(tmp_path / "none" / "form.json")
    (tmp_path / "picture").write_bytes(b"\xff\xd8\xff\x00")
    with pytest.raises(FormError, match="it is not text"):
        form.load(tmp_path / "picture")
    (tmp_path / "large").write_bytes(b" " * 2_000_000)
    with pytest.raises(FormError, match="too large"):
        form.load(tmp_path / "large")


@pytest.mark.parametrize("told", [True, False])
def test_what_a_feature_is_comes_from_the_schema_and_not_from_its_name(tmp_path, told):
    from XR2MRILib.batch.forms import Form, forms_of

    wear = {
        "title": "Wear",
        "enum": [0, 1, 2, None],
        "x-key": "wear",
        "x-labels": {"0": "none", "1": "some", "2": "much"},
        "x-fractional": told,
        "x-overall": told,
    }
    groups = [{"title": "Knee", "properties": ["V00XRWEAR"]}]
    form = FeatureForm({"properties": {"V00XRWEAR": wear}, "x-groups": groups})
    named, _notes = forms_of(tmp_path, ["2/9003175L.png"], form)
    assert named == {"2/9003175L.png": Form({"V00XRWEAR": 2} if told else {}, laterality="L")}
    if told:
        assert form.read([("wear", 1.4)]) == {"V00XRWEAR": 1}
        return
    with pytest.raises(FormError, match=r"1\.4"):
        form.read([("wear", 1.4)])


# --- a pasted row ---------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", ["|", "\t", ",", ";"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_row_of_the_oai_table_is_read(form, separator, end):
    row = "9000099|2: Left|15|2: 2|1: Mild|1.4|.: Missing Form/Incomplete Workbook|.A"
    text = f"\ufeff{OAI_HEADER}{end}{row}{end}{end}".replace("|", separator)
    read = form.parse_row(text)
    assert read.features == {"V00XRKL": 2, "V00XROSFM": 1, "V00XRJSM": 1}
    assert read.laterality == "L"
    assert form.values == {}, "reading is not taking"


def test_a_row_of_a_spreadsheet_with_quoted_cells_is_read(form):
    read = form.parse_row('"V00XRKL","note","SIDE"\n"3: Moderate","see, there",1\n')
    assert read.features == {"V00XRKL": 3} and read.laterality == "R"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "nothing to read"),
        ("\n \t\n", "nothing to read"),
        ("2|1|0", "first line names no feature"),
        (OAI_HEADER, "There are 0 rows below the header"),
        (f"{OAI_HEADER}\n1|1|15|2|1|1|0|0\n1|2|15|2|1|1|0|0", "There are 2 rows"),
        (f"{OAI_HEADER}\n1|1|15|2", "The row has 4 cells, the header 8"),
        (f"{OAI_HEADER}\n1|1|15|7|1|1|0|0", r"V00XRKL .* has '7'. Accepted are 0"),
        ("V00XRKL|V01XRKL\n1|2", "is given twice"),
        ('"V00XRKL\n1', "first line names no feature"),
        ("V00XRKL\n" + "1" * 200_000, "The text is not a table"),
        ("V00XRKL" * 200_000, "too long"),
    ],
)
def test_what_is_no_row_is_told(form, text, message):
    with pytest.raises(FormError, match=message):
        form.parse_row(text)


# --- both ends agree ------------------------------------------------------------------------------

CELLS = st.one_of(
    st.none(),
    st.integers(-2, 6),
    st.floats(),
    st.sampled_from(["", " ", ".", ".A", ".5", "nan", "NA", "None", "inf", "-1", "1e0", "2: 2"]),
    st.sampled_from(
        ["1: Present", "3.0", "1.4", "0x1", "1_0", ":1", "x: 1", "2 : 2", True, [], {}]
    ),
    st.text(max_size=6),
)


@given(st.dictionaries(st.sampled_from([v.name for v in VARIABLES]), CELLS, min_size=1))
def test_the_form_reads_what_the_server_reads(row):
    form = FeatureForm(form_schema())
    try:
        expected = parse_features(row)
    except FeatureError:
        with pytest.raises(FormError):
            form.read(row.items())
        return
    assert form.read(row.items()) == {n: expected[n] for n in form.fields if n in expected}


@given(st.text(max_size=200))
def test_nothing_that_is_pasted_breaks_the_form(text):
    form = FeatureForm(form_schema())
    for read in (form.parse_row, form.parse_json):
        try:
            read(f"V00XRKL\n{text}" if read == form.parse_row else text)
        except FormError as error:
            assert "\n" not in str(error)


@given(st.sampled_from("\t,;|"), st.lists(st.sampled_from(["2", "1: 1", "", ".A"]), max_size=5))
def test_a_pasted_row_is_the_same_here_and_in_the_core(separator, cells):
    names = [variable.name for variable in VARIABLES]
    pasted = separator.join(["ID", *names[: len(cells)], "V00XRKL0"]) + "\n"
    pasted += separator.join(["9000099", *cells, "x"]) + "\n"
    try:
        expected = parse_features(pasted)
    except FeatureError:
        with pytest.raises(FormError):
            FeatureForm(form_schema()).parse_row(pasted)
        return
    assert FeatureForm(form_schema()).parse_row(pasted).features == expected
