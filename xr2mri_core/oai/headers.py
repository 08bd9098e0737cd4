"""Which series a release holds, found in its files where no list does.

Newer downloads have no ``contents.csv``. Then the header of one picture of each series is read,
once: what it says is kept in a file, line by line, so that a scan that was stopped goes on, and a
second one takes seconds. A series that is new or has changed is read again.
"""

from __future__ import annotations

import json
import logging
import os
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, Any

from pydicom import Dataset, dcmread

from xr2mri_core.errors import shown
from xr2mri_core.files import records_of
from xr2mri_core.oai.dicom_files import (
    begins_as_dicom,
    is_bare,
    is_dicom,
    is_other,
    pictures_among,
)
from xr2mri_core.oai.folders import is_folder
from xr2mri_core.oai.passing import UNREAD, unread
from xr2mri_core.oai.places import archive_suffix
from xr2mri_core.oai.sequences import kind_of
from xr2mri_core.oai.tables import SUFFIXES
from xr2mri_core.oai.values import date_of, participant_of

log = logging.getLogger("xr2mri")

CACHE = "headers.jsonl"
VERSION = 1
"""Raised when the meaning of a line of the cache changes."""

Progress = Callable[[int, int, str], None]
_STAGE = "read headers"
_NO_SERIES = "no series"
_THREADS = 8  # reading waits for disk and network, not for a core
_TRIED = 3  # pictures of a series whose header is tried
_PARTICIPANT = re.compile(r"9\d{6}")
_KEYWORDS = ("PatientID", "StudyDate", "SeriesDate", "ProtocolName", "StudyDescription",
             "SeriesDescription", "AccessionNumber", "SeriesInstanceUID")  # fmt: skip
_TAGS: list[Any] = [*_KEYWORDS, "SpecificCharacterSet"]


@dataclass(frozen=True)
class Found:
    """One series on the disk.

    Attributes:
        path: path of its folder or archive.
        participant: seven digits, as far as header or folder tell.
        date: yyyymmdd or empty.
        description: SeriesDescription.
        barcode: AccessionNumber.
        uid: SeriesInstanceUID.
        problem: why it cannot be used: a few words, then particulars after a colon; else empty.
    """

    path: Path
    participant: str = ""
    date: str = ""
    description: str = ""
    barcode: str = ""
    uid: str = ""
    problem: str = ""


def scan(
    folders: Sequence[Path], cache: Path | None = None, progress: Progress | None = None
) -> list[Found]:
    """Find every series below some folders, in the order of their paths.

    Args:
        folders: searched to any depth; links are followed.
        cache: file of what was read before; None keeps nothing.
        progress: called after each series; what it raises stops the scan, what was read stays.

    Returns:
        The series, those included that cannot be used; a folder that cannot be listed is one.
    """
    report = progress or (lambda done, total, stage: None)
    known = _Cache(cache)
    report(0, 0, "look for series")
    failed: list[Found] = []
    places = sorted({place for folder in folders for place in _series_below(folder, known, failed)})
    found = {place.path: kept for place in places if (kept := known.get(place)) is not None}
    missing = [place for place in places if place.path not in found]
    report(len(found), len(places), _STAGE)
    pool = ThreadPoolExecutor(_THREADS)
    try:
        for place, series in zip(missing, pool.map(_describe, missing), strict=True):
            found[place.path] = series
            known.keep(series, place)
            report(len(found), len(places), _STAGE)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        known.close()
    usable = [found[place.path] for place in places if found[place.path].problem != _NO_SERIES]
    return sorted([*usable, *failed], key=lambda item: item.path)


@dataclass(frozen=True, order=True)
class _Place:
    """A folder that holds files which may be pictures, or an archive.

    Attributes:
        path: path of the file.
        stamp: changes when it does; empty where the folder holds folders too, which tell nothing
            of what changes in them.
    """

    path: Path
    stamp: tuple[int, ...]


def _series_below(folder: Path, known: _Cache, failed: list[Found]) -> Iterator[_Place]:
    """The places of series; what cannot be looked into is added to ``failed``."""
    waiting, seen = [folder], set[str]()
    while waiting:
        here = waiting.pop()
        try:
            yield from _places_in(here, waiting, seen, known)
        except OSError as error:
            log.warning("%s cannot be looked into (%s)", here, error.strerror or error)
            what = f"{UNREAD}: {here.name}: {error.strerror or shown(error)}"
            failed.append(Found(here, _participant_in(here), problem=what))


def _places_in(here: Path, waiting: list[Path], seen: set[str], known: _Cache) -> list[_Place]:
    """The places in one folder; its own folders are added to ``waiting``. Raises OSError."""
    stamp = (here.stat().st_mtime_ns,)
    if known.get(_Place(here, stamp)) is not None:  # need not be listed
        return [_Place(here, stamp)]
    real = os.path.realpath(here)
    if real in seen:  # a link to a folder above
        return []
    seen.add(real)
    places, files, folders = list[_Place](), 0, 0
    with os.scandir(here) as entries:
        for entry in entries:
            if entry.name[0] == ".":
                continue
            if is_folder(entry):
                folders += 1
                waiting.append(here / entry.name)
            elif archive_suffix(entry.name):
                with suppress(FileNotFoundError):  # a link to nothing
                    status = entry.stat()
                    stamp_of_it = (status.st_mtime_ns, status.st_size)
                    places.append(_Place(here / entry.name, stamp_of_it))
            elif not is_other(entry.name) and not entry.name.lower().endswith(SUFFIXES):
                files += 1
    if files:
        places.append(_Place(here, () if folders else stamp))
    return places


def _describe(place: _Place) -> Found:
    path = place.path
    try:
        header = _first_header(path)
    except Exception as error:  # one odd file among thousands must not end the scan
        if isinstance(error, _NoPictureError) and not _participant_in(path):
            return Found(path, problem=_NO_SERIES)  # a manual, or a licence
        if passing := unread(error, path.name):
            return Found(path, _participant_in(path), problem=f"{UNREAD}: {passing}")
        what = f"a series whose files cannot be read: {path.name} ({shown(error)})"
        return Found(path, _participant_in(path), problem=what)
    texts = {keyword: str(header.get(keyword) or "").strip() for keyword in _KEYWORDS}
    said = ("SeriesDescription", "ProtocolName", "StudyDescription")
    named = next((texts[key] for key in said if kind_of(texts[key])), texts["SeriesDescription"])
    folder, person = _participant_in(path), participant_of(texts["PatientID"])
    if not person.isdigit():
        person = folder
    problem = ""
    if not person:
        problem = "its files tell no participant: " + path.name
    elif folder and folder != person:
        problem = f"another participant: its files say {person}, its folder {folder}"
    dates = (texts["StudyDate"], texts["SeriesDate"], *reversed(path.parts[:-1]))
    date = next((date for text in dates if (date := date_of(text))), "")
    return Found(
        path, folder or person, date, named, texts["AccessionNumber"], texts["SeriesInstanceUID"],
        problem,
    )  # fmt: skip


def _participant_in(path: Path) -> str:
    return next((part for part in reversed(path.parts) if _PARTICIPANT.fullmatch(part)), "")


class _NoPictureError(Exception):
    """No file begins as DICOM files do."""


def _first_header(path: Path) -> Dataset:
    """The header of the first picture of a series that can be read."""
    sources: Iterable[tuple[Path | BytesIO, bool]]
    if path.is_dir():
        files = pictures_among(sorted(file for file in path.iterdir() if file.is_file()))
        sources = ((file, is_bare(file)) for file in files[:_TRIED] if is_dicom(file))
    else:
        sources = ((BytesIO(data), data[128:132] != b"DICM") for data in _pictures_in(path))
    failed: Exception = _NoPictureError("no picture")
    for source, bare in sources:
        try:
            return dcmread(source, force=bare, stop_before_pixels=True, specific_tags=_TAGS)
        except OSError:
            raise
        except Exception as error:
            failed = error
    raise failed


def _pictures_in(path: Path) -> Iterator[bytes]:
    """The first pictures of an archive, without unpacking the rest."""
    count = 0
    for name, stream in _members(path):
        start = b"" if is_other(PurePosixPath(name).name) else stream.read(132)
        if begins_as_dicom(start):
            yield start + stream.read()
            count += 1
            if count == _TRIED:
                return


def _members(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    if archive_suffix(path.name) == ".zip":
        with zipfile.ZipFile(path) as packed:
            for item in packed.infolist():
                if not item.is_dir():
                    with packed.open(item) as stream:
                        yield item.filename, stream
        return
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None:
                yield member.name, content


class _Cache:
    """What was read before: one line of JSON a series, the last of a series counts."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stream: IO[str] | None = None
        self._known: dict[str, dict[str, Any]] = {}
        for record in records_of(path) if path else ():
            with suppress(TypeError, KeyError):
                if record["version"] == VERSION:
                    self._known[record["path"]] = record

    def get(self, place: _Place) -> Found | None:
        record = self._known.get(str(place.path))
        if record is None or record["stamp"] != list(place.stamp):
            return None
        return Found(place.path, *record["found"])

    def keep(self, series: Found, place: _Place) -> None:
        if self._path is None or not place.stamp or series.problem.startswith(UNREAD):
            return
        if self._stream is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self._path.open("a", encoding="utf-8")
            self._stream.write("\n")  # the last line may have been cut off
        stored = [series.participant, series.date, series.description, series.barcode, series.uid,
                series.problem]  # fmt: skip
        record = {
            "version": VERSION,
            "path": str(place.path),
            "stamp": place.stamp,
            "found": stored,
        }
        self._stream.write(json.dumps(record) + "\n")
        self._stream.flush()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
