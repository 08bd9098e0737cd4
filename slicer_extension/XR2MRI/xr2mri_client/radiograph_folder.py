"""A folder of radiographs with a table of forms: which files are taken, and whose a row is.

The command line (`xr2mri generate --folder`) and the Slicer module's batch both ask here, so that
the same folder gives the same radiographs, and the same row the same knee.
"""

from __future__ import annotations

import logging
import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from .synthetic_files import holds_results, says_synthetic

log = logging.getLogger("xr2mri")

ENDINGS = (
    ".nii.gz", ".nii", ".nrrd", ".mha", ".dcm", ".dicom", ".dic", ".ima", ".png", ".jpg", ".jpeg",
)  # fmt: skip
"""Endings of files that may be radiographs, in upper or lower case; DICOM files often have none."""
KEY_COLUMNS = ("file", "radiograph", "name", "case")
"""Columns of a table that say which file a row belongs to; the first that is there counts."""
DEMOGRAPHICS = ("age", "sex", "bmi")
GRADED = re.compile(r"(?P<participant>\d{5,})(?P<side>[LR])", re.IGNORECASE)
"""A file's name, without its ending, as in the usual public collections: `2/9003175L.png` in
folders by the grade of the whole knee."""


def radiographs_of(
    folder: Path, left_out: Path | None = None, passed: list[str] | None = None
) -> Iterator[Path]:
    """What may be radiographs in a folder and in those below it, in the order of their paths.

    Hidden files and folders are passed over, and what was generated from others. What cannot be
    read is passed over with a warning in the log.

    Args:
        folder: searched, even if it is one of results itself.
        left_out: a folder below it, resolved, that is not searched.
        passed: gets the paths below the folder of what was generated.
    """
    passed = [] if passed is None else passed
    for where, below, files in os.walk(folder, onerror=_pass_over):
        here = Path(where)
        if here != folder and holds_results(here):
            passed.append(here.relative_to(folder).as_posix())
            below.clear()
            continue
        below[:] = sorted(
            name
            for name in below
            if not name.startswith(".")
            and (left_out is None or (here / name).resolve() != left_out)
        )
        for name in sorted(files):
            path = here / name
            if name.startswith(".") or not _may_be_radiograph(path):
                continue
            if says_synthetic(path):
                passed.append(path.relative_to(folder).as_posix())
            else:
                yield path


def ending_of(name: str) -> str:
    """The ending of a file's name that tells a radiograph; empty where it has none."""
    found = next((ending for ending in ENDINGS if name.lower().endswith(ending)), "")
    return name[len(name) - len(found) :]


def without_ending(path: str) -> str:
    """A path without the ending that tells a radiograph."""
    return path[: len(path) - len(ending_of(path))]


def spellings(path: str) -> set[str]:
    """What a table may call a file: its path below the folder with `/`, its name, both also without
    their endings."""
    name = PurePosixPath(path).name
    return {_composed(text) for text in (path, without_ending(path), name, without_ending(name))}


def spelling_in(cell: str) -> str:
    """What a cell of a table calls a file, as `spellings` has it."""
    return _composed(cell.replace("\\", "/").removeprefix("./"))


def _composed(name: str) -> str:
    """A name in one form (NFC): macOS stores letters and their accents apart."""
    return unicodedata.normalize("NFC", name)


def _may_be_radiograph(path: Path) -> bool:
    if ending_of(path.name):
        return True
    if path.suffix and not path.suffix[1:].isdigit():  # of 1.2.840.113 the end is no ending
        return False
    if path.name.upper() == "DICOMDIR":
        return False
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError as error:
        _pass_over(error)
        return False


def _pass_over(error: OSError) -> None:
    log.warning("%s cannot be read (%s): passed over", error.filename, error.strerror)
