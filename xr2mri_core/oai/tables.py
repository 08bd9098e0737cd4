"""OAI's tables as text: pipe, tab or comma separated, SAS, and the NDA's two-line headers."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd

from xr2mri_core.errors import ReleaseError, shown
from xr2mri_core.oai.values import identifier, sas_texts

SUFFIXES = (".txt", ".csv", ".sas7bdat")
"""Of tables, by preference: text keeps labels and missing codes."""

VISITS = {
    "V00": 0, "V01": 12, "V02": 18, "V03": 24, "V04": 30, "V05": 36, "V06": 48, "V07": 60,
    "V08": 72, "V09": 84, "V10": 96, "V11": 108,
}  # fmt: skip
"""OAI's visits, and their months after enrolment."""

_LEVELS = ("*", "*/*", "*/*/*")
_VISIT_PREFIX = r"(?:v\d\d)?"


class Table:
    """One table, every cell a text.

    Attributes:
        path: where it was read from.
        frame: DataFrame of str with lower-case column names.
    """

    def __init__(self, path: Path, frame: pd.DataFrame) -> None:
        self.path, self.frame = path, frame

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
        """As :meth:`column`; a :class:`ReleaseError` where there is none."""
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


def find_tables(folders: Iterable[Path], pattern: str) -> list[Path]:
    """Return the tables whose stem fits a pattern, in the order of their stems.

    A table that lies in one folder both as text and as SAS is returned once, as text. Tables of the
    same name in several folders are all returned: each package of the NDA has its own ``image03``.

    Args:
        folders: searched, and two levels below; deeper there are millions of images.
        pattern: regular expression for the whole stem; upper and lower case are the same.
    """
    fits = re.compile(pattern, re.IGNORECASE)
    found: dict[tuple[str, Path], list[Path]] = {}
    files = (path for folder in folders for level in _LEVELS for path in folder.glob(level))
    seen: set[Path] = set()
    for path in sorted(set(files), key=_preference):
        if path.suffix.lower() not in SUFFIXES or not fits.fullmatch(path.stem):
            continue
        real = path.resolve()
        if real in seen or not path.is_file():
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
    try:
        frame = _read_sas(path) if path.suffix.lower() == ".sas7bdat" else _read_text(path)
    except ReleaseError:
        raise
    except Exception as error:
        raise ReleaseError(
            f"{path}: cannot be read as a table ({shown(error)}); give the file as it was "
            "downloaded, unpacked"
        ) from error
    frame.columns = pd.Index([str(name).strip().lower() for name in frame.columns])
    doubled = frame.columns[frame.columns.duplicated()].tolist()
    if doubled:
        raise ReleaseError(f"{path}: several columns are called {shown(doubled)}")
    return Table(path, _without_dictionary_row(frame))


def _read_text(path: Path) -> pd.DataFrame:
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")  # free text of 2004
    header = text.split("\n", 1)[0]
    if not header.strip():
        raise ReleaseError(f"{path}: an empty table")
    separator = max("|\t,", key=header.count)
    # OAI's own tables (|) quote nothing: a cell of free text that begins with a quote is not open
    # until the next one, rows further down.
    plain = separator == "|"
    with warnings.catch_warnings():  # of rows longer than the header: their cells would be shifted
        warnings.simplefilter("error", pd.errors.ParserWarning)
        frame = pd.read_csv(
            StringIO(text),
            sep=separator,
            dtype=str,
            keep_default_na=False,
            index_col=False,
            quoting=csv.QUOTE_NONE if plain else csv.QUOTE_MINIMAL,
        )
    frame = frame.apply(lambda column: column.str.strip())
    if plain and '"' in text:
        frame.columns = pd.Index([_unquoted(str(name)) for name in frame.columns])
        frame = frame.apply(lambda column: column.map(_unquoted))
    return frame


def _unquoted(cell: Any) -> Any:
    """A cell without a pair of quotes around it, as programs add when they write a table again."""
    text = cell.strip() if isinstance(cell, str) else ""
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1].replace('""', '"').strip()
    return cell


def _read_sas(path: Path) -> pd.DataFrame:
    frame = pd.read_sas(path, format="sas7bdat", encoding="latin-1")
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

    A bare number is taken as months. None where the text names no visit.
    """
    words = str(text or "").strip().lower()
    if words in ("baseline", "enrollment visit"):
        return "V00"
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
