"""The tables of a phantom OAI release, with the oddities of the real ones, in both layouts.

What is odd, by the number of the participant (see `readings_of`): features that were not
expected (``.A``, or nothing at all), a prosthesis (``.P``), an unreadable feature (``.T``), an
incomplete workbook, labelled values, a second reading project with other grades before or after
the one that counts, project 42, barcodes without their leading zero, a line listed twice.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from xr2mri_core.features import VARIABLES

EVERYBODY = ("XRKL", "XRJSM", "XRJSL")
"""What is read for everyone; the rest only where there is definite osteoarthritis."""
INCOMPLETE = ".: Missing Form/Incomplete Workbook"

Row = dict[str, str]


@dataclass
class ListedSeries:
    """A series as a release lists it."""

    participant: str
    visit: str
    date: str
    number: str
    barcode: str
    description: str
    release: str = "0.C.2"

    @property
    def folder(self) -> str:
        return f"{self.release}/{self.participant}/{self.date}/{self.number}"


@dataclass
class Participant:
    """One phantom participant, as the tables know them.

    Attributes:
        index: number in the release; decides what is odd about them.
        identifier: seven digits.
        sex, age, bmi, site: demographics at enrolment.
        grades: side (R, L) -> OAI name -> grade.
        series: every series, also repeated ones.
        barcodes: visit -> of the radiograph.
    """

    index: int
    identifier: str
    sex: str
    age: int
    bmi: float
    site: str
    grades: Mapping[str, Mapping[str, int]]
    series: list[ListedSeries] = field(default_factory=list)
    barcodes: dict[str, str] = field(default_factory=dict)


def readings_of(person: Participant, visit: str) -> list[Row]:
    """Return the rows of a participant's readings: ID, SIDE, READPRJ, barcode and features."""
    rows = [_reading(person, side, visit) for side in "RL"]
    if person.index % 4 == 0:  # another project, with other grades, in front
        rows = [_other_project(row, "37") for row in rows] + rows
    if person.index % 4 == 1:  # the same in the other order
        rows = rows + [_other_project(row, "42") for row in rows]
    if person.index % 4 == 2:
        for row in rows:
            row["READPRJ"] = "42"
    return rows


def _reading(person: Participant, side: str, visit: str) -> Row:
    row = {
        "ID": person.identifier,
        "SIDE": "1" if side == "R" else "2",
        "READPRJ": "15",
        "BARCDBU": person.barcodes[visit],
    }
    grades = person.grades[side]
    definite = grades["V00XRKL"] >= 2
    for item in VARIABLES:
        name = item.name[3:]
        unread = "" if person.index % 2 else ".A"
        row[name] = str(grades[item.name]) if definite or name in EVERYBODY else unread
    if person.index % 4 == 0:  # labelled values
        row["SIDE"] = "1: Right" if side == "R" else "2: Left"
        row = {key: f"{v}: {v}" if key in EVERYBODY else v for key, v in row.items()}
    if person.index % 4 == 1 and definite:
        row["XRSCTM"] = ".T"
    if person.index % 4 == 2 and side == "L":
        row |= {item.name[3:]: ".P" for item in VARIABLES}
    if person.index % 4 == 3:
        row["XRCHL"] = INCOMPLETE
        row["BARCDBU"] = row["BARCDBU"].lstrip("0")
    if visit != "V00":
        row["XRJSM"] = f"{grades['V00XRJSM']}.4" if 0 < grades["V00XRJSM"] < 3 else row["XRJSM"]
    return row


def _other_project(row: Row, project: str) -> Row:
    kl = "4" if row["XRKL"][:1] != "4" else "3"
    return {**row, "READPRJ": project, "XRKL": kl}


# --- OAI's folders --------------------------------------------------------------------------------


def write_contents(path: Path, series: Sequence[ListedSeries], barcode_column: str) -> None:
    """Write ``contents.csv``, one line of it twice; later visits call the barcode otherwise."""
    lines = [
        [
            item.folder,
            item.participant,
            f"{item.date[4:6]}/{item.date[6:]}/{item.date[:4]}",
            item.barcode.lstrip("0"),
            "OAI^MR^KNEE" if item.number.startswith("1") else "OAI^XR^KNEE",
            f"{item.description} ",
        ]
        for item in series
    ]
    head = ["Folder", "ParticipantID", "StudyDate", barcode_column, "StudyDescription"]
    _write(path, ",", [[*head, "SeriesDescription"], *lines, *lines[-1:]])


def write_oai_tables(folder: Path, people: Sequence[Participant]) -> None:
    """Write ``kxr_sq_bu00.txt``, ``AllClinical00.txt`` and ``Enrollees.txt``."""
    folder.mkdir(parents=True, exist_ok=True)
    for visit in sorted({visit for person in people for visit in person.barcodes}):
        rows = [
            row
            for person in people
            if visit in person.barcodes
            for row in readings_of(person, visit)
        ]
        prefixed = [
            {
                key if key in ("ID", "SIDE", "READPRJ") else f"{visit}{key}": value
                for key, value in row.items()
            }
            for row in rows
        ]
        name = "kxr_sq_bu00.txt" if visit == "V00" else f"KXR_SQ_BU{visit[1:]}.txt"
        _write_rows(folder / name, prefixed)
    clinical = [
        {
            "ID": p.identifier,
            "V00AGE": str(p.age),
            "P01BMI": f"{p.bmi:.1f}",
            "V00WOMKPR": ".A: Not Expected",
        }
        for p in people
    ]
    _write_rows(folder / "AllClinical00.txt", clinical)
    enrolled = [
        {
            "ID": p.identifier,
            "P02SEX": "1: Male" if p.sex == "M" else "2: Female",
            "V00SITE": p.site,
            "V00COHORT": "2: Incidence",
        }
        for p in people
    ]
    _write_rows(folder / "Enrollees.txt", enrolled)


# --- the NDA --------------------------------------------------------------------------------------


def write_nda_tables(folder: Path, people: Sequence[Participant]) -> None:
    """Write ``image03.txt`` and the tables beside it, each with its second, explaining line."""
    folder.mkdir(parents=True, exist_ok=True)
    images = [
        {
            **_subject(person, item.visit),
            "image_file": f"s3://NDAR_Central_1/submission_00000/{_month(item.visit)}/{item.folder}.tar.gz",
            "image_description": item.description,
            "image_file_format": "DICOM",
            "accession_number": item.barcode.lstrip("0"),
            "visit": _named_visit(person, item),
        }
        for person in people
        for item in person.series
    ]
    _write_nda(folder / "image03.txt", images)
    readings = [
        {
            **_subject(person, visit),
            "visit": visit,
            "side": row["SIDE"],
            "readprj": row["READPRJ"],
            "barcode": row["BARCDBU"],
            **{item.name[3:].lower(): row[item.name[3:]] for item in VARIABLES},
        }
        for person in people
        for visit in person.barcodes
        for row in readings_of(person, visit)
    ]
    _write_nda(folder / "oai_kxrsemiquant01.txt", readings)
    enrolled = [{**_subject(p, "V00"), "visit": "V00", "site": p.site} for p in people]
    _write_nda(folder / "oai_enrollee01.txt", enrolled)
    risk = [{**_subject(p, "V00"), "visit": "V00", "bmi": f"{p.bmi:.1f}"} for p in people]
    _write_nda(folder / "oai_oarisk01.txt", risk)


def _named_visit(person: Participant, item: ListedSeries) -> str:
    """The baseline's films were taken at the screening, and some lists say so."""
    film = item.number.startswith("0")
    return "Screening" if item.visit == "V00" and film and person.index % 4 == 3 else item.visit


def _month(visit: str) -> str:
    return {"V00": "00m", "V01": "12m"}[visit]


def _subject(person: Participant, visit: str) -> Row:
    months = 12 * person.age + 5 + (12 if visit == "V01" else 0)
    return {
        "subjectkey": f"NDAR_INV{person.identifier}",
        "src_subject_id": person.identifier,
        "interview_date": "09/14/2004",
        "interview_age": str(months),
        "sex": person.sex,
    }


def _write_nda(path: Path, rows: Sequence[Row]) -> None:
    names = list(rows[0])
    explained = [f"The meaning of {name}, in words" for name in names]
    lines = [names, explained, *([row[name] for name in names] for row in rows)]
    _write(path, "\t", lines, quoted=True)


def _write_rows(path: Path, rows: Sequence[Row]) -> None:
    names = list(rows[0])
    _write(path, "|", [names, *([row[name] for name in names] for row in rows)])


def _write(
    path: Path, delimiter: str, lines: Iterable[Sequence[str]], quoted: bool = False
) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        if quoted:
            csv.writer(stream, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(lines)
        else:
            csv.writer(stream, delimiter=delimiter).writerows(lines)
