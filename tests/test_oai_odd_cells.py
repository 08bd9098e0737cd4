"""One odd cell costs a knee, not the run: in every column that is read of every table."""

from __future__ import annotations

import csv
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from oai_samples import cheap_release, selected

from xr2mri_core.oai import reports

FIRST, SECOND = "9000000", "9000101"
TEXT = (".txt", ".csv")
ODD = {
    "enormous": "1.5e9999999",
    "more enormous": "1.5e99999999999999999999",
    "nul": "9000\0123",
    "letters": "x" * 5000,
    "digits": "9" * 5000,
    "nan": "NaN",
    "infinite": "-inf",
    "year 0": "00/00/0000",
    "negative": "-7",
    "list": "[1, 2]",
    "emoji": "\N{BONE}\N{LEG}",
    "quotes": "' OR 1=1; --",
    "path": "../../../x",
    "formula": "=cmd()",
}
READ = {
    "contents": ["folder", "participantid", "studydate", "barcode", "seriesdescription"],
    "kxr_sq_bu00": ["id", "side", "readprj", "barcdbu", "v00xrkl", "v00xrjsm"],
    "enrollees": ["id", "p02sex", "v00site"],
    "allclinical00": ["id", "v00age", "p01bmi"],
    "image03": ["src_subject_id", "image_file", "image_description", "accession_number", "visit",
                "interview_date"],
    "oai_kxrsemiquant01": ["src_subject_id", "side", "readprj", "barcdbu", "visit", "xrkl",
                           "interview_age"],
    "oai_enrollee01": ["src_subject_id", "sex", "gender", "siteid", "site", "ageyears"],
    "oai_oarisk01": ["src_subject_id", "bmi", "p01bmi", "visit"],
}  # fmt: skip
"""Columns by table; those that a phantom's table lacks are passed over."""
NDA = ("image03", "oai_kxrsemiquant01", "oai_enrollee01", "oai_oarisk01")


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory) -> Path:
    return cheap_release(tmp_path_factory.mktemp("phantoms"), 2)


def written(path: Path, text: str, rows: Sequence[Sequence[str]]) -> None:
    separator = max(",|\t;", key=text.splitlines()[0].count)
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, delimiter=separator).writerows(rows)


@pytest.mark.parametrize("table", READ)
def test_an_odd_cell_costs_its_knees_alone(phantoms, tmp_path, table):
    form = phantoms / ("nda" if table in NDA else "folders")
    tables = tmp_path / "tables"
    tables.mkdir()
    for path in form.rglob("*"):
        if path.suffix in TEXT and path.stem.lower() not in ("contents", "image03"):
            shutil.copy2(path, tables)
    images = form
    if table in ("contents", "image03"):  # beside the images
        images = tmp_path / "images"
        shutil.copytree(form, images, copy_function=_linked)
    found = [path for root in (tables, images) for path in root.rglob("*")]
    copies = [path for path in sorted(found) if path.stem.lower() == table and path.suffix in TEXT]
    spoilt = next(path for path in copies if tmp_path in path.parents)
    text = spoilt.read_text("utf-8-sig")
    separator = max(",|\t;", key=text.splitlines()[0].count)
    rows = list(csv.reader(text.splitlines(), delimiter=separator))
    header = [name.strip().lower() for name in rows[0]]
    columns = [header.index(name) for name in READ[table] if name in header]
    mine = [n for n, row in enumerate(rows) if any(FIRST in cell for cell in row)]
    assert columns and mine
    others = {knee.case for knee in selected(images, tables).candidates if SECOND in knee.case}
    assert others
    for column in columns:
        for kind, cell in ODD.items():
            changed = [list(row) for row in rows]
            for number in mine:
                changed[number][column] = cell
            written(spoilt, text, changed)
            began = time.process_time()
            chosen = selected(images, tables)
            what = f"{table}, {header[column]}: {kind}"
            assert time.process_time() - began < 5, what
            assert others <= {knee.case for knee in chosen.candidates}, what
            assert all("/" not in knee.case and len(knee.case) < 99 for knee in chosen.candidates)
            reports.write_excluded(tmp_path / "excluded.csv", chosen.excluded, chosen.unknown)


def _linked(source: str, target: str) -> None:
    if Path(source).suffix in TEXT:
        shutil.copy2(source, target)
    else:
        Path(target).hardlink_to(source)
