"""The table of a batch's volumes, for a spreadsheet: a cell is a value there, never a formula.

A spreadsheet computes what begins with `=`, `+`, `-` or `@`, and names of files and what a server
warns of come from elsewhere: such a text gets an apostrophe before it
(https://owasp.org/www-community/attacks/CSV_Injection).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xr2mri_client.errors import NotSaved
from xr2mri_client.texts import tr as _

_FORMULA = re.compile(r"[\s\0]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table of records; raises NotSaved.

    Args:
        path: a CSV file.
        rows: column -> value; what a row lacks stays empty.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [columns, *([row.get(name, "") for name in columns] for row in rows)]
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([_cell(value) for value in row] for row in cells)
    except OSError as error:
        message = _("{path} cannot be written: {why}.")
        raise NotSaved(message.format(path=path, why=error.strerror)) from None


def _cell(value: Any) -> str:
    text = str(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
