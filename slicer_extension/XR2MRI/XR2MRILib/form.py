"""The form of the radiographic features as plain data, built from the server's schema.

The module knows no feature by name: groups, titles, grades and their words are the server's, so a
panel made from `FeatureForm` is right for whatever model the server has.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xr2mri_client.cells import number_of, side_of
from xr2mri_client.errors import FormError, one_line
from xr2mri_client.texts import tr as _

LARGEST_FILE = 1 << 20
SEPARATORS = "\t|,;"

_VISIT = re.compile(r"^v\d\d(?=xr)")


@dataclass(frozen=True)
class Field:
    """One feature.

    Attributes:
        name: its key in what is sent, such as `V00XROSFM`.
        key: the plain name, such as `osteophytes_femur_medial`.
        title: text to show by itself, such as "Osteophytes, medial femur".
        short_title: text to show under the headings of group and part, such as "Osteophytes".
        group, part: headings; the part is `femur`, `tibia` or empty.
        labels: a word for each accepted grade, ascending.
        description: what the schema says.
        fractional: whether tables may have values between the grades, to be rounded down.
        overall: whether it grades the knee as a whole, as collections of radiographs are sorted.
    """

    name: str
    key: str
    title: str
    short_title: str
    group: str
    part: str
    labels: Mapping[int, str]
    description: str
    fractional: bool = False
    overall: bool = False

    @property
    def grades(self) -> tuple[int, ...]:
        """The accepted grades, ascending."""
        return tuple(self.labels)

    @property
    def tip(self) -> str:
        """What each grade means, a line each."""
        grades = [f"{grade}: {word}" for grade, word in self.labels.items()]
        return "\n".join([f"{self.title} ({self.name})", *grades, _("not read: leave it open")])

    def grade_text(self, grade: int | None) -> str:
        """A grade with its word, such as "2 (moderate)"."""
        return _("not read") if grade is None else f"{grade} ({self.labels[grade]})"

    def parse(self, value: Any) -> int | None:
        """The grade that a number or a text means; None where it says "not read".

        Texts may be labelled as OAI's are ("2: Moderate"). A value between the grades of a
        `fractional` feature, as at OAI's follow-up visits, is rounded down.

        Raises:
            FormError: naming the feature, the value and what is accepted.
        """
        number = number_of(value)
        if number is None:
            return None
        if number.is_integer() or (self.fractional and 0 <= number <= max(self.grades)):
            grade = math.floor(number)
            if grade in self.labels:
                return grade
        raise self._refusal(value)

    def _refusal(self, value: Any) -> FormError:
        message = _("{name} ({title}) has {value}.").format(
            name=self.name, title=self.title, value=one_line(repr(value), 60)
        )
        accepted = ", ".join(map(str, self.grades))
        return FormError(message, _("Accepted are {x}, or nothing.").format(x=accepted))


@dataclass(frozen=True)
class Group:
    """Fields under one heading, in the order to show them."""

    title: str
    fields: tuple[Field, ...]

    @property
    def parts(self) -> dict[str, tuple[Field, ...]]:
        """The fields by part (`femur`, `tibia`, empty for the joint), each in its order."""
        parts: dict[str, list[Field]] = {}
        for item in self.fields:
            parts.setdefault(item.part, []).append(item)
        return {part: tuple(items) for part, items in parts.items()}


@dataclass(frozen=True)
class ReadForm:
    """What a file, or a row of a readings table, says of one knee.

    Attributes:
        features: grades by name; those that were not read are left out.
        demographics: age, sex and body mass index as they were written.
        laterality: `R` or `L`; `auto` where it does not tell.
    """

    features: Mapping[str, int] = field(default_factory=dict)
    demographics: Mapping[str, Any] = field(default_factory=dict)
    laterality: str = "auto"


class FeatureForm:
    """Features of one knee under a schema.

    Args:
        schema: value of `ServerInfo.form`.

    Attributes:
        groups: groups of fields, in reading order.
        fields: all of them, by name.

    Raises:
        FormError: it is no schema of a form.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        try:
            self.groups = tuple(
                Group(
                    str(group["title"]),
                    tuple(
                        _field(name, schema["properties"][name], group["title"])
                        for name in group["properties"]
                    ),
                )
                for group in schema["x-groups"]
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            message = _("The server's form cannot be used: {x}.").format(
                x=one_line(repr(error), 80)
            )
            raise FormError(message, _("Update the server or the extension.")) from None
        self.fields = {item.name: item for group in self.groups for item in group.fields}
        self._spellings = {_plain(item.name): item for item in self.fields.values()}
        self._spellings.update({item.key: item for item in self.fields.values()})
        self._values: dict[str, int] = {}

    @property
    def overall(self) -> Field | None:
        """The grade of the knee as a whole; None where the form has none."""
        return next((item for item in self.fields.values() if item.overall), None)

    @property
    def values(self) -> dict[str, int]:
        """Grades by name in the order of the form; those that were not read are left out."""
        return {name: self._values[name] for name in self.fields if name in self._values}

    def get(self, name: str) -> int | None:
        """The grade of a feature; None where it was not read."""
        return self._values.get(self.field(name).name)

    def set(self, name: str, grade: Any) -> None:
        """Grade a feature; None is "not read". Raises FormError."""
        item = self.field(name)
        parsed = item.parse(grade)
        if parsed is None:
            self._values.pop(item.name, None)
        else:
            self._values[item.name] = parsed

    def replace(self, features: Mapping[str, Any]) -> None:
        """Take these grades instead of all that were there. Raises FormError, changing nothing."""
        self._values = self.read(features.items())

    def clear(self) -> None:
        """Nothing was read."""
        self._values = {}

    def field(self, name: str) -> Field:
        """The field of a name in any spelling: any visit or none, upper or lower case, the key.

        Raises:
            FormError: there is none.
        """
        found = self._spellings.get(_plain(name)) if isinstance(name, str) else None
        if found is None:
            names = list(self.fields)
            message = _("No feature is called {x}.").format(x=one_line(repr(name), 60))
            known = _("Known are {a} to {b}.").format(a=names[0], b=names[-1]) if names else ""
            raise FormError(message, known)
        return found

    def read(self, pairs: Iterable[tuple[str, Any]]) -> dict[str, int]:
        """Names and values as grades in the order of the form; this form stays as it is.

        Raises:
            FormError: an unknown name, a grade that is not accepted, a feature that comes twice.
        """
        seen: dict[str, int | None] = {}
        for name, value in pairs:
            item = self.field(name)
            if item.name in seen:
                message = _("{name} ({title}) is given twice.")
                message = message.format(name=item.name, title=item.title)
                raise FormError(message, _("Keep one of them."))
            seen[item.name] = item.parse(value)
        return {name: grade for name in self.fields if (grade := seen.get(name)) is not None}

    def sift(self, features: Mapping[str, Any]) -> tuple[dict[str, int], list[str]]:
        """What of other grades this form accepts, and the rest in words, such as "V00XRX 2"."""
        kept: dict[str, int] = {}
        unknown = []
        for name, value in features.items():
            try:
                kept.update(self.read([(name, value)]))
            except FormError:
                unknown.append(f"{name} {value}")
        return kept, unknown

    # --- what it says ---------------------------------------------------------------------------

    def summary(self) -> list[str]:
        """A line for each feature that was read."""
        return [f"{self.fields[name].title}: {self.grade_text(name)}" for name in self.values]

    def grade_text(self, name: str) -> str:
        """The grade of a feature with its word."""
        return self.fields[name].grade_text(self._values.get(name))

    # --- files and tables -----------------------------------------------------------------------

    def to_json(
        self, demographics: Mapping[str, Any] | None = None, laterality: str = "auto"
    ) -> str:
        """The grades as JSON text, as `xr2mri generate --features` takes it.

        Args:
            demographics: age, sex and body mass index, to be written beside the grades, if there
                are any.
            laterality: `R` or `L`, to be written beside them as well; `auto` is not.
        """
        said: dict[str, Any] = {"laterality": laterality, "demographics": dict(demographics or {})}
        beside = {name: value for name, value in said.items() if value not in ("auto", {})}
        content: Any = {"features": self.values, **beside} if beside else self.values
        return json.dumps(content, indent=2) + "\n"

    def save(
        self,
        path: str | Path,
        demographics: Mapping[str, Any] | None = None,
        laterality: str = "auto",
    ) -> None:
        """Write `to_json` into a file; raises FormError."""
        try:
            Path(path).write_text(self.to_json(demographics, laterality), encoding="utf-8")
        except OSError as error:
            raise FormError(
                _("{path} cannot be written: {why}.").format(path=path, why=error.strerror)
            ) from None

    def load(self, path: str | Path) -> ReadForm:
        """Take the grades of a JSON file: an object of names and grades, alone or as `features`.

        Returns:
            All that the file says, see `parse_record`.

        Raises:
            FormError: and the form stays as it was.
        """
        try:
            if Path(path).stat().st_size > LARGEST_FILE:
                raise FormError(_("{path} is too large for a form.").format(path=path))
            text = Path(path).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            message = _("{path} cannot be read: {why}.")
            why = getattr(error, "strerror", None) or _("it is not text")
            raise FormError(message.format(path=path, why=why)) from None
        read = self.parse_record(text)
        self._values = dict(read.features)
        return read

    def parse_record(self, text: str) -> ReadForm:
        """What JSON text holds: the grades, and `demographics` and `laterality` where they stand
        beside `features`; this form stays as it is. Raises FormError."""
        features = self.parse_json(text)
        content = json.loads(text)
        beside = content if "features" in content else {}
        demographics = beside.get("demographics")
        return ReadForm(
            features,
            demographics if isinstance(demographics, dict) else {},
            laterality_of(beside.get("laterality")),
        )

    def parse_json(self, text: str) -> dict[str, int]:
        """The grades that JSON text holds; this form stays as it is. Raises FormError."""
        remedy = _('Write it as {"V00XRKL": 2}.')
        try:
            pairs = json.loads(text, object_pairs_hook=_Pairs)
        except (ValueError, RecursionError) as error:
            message = _("This is not JSON: {x}.").format(x=one_line(error, 80))
            raise FormError(message, remedy) from None
        if isinstance(pairs, _Pairs):
            inner = [value for name, value in pairs if name == "features"]
            pairs = inner[0] if len(inner) == 1 else pairs
        if not isinstance(pairs, _Pairs):
            raise FormError(_("This JSON is no object of names and grades."), remedy)
        return self.read(pairs)

    def parse_row(self, text: str) -> ReadForm:
        """One row of a readings table such as OAI's `kxr_sq_bu`, pasted with its header.

        Cells are separated by tabs, commas, semicolons or bars. Columns that are no feature (ID,
        READPRJ, ...) are passed over; SIDE tells the side.

        Raises:
            FormError: no header, not one row, two visits in one row, a grade that is not accepted.
        """
        remedy = _("Copy the line with the names of the columns and one line below it.")
        if len(text) > LARGEST_FILE:
            raise FormError(_("The text is too long for one row."), remedy)
        lines = [
            line for line in text.lstrip("\ufeff").splitlines() if line.strip(SEPARATORS + " ")
        ]
        if not lines:
            raise FormError(_("There is nothing to read."), remedy)
        separator = max(SEPARATORS, key=lines[0].count)
        try:
            header, *rows = csv.reader(lines, delimiter=separator)
        except csv.Error:
            raise FormError(_("The text is not a table."), remedy) from None
        header = [name.strip() for name in header]
        columns = [k for k, name in enumerate(header) if _plain(name) in self._spellings]
        if not columns:
            raise FormError(_("The first line names no feature, such as V00XRKL."), remedy)
        if len(rows) != 1:
            raise FormError(_("There are {n} rows below the header.").format(n=len(rows)), remedy)
        cells = rows[0]
        if len(cells) != len(header):
            message = _("The row has {n} cells, the header {m}.")
            raise FormError(message.format(n=len(cells), m=len(header)), remedy)
        features = self.read((header[k], cells[k]) for k in columns)
        sides = [cells[k] for k, name in enumerate(header) if name.lower() == "side"]
        return ReadForm(features, laterality=(side_of(sides[0]) if sides else "") or "auto")


def laterality_of(value: Any) -> str:
    """`R`, `L` or `auto`, whichever a form spells; raises FormError."""
    text = str(value or "").strip()
    side = "auto" if text.lower() in ("", "auto") else side_of(text)
    if not side:
        raise FormError(_("The side cannot be {value}.").format(value=one_line(text, 40)))
    return side


class _Pairs(list[tuple[str, Any]]):
    """The pairs of a JSON object, so that a name given twice is seen."""


def _field(name: str, described: Mapping[str, Any], group: str) -> Field:
    grades = [grade for grade in described["enum"] if grade is not None]
    if not grades or any(isinstance(g, bool) or not isinstance(g, int) for g in grades):
        raise ValueError(f"grades of {name}")
    key, title = str(described.get("x-key", name)), str(described["title"])
    part = next((word for word in key.split("_") if word in ("femur", "tibia")), "")
    return Field(
        name=name,
        key=key,
        title=title,
        short_title=title.split(",")[0],
        group=str(group),
        part=part,
        labels={grade: str(described["x-labels"][str(grade)]) for grade in sorted(grades)},
        description=str(described.get("description", "")),
        fractional=described.get("x-fractional") is True,
        overall=described.get("x-overall") is True,
    )


def _plain(name: str) -> str:
    """A name without case and visit: `V03XRKL` and `xrkl` are one."""
    return _VISIT.sub("", name.strip().lower())
