"""OAI's tables as text: separated by pipes, tabs, commas or semicolons, SAS, and the NDA's two-line
headers.

A table that a spreadsheet has saved again is read too: in UTF-16, with a line ``sep=;`` before its
header, with decimal commas. A line with other cells than the header has is kept with what is wrong
with it, for the one whose line it is: it must not end the work on thousands of others.
"""

from __future__ import annotations

import csv
import logging
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from io import StringIO
from pathlib import Path, PurePath
from typing import Any

import pandas as pd

from xr2mri_client.spreadsheets import decoded, from_header
from xr2mri_core.errors import ReleaseError, shown
from xr2mri_core.oai.folders import files_near
from xr2mri_core.oai.values import identifier, sas_texts

log = logging.getLogger("xr2mri")

SUFFIXES = (".txt", ".csv", ".tsv", ".sas7bdat", ".xpt")
"""Suffixes of tables, the preferred first: text keeps labels and missing codes."""

VISITS = {
    "V00": 0, "V01": 12, "V02": 18, "V03": 24, "V04": 30, "V05": 36, "V06": 48, "V07": 60,
    "V08": 72, "V09": 84, "V10": 96, "V11": 108,
}  # fmt: skip
"""OAI's visits, and their months after enrolment."""

_LONGEST_CELL = 100  # lines of free text
_NAMELESS = re.compile(r"(unnamed: \d+)?")  # what separators at the end of a header make
_VISIT_PREFIX = r"(?:v\d\d)?"


class Table:
    """One table, every cell a text.

    Attributes:
        path: where it was read from.
        frame: DataFrame of str with lower-case column names.
        odd: number of a row -> what is wrong with its line, e.g. one cell too many.
    """

    def __init__(
        self, path: Path, frame: pd.DataFrame, odd: Mapping[int, str] | None = None
    ) -> None:
        self.path, self.frame, self.odd = path, frame, dict(odd or {})

    def __len__(self) -> int:
        return len(self.frame)

    def column(self, *names: str) -> str | None:
        """Return the first of these columns that there is, with or without a visit's prefix.

        Args:
            names: e.g. ``age``, which finds ``V00AGE``, ``v03age`` and ``AGE``.

        Raises:
            ReleaseError: if a name fits several columns, as in tables merged over visits.
        """
        for name in names:
            pattern = re.compile(_VISIT_PREFIX + re.escape(name.lower()))
            found = [column for column in self.frame.columns if pattern.fullmatch(column)]
            if len(found) > 1:
                raise ReleaseError(
                    f"{self.path}: {name} is in {shown(found)}; give the tables of each visit "
                    "as they are released, not merged"
                )
            if found:
                return found[0]
        return None

    def require(self, *names: str) -> str:
        """Return the name that `column` finds; raises `ReleaseError` where there is none."""
        found = self.column(*names)
        if found is None:
            raise ReleaseError(
                f"{self.path}: no column {' or '.join(names)} among "
                f"{shown(list(self.frame.columns))}; is this the table that its name says?"
            )
        return found

    def rows(self, **columns: str | None) -> Iterator[dict[str, str]]:
        """Yield the rows: key -> text of that column, empty where there is no such column."""
        series = [
            self.frame[column].tolist() if column else [""] * len(self.frame)
            for column in columns.values()
        ]
        for values in zip(*series, strict=True):
            yield dict(zip(columns, values, strict=True))

    def rows_and_doubts(self, **columns: str | None) -> Iterator[tuple[dict[str, str], str]]:
        """Yield the rows, each with what is wrong with its line: mostly an empty text."""
        for number, row in enumerate(self.rows(**columns)):
            yield row, self.odd.get(number, "")


def find_tables(folders: Iterable[Path], pattern: str) -> list[Path]:
    """Return the tables whose stem fits a pattern, in the order of their stems.

    A table that lies in one folder both as text and as SAS is returned once, as text. Tables of the
    same name in several folders are all returned: each package of the NDA has its own ``image03``.

    Args:
        folders: searched, and three levels below; deeper there are millions of images.
        pattern: regular expression for the whole stem; upper and lower case are the same.
    """
    fits = re.compile(pattern, re.IGNORECASE)
    found: dict[tuple[str, Path], list[Path]] = {}
    files = (path for folder in folders for path in files_near(folder))
    seen: set[Path] = set()
    for path in sorted(set(files), key=_preference):
        if path.suffix.lower() not in SUFFIXES or not fits.fullmatch(path.stem):
            continue
        real = path.resolve()
        if real in seen:
            continue
        seen.add(real)
        twins = found.setdefault((path.stem.lower(), real.parent), [])
        if not twins or twins[0].suffix.lower() == path.suffix.lower():
            twins.append(path)
    tables = [path for twins in found.values() for path in twins]
    return sorted(tables, key=lambda path: (path.stem.lower(), *_preference(path)))


def _preference(path: Path) -> tuple[int, str]:
    suffix = path.suffix.lower()
    return (SUFFIXES.index(suffix) if suffix in SUFFIXES else len(SUFFIXES), str(path))


def read_table(path: Path) -> Table:
    """Read a table, every cell a text, stripped; the NDA's second, explaining line left out.

    Raises:
        ReleaseError: for a file that is not a table.
    """
    odd: dict[int, str] = {}
    try:
        if path.suffix.lower() in (".sas7bdat", ".xpt"):
            frame = _read_sas(path)
        else:
            frame, odd = _read_text(path)
    except ReleaseError:
        raise
    except Exception as error:
        raise ReleaseError(
            f"{path}: cannot be read as a table ({shown(error)}); give the file as it was "
            "downloaded, unpacked"
        ) from error
    frame.columns = pd.Index([str(name).strip().lower() for name in frame.columns])
    frame = frame.loc[:, [not _NAMELESS.fullmatch(name) for name in frame.columns]]
    doubled = frame.columns[frame.columns.duplicated()].tolist()
    if doubled:
        raise ReleaseError(f"{path}: several columns are called {shown(doubled)}")
    shorter = _without_dictionary_row(frame)
    dropped = len(frame) - len(shorter)
    return Table(path, shorter, {row - dropped: why for row, why in odd.items() if row >= dropped})


def _read_text(path: Path) -> tuple[pd.DataFrame, dict[int, str]]:
    text = from_header(decoded(path.read_bytes()))
    header, _, _ = text.partition("\n")
    if not header.strip():
        raise ReleaseError(f"{path}: an empty table")
    separator = max("|\t,;", key=header.count)
    # OAI's own tables (|) quote nothing: a cell of free text that begins with a quote is not open
    # until the next one, rows further down.
    plain = separator == "|"
    quoting = csv.QUOTE_NONE if plain else csv.QUOTE_MINIMAL
    odd: dict[int, str] = {}
    text = _with_row_names(text, separator, quoting)
    frame: pd.DataFrame | None = None
    given: dict[str, Any] = {"dtype": str, "keep_default_na": False, "index_col": False}
    with suppress(pd.errors.ParserError, pd.errors.ParserWarning), warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # longer rows: cells are shifted
        frame = pd.read_csv(StringIO(text), sep=separator, quoting=quoting, **given)
    if frame is None or (not plain and '"' in text and _has_lines_in_cells(frame)):
        frame, odd = _read_by_line(text, separator, quoting)
    frame = frame.fillna("").apply(lambda column: column.str.strip())
    if plain and '"' in text:
        frame.columns = pd.Index([_unquoted(str(name)) for name in frame.columns])
        frame = frame.apply(lambda column: column.map(_unquoted))
    return frame, odd


def _with_row_names(text: str, separator: str, quoting: Any) -> str:
    """The text with a name more in its header, where R has named each row and not that column."""
    given: dict[str, Any] = {"delimiter": separator, "quoting": quoting}
    try:
        first = list(csv.reader(text.split("\n", 3)[:3], **given))
        if len(first) < 2 or {len(cells) for cells in first[1:]} != {len(first[0]) + 1}:
            return text
        rows = [cells for cells in csv.reader(StringIO(text), **given) if cells][1:]
    except csv.Error:
        return text
    whole = all(len(cells) == len(first[0]) + 1 for cells in rows)
    named = len({cells[0] for cells in rows}) == len(rows) and any(cells[-1] for cells in rows)
    return separator + text if whole and named else text


def _has_lines_in_cells(frame: pd.DataFrame) -> bool:
    return any(
        isinstance(cell, str) and "\n" in cell for name in frame for cell in frame[name].unique()
    )


def _read_by_line(text: str, separator: str, quoting: Any) -> tuple[pd.DataFrame, dict[int, str]]:
    """Read a table line by line; lines of too many cells, or with an open quote, are reported.

    A quote that is not closed in its line is that of a cell of several lines, or a slip that would
    swallow the rows down to the next quote. It is a slip where one of the next lines is a row.
    """

    def parsed(*lines: str, quoting: Any = quoting) -> list[list[str]]:
        return list(csv.reader(lines, delimiter=separator, quoting=quoting))

    def is_open(line: str) -> bool:
        return len(parsed(f"{line}\n", "x")) == 1  # the next line is the same row

    lines = text.split("\n")
    header = next(iter(parsed(lines[0])), [])
    rows: list[list[str]] = []
    odd: dict[int, str] = {}
    at = 0
    while (at := at + 1) < len(lines):
        line, number, doubt = lines[at], at + 1, ""
        if '"' in line and is_open(line):
            doubt = "has a quote that is not closed"
            for end in range(at + 1, min(at + _LONGEST_CELL, len(lines))):
                if 1 < len(header) == len(next(iter(parsed(lines[end])), [])):
                    break
                if not is_open(whole := "\n".join(lines[at : end + 1])):
                    line, at, doubt = whole, end, ""
                    break
        cells = next(iter(parsed(line, quoting=csv.QUOTE_NONE if doubt else quoting)), [])
        if not any(cells):
            continue
        if any(cells[len(header) :]):
            doubt = doubt or f"has {len(cells)} cells, the header {len(header)}"
        if doubt:
            odd[len(rows)] = f"line {number} {doubt}"
        rows.append([*cells, *[""] * len(header)][: len(header)])
    return pd.DataFrame(rows, columns=header, dtype=str), odd


def _unquoted(cell: Any) -> Any:
    """A cell without a pair of quotes around it, as programs add when they write a table again."""
    text = cell.strip() if isinstance(cell, str) else ""
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1].replace('""', '"').strip()
    return cell


def _read_sas(path: Path) -> pd.DataFrame:
    file_format: Any = "xport" if path.suffix.lower() == ".xpt" else "sas7bdat"
    frame = pd.read_sas(path, format=file_format, encoding="latin-1")
    return pd.DataFrame({name: _sas_column(frame[name]) for name in frame.columns}, dtype=str)


def _sas_column(column: pd.Series) -> list[str]:
    if column.dtype.kind == "f":
        return sas_texts(column.to_numpy())
    return ["" if value is None or value != value else str(value).strip() for value in column]


def _without_dictionary_row(frame: pd.DataFrame) -> pd.DataFrame:
    """Leave out the first row of an NDA table, which explains the columns in words."""
    for name in ("src_subject_id", "subjectkey"):
        if name in frame.columns and len(frame):
            explains = not re.fullmatch(r"[\w-]*\d[\w-]*", identifier(frame[name].iloc[0]))
            return frame.iloc[1:].reset_index(drop=True) if explains else frame
    return frame


def visit_of(text: object) -> str | None:
    """Return OAI's code of a visit, e.g. ``V01`` for ``V01``, ``v1``, ``12m`` and ``12 month``.

    Screening and enrollment are two days of the baseline, ``V00``: films were taken at the first,
    scans at the second. A bare number is taken as months. None where the text names no visit.
    """
    words = " ".join(re.split(r"[\s_-]+", str(text or "").strip().lower()))
    words = re.sub(r"\s*(follow ?up|visit|images?|clinic)\b", "", words).strip()
    if words in ("baseline", "screening", "enrollment", "initial eligibility interview", "bl"):
        return "V00"
    words = re.sub(r"^(months?|mo) (\d+)$", r"\2m", words)
    if found := re.fullmatch(r"v(\d{1,2})", words):
        code = f"V{int(found[1]):02d}"
        return code if code in VISITS else None
    if found := re.fullmatch(r"(\d{1,3})(?:\s*-?\s*(?:m|mo|months?)\b.*)?", words):
        return next((code for code, months in VISITS.items() if months == int(found[1])), None)
    return None


def visit_of_stem(path: Path) -> str | None:
    """Return the visit in the name of a table of one visit: ``V03`` for ``kxr_sq_bu03``."""
    found = re.search(r"(\d\d)$", path.stem)
    return visit_of(f"V{found[1]}") if found else None


_RELEASE = re.compile(r"(\d{1,2})\.[A-Z]\.\d", re.IGNORECASE)
_PACKAGE = re.compile(r"oai[ _-]?(?P<visit>screening|baseline|enrollment|\d{1,3}[ _-]?m(?:onths?)?)"
                      r"(?=[ _-]|images?|mri?|xrays?|$)", re.IGNORECASE)  # fmt: skip


def visit_of_path(path: PurePath) -> str | None:
    """Return the visit that the folders of an image tell, the innermost first.

    ``12m`` names it; so does the number of an image release, ``0.C.1``, ``0.C.2``, ``0.E.1`` and
    ``0.E.2`` of the baseline, ``1.C.2`` of the 12 months' visit, which is V01; and a package, such
    as ``OAIScreeningImages``.
    """
    parts = path.parts[::-1]
    for part in parts:
        if re.fullmatch(r"\d{2,3}m", part.lower()) and (visit := visit_of(part)):
            return visit
    for part in parts:
        if (found := _RELEASE.fullmatch(part)) and (visit := visit_of(f"V{found[1]}")):
            return visit
    for part in parts:
        if (found := _PACKAGE.match(part)) and (visit := visit_of(found["visit"])):
            return visit
    return None


def checked_visits(visits: Sequence[str]) -> tuple[str, ...]:
    """Return visit codes.

    Raises:
        ReleaseError: for what names no visit.
    """
    codes = {text: visit_of(text) for text in visits}
    unknown = [text for text, code in codes.items() if code is None]
    if unknown:
        months = ", ".join(f"{code} ({month}m)" for code, month in VISITS.items())
        raise ReleaseError(f"visit {shown(unknown[0])}: accepted are {months}")
    return tuple(dict.fromkeys(code for code in codes.values() if code))
