"""Which images a release holds, in either layout of a distribution, with or without a list of them.

**OAI folders**: ``00m/0.C.2/9000099/20050811/10283903/`` with a file for each picture (no
extension), listed by ``contents.csv``; the visit is the folder's name.

**NDA**: the same folders as ``.../10283903.tar.gz``, or unpacked to ``.../10283903/``, listed by
``image03.txt``, which also names the visit.

**Without a list**, as newer downloads come: the headers of the files tell (`headers`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from xr2mri_core.errors import ReleaseError, shown
from xr2mri_core.geometry import Laterality
from xr2mri_core.oai import headers
from xr2mri_core.oai.folders import files_near, folders_in
from xr2mri_core.oai.places import Places, stem_of
from xr2mri_core.oai.sequences import Kind, kind_of
from xr2mri_core.oai.tables import (
    Table,
    checked_visits,
    find_tables,
    read_table,
    visit_of,
    visit_of_path,
)
from xr2mri_core.oai.values import barcode, date_of, identifier, participant_of

UNKNOWN_VISIT = "its visit is not stated"
_NAME = re.compile(r"\w[\w-]{0,63}")
_NOBODY = "its participant is not stated"
ODD_LINE = "a line of a list that cannot be read"


@dataclass(frozen=True)
class Series:
    """One series of pictures that a release lists.

    Attributes:
        participant: seven digits.
        visit: ``V00``, ``V01``, ...
        date: date of the study, yyyymmdd; empty where the release tells none.
        number: number of the series, its folder's name.
        barcode: barcode of the radiograph (DICOM's AccessionNumber), twelve digits, or empty.
        description: SeriesDescription as the release lists it.
        kind: the kind that its description names; None where it is no knee.
        path: a folder or an archive; None where the listed files are not there.
    """

    participant: str
    visit: str
    date: str
    number: str
    barcode: str
    description: str
    kind: Kind | None
    path: Path | None

    @property
    def identity(self) -> tuple[str, ...]:
        """Tells a series from all others, wherever it lies."""
        return self.participant, self.visit, self.number, self.description

    @property
    def age(self) -> tuple[str, str]:
        """Sorts the series of one knee from first to last acquired."""
        return self.date, self.number.zfill(8)


@dataclass(frozen=True)
class Unusable:
    """A series of a release that cannot be distinguished from others: left out, and in a table.

    Attributes:
        participant: seven digits, empty where unknown.
        visit: empty where unknown.
        kind: kind, as in `Series`.
        reason: why, in a few words.
        detail: particulars of this series.
    """

    participant: str
    visit: str
    kind: Kind | None
    reason: str
    detail: str = ""

    @property
    def sides(self) -> tuple[Laterality, ...]:
        """Sides of the knees that it shows; none where that is unknown."""
        if self.kind is None:
            return ()
        return (self.kind.side,) if self.kind.side else tuple(Laterality)


@dataclass
class Release:
    """What a release lists, and where its tables are.

    Attributes:
        layout: ``folders``, ``nda``, ``headers`` (found in the files alone), or several of them.
        series: every listed series of the visits, in a fixed order, without repeated lines.
        tables: folders to search for tables.
        visits: the visits that occur.
        notes: what was odd about the lists.
        unusable: what is listed in a way that cannot be used.
    """

    layout: str
    series: list[Series]
    tables: tuple[Path, ...]
    visits: tuple[str, ...]
    notes: list[str] = field(default_factory=list)
    unusable: list[Unusable] = field(default_factory=list)


@dataclass
class _Listed:
    """What lists tell, as they are read one after the other."""

    wanted: tuple[str, ...]
    series: dict[tuple[str, ...], Series] = field(default_factory=dict)
    unusable: list[Unusable] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    layouts: list[str] = field(default_factory=list)

    def take(self, layout: str, where: object, entries: Sequence[Series | Unusable]) -> None:
        """Keep what one list tells of the visits that are wanted."""
        kept = [item for item in entries if not self.wanted or item.visit in (*self.wanted, "")]
        series = [item for item in kept if isinstance(item, Series)]
        unusable = [item for item in kept if isinstance(item, Unusable)]
        for item in series:  # another list may tell of it too, and of files that are at hand
            known = self.series.get(item.identity)
            if known is None or known.path is None:
                self.series[item.identity] = item
        self.unusable += unusable
        if repeated := len(series) - len(set(series)):
            self.notes.append(f"{where}: {repeated} repeated lines left out")
        for reason in sorted({item.reason for item in unusable}):
            count = sum(item.reason == reason for item in unusable)
            self.notes.append(f"{where}: {count} left out: {reason}")
        if layout not in self.layouts:
            self.layouts.append(layout)


def read_release(
    images: Sequence[Path | str],
    tables: Sequence[Path | str],
    visits: Sequence[str] = (),
    cache: Path | None = None,
    progress: headers.Progress | None = None,
) -> Release:
    """Read the lists of images of a release; a file is opened only where no list names it.

    Args:
        images: folders: with ``contents.csv`` (or in a subfolder, as ``00m/0.C.2/contents.csv``),
            with the archives of the NDA, packed or unpacked, or with neither list.
        tables: folders of the tables; the NDA's ``image03.txt`` may lie here or with the images.
        visits: the visits to keep, e.g. ``V00`` or ``12m``; all where none is given. One visit may
            be given for folders whose names do not tell it.
        cache: file of the headers that were read (`headers.scan`).
        progress: called while headers are read.

    Raises:
        ReleaseError: if there is nothing, a list is none, or nothing is of the visits.
    """
    image_folders = [_folder(path, "images") for path in images]
    table_folders = [_folder(path, "tables") for path in tables]
    wanted = checked_visits(visits)
    listed, places = _Listed(wanted), Places(image_folders)
    lists = find_tables([*image_folders, *table_folders], "image03")
    for path in lists:
        listed.take("nda", path, list(_image03(read_table(path), places)))
    contents = [path for folder in image_folders for path in find_contents([folder])]
    for path in dict.fromkeys(contents):
        entries = list(_contents(read_table(path), path, wanted, image_folders))
        listed.take("folders", path, entries)
    unlisted = _unlisted(image_folders, contents, listed.series.values())
    found = headers.scan(unlisted, cache, progress) if unlisted else []
    if found:
        entries, notes = _from_headers(found, wanted)
        listed.notes += notes
        listed.take("headers", "headers", entries)
    if not listed.layouts:
        raise ReleaseError(
            f"{', '.join(map(str, image_folders))}: neither contents.csv nor image03.txt, and no "
            "series of DICOM files; give the folder of a visit (00m/), or one with the "
            "NDA's image03.txt among the tables",
            option="images",
        )
    if not listed.series:
        _nothing(listed)
    visits_found = tuple(sorted({item.visit for item in listed.series.values()}))
    return Release(
        " and ".join(listed.layouts),
        sorted(listed.series.values(), key=_order),
        tuple(table_folders),
        visits_found,
        listed.notes,
        listed.unusable,
    )


def _folder(path: Path | str, option: str) -> Path:
    folder = Path(path)
    if not folder.is_dir():
        raise ReleaseError(f"{folder}: no such folder; give one that exists", option=option)
    return folder


def _nothing(listed: _Listed) -> None:
    if any(item.reason == UNKNOWN_VISIT for item in listed.unusable):
        raise ReleaseError(
            f"{listed.notes[0]}; neither lists nor folders' names tell the visit (00m, 0.C.2, "
            "12m, ...): give one",
            option="visit",
        )
    raise ReleaseError(
        f"no series of {' or '.join(listed.wanted) or 'any visit'} is listed; check the visit",
        option="visit",
    )


# --- OAI's folders --------------------------------------------------------------------------------


def find_contents(folders: Sequence[Path]) -> list[Path]:
    """Return every ``contents.csv`` in these folders or up to three levels below."""
    files = (path for folder in folders for path in files_near(folder))
    return sorted({path for path in files if path.name.lower() == "contents.csv"})


def _contents(
    table: Table, path: Path, wanted: tuple[str, ...], folders: Sequence[Path]
) -> Iterator[Series | Unusable]:
    columns = {
        "folder": table.require("folder"),
        "participant": table.require("participantid"),
        "date": table.require("studydate"),
        "barcode": table.column("barcode", "accessionnumber"),
        "description": table.require("seriesdescription"),
    }
    near = Places([path.parent, *folders])
    own = visit_of_path(path.parent) or visit_of_path(path.resolve().parent)
    only = wanted[0] if len(wanted) == 1 else ""
    for row, odd in table.rows_and_doubts(**columns):
        listed = _posix(row["folder"])
        visit = own or visit_of_path(listed) or only
        yield _series(row, odd, visit, listed, near, path)


# --- the NDA --------------------------------------------------------------------------------------


def _image03(table: Table, places: Places) -> Iterator[Series | Unusable]:
    columns = {
        "participant": table.require("src_subject_id"),
        "file": table.require("image_file"),
        "description": table.require("image_description"),
        "barcode": table.column("accession_number"),
        "visit": table.require("visit"),
        "date": table.column("interview_date"),
    }
    package = visit_of_path(table.path.parent)
    for row, odd in table.rows_and_doubts(**columns):
        listed = _posix(row["file"].removeprefix("s3://"))
        visit = visit_of(row["visit"]) or visit_of_path(listed) or package or ""
        yield _series(row, odd, visit, listed, places, table.path)


# --- without a list -------------------------------------------------------------------------------


def _unlisted(
    folders: Sequence[Path], contents: Sequence[Path], listed: Iterable[Series]
) -> list[Path]:
    """The image folders, or those of visits and image releases in them, that no list tells of."""
    whole = {path.parent.resolve() for path in contents}
    known = {item.path.resolve() for item in listed if item.path is not None} | whole
    above = {parent for path in known for parent in path.parents}

    def unlisted(folder: Path, levels: int) -> list[Path]:
        real = folder.resolve()
        if real in whole or whole & set(real.parents):
            return []
        if real not in above:
            return [folder]
        inside = sorted(folders_in(folder)) if levels else []
        return [found for path in inside for found in unlisted(path, levels - 1)]

    return list(dict.fromkeys(path for folder in folders for path in unlisted(folder, 4)))


def _from_headers(
    found: Sequence[headers.Found], wanted: tuple[str, ...]
) -> tuple[list[Series | Unusable], list[str]]:
    entries: list[Series | Unusable] = []
    seen: dict[tuple[str, ...], Path] = {}
    repeated = 0
    only = wanted[0] if len(wanted) == 1 else ""
    for item in found:
        same = item.uid, item.participant, item.date, item.description, item.barcode
        if item.uid and seen.setdefault(same, item.path) != item.path:
            repeated += 1
            continue
        visit = visit_of_path(item.path.parent) or visit_of_path(item.path.resolve().parent) or only
        kind = kind_of(item.description)
        if not item.problem and not _NAME.fullmatch(item.participant):
            entries.append(Unusable("", visit, kind, _NOBODY, shown(str(item.path))))
            continue
        if item.problem or not visit:
            reason, _, detail = (item.problem or f"{UNKNOWN_VISIT}: {item.path}").partition(": ")
            entries.append(Unusable(item.participant, visit, kind, reason, detail))
            continue
        entries.append(
            Series(
                item.participant, visit, item.date, stem_of(item.path.name),
                barcode(item.barcode), item.description, kind, item.path,
            )
        )  # fmt: skip
    notes = [f"headers: {repeated} series lie there twice and are taken once"] if repeated else []
    return entries, notes


# --- both -----------------------------------------------------------------------------------------


def _posix(path: str) -> PurePosixPath:
    return PurePosixPath(path.strip().replace("\\", "/").rstrip("/"))


def _series(
    row: Mapping[str, str],
    odd: str,
    visit: str,
    listed: PurePosixPath,
    places: Places,
    table: Path,
) -> Series | Unusable:
    """What a line of a list tells."""
    description, participant = row["description"].strip(), participant_of(row["participant"])
    kind = kind_of(description)
    if odd:
        return Unusable(participant, visit, kind, ODD_LINE, f"{table.name}: {odd}")
    if not _NAME.fullmatch(participant):  # files are called so
        return Unusable("", visit, kind, _NOBODY, f"{table.name}: {shown(str(listed))}")
    if not visit:
        return Unusable(participant, "", kind, UNKNOWN_VISIT, f"{table.name}: {shown(str(listed))}")
    return Series(
        participant=participant,
        visit=visit,
        date=_date(listed, row["date"]),
        number=identifier(stem_of(listed.name)),
        barcode=barcode(row["barcode"]),
        description=description,
        kind=kind,
        path=places.find(listed),
    )


def _date(listed: PurePosixPath, study_date: str) -> str:
    """The date of the study: its folder's, which leaves no doubt of month and day, or its own."""
    folder = date_of(listed.parent.name) if re.fullmatch(r"\d{8}", listed.parent.name) else ""
    return folder or date_of(study_date)


def _order(series: Series) -> tuple[str, ...]:
    return (series.participant, series.visit, *series.age, series.description, str(series.path))
