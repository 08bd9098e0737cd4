"""The text of a form, before anybody knows what its names mean: JSON, or one row of a table.

    >>> read_form('{"V00XRKL": 2}').pairs
    (('V00XRKL', 2),)
    >>> read_form("SIDE;V00XRKL\\n1;2: 2").pairs  # a row pasted with its header
    (('SIDE', '1'), ('V00XRKL', '2: 2'))

`features` gives the names their meaning. This module needs the standard library and `xr2mri_client`
only.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xr2mri_client.spreadsheets import decoded, from_header
from xr2mri_core.errors import FeatureError, shown

SEPARATORS = ",|\t;"
"""What may separate the cells of a row. The commonest in the header counts; of two that are as
common, the first."""

_LARGEST = 1 << 20  # bytes; a form has 19 numbers
_SIDES = ("side", "laterality")
_EXAMPLE = '{"V00XRKL": 2, "V00XRJSM": 1}'


@dataclass(frozen=True)
class FormText:
    """What a form holds, in its own words.

    Attributes:
        pairs: name and value as they stand there, duplicates kept.
        is_row: whether it is the row of a table, which may have columns that are no features.
        side: side of the knee, in the words of a row's column ``SIDE`` or of a record's
            ``laterality``; None where it says none.
    """

    pairs: tuple[tuple[str, Any], ...]
    is_row: bool = False
    side: Any = None


def read_form(source: str | Path) -> FormText:
    """Read the text of a form.

    Args:
        source: JSON text of an object of names and grades; the same under the key ``features``,
            as records of phantoms and of generations have it; the header and one row of a table,
            cells separated by commas, bars, tabs or semicolons; or a file with one of these. A
            file that ends in ``.csv`` is a table, any other JSON; text of several lines is a table
            unless it begins as JSON does.

    Raises:
        FeatureError: it is none of these; the file cannot be read.
    """
    if isinstance(source, Path):
        text, where = _text(source), str(source)
        is_row = source.suffix.lower() == ".csv"
    else:
        text, where = source.lstrip("\ufeff"), "the features"
        is_row = _looks_like_a_row(text)
        if len(text) > _LARGEST:
            raise FeatureError(f"{where}: more than 1 MB of text; expected is a form of 19 grades")
    if is_row:
        row = _row(text, where)
        return FormText(row, True, _side(row))
    return _object(text, where)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            raise FeatureError(f"{path}: larger than 1 MB; expected is a form of 19 grades")
        return decoded(path.read_bytes())
    except (OSError, UnicodeDecodeError) as error:
        raise FeatureError(f"{path}: cannot be read as text ({error}); give a .json file") from None


def _looks_like_a_row(text: str) -> bool:
    lines = text.strip().splitlines()
    return len(lines) > 1 and lines[0][0] not in "{["


class _JsonObject(list[tuple[str, Any]]):
    """The pairs of a JSON object, so that a name given twice is seen."""


def _object(text: str, where: str) -> FormText:
    try:
        found = json.loads(text, object_pairs_hook=_JsonObject, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise FeatureError(f"{where}: not JSON ({error}); write e.g. {_EXAMPLE}") from None
    side = None
    if isinstance(found, _JsonObject):  # a record
        inner = [value for name, value in found if name == "features"]
        if len(inner) == 1 and isinstance(inner[0], _JsonObject):
            side, found = _side(found), inner[0]
    if not isinstance(found, _JsonObject):
        raise FeatureError(f"{where}: {shown(found)} is no JSON object; write e.g. {_EXAMPLE}")
    return FormText(tuple(found), side=side)


def _side(pairs: Iterable[tuple[str, Any]]) -> Any:
    """The first of the values that are of a side by their name."""
    return next((value for name, value in pairs if name.strip().lower() in _SIDES), None)


def _no_number(name: str) -> float:
    """Refuse NaN and the infinities: in a table they mean "not read", in a form a mistake."""
    raise ValueError(f"{name} is no grade; leave out what was not read, or write null")


def _row(text: str, where: str) -> tuple[tuple[str, Any], ...]:
    lines = [line for line in from_header(text).splitlines() if line.strip()]
    separator = max(SEPARATORS, key=lines[0].count) if lines else ","
    try:
        header, *rows = list(csv.reader(lines, delimiter=separator)) or [[]]
    except csv.Error as error:
        raise FeatureError(f"{where}: not a table ({error}); give a header and one row") from None
    rows = rows[:1] + [row for row in rows[1:] if any(cell.strip() for cell in row)]
    if len(rows) != 1:
        raise FeatureError(f"{where}: {len(rows)} rows; give a header and one row, one knee")
    if len(rows[0]) != len(header):
        raise FeatureError(
            f"{where}: {len(rows[0])} cells under {len(header)} names; give a cell for each name"
        )
    return tuple(zip(header, rows[0], strict=True))
