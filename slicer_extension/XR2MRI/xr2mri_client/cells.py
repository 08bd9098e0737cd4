"""What the cells of spreadsheets mean, and what is written into them.

Those of forms and of OAI's readings hold numbers, sides, and words for "not read"; the core and the
Slicer module understand them alike.
"""

from __future__ import annotations

import math
import re
from typing import Any

_MISSING_WORDS = frozenset({"", "nan", "na", "n/a", "none", "null", "missing"})
_SAS_MISSING = re.compile(r"^\.(?!\d)")  # ".", ".A", ".: Missing Form/Incomplete Workbook"
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_SIDES: dict[float | str, str] = {1.0: "R", 2.0: "L", "r": "R", "l": "L", "right": "R", "left": "L"}
_FORMULA = re.compile(r"[\s\0]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-](inf|nan)")


def says_missing(text: str) -> bool:
    """Whether a cell's text says that there is no value: empty, NA, null, SAS's `.A`."""
    return text.strip().lower() in _MISSING_WORDS or bool(_SAS_MISSING.match(text.strip()))


def unlabelled(text: str) -> str:
    """A cell's text without its label: OAI writes `2: Moderate`."""
    return text.partition(":")[0] or text


def decimal(text: str) -> float:
    """The number that a text spells, with a decimal comma too, as spreadsheets write it.

    Raises:
        ValueError: it spells none.
    """
    return float(text.replace(",", ".") if _DECIMAL_COMMA.fullmatch(text.strip()) else text)


def number_of(value: Any) -> float | None:
    """A value as a number: None where it means "not read", infinity where it is none."""
    if value is None:
        return None
    if isinstance(value, str):
        if says_missing(value):
            return None
        try:
            number = decimal(unlabelled(value.strip()))
        except ValueError:
            return math.inf
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        number = float(min(max(value, -1e9), 1e9))
        number = float(value) if value != value else number
    else:
        return math.inf
    return None if math.isnan(number) else number


def side_of(cell: str) -> str:
    """`R` or `L` by a word, a letter or OAI's number; empty where it is none.

    >>> side_of("left"), side_of("1: Right"), side_of("2.0"), side_of("2,0")
    ('L', 'R', 'L', 'L')
    """
    word = unlabelled(cell).strip().lower()
    try:
        return _SIDES.get(decimal(word), "")
    except ValueError:
        return _SIDES.get(word, "")


def cell(value: Any) -> Any:
    """A value as a cell that no spreadsheet computes.

    A spreadsheet computes what begins with `=`, `+`, `-` or `@`, and such a formula can start
    programs and fetch addresses. Names of files, patients' records and messages come from
    elsewhere, so a text like that gets an apostrophe before it, which a spreadsheet takes for "this
    is text" (https://owasp.org/www-community/attacks/CSV_Injection).

    >>> cell("=HYPERLINK(1)"), cell("-0.5"), cell(-0.5), cell("knee")
    ("'=HYPERLINK(1)", '-0.5', -0.5, 'knee')
    """
    text = isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value)
    return f"'{value}" if text else value
