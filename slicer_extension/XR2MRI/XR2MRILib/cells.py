"""What the cells of forms and of OAI's readings mean: numbers, sides, and "not read"."""

from __future__ import annotations

import math
import re
from typing import Any

_MISSING_WORDS = frozenset({"", "nan", "na", "n/a", "none", "null", "missing"})
_LABELLED = re.compile(r"^(?P<number>[^:]+):")  # OAI writes "2: Moderate"
_SAS_MISSING = re.compile(r"^\.(?!\d)")  # ".", ".A", ".: Missing Form/Incomplete Workbook"
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")
_SIDES = {"1": "R", "2": "L", "r": "R", "l": "L", "right": "R", "left": "L"}


def number_of(value: Any) -> float | None:
    """A value as a number: None where it means "not read", infinity where it is none."""
    if value is None:
        return None
    if isinstance(value, str):
        text = value.strip()
        if text.lower() in _MISSING_WORDS or _SAS_MISSING.match(text):
            return None
        labelled = _LABELLED.match(text)
        text = labelled["number"] if labelled else text
        try:
            number = float(text.replace(",", ".") if _DECIMAL_COMMA.fullmatch(text) else text)
        except ValueError:
            return math.inf
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        number = float(min(max(value, -1e9), 1e9))
        number = float(value) if value != value else number
    else:
        return math.inf
    return None if math.isnan(number) else number


def side_of(cell: str) -> str:
    """`R` or `L` by a word, a letter or OAI's number; empty where it is none."""
    return _SIDES.get(cell.split(":")[0].strip().lower(), "")
