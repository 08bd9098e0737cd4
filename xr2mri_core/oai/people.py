"""The participants: sex, age and body mass index at a visit, and the clinical site."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from xr2mri_core.demographics import parse_demographics
from xr2mri_core.errors import InputError, ReleaseError
from xr2mri_core.oai.tables import (
    VISITS,
    Table,
    find_tables,
    read_table,
    visit_of,
    visit_of_stem,
)
from xr2mri_core.oai.values import participant_of, read_cell

_TABLES = r"enrollees|allclinical\d\d|oai_enrollee01|oai_oarisk01|oai_kxrsemiquant01"
_ENROLMENT = "V00"
_NUMBERS = ("years", "months", "bmi")


@dataclass(frozen=True)
class Person:
    """One participant at one visit; None or empty where the tables do not tell.

    Attributes:
        sex: ``F`` or ``M``.
        age: age in whole years.
        bmi: kg/m2; that of enrolment where it was not taken at the visit.
        site: letter of the clinic, ``A`` to ``E``.
        problem: why what the tables tell makes no sense, else empty.
    """

    sex: str = ""
    age: int | None = None
    bmi: float | None = None
    site: str = ""
    problem: str = ""

    def to_dict(self) -> dict[str, str | int | float]:
        """What is known, JSON-ready."""
        known = {"sex": self.sex, "age": self.age, "bmi": self.bmi, "site": self.site}
        return {name: value for name, value in known.items() if value is not None and value != ""}


class People:
    """What the tables tell of the participants, visit by visit."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str, str], float | str] = {}
        self._doubts: dict[tuple[str, str, str], str] = {}

    def tell(self, participant: str, visit: str, what: str, value: float | str | None) -> None:
        """Note a fact; the first one stated is kept."""
        if value is not None and value != "":
            self._values.setdefault((participant, visit, what), value)

    def doubt(self, participant: str, visit: str, what: str, problem: str) -> None:
        """Note that a table says nonsense of a fact; what another table tells of it counts."""
        self._doubts.setdefault((participant, visit, what), problem)

    def at(self, participant: str, visit: str) -> Person:
        """Return a participant at a visit; age from enrolment grows by the months between."""

        problems: list[str] = []

        def value_of(what: str, when: str = visit) -> float | str | None:
            value = self._values.get((participant, when, what))
            if value is None and (doubt := self._doubts.get((participant, when, what))):
                problems.append(doubt)
            return value

        months = value_of("months")
        if months is None and (enrolled := value_of("months", _ENROLMENT)) is not None:
            months = float(enrolled) + VISITS[visit]
        bmi = value_of("bmi")
        if bmi is None:
            bmi = value_of("bmi", _ENROLMENT)
        age = None if months is None else int(float(months)) // 12
        bmi = None if bmi is None else round(float(bmi), 1)
        try:
            parse_demographics({"age": age, "bmi": bmi})
        except InputError as error:
            problems.append(str(error))
        return Person(
            sex=str(value_of("sex") or value_of("sex", _ENROLMENT) or ""),
            age=age,
            bmi=bmi,
            site=str(value_of("site") or value_of("site", _ENROLMENT) or ""),
            problem=problems[0] if problems else "",
        )


def read_people(folders: Iterable[Path]) -> People:
    """Read the demographics from whatever tables there are.

    OAI: ``Enrollees`` (sex P02SEX, site V00SITE) and ``AllClinical00`` and so on (age V00AGE, BMI
    P01BMI at enrolment, VnnBMI later). NDA: ``oai_enrollee01`` (sex, site, ageyears),
    ``oai_oarisk01`` (bmi), and ``interview_age``, which is in months, of any of them.
    """
    people = People()
    for path in find_tables(folders, _TABLES):
        _tell(people, read_table(path), visit_of_stem(path))
    return people


def _tell(people: People, table: Table, visit: str | None) -> None:
    nda = "src_subject_id" in table.frame.columns
    columns = {
        "id": table.require("src_subject_id" if nda else "id"),
        "visit": table.column("visit") if nda else None,
        "sex": table.column("p02sex", "sex", "gender"),
        "site": table.column("site", "siteid"),
        "years": table.column("age", "ageyears"),
        "months": table.column("interview_age"),
        "bmi": table.column("p01bmi", "bmi"),
    }
    for row, odd in table.rows_and_doubts(**columns):
        who = participant_of(row["id"])
        when = (visit_of(row["visit"]) if nda else visit) or _ENROLMENT
        numbers: dict[str, float | None] = dict.fromkeys(_NUMBERS)
        for name in _NUMBERS:
            try:
                if odd:
                    raise ReleaseError(odd)
                numbers[name] = read_cell(row[name]).number
            except ReleaseError as error:  # costs this participant's knees, and no others
                fact = "months" if name == "years" else name
                people.doubt(who, when, fact, f"{table.path.name}: {error}")
        years, months, bmi = numbers.values()
        if odd:
            continue
        if months is None and years is not None:
            months = 12 * years
        people.tell(who, when, "months", months)
        people.tell(who, when, "bmi", bmi)
        people.tell(who, when, "sex", _sex(row["sex"]))
        people.tell(who, when, "site", _site(row["site"]))


def _sex(text: str) -> str:
    """``M`` or ``F`` for ``1: Male``, ``2: Female``, ``1``, SAS's ``1.0``, ``M``, ``Female``."""
    word = text.strip().upper()
    return {"1": "M", "2": "F", "M": "M", "F": "F"}.get(word[:1], "")


def _site(text: str) -> str:
    word = text.split(":")[0].strip().upper()
    return word if len(word) == 1 and word.isalpha() else ""
