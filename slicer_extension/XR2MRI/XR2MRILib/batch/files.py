"""Files of a folder that may be radiographs, by their names or their first bytes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

ENDINGS = (
    ".nii.gz", ".nii", ".nrrd", ".mha", ".dcm", ".dicom", ".dic", ".ima", ".png", ".jpg", ".jpeg",
)  # fmt: skip
"""Of files that may be radiographs, in any case; DICOM files often have none."""


def radiographs_of(folder: Path) -> Iterable[Path]:
    for where, below, files in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and _may_be_radiograph(Path(where) / name):
                yield Path(where) / name


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
    except OSError:
        return False


def ending_of(name: str) -> str:
    """The ending of a file's name that tells a radiograph; empty where it has none."""
    found = next((ending for ending in ENDINGS if name.lower().endswith(ending)), "")
    return name[len(name) - len(found) :]
