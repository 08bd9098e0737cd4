"""The folders of a release: what lies in them, without the millions of images."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger("xr2mri")

_LEVELS = 4
_IMAGES = re.compile(r"9\d{6}|\d{8}")


def files_near(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder and of some levels below, not of participants or their series."""
    yield from (path for here in folders_near(folder, _LEVELS - 1) for path in _files_of(here))


def folders_near(folder: Path, levels: int = _LEVELS) -> Iterator[Path]:
    """Yield a folder and those below it that may be of packages, visits and image releases.

    Below the folders of participants (``9000099``), dates and series there are millions of images.
    """
    yield folder
    if levels > 0:
        for path in sorted(folders_in(folder)):
            yield from folders_near(path, levels - 1)


def folders_in(folder: Path) -> list[Path]:
    """Return the folders in a folder but hidden ones, participants, dates and series."""
    return [
        folder / entry.name
        for entry in entries_of(folder)
        if entry.name[0] != "." and not _IMAGES.fullmatch(entry.name) and is_folder(entry)
    ]


def _files_of(folder: Path) -> list[Path]:
    return [folder / entry.name for entry in entries_of(folder) if is_file(entry)]


def entries_of(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder; nothing, with a warning, where that cannot be seen.

    A drive has folders that are the system's (``lost+found``), and a network drive may fail for one
    of thousands: neither may end the work on all others.
    """
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        log.warning("%s cannot be looked into (%s): passed over", folder, error.strerror or error)
        return []


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, or a link to one; what cannot be looked at is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def is_file(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file, or a link to one; what cannot be looked at is none."""
    try:
        return entry.is_file()
    except OSError:
        return False
