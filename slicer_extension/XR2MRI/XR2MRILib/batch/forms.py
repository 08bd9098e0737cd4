"""The forms of a folder of radiographs: a JSON file beside each, or a table of all of them.

`knee.json` beside `knee.png`, or, as `xr2mri generate --forms` takes it, one CSV file in the folder
(also with `;` or tabs) with a column `file`: a path below the folder, a file's name, or that
without its ending. Columns are `laterality` or `side`, the features in any spelling, `age`, `sex`
and `bmi`; others are passed over. Without either, a file that is called as in the usual public
collections, `2/9003175L.png` in folders by the grade of the whole knee, brings side and grade.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from xr2mri_client.errors import FormError, one_line
from xr2mri_client.radiograph_folder import (
    DEMOGRAPHICS,
    GRADED,
    KEY_COLUMNS,
    spelling_in,
    spellings,
    without_ending,
)
from xr2mri_client.spreadsheets import decoded, from_header, letters_are_guessed
from xr2mri_client.texts import tr as _

from ..form import LARGEST_FILE, SEPARATORS, FeatureForm, ReadForm, laterality_of


@dataclass(frozen=True)
class Form(ReadForm):
    """What was given for one radiograph.

    Attributes:
        problem: why it cannot be used; empty where it can.
    """

    problem: str = ""


def forms_of(
    folder: Path, paths: Sequence[str], form: FeatureForm
) -> tuple[dict[str, Form], list[str]]:
    """The forms of radiographs.

    Args:
        folder: folder of the radiographs.
        paths: path of each radiograph below it, with `/`.
        form: the server's form.

    Returns:
        Forms by path, those that there are, and notes on rows that belong to no radiograph.
    """
    found = {path: named for path in paths if (named := _of_name(path, form)) is not None}
    rows, notes = _of_tables(folder, paths, form)
    found.update(rows)
    for path in paths:
        beside = folder / f"{without_ending(path)}.json"
        if beside.is_file():
            found[path] = _of_json(beside, form)
    return found, notes


def _of_json(path: Path, form: FeatureForm) -> Form:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise FormError(_("{path} is too large for a form.").format(path=path.name))
        text = path.read_text(encoding="utf-8-sig")
        read = form.parse_record(text)
        return Form(read.features, read.demographics, read.laterality)
    except FormError as error:
        return Form(problem=f"{path.name}: {error}")
    except (OSError, UnicodeDecodeError):
        return Form(problem=_("{path} cannot be read.").format(path=path.name))


def _of_name(path: str, form: FeatureForm) -> Form | None:
    place = PurePosixPath(path)
    graded = GRADED.fullmatch(without_ending(place.name))
    if graded is None:
        return None
    overall = form.overall
    by_folder = {str(grade): grade for grade in overall.grades} if overall is not None else {}
    grade = by_folder.get(place.parent.name)
    features = {overall.name: grade} if overall is not None and grade is not None else {}
    return Form(features, laterality=graded["side"].upper())


def _of_tables(
    folder: Path, paths: Sequence[str], form: FeatureForm
) -> tuple[dict[str, Form], list[str]]:
    """The forms of all tables in the folder that have a column with files."""
    known: dict[str, set[str]] = {}
    for path in paths:
        for spelling in spellings(path):
            known.setdefault(spelling, set()).add(path)
    found: dict[str, Form] = {}
    notes = []
    for table in sorted(folder.glob("*.csv")):
        try:
            rows, guessed = _rows(table)
        except FormError as error:
            notes.append(str(error))
            continue
        for line, row in rows:
            wanted = spelling_in(row[_column(row)])
            fitting = known.get(wanted, set())
            path = next(iter(fitting)) if len(fitting) == 1 else ""
            where = f"{table.name}, {line}: {one_line(wanted, 60)}: "
            if not fitting:
                notes.append(where + _no_such(guessed and not wanted.isascii()))
            elif not path:
                notes.append(where + _("several are called so; give the path below the folder"))
            elif path in found:
                notes.append(where + _("an earlier row is of the same radiograph"))
            else:
                found[path] = _of_row(row, form, f"{table.name}, {line}")
    return found, notes


def _no_such(guessed: bool) -> str:
    if not guessed:
        return _("no such radiograph in the folder")
    return _(
        "no such radiograph in the folder; the table's letters are guessed: save it as CSV UTF-8"
    )


def _rows(table: Path) -> tuple[list[tuple[int, dict[str, str]]], bool]:
    """The rows of a table with their lines, none where no column says whose they are; and whether
    its letters are guessed."""
    try:
        if table.stat().st_size > 16 * LARGEST_FILE:
            raise FormError(_("{path} is too large for a form.").format(path=table.name))
        raw = table.read_bytes()
        text = from_header(decoded(raw))
        separator = max(SEPARATORS, key=text.partition("\n")[0].count)
        header, *cells = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    except (OSError, UnicodeDecodeError, csv.Error):
        raise FormError(_("{path} cannot be read.").format(path=table.name)) from None
    except ValueError:  # it is empty
        return [], False
    names = [name.strip().lower() for name in header]
    if not any(name in names for name in KEY_COLUMNS):
        return [], False
    rows = ((number, row) for number, row in enumerate(cells, 2) if any(map(str.strip, row)))
    filled = [
        (number, dict(zip(names, (cell.strip() for cell in [*row, *[""] * len(names)]))))
        for number, row in rows
    ]
    return filled, letters_are_guessed(raw)


def _column(row: Mapping[str, str]) -> str:
    return next(name for name in KEY_COLUMNS if name in row)


def _of_row(row: Mapping[str, str], form: FeatureForm, where: str) -> Form:
    features = [(name, cell) for name, cell in row.items() if _is_feature(name, form)]
    demographics = {name: row[name] for name in DEMOGRAPHICS if row.get(name)}
    try:
        side = laterality_of(row.get("laterality") or row.get("side") or "")
        return Form(form.read(features), demographics, side)
    except FormError as error:
        return Form(problem=f"{where}: {error}")


def _is_feature(name: str, form: FeatureForm) -> bool:
    try:
        form.field(name)
    except FormError:
        return False
    return True
