"""Tables for people, who open them in a spreadsheet: CSV whose cells are values, never formulas.

A spreadsheet computes what begins with ``=``, ``+``, ``-`` or ``@``, and such a formula can start
programs and fetch addresses. Names of files, patients' records and messages come from elsewhere, so
a text like that gets an apostrophe before it, which a spreadsheet takes for "this is text"
(https://owasp.org/www-community/attacks/CSV_Injection). Programs read the JSON beside the table.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

_FORMULA = re.compile(r"[\s\0]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-](inf|nan)")


def cell(value: Any) -> Any:
    """A value as a cell that no spreadsheet computes.

    >>> cell("=HYPERLINK(1)"), cell("-0.5"), cell(-0.5), cell("knee")
    ("'=HYPERLINK(1)", '-0.5', -0.5, 'knee')
    """
    text = isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value)
    return f"'{value}" if text else value


def write_rows(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    r"""Write a table, UTF-8 with commas; the first row is its header. Raises OSError.

    Half a character, as the names of files can hold, is written as its number, ``\udce9``.
    """
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream:
        csv.writer(stream).writerows([cell(value) for value in row] for row in rows)


def write_csv(
    path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None
) -> None:
    """Write a table of records. Raises OSError.

    Args:
        path: a CSV file.
        rows: column -> value; what a row lacks stays empty.
        columns: columns in their order; those of the rows as they come when left out.
    """
    columns = columns or list(dict.fromkeys(name for row in rows for name in row))
    write_rows(path, [columns, *([row.get(name, "") for name in columns] for row in rows)])
