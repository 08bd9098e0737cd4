"""Tables for people, who open them in a spreadsheet: CSV whose cells are values, never formulas.

Programs read the JSON beside the table. Tables that come back from a spreadsheet are read as it
writes them: in UTF-16 or a code page, with a line ``sep=;`` before the header.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from xr2mri_client.cells import cell

_SEPARATOR = re.compile(r"[|\t,;]")


def decoded(raw: bytes) -> str:
    """The text of a table, whatever program has written it.

    What is no Unicode is read in the code page of Western Windows.

    Raises:
        UnicodeDecodeError: it is UTF-16 that breaks off.
    """
    text = _unicode(raw)
    if text is not None:
        return text
    raw = raw.removeprefix(codecs.BOM_UTF8)
    try:
        return raw.decode("cp1252")
    except UnicodeDecodeError:
        return raw.decode("latin-1")  # free text of 2004


def _unicode(raw: bytes) -> str | None:
    """The text of a file in UTF-16 or UTF-8; None where it is neither."""
    if raw[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return raw.decode("utf-16")
    if b"\0" in raw[:200]:  # every second byte of Latin letters in UTF-16, here without its mark
        return raw.decode("utf-16-be" if raw[:1] == b"\0" else "utf-16-le")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def doubt_of_letters(name: str, table: Path) -> str:
    """What to say of a name in a table that fits nothing, maybe for its letters were guessed."""
    if name.isascii() or _unicode(table.read_bytes()) is not None:
        return ""
    return "; the letters of the table are guessed: save it as CSV UTF-8"


def from_header(text: str) -> str:
    """The text of a table from its header on, lines ended by a line feed.

    Left out are a title above the header and a spreadsheet's line ``sep=;``.
    """
    text = text.replace("\0", "").replace("\r\n", "\n")
    if "\n" not in text:
        text = text.replace("\r", "\n")
    text = text.lstrip("\ufeff\n ")
    first, _, rest = text.partition("\n")
    titled = not _SEPARATOR.search(first) and _SEPARATOR.search(rest.partition("\n")[0])
    return rest if titled or re.fullmatch(r'"?sep=.?"?\s*', first, re.IGNORECASE) else text


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
