"""Cells, tables and names of an OAI release, as they really look."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xr2mri_core.errors import ReleaseError
from xr2mri_core.geometry import Laterality
from xr2mri_core.oai import tables
from xr2mri_core.oai.sequences import RADIOGRAPH, SEQUENCES, Kind, kind_of, sequence_named
from xr2mri_core.oai.tables import find_tables, read_table, visit_of, visit_of_stem
from xr2mri_core.oai.values import (
    Cell,
    Missing,
    barcode,
    identifier,
    participant_of,
    read_cell,
    sas_texts,
)

R, L = Laterality.RIGHT, Laterality.LEFT


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("2", Cell(2.0)),
        ("2: 2", Cell(2.0, "2")),
        ("1: Right", Cell(1.0, "Right")),
        (" 1.4 ", Cell(1.4)),
        (".5", Cell(0.5)),
        ("", Cell(None, "", Missing.BLANK)),
        (".", Cell(None, "", Missing.BLANK)),
        (None, Cell(None, "", Missing.BLANK)),
        (float("nan"), Cell(None, "", Missing.BLANK)),
        (
            ".: Missing Form/Incomplete Workbook",
            Cell(None, "Missing Form/Incomplete Workbook", Missing.MISSING),
        ),
        (".A", Cell(None, "", Missing.NOT_EXPECTED)),
        (".A: Not Expected", Cell(None, "Not Expected", Missing.NOT_EXPECTED)),
        (".P", Cell(None, "", Missing.PROSTHESIS)),
        (".t", Cell(None, "", Missing.TECHNICAL)),
        (".M", Cell(None, "", Missing.MISSING)),
        (".R: Refused", Cell(None, "Refused", Missing.MISSING)),
    ],
)
def test_a_cell_is_a_number_or_says_why_there_is_none(text, cell):
    assert read_cell(text) == cell


@pytest.mark.parametrize("text", ["two", "2 3", "..", ".AB", "inf: x", "x:2"])
def test_a_cell_that_is_neither_is_refused(text):
    with pytest.raises(ReleaseError, match="no value of OAI's tables"):
        read_cell(text)


@given(
    number=st.floats(-1e6, 1e6).map(lambda value: round(value, 4)),
    label=st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1),
    space=st.sampled_from(["", " ", "  "]),
)
def test_labelled_numbers_read_as_their_number(number, label, space):
    text = f"{number:f}".rstrip("0").rstrip(".")
    assert read_cell(f"{space}{text}:{space}{label}{space}") == Cell(float(text), label.strip())
    assert read_cell(text).number == float(text)


@given(st.text(max_size=12))
def test_no_text_makes_the_reader_crash_or_invent_a_number(text):
    try:
        cell = read_cell(text)
    except ReleaseError:
        return
    assert (cell.number is None) == (cell.missing is not None)
    if cell.number is not None:
        assert any(character.isdigit() for character in text.split(":")[0])


def test_sas_keeps_its_missing_codes_in_the_payload_of_nan():
    words = [0xFFFFFE0000000000, 0xFFFFFD0000000000, 0xFFFFEE0000000000, 0xFFFFEA0000000000]
    special = np.array(words, dtype=np.uint64).view(np.float64)
    numbers = np.concatenate([special, [2.0, 1.4, 9000099.0, np.nan]])
    assert sas_texts(numbers) == [".", ".A", ".P", ".T", "2", "1.4", "9000099", "."]


def test_sas_may_keep_the_letters_of_its_missing_codes_in_ascii():
    words = [0xFFFFBE0000000000, 0xFFFFB70000000000, 0xFFFFA50000000000, 0xFFFFD10000000000]
    assert sas_texts(np.array(words, dtype=np.uint64).view(np.float64)) == [".A", ".H", ".Z", "."]


@pytest.mark.parametrize("seen", ["016600123456", "16600123456", 16600123456, 16600123456.0])
def test_barcodes_get_their_leading_zeros_back(seen):
    assert barcode(seen) == "016600123456"


def test_what_is_no_barcode_is_none():
    assert barcode("") == barcode("unknown") == barcode(None) == ""


def test_identifiers_are_texts_whatever_they_were():
    assert identifier(9000099.0) == identifier(" 9000099 ") == identifier(9000099) == "9000099"


@pytest.mark.parametrize(
    "cell", ["1.5e9999999", "1.5e99999999999999999999", "9.9E+000000099999999", "1.5e100"]
)
def test_an_enormous_number_is_no_identifier_and_costs_nothing(cell):
    began = time.process_time()
    assert identifier(cell) == participant_of(cell) == cell and barcode(cell) == ""
    assert time.process_time() - began < 0.5
    assert identifier("9.000099E+06") == identifier("9.00009900e06") == "9000099"


# --- names of series ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("description", "kind"),
    [
        ("COR_T1_3D_FLASH_RIGHT", Kind("COR_T1_3D_FLASH", R)),
        (" COR_T1_3D_FLASH_RIGHT  ", Kind("COR_T1_3D_FLASH", R)),
        ("SAG_3D_DESS_LEFT", Kind("SAG_3D_DESS", L)),
        ("Bilateral PA Fixed Flexion Knee", Kind(RADIOGRAPH, None)),
        ("PA Fixed Flexion Left Knee", Kind(RADIOGRAPH, L)),
        ("AX_T1_THIGH", None),
        ("PRESCRIPTION_RIGHT", None),
        ("T1", None),
        ("COR_T1_3D_FLASH", None),
        ("PA Fixed Flexion Knee", None),
        ("Bilateral PA Fixed Flexion Left Knee", None),
        ("Lateral Right Knee", None),
        ("", None),
    ],
)
def test_a_series_is_what_its_whole_description_says(description, kind):
    assert kind_of(description) == kind


@pytest.mark.parametrize("name", ["T1", "SAG_3D_DESS", "MP_LOCATOR", "SAG_T2_MAP", "AX_MPR"])
def test_only_coronal_volumes_can_be_trained_on(name):
    with pytest.raises(ReleaseError, match="COR_T1_3D_FLASH, COR_MPR, COR_IW_TSE"):
        sequence_named(name)


def test_windows_keep_about_as_much_of_the_knee_whatever_the_sequence():
    assert sequence_named("cor_t1_3d_flash").window_of(80) == (13, 63)
    spacing = {"COR_T1_3D_FLASH": 1.5, "COR_MPR": 1.5, "COR_IW_TSE": 3.0}
    for name, step in spacing.items():
        sequence = SEQUENCES[name]
        start, stop = sequence.window_of(35 if name == "COR_IW_TSE" else 80)
        assert (stop - start - 1) * step == pytest.approx(73.5, abs=2.0)


# --- visits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "visit"),
    [
        ("V00", "V00"), ("v3", "V03"), ("00m", "V00"), ("12m", "V01"), ("96m", "V10"),
        ("12 month", "V01"), ("48-month follow-up", "V06"), ("Baseline", "V00"), ("24", "V03"),
        ("V77", None), ("7m", None), ("12 apples", None), ("", None), (None, None),
    ],
)  # fmt: skip
def test_visits_are_known_by_code_and_by_month(text, visit):
    assert visit_of(text) == visit


def test_the_visit_of_a_table_is_in_its_name(tmp_path):
    assert visit_of_stem(tmp_path / "KXR_SQ_BU06.txt") == "V06"
    assert visit_of_stem(tmp_path / "Enrollees.txt") is None


# --- tables ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", ["|", "\t", ","])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_text_tables_keep_every_cell_as_it_is_written(tmp_path, delimiter, encoding):
    lines = [["ID", "V00BARCDBU", "Note"], ["9000099", "016600000001", " naïve "], ["1", "NA", ""]]
    text = "\r\n".join(delimiter.join(line) for line in lines) + "\r\n"
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    table = read_table(tmp_path / "a.txt")
    rows = list(table.rows(id="id", code=table.column("barcdbu"), note="note", none=None))
    assert rows[0] == {"id": "9000099", "code": "016600000001", "note": "naïve", "none": ""}
    assert rows[1]["code"] == "NA"


def test_a_quote_in_a_table_of_oai_swallows_no_rows(tmp_path):
    lines = [
        '"ID"|NOTE|V00XRKL',
        '1|"old film|2',
        '2|"film of "04"|"3"',
        '3|"|4',
        '4|5" apart|"',
        "5||1",
    ]
    (tmp_path / "kxr_sq_bu00.txt").write_text("\n".join(lines) + "\n")
    rows = read_table(tmp_path / "kxr_sq_bu00.txt").frame.values.tolist()
    assert rows == [
        ["1", '"old film', "2"], ["2", 'film of "04', "3"], ["3", '"', "4"], ["4", '5" apart', '"'],
        ["5", "", "1"],
    ]  # fmt: skip
    (tmp_path / "image03.txt").write_text('id\tnote\n1\t"two\nlines, ""quoted"""\n')
    assert read_table(tmp_path / "image03.txt").frame.values.tolist() == [
        ["1", 'two\nlines, "quoted"']
    ]


def test_the_second_line_of_an_nda_table_explains_and_is_left_out(tmp_path):
    text = (
        '"src_subject_id"\t"visit"\n'
        '"Subject ID how it\'s defined in lab/project"\t"Visit name"\n'
        '"9000099"\t"V00"\n'
    )
    (tmp_path / "image03.txt").write_text(text)
    assert len(read_table(tmp_path / "image03.txt")) == 1
    (tmp_path / "plain.txt").write_text("src_subject_id\tvisit\n9000099\tV00\n")
    assert len(read_table(tmp_path / "plain.txt")) == 1


def test_a_sas_table_reads_as_its_text_twin(tmp_path, monkeypatch):
    special = np.array([0xFFFFFD0000000000], dtype=np.uint64).view(np.float64)
    frame = pd.DataFrame(
        {
            "ID": ["9000099", "9000100"],
            "SIDE": [1.0, 2.0],
            "V00XRKL": np.concatenate([special, [2.0]]),
        }
    )
    monkeypatch.setattr(tables.pd, "read_sas", lambda path, **options: frame)
    (tmp_path / "kxr_sq_bu00.sas7bdat").write_bytes(b"")
    rows = read_table(tmp_path / "kxr_sq_bu00.sas7bdat").frame.values.tolist()
    assert rows == [["9000099", "1", ".A"], ["9000100", "2", "2"]]


def test_tables_are_found_whatever_the_case_of_their_names(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("KXR_SQ_BU00.TXT", "kxr_sq_bu00.sas7bdat", "deep/Kxr_Sq_Bu01.txt", "other.txt"):
        (tmp_path / name).write_text("ID\n1\n")
    found = find_tables([tmp_path], r"kxr_sq_bu\d\d")
    assert [path.name for path in found] == ["KXR_SQ_BU00.TXT", "Kxr_Sq_Bu01.txt"]


def test_only_the_forms_of_one_table_in_one_folder_are_one(tmp_path):
    files = (
        "a/image03.txt",
        "a/image03.sas7bdat",
        "b/image03.txt",
        "b/IMAGE03.txt",
        "c/image03.csv",
    )
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("ID\n1\n")
    (tmp_path / "again").symlink_to(tmp_path / "a")
    found = find_tables([tmp_path, tmp_path / "c"], "image03")
    assert [str(path.relative_to(tmp_path)) for path in found] == [
        "a/image03.txt", "b/IMAGE03.txt", "b/image03.txt", "c/image03.csv",
    ]  # fmt: skip


def test_a_table_merged_over_visits_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("ID|V00XRKL|V01XRKL\n1|2|2\n")
    with pytest.raises(ReleaseError, match="not merged"):
        read_table(tmp_path / "a.txt").column("xrkl")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"PK\x03\x04\xff\x00|\x00"])
def test_what_is_no_table_is_refused(tmp_path, content):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(ReleaseError):
        table = read_table(tmp_path / "a.txt")
        table.require("id")


def test_a_damaged_sas_file_is_refused(tmp_path):
    (tmp_path / "a.sas7bdat").write_bytes(b"no SAS" * 100)
    with pytest.raises(ReleaseError, match="cannot be read as a table"):
        read_table(tmp_path / "a.sas7bdat")
