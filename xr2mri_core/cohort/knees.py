"""The knees of a cohort: from a datalist, or from a folder of radiographs with a table of forms."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from xr2mri_client.radiograph_folder import (
    DEMOGRAPHICS,
    ENDINGS,
    GRADED,
    KEY_COLUMNS,
    radiographs_of,
    spelling_in,
    spellings,
    without_ending,
)
from xr2mri_core.datalist import load_datalist
from xr2mri_core.errors import DatalistError, FeatureError, InputError, encodable, shown
from xr2mri_core.features import variable
from xr2mri_core.geometry import Laterality
from xr2mri_core.tables import doubt_of_letters

log = logging.getLogger("xr2mri")

_LONGEST_NAME = 200  # bytes; file systems take 255, and names of files are made of it


@dataclass(frozen=True)
class CohortKnee:
    """One knee to generate. Its form is checked when its turn comes, so that a typing error costs
    one row.

    Attributes:
        name: relative path of its folder of results, with ``/``; unique in the cohort.
        radiograph: the file.
        participant, visit: where they are known; else the participant is the name.
        laterality: ``R``, ``L`` or ``auto``.
        features: grades in any spelling of `parse_features`; other
            columns are passed over.
        demographics: ``age``, ``sex``, ``bmi``.
        box: box of the knee in the radiograph, (top, left, bottom, right) in pixels.
    """

    name: str
    radiograph: Path
    laterality: str = "auto"
    features: Mapping[str, Any] = field(default_factory=dict)
    demographics: Mapping[str, Any] = field(default_factory=dict)
    box: Sequence[int] | None = None
    participant: str = ""
    visit: str = ""


def knees_of_datalist(path: Path | str, split: str | None = None) -> list[CohortKnee]:
    """The knees of a datalist (`xr2mri_core.datalist`); they need no MRI.

    Whether a radiograph is there is seen when its turn comes.

    Args:
        path: the JSON file.
        split: one of its lists; None takes all.

    Raises:
        DatalistError: it is malformed, or two cases would share a folder.
    """
    items = load_datalist(path, split, ("case", "participant", "radiograph"), there=())
    return _unique(
        [
            CohortKnee(
                name=_plain_path(str(item["case"]), path),
                radiograph=Path(item["radiograph"]),
                laterality=str(item.get("laterality") or "auto"),
                features=item["features"],
                demographics={key: item[key] for key in DEMOGRAPHICS if key in item},
                box=item.get("box"),
                participant=str(item["participant"]),
                visit=str(item.get("visit") or ""),
            )
            for item in items
        ],
        path,
    )


def knees_of_folder(
    folder: Path | str, forms: Path | str | None = None, leave_out: Path | str | None = None
) -> list[CohortKnee]:
    """The radiographs of a folder and of those below it, in the order of their paths.

    Files called as in the usual public collections, ``2/9003175L.png`` in folders 0 to 4 by KL
    grade, bring side and grade with them. A row of ``forms`` wins over both.

    Args:
        folder: searched; hidden files and folders, folders of results of earlier runs below it,
            and files that say that they were generated are passed over.
        forms: a table (CSV, also with ``;`` or tabs) with a column ``file`` (a path below the
            folder, a file's name, or that without its ending), and any of ``laterality``, the
            features of Table I, ``age``, ``sex``, ``bmi``, ``participant``, ``visit``; other
            columns are passed over. A film of both knees may have a row for each side: their names
            get ``_R`` and ``_L`` behind that of the file.
        leave_out: a folder that is not searched, e.g. that of the results.

    Raises:
        DatalistError: there is no radiograph, ``leave_out`` is the folder itself, the table has no
            column ``file``, or one of its rows fits no file or several.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DatalistError(f"no folder '{folder}'; give one with radiographs")
    hidden = None if leave_out is None else Path(leave_out).resolve()
    if hidden == folder.resolve():
        raise DatalistError(
            f"'{leave_out}' is the folder of the radiographs, among which the next run would take "
            "its pictures and volumes for knees; give another",
            option="out",
        )
    passed: list[str] = []
    paths = [path.relative_to(folder).as_posix() for path in radiographs_of(folder, hidden, passed)]
    if passed:
        log.warning("%s: passed over as results of earlier runs: %s", folder, shown(passed))
    if not paths:
        but = f"; passed over as results of earlier runs: {shown(passed)}" if passed else ""
        raise DatalistError(
            f"{folder}: no radiograph in it; files with the endings {', '.join(ENDINGS)} are "
            f"taken, and DICOM files without one{but}"
        )
    rows = {} if forms is None else _rows(Path(forms), paths)
    knees: list[CohortKnee] = []
    for path, name in zip(paths, _names(paths), strict=True):
        given = rows.get(path) or [{}]
        for row in given:
            knee = _knee(folder, path, name, row)
            both = len(given) > 1  # knees of one film
            knees.append(replace(knee, name=f"{name}_{_side_of(row)}") if both else knee)
    return _unique(knees, folder)


def _names(paths: Sequence[str]) -> list[str]:
    """Paths without their endings, where these do not tell two files apart."""
    short = [without_ending(path) for path in paths]
    return [one if short.count(one) == 1 else path for one, path in zip(short, paths, strict=True)]


def _knee(folder: Path, path: str, name: str, row: Mapping[str, Any]) -> CohortKnee:
    laterality, features, participant = "auto", {}, name
    place = PurePosixPath(path)
    if graded := GRADED.fullmatch(without_ending(place.name)):
        laterality, participant = graded["side"].upper(), graded["participant"]
        if place.parent.name in ("0", "1", "2", "3", "4"):
            features = {"V00XRKL": int(place.parent.name)}
    given = {key: cell for key, cell in row.items() if cell not in ("", None)}
    laterality = str(given.pop("laterality", given.pop("side", laterality)))
    demographics = {key: given[key] for key in DEMOGRAPHICS if key in given}
    graded_in_row = {key: cell for key, cell in given.items() if _is_feature(key)}
    read = {variable(key) for key in graded_in_row}
    features = {key: grade for key, grade in features.items() if variable(key) not in read}
    return CohortKnee(
        name,
        folder / path,
        laterality,
        {**features, **graded_in_row},
        demographics,
        participant=str(given.get("participant", participant)),
        visit=str(given.get("visit", "")),
    )


def _is_feature(name: str) -> bool:
    try:
        variable(name)
    except FeatureError:
        return False
    return True


def _side_of(row: Mapping[str, Any]) -> Laterality | None:
    """The side that a row names, None for none; raises InputError for what is no side."""
    return Laterality.parse(row.get("laterality") or row.get("side"))


def _doubt_of_second(there: Sequence[Mapping[str, Any]], row: Mapping[str, Any]) -> str:
    """Why a row is not of another knee of the film than those before it; empty where it is."""
    if not there:
        return ""
    try:
        sides = {_side_of(one) for one in (*there, row)}
    except InputError as error:
        return str(error)
    if None not in sides and len(sides) == len(there) + 1:
        return ""
    return (
        "an earlier row is of the same radiograph; of both knees of a film each row gives its "
        "laterality, R or L"
    )


def _rows(forms: Path, paths: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Path of a file -> its row, or the rows of its two knees."""
    from xr2mri_core.oai.tables import read_table  # reads what spreadsheets write

    if not forms.is_file():
        raise DatalistError(f"no file '{forms}'; give a table of forms")
    table = read_table(forms)
    frame = table.frame
    key = next((name for name in KEY_COLUMNS if name in frame.columns), None)
    if key is None:
        raise DatalistError(
            f"{forms}: no column 'file' among {shown(list(frame.columns))}; it says which row "
            "belongs to which radiograph"
        )
    known: dict[str, list[str]] = {}
    for path in paths:
        for spelling in spellings(path):
            known.setdefault(spelling, []).append(path)
    rows: dict[str, list[dict[str, Any]]] = {}
    for index, row in enumerate(frame.to_dict("records")):
        number = index + 2
        if not any(row.values()):
            continue  # as spreadsheets leave behind the last one
        if index in table.odd:
            raise DatalistError(f"{forms}: {table.odd[index]}: mend it")
        fitting = known.get(spelling_in(str(row[key])), [])
        there = rows.setdefault(fitting[0], []) if len(fitting) == 1 else []
        why = (
            f"no such radiograph in the folder{doubt_of_letters(str(row[key]), forms)}"
            if not fitting
            else "several radiographs are called so; give the path below the folder"
            if len(fitting) > 1 else _doubt_of_second(there, row)
        )  # fmt: skip
        if why:
            raise DatalistError(f"{forms}, line {number}: {shown(row[key])}: {why}")
        there.append(row)
    return rows


def _plain_path(name: str, where: Path | str) -> str:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    odd = ".." in parts or ":" in name or "\0" in name or name != encodable(name)
    too_long = any(len(part.encode("utf-8", "replace")) > _LONGEST_NAME for part in parts)
    if not parts or name.startswith(("/", "\\")) or odd or too_long:
        raise DatalistError(f"{where}: case {shown(name)} cannot name a folder; rename it")
    return "/".join(parts)


def _unique(knees: list[CohortKnee], where: Path | str) -> list[CohortKnee]:
    seen: set[str] = set()
    for knee in knees:
        if (
            knee.name.lower() in seen
        ):  # a folder is the same in upper and lower case on some systems
            raise DatalistError(f"{where}: {shown(knee.name)} is there twice; rename one of them")
        seen.add(knee.name.lower())
    return knees
