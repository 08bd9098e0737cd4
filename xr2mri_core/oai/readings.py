"""The radiographic readings of each knee: which of several counts, and what a gap means.

A knee of a visit may have been read by several reading projects (column READPRJ), so that ID and
SIDE repeat. Which row counts must not depend on the order of the file: rows with a
Kellgren-Lawrence grade go first, then project 15, then 37 (42 is its continuation), then the
others, then the row with more grades, then the one with more codes for what is missing. Two rows of
the same project with as many but other grades, or with other codes, contradict each other, and that
knee is not used. Labels do not count: a table as text and as SAS file has the same readings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from xr2mri_core.errors import InputError, ReleaseError, shown
from xr2mri_core.features import VARIABLES, parse_features
from xr2mri_core.geometry import Laterality
from xr2mri_core.oai.tables import (
    Table,
    find_tables,
    read_table,
    visit_of,
    visit_of_stem,
)
from xr2mri_core.oai.values import (
    Cell,
    Missing,
    barcode,
    identifier,
    participant_of,
    read_cell,
)

MISSING_AS = ("paper", "not-expected-zero")
"""How a feature that was not read enters: left out, which encodes as zeros, as in the paper; or
grade 0 where it was not expected, because the knee has no definite osteoarthritis."""

_KL = "V00XRKL"
_READ_FOR_ALL = ("V00XRKL", "V00XRJSM", "V00XRJSL")
_DEFINITE_OA = 2  # Kellgren-Lawrence grade
_RECODED = {"42": "37"}
_PROJECTS = ("15", "37")
_BLANK = Cell(None, "", Missing.BLANK)

Knee = tuple[str, str, Laterality]
"""Participant, visit, side."""


@dataclass(frozen=True)
class Reading:
    """What was read on one radiograph of one knee.

    Attributes:
        cells: OAI name (``V00...``, whatever the visit) -> what the table says.
        project: READPRJ, 42 recoded as 37; empty where the table has none.
        barcode: barcode of the radiograph that was read, or empty.
        problem: why this reading cannot be used, else empty.
    """

    cells: Mapping[str, Cell]
    project: str = ""
    barcode: str = ""
    problem: str = ""

    @property
    def kl(self) -> int | None:
        """The Kellgren-Lawrence grade."""
        cell = self.cells.get(_KL)
        return None if cell is None or cell.number is None else int(cell.number)

    @property
    def has_prosthesis(self) -> bool:
        return any(cell.missing is Missing.PROSTHESIS for cell in self.cells.values())

    @property
    def graded(self) -> int:
        """How many of the 19 features have a grade."""
        return sum(cell.number is not None for cell in self.cells.values())

    @property
    def coded(self) -> int:
        """Number of features for which a code says why there is no grade."""
        return sum(cell.missing not in (None, Missing.BLANK) for cell in self.cells.values())

    def features(self, missing_as: str = "paper") -> dict[str, int]:
        """Return OAI name -> grade, checked, as `xr2mri_core.features.parse_features` does.

        Args:
            missing_as: see `MISSING_AS`.

        Raises:
            FeatureError: for a grade that does not exist.
            ReleaseError: for another ``missing_as``.
        """
        if missing_as not in MISSING_AS:
            raise ReleaseError(
                f"missing {shown(missing_as)}: accepted are {' and '.join(MISSING_AS)}"
            )
        grades = {name: cell.number for name, cell in self.cells.items()}
        if missing_as == "not-expected-zero":
            grades |= dict.fromkeys(self._not_expected(), 0.0)
        return parse_features(grades)

    def _not_expected(self) -> list[str]:
        """The features that were not to be read on this knee.

        Their code is ``.A``. Releases that write nothing there are understood if the knee has no
        definite osteoarthritis and not one feature of that group has a grade or another code.
        """
        group = [item.name for item in VARIABLES if item.name not in _READ_FOR_ALL]
        coded = [name for name in group if self._missing(name) is Missing.NOT_EXPECTED]
        blank = all(self._missing(name) is Missing.BLANK for name in group)
        if blank and self.kl is not None and self.kl < _DEFINITE_OA:
            return group
        return coded

    def _missing(self, name: str) -> Missing | None:
        return self.cells[name].missing if name in self.cells else Missing.BLANK


def read_readings(folders: Iterable[Path], visits: Iterable[str]) -> dict[Knee, Reading]:
    """Read the semi-quantitative readings of some visits, one for each knee.

    Args:
        folders: folders with ``kxr_sq_bu00`` and so on, or the NDA's ``oai_kxrsemiquant01``.
        visits: ``V00``, ...

    Returns:
        (participant, visit, side) -> the reading that counts, with ``problem`` where none does.

    Raises:
        ReleaseError: if there is no such table, or it is another one.
    """
    wanted = set(visits)
    folders = list(folders)
    paths = find_tables(folders, r"kxr_?sq_?bu\d\d|oai_kxrsemiquant01")
    rows: dict[Knee, list[Reading]] = {}
    for path in paths:
        if visit_of_stem(path) in wanted or "semiquant" in path.stem.lower():
            for knee, reading in _rows(read_table(path)):
                if knee[1] in wanted:
                    rows.setdefault(knee, []).append(reading)
    if not rows:
        raise ReleaseError(
            f"{', '.join(map(str, folders))}: no readings of {', '.join(sorted(wanted))}; give "
            "the folder of kxr_sq_bu00 (.txt or .sas7bdat) or oai_kxrsemiquant01.txt"
        )
    return {knee: choose_reading(readings) for knee, readings in rows.items()}


def _rows(table: Table) -> Iterable[tuple[Knee, Reading]]:
    nda = "src_subject_id" in table.frame.columns
    columns = {
        "id": table.require("src_subject_id" if nda else "id"),
        "side": table.require("side"),
        "project": table.column("readprj"),
        "barcode": table.column("barcode", "barcdbu"),
        "visit": table.require("visit") if nda else None,
    }
    names = {item.name: table.column(item.name[3:]) for item in VARIABLES}
    if not any(names.values()):
        raise ReleaseError(f"{table.path}: none of the features of Table I; is it kxr_sq_bu?")
    for row, odd in table.rows_and_doubts(**columns, **names):
        visit = visit_of(row["visit"]) if nda else visit_of_stem(table.path)
        if not visit:
            continue
        where, side = table.path.name, _side(row["side"])
        reading = _reading(row, names, odd, where)
        if side is None and _is_missing(row["side"]):
            continue
        if side is None:  # of either knee, unless another row tells of it
            problem = f"{where}: side {shown(row['side'])} is neither 1 nor 2"
            reading = Reading({}, barcode=reading.barcode, problem=problem)
        for knee in (side,) if side else tuple(Laterality):
            yield (participant_of(row["id"]), visit, knee), reading


def _side(text: str) -> Laterality | None:
    """1 or 2, with or without a label; None for anything else."""
    try:
        return Laterality.parse(identifier(text))
    except InputError:
        return None


def _is_missing(text: str) -> bool:
    try:
        return read_cell(text).missing is not None
    except ReleaseError:
        return False


def _reading(
    row: Mapping[str, str], names: Mapping[str, str | None], odd: str, table: str
) -> Reading:
    problem, cells, text = odd, {}, ""
    try:
        project = read_cell(row["project"]).number
        text = "" if project is None else f"{project:g}"
    except ReleaseError as error:
        problem = problem or f"readprj: {error}"
    for name, column in names.items():
        if column:
            try:
                cells[name] = read_cell(row[name])
            except ReleaseError as error:
                problem = problem or f"{column}: {error}"
    return Reading(
        cells=cells,
        project=_RECODED.get(text, text),
        barcode=barcode(row["barcode"]),
        problem=f"{table}: {problem}" if problem else "",
    )


def choose_reading(readings: Iterable[Reading]) -> Reading:
    """Return the one reading of a knee that counts, whatever their order; see the module.

    The reading has a ``problem`` where two of equal standing contradict each other.
    """
    ranked = sorted(readings, key=lambda item: (_rank(item), -item.coded, repr(item)))
    best = ranked[0]
    if best.problem:
        return best
    for other in ranked[1:]:
        if _rank(other) == _rank(best) and _contradict(best, other):
            conflict = f"two readings of project {best.project or '?'} contradict each other"
            return replace(best, problem=conflict)
    return best


def _contradict(one: Reading, other: Reading) -> bool:
    """Whether two readings say something else of a feature; a blank says nothing of a gap."""
    for name in {**one.cells, **other.cells}:
        cells = [reading.cells.get(name, _BLANK) for reading in (one, other)]
        gaps = {cell.missing for cell in cells} - {None, Missing.BLANK}
        if cells[0].number != cells[1].number or len(gaps) > 1:
            return True
    return False


def _rank(reading: Reading) -> tuple[bool, int, int]:
    known = reading.project in _PROJECTS
    project = _PROJECTS.index(reading.project) if known else len(_PROJECTS)
    return reading.kl is None, project, -reading.graded
