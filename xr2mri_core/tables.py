"""Tables for people, who open them in a spreadsheet: CSV whose cells are values, never formulas.

Programs read the JSON beside the table.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from xr2mri_client.cells import cell
from xr2mri_client.spreadsheets import letters_are_guessed


def doubt_of_letters(name: str, table: Path) -> str:
    """What to say of a name in a table that fits nothing, maybe for its letters were guessed."""
    if name.isascii() or not letters_are_guessed(table.read_bytes()):
        return ""
    return "; the letters of the table are guessed: save it as CSV UTF-8"


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
