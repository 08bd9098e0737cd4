"""Tables that are opened in a spreadsheet: what comes from elsewhere is never computed there."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

import numpy as np
import pytest

from xr2mri_client.cells import cell
from xr2mri_core.cohort.run import Row, _write_manifest
from xr2mri_core.oai.release import Unusable
from xr2mri_core.oai.reports import write_excluded, write_profiles
from xr2mri_core.oai.selection import Excluded
from xr2mri_core.tables import doubt_of_letters, write_csv

ROOT = Path(__file__).parents[1]
FORMULAS = (
    "=HYPERLINK(\"http://evil.example\",\"x\")", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1",
    "\r=1", "  =1+1", "\uff1d1+1", "-", "=", "+1 2", "\n=1",
)  # fmt: skip
VALUES = ("", "knee", "a=b", "-0.5", "+1e-3", "-inf", "9000099-V00-R", "'=1", "1-2")


def read(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_that_would_be_computed_stays_text(text):
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("value", [*VALUES, -0.5, 3, None, -math.inf])
def test_what_is_no_formula_stays_as_it_is(value):
    assert cell(value) is value


def test_every_table_that_holds_foreign_text_is_guarded(tmp_path):
    evil = "=cmd|'/C calc'!A0"
    write_csv(tmp_path / "metrics.csv", [{"case": evil, "psnr": -1.5}, {"case": "a", evil: 1}])
    assert read(tmp_path / "metrics.csv") == [
        ["case", "psnr", f"'{evil}"],
        [f"'{evil}", "-1.5", ""],
        ["a", "", "1"],
    ]
    _write_manifest(tmp_path, [Row(evil, f"{evil}.png", error=evil, warnings=[evil])])
    header, row = read(tmp_path / "manifest.csv")
    named = dict(zip(header, row, strict=True))
    assert [named[name] for name in ("name", "radiograph", "warnings", "error")] == [
        f"'{evil}", f"'{evil}.png", f"'{evil}", f"'{evil}",
    ]  # fmt: skip
    assert f'"{evil}"' in (tmp_path / "manifest.json").read_text("utf-8"), "programs read that"
    knee = (evil, "V00", "R")
    lost = Unusable(evil, "V00", None, evil, evil)
    write_excluded(tmp_path / "excluded.csv", [Excluded(knee, "list", evil, evil)], [lost])
    write_profiles(tmp_path / "grey.csv", np.full((1, 128), -0.25), [evil])
    for name in ("excluded.csv", "grey.csv"):
        cells = [text for row in read(tmp_path / name) for text in row]
        assert f"'{evil}" in cells and evil not in cells, name


def test_nothing_else_writes_tables():
    """What is not written by `tables` would have to guard by itself; the phantom's release is one
    that is read, not one that is looked at."""
    writers = re.compile(r"csv\.(writer|DictWriter)\(|\.to_csv\(")
    files = [*(ROOT / "xr2mri_core").rglob("*.py"), *(ROOT / "monai_app").rglob("*.py")]
    found = {file.name for file in files if writers.search(file.read_text("utf-8"))}
    assert found == {"tables.py", "oai_tables.py"}


@pytest.mark.parametrize("head", [b"", b"\0" * 12, b"HEADER RECORD" + b" " * 200])
def test_letters_of_a_file_of_sas_are_not_doubted(tmp_path, head):
    """It is no text, in whatever code page."""
    table = tmp_path / "forms.sas7bdat"
    table.write_bytes(head + b"\xd8\xd8" * 50 + b"\0")
    assert doubt_of_letters("M\u00fcller", table) == ""
    table.write_bytes(head.replace(b"\0", b"") + b"\xd8\xd8" * 50)
    assert "save it as CSV UTF-8" in doubt_of_letters("M\u00fcller", table)
