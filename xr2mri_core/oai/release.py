"""Which images a release holds, in either form of distribution.

**OAI folders**: ``00m/0.C.2/9000099/20050811/10283903/`` with a file for each picture (no
extension), listed by ``contents.csv``; the visit is the folder's name.

**NDA**: the same folders as ``.../10283903.tar.gz``, listed by ``image03.txt``, which also names
the visit.
"""

from __future__ import annotations

import errno
import os
import re
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from xr2mri_core.errors import OutputError, ReleaseError, VolumeError, shown
from xr2mri_core.oai.sequences import Kind, kind_of
from xr2mri_core.oai.tables import (
    Table,
    checked_visits,
    find_tables,
    read_table,
    visit_of,
)
from xr2mri_core.oai.values import barcode, identifier

ARCHIVE = ".tar.gz"


@dataclass(frozen=True)
class Series:
    """One series of pictures that a release lists.

    Attributes:
        participant: seven digits.
        visit: ``V00``, ``V01``, ...
        date: of the study, yyyymmdd as far as the release tells.
        number: of the series, its folder's name.
        barcode: of the radiograph (DICOM's AccessionNumber), twelve digits, or empty.
        description: SeriesDescription as the release lists it.
        kind: what that says; None for what is no knee.
        path: a folder or a tar.gz file; None where the listed files are not there.
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
    def age(self) -> tuple[str, str]:
        """Sorts the series of one knee from first to last acquired."""
        return self.date, self.number.zfill(8)


@dataclass
class Release:
    """What a release lists, and where its tables are.

    Attributes:
        form: ``folders`` or ``nda``.
        series: every listed series of the visits, in a fixed order, without repeated lines.
        tables: folders to search for tables.
        visits: the visits that occur.
        notes: what was odd about the lists.
    """

    form: str
    series: list[Series]
    tables: tuple[Path, ...]
    visits: tuple[str, ...]
    notes: list[str] = field(default_factory=list)


def read_release(
    images: Sequence[Path | str], tables: Sequence[Path | str], visits: Sequence[str] = ()
) -> Release:
    """Read the lists of images of a release; no image is opened.

    Args:
        images: folders: with ``contents.csv`` (or in a subfolder, as ``00m/0.C.2/contents.csv``),
            or with the tar.gz files of the NDA.
        tables: folders of the tables; the NDA's ``image03.txt`` may lie here or with the images.
        visits: the visits to keep, e.g. ``V00`` or ``12m``; all where none is given. With OAI's
            folders one visit may be given for folders whose names do not tell it.

    Raises:
        ReleaseError: if there is no list, it is none, or it lists nothing of the visits.
    """
    image_folders = [_folder(path, "--images") for path in images]
    table_folders = [_folder(path, "--tables") for path in tables]
    wanted = checked_visits(visits)
    lists = find_tables([*image_folders, *table_folders], "image03")
    if lists:
        form, series, notes = "nda", *_read_nda(lists, image_folders, wanted)
    else:
        form, series, notes = "folders", *_read_folders(image_folders, wanted)
    if not series:
        raise ReleaseError(
            f"no series of {' or '.join(wanted) or 'any visit'} is listed; check --visit"
        )
    found = tuple(sorted({item.visit for item in series}))
    return Release(form, series, tuple(table_folders), found, notes)


def _folder(path: Path | str, option: str) -> Path:
    folder = Path(path)
    if not folder.is_dir():
        raise ReleaseError(f"{folder}: no such folder; give one that exists with {option}")
    return folder


# --- OAI's folders --------------------------------------------------------------------------------


def _read_folders(
    folders: Sequence[Path], wanted: tuple[str, ...]
) -> tuple[list[Series], list[str]]:
    lists = find_contents(folders)
    if not lists:
        raise ReleaseError(
            f"{', '.join(map(str, folders))}: neither contents.csv nor image03.txt; give the "
            "folder of a visit (00m/) with --images, or the NDA's image03.txt with --tables"
        )
    series: dict[Series, None] = {}
    notes: list[str] = []
    for path in lists:
        visit = _visit_of_folder(path, wanted)
        if wanted and visit not in wanted:
            continue
        listed = list(_contents(read_table(path), visit, folders))
        repeated = len(listed) - len(set(listed))
        if repeated:
            notes.append(f"{path}: {repeated} repeated lines left out")
        series.update(dict.fromkeys(listed))
    return sorted(series, key=_order), notes


def find_contents(folders: Sequence[Path]) -> list[Path]:
    """Return every ``contents.csv`` in these folders or up to two levels below."""
    patterns = ("*", "*/*", "*/*/*")
    found = {
        path
        for folder in folders
        for pattern in patterns
        for path in folder.glob(pattern)
        if path.name.lower() == "contents.csv"
    }
    return sorted(found)


def _visit_of_folder(path: Path, wanted: tuple[str, ...]) -> str:
    for parent in path.resolve().parents:
        if re.fullmatch(r"\d{2,3}m", parent.name.lower()) and (visit := visit_of(parent.name)):
            return visit
    if len(wanted) == 1:
        return wanted[0]
    raise ReleaseError(
        f"{path}: its folders' names do not tell the visit (00m, 12m, ...); give one --visit"
    )


def _contents(table: Table, visit: str, folders: Sequence[Path]) -> Iterator[Series]:
    columns = {
        "folder": table.require("folder"),
        "participant": table.require("participantid"),
        "date": table.require("studydate"),
        "barcode": table.column("barcode", "accessionnumber"),
        "description": table.require("seriesdescription"),
    }
    near = [table.path.parent, *folders]
    for row in table.rows(**columns):
        listed = PurePosixPath(row["folder"].replace("\\", "/"))
        yield _series(row, visit, listed.name, _place(listed, near, ""))


# --- the NDA --------------------------------------------------------------------------------------


def _read_nda(
    lists: Sequence[Path], folders: Sequence[Path], wanted: tuple[str, ...]
) -> tuple[list[Series], list[str]]:
    series: dict[Series, None] = {}
    notes: list[str] = []
    for path in lists:
        listed = list(_image03(read_table(path), folders))
        kept = [item for item in listed if item.visit and item.visit in (wanted or (item.visit,))]
        unknown = sum(not item.visit for item in listed)
        if unknown:
            notes.append(f"{path}: {unknown} lines name no visit and are left out")
        repeated = len(kept) - len(set(kept))
        if repeated:
            notes.append(f"{path}: {repeated} repeated lines left out")
        series.update(dict.fromkeys(kept))
    return sorted(series, key=_order), notes


def _image03(table: Table, folders: Sequence[Path]) -> Iterator[Series]:
    columns = {
        "participant": table.require("src_subject_id"),
        "file": table.require("image_file"),
        "description": table.require("image_description"),
        "barcode": table.column("accession_number"),
        "visit": table.require("visit"),
    }
    for row in table.rows(**columns):
        listed = PurePosixPath(row["file"].replace("\\", "/").removeprefix("s3://"))
        number = listed.name.removesuffix(ARCHIVE)
        row["date"] = listed.parent.name if listed.parent.name.isdigit() else ""
        yield _series(row, visit_of(row["visit"]) or "", number, _place(listed, folders, ARCHIVE))


# --- both -----------------------------------------------------------------------------------------


def _series(row: dict[str, str], visit: str, number: str, path: Path | None) -> Series:
    description = row["description"].strip()
    return Series(
        participant=identifier(row["participant"]),
        visit=visit,
        date=re.sub(r"\D", "", row["date"]),
        number=identifier(number),
        barcode=barcode(row["barcode"]),
        description=description,
        kind=kind_of(description),
        path=path,
    )


def _order(series: Series) -> tuple[str, ...]:
    return (series.participant, series.visit, *series.age, series.description, str(series.path))


def _place(listed: PurePosixPath, folders: Sequence[Path], suffix: str) -> Path | None:
    """Return where the listed folder or archive lies, by as much of its path as there is.

    Lists name paths from a root that the download need not have kept: ``s3://bucket/submission/
    00m/0.C.2/9000099/20050811/10283903.tar.gz`` may lie in ``image03/00m/0.C.2/...``.
    """
    parts = [part for part in listed.parts if part not in ("/", "..", ".")]
    endings = [PurePosixPath(*parts[start:]) for start in range(max(1, len(parts) - 2))]
    for folder in folders:
        for ending in endings:
            for root in (folder, folder / "image03"):
                place = root / ending
                if place.is_file() if suffix else place.is_dir():
                    return place
    return None


@contextmanager
def opened(path: Path) -> Iterator[list[Path]]:
    """Hand out the files of a series, unpacked for as long as the context lasts.

    Args:
        path: a folder, or a tar.gz file, whose plain files are unpacked and nothing else.

    Returns:
        The files in the order of their names; hidden files left out.

    Raises:
        VolumeError: if an archive is damaged or there is no file.
        OutputError: if there is no space to unpack.
        OSError: if a folder cannot be listed.
    """
    if path.is_dir():
        yield _files(path)
        return
    with TemporaryDirectory(prefix="xr2mri-oai-") as folder:
        try:
            with tarfile.open(path) as archive:
                archive.extractall(folder, filter="data")
        except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error) as error:
            if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
                raise OutputError(
                    f"no space to unpack {path.name} in {folder}; free some"
                ) from error
            raise VolumeError(
                f"a damaged archive: {path.name} ({shown(error)}); download it again"
            ) from error
        yield _files(Path(folder))


def _files(folder: Path) -> list[Path]:
    def told(error: OSError) -> None:  # rglob would take a folder that fails for an empty one
        raise error

    walked = os.walk(folder, onerror=told)
    names = [Path(where, name) for where, _, files in walked for name in files if name[0] != "."]
    found = [path for path in names if path.is_file()]
    if not found:
        raise VolumeError(f"an empty folder: {folder.name}; download the series again")
    return sorted(found)


def count_files(path: Path) -> int | None:
    """Return how many pictures a series in a folder has; None for an archive (it takes long)."""
    if not path.is_dir():
        return None
    return sum(entry.is_file() and entry.name[0] != "." for entry in path.iterdir())
