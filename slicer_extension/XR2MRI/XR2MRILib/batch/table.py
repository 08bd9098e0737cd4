"""The table of a batch's volumes, for a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xr2mri_client.cells import cell
from xr2mri_client.errors import NotSaved
from xr2mri_client.texts import tr as _


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table of records; raises NotSaved, also where the file is there already.

    Args:
        path: a new CSV file.
        rows: column -> value; what a row lacks stays empty.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [columns, *([row.get(name, "") for name in columns] for row in rows)]
    try:
        with path.open("x", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([cell(value) for value in row] for row in cells)
    except OSError as error:
        message = _("{path} cannot be written: {why}.")
        raise NotSaved(message.format(path=path, why=error.strerror)) from None
