"""Table I of the paper, stated once: the 19 radiographic features of one knee.

Every front end builds its form from `form_schema`, every reader goes through
`parse_features`, and the network sees `encode_features`. Two gradings exist: the
paper grades attrition 0-1 (61 one-hot positions), the OAI release grades it 0-3 (65 positions).
A feature that was not read is left out of the dictionary and encodes as zeros.

This module needs numpy only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr2mri_client.cells import decimal, says_missing, unlabelled
from xr2mri_core.errors import FeatureError, shown
from xr2mri_core.form_text import FormText, read_form

GRADINGS = ("paper", "oai")

_SEVERITY = ("none", "mild", "moderate", "severe")
_PRESENCE = ("absent", "present")


@dataclass(frozen=True)
class Variable:
    """One line of Table I.

    Attributes:
        name: OAI name at the baseline visit, e.g. ``V00XROSFM``.
        key: plain name for keywords and command lines, e.g. ``osteophytes_femur_medial``.
        title: name to show to a reader, e.g. ``Osteophytes, medial femur``.
        finding: what is graded, e.g. ``osteophytes``.
        bone: ``femur``, ``tibia`` or None where the finding belongs to the joint.
        compartment: ``medial``, ``lateral`` or None for the whole knee.
        labels: a word for each grade of the OAI release, grade 0 first.
        paper_grades: the grades that the paper distinguishes.
    """

    name: str
    key: str
    title: str
    finding: str
    bone: str | None
    compartment: str | None
    labels: tuple[str, ...]
    paper_grades: tuple[int, ...]

    @property
    def grades(self) -> tuple[int, ...]:
        """The grades of the OAI release, ascending."""
        return tuple(range(len(self.labels)))

    def grades_in(self, grading: str) -> tuple[int, ...]:
        """The grades of this variable in ``grading`` (``paper`` or ``oai``)."""
        return self.paper_grades if _checked_grading(grading) == "paper" else self.grades

    @property
    def is_fractional(self) -> bool:
        """Whether OAI's follow-up visits grade it in steps below one, to be rounded down."""
        return self.finding == "joint space narrowing"

    @property
    def is_overall(self) -> bool:
        """Whether it grades the knee as a whole, as collections of radiographs are sorted."""
        return self.compartment is None


def _variable(
    code: str, finding: str, bone: str | None, side: str, labels: tuple[str, ...]
) -> Variable:
    title = f"{finding.capitalize()}, {side} {bone or 'compartment'}"
    key = "_".join(word for word in (finding.replace(" ", "_"), bone, side) if word)
    paper = (0, 1) if finding == "attrition" else tuple(range(len(labels)))
    return Variable(f"V00{code}", key, title, finding, bone, side, labels, paper)


def _compartment(side: str) -> list[Variable]:
    """Return the nine variables of one compartment, in the order of Table I."""
    s = side[0].upper()
    return [
        _variable(f"XROSF{s}", "osteophytes", "femur", side, _SEVERITY),
        _variable(f"XRSCF{s}", "sclerosis", "femur", side, _SEVERITY),
        _variable(f"XRCYF{s}", "cysts", "femur", side, _PRESENCE),
        _variable(f"XRJS{s}", "joint space narrowing", None, side, _SEVERITY),
        _variable(f"XRCH{s}", "chondrocalcinosis", None, side, _PRESENCE),
        _variable(f"XROST{s}", "osteophytes", "tibia", side, _SEVERITY),
        _variable(f"XRSCT{s}", "sclerosis", "tibia", side, _SEVERITY),
        _variable(f"XRCYT{s}", "cysts", "tibia", side, _PRESENCE),
        _variable(f"XRATT{s}", "attrition", "tibia", side, _SEVERITY),
    ]


_KELLGREN_LAWRENCE = Variable(
    "V00XRKL",
    "kl_grade",
    "Kellgren-Lawrence grade",
    "Kellgren-Lawrence grade",
    None,
    None,
    ("none", "doubtful", "minimal", "moderate", "severe"),
    (0, 1, 2, 3, 4),
)

VARIABLES: tuple[Variable, ...] = (
    *_compartment("medial"),
    _KELLGREN_LAWRENCE,
    *_compartment("lateral"),
)
"""The 19 variables in the order of Table I, which is the order of the one-hot vector."""

_BY_NAME = {variable.name: variable for variable in VARIABLES}
_BY_SPELLING = {
    **{variable.name[3:].lower(): variable for variable in VARIABLES},
    **{variable.key: variable for variable in VARIABLES},
}
_VISIT = re.compile(r"^v\d\d(?=xr)")


def variable(name: str) -> Variable:
    """Return the variable called ``name``.

    Args:
        name: an OAI name with any visit prefix or none (``V00XRKL``, ``v03xrkl``, ``XRKL``) or a
            plain key (``kl_grade``); upper and lower case are the same.

    Raises:
        FeatureError: if there is no such variable.
    """
    found = _lookup(name)
    if found is None:
        raise FeatureError(
            f"unknown feature {shown(name)}: accepted are the 19 names of Table I, "
            f"from V00XROSFM (osteophytes_femur_medial) to V00XRATTL (attrition_tibia_lateral)"
        )
    return found


def parse_features(
    source: Mapping[str, Any] | FormText | str | Path | None = None, /, **keywords: Any
) -> dict[str, int]:
    """Read radiographic features from a mapping, JSON text, a file, or keywords.

    Grades are integers of the OAI release (0-3 for attrition). Accepted spellings of a grade are
    numbers, numeric texts and the release's labelled texts (``"2: 2"``). Joint space narrowing
    may be fractional, as at OAI's follow-up visits, where 1.4 is a knee that progressed within
    grade 1: it is rounded down. What was not read (None, empty, NaN, ``".: Missing ..."``, SAS
    codes such as ``.A``) is left out.

    Args:
        source: a mapping from name to grade; or a form as `form_text.read_form` reads it: JSON, a
            row of OAI's table pasted with its header, or a file with one of these.
        keywords: further features, by plain key or OAI name, e.g. ``kl_grade=2``.

    Returns:
        OAI name (``V00...``) -> grade, in the order of Table I.

    Raises:
        FeatureError: naming the variable, the value and what is accepted.
    """
    pairs, more = [], [(variable(name), name, value) for name, value in keywords.items()]
    if isinstance(source, str | Path):
        source = read_form(source)
    if isinstance(source, FormText):
        if source.is_row:
            return _graded([*_cells(source.pairs), *more])
        pairs = list(source.pairs)
    elif isinstance(source, Mapping):
        pairs = list(source.items())
    elif source is not None:
        raise FeatureError(
            f"features of type {type(source).__name__}: accepted are a mapping, JSON text, a "
            "row with its header, or a path to a .json or .csv file"
        )
    return _graded([*((variable(name), name, value) for name, value in pairs), *more])


def num_positions(grading: str = "oai") -> int:
    """Return the length of the one-hot vector: 61 for ``paper``, 65 for ``oai``."""
    return sum(len(variable.grades_in(grading)) for variable in VARIABLES)


def one_hot_slices(grading: str = "oai") -> dict[str, slice]:
    """Return, for each OAI name, the part of the one-hot vector that holds its grade."""
    slices, start = {}, 0
    for item in VARIABLES:
        stop = start + len(item.grades_in(grading))
        slices[item.name] = slice(start, stop)
        start = stop
    return slices


def encode_features(features: Mapping[str, Any], grading: str = "oai") -> NDArray[np.float32]:
    """Encode features as the one-hot vector r of Section II-B.

    Args:
        features: anything that `parse_features` accepts as a mapping.
        grading: ``oai`` (attrition 0-3) or ``paper`` (attrition 0-1: every grade from 1 is 1).

    Returns:
        float32 array (65,) or (61,), one position set for each graded variable, none for a
        variable that was not read.

    Raises:
        FeatureError: for features or a grading that are not accepted.
    """
    vector = np.zeros(num_positions(grading), dtype=np.float32)
    slices = one_hot_slices(grading)
    for name, grade in parse_features(features).items():
        vector[slices[name].start + min(grade, _BY_NAME[name].grades_in(grading)[-1])] = 1.0
    return vector


def form_schema(grading: str = "oai") -> dict[str, Any]:
    """Return the form of the 19 features as a JSON schema (draft 2020-12).

    Each property carries ``title``, ``description``, ``enum`` (grades, and null for "not read"),
    and for front ends ``x-key``, ``x-labels`` (grade -> word), ``x-group``, ``x-fractional``
    (`Variable.is_fractional`) and ``x-overall`` (`Variable.is_overall`). ``x-groups`` lists the
    groups in reading order with their properties in the order of Table I.
    """
    properties = {}
    groups: dict[str, list[str]] = {"Whole knee": [], "Medial": [], "Lateral": []}
    for item in VARIABLES:
        group = item.compartment.capitalize() if item.compartment else "Whole knee"
        groups[group].append(item.name)
        grades = item.grades_in(grading)
        labels = item.labels if len(grades) == len(item.labels) else _PRESENCE
        properties[item.name] = {
            "title": item.title,
            "description": f"{item.name}: {item.title}, grade {grades[0]}-{grades[-1]}; "
            "null or left out where it was not read",
            "type": ["integer", "null"],
            "enum": [*grades, None],
            "default": None,
            "x-key": item.key,
            "x-labels": {str(grade): labels[grade] for grade in grades},
            "x-group": group,
            "x-fractional": item.is_fractional,
            "x-overall": item.is_overall,
        }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Radiographic features of one knee",
        "description": "Table I of the paper. OARSI grades, Kellgren-Lawrence grade 0-4.",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "x-grading": grading,
        "x-groups": [{"title": title, "properties": names} for title, names in groups.items()],
    }


def _checked_grading(grading: str) -> str:
    if grading not in GRADINGS:
        raise FeatureError(f"grading {shown(grading)}: accepted are {' and '.join(GRADINGS)}")
    return grading


def _lookup(name: object) -> Variable | None:
    if not isinstance(name, str):
        return None
    return _BY_SPELLING.get(_VISIT.sub("", name.strip().lower()))


def _cells(row: Iterable[tuple[str, Any]]) -> list[tuple[Variable, str, Any]]:
    """Return the cells of a row that are features, at least one."""
    row = list(row)
    cells = [(found, name, value) for name, value in row if (found := _lookup(name))]
    if not cells:
        raise FeatureError(
            f"no feature among the columns {shown([name for name, _ in row])}: "
            "accepted are the names of Table I, e.g. V00XRKL or kl_grade"
        )
    return cells


def _graded(cells: Iterable[tuple[Variable, str, Any]]) -> dict[str, int]:
    """Return OAI name -> grade in the order of Table I, refusing what is given twice."""
    seen: dict[str, tuple[str, int | None]] = {}
    for item, spelling, value in cells:
        if item.name in seen:
            raise FeatureError(
                f"{item.name} ({item.title}) is given twice, as {shown(seen[item.name][0])} "
                f"and {shown(spelling)}: keep one"
            )
        seen[item.name] = (spelling, _grade(item, value))
    graded = {name: grade for name, (_, grade) in seen.items() if grade is not None}
    return {item.name: graded[item.name] for item in VARIABLES if item.name in graded}


def _grade(item: Variable, value: Any) -> int | None:
    """Return the grade that ``value`` spells, or None where it says "not read"."""
    number = _number(value)
    if number is None:
        return None
    if isinstance(number, float):
        if math.isnan(number):
            return None
        fractional = item.is_fractional and 0 <= number <= item.grades[-1]
        if number.is_integer() or fractional:
            number = math.floor(number)
    if number not in item.grades:
        accepted = ", ".join(str(grade) for grade in item.grades)
        raise FeatureError(
            f"{item.name} ({item.title}) has {shown(value)}: "
            f"accepted are {accepted}, or nothing where it was not read"
        )
    return int(number)


def _number(value: Any) -> int | float | str | None:
    """Return ``value`` as a number, None where it means "not read", or a text that is neither."""
    if isinstance(value, str):
        text = value.strip()
        if says_missing(text):
            return None
        try:
            return decimal(unlabelled(text))
        except ValueError:
            return text
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Real):
        return f"<{type(value).__name__}>"
    return int(value) if isinstance(value, Integral) else float(value)
