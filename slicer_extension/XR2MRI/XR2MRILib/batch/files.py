"""Files of a folder that may be radiographs, by their names or their first bytes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from xr2mri_client.synthetic_files import holds_results, says_synthetic

ENDINGS = (
    ".nii.gz", ".nii", ".nrrd", ".mha", ".dcm", ".dicom", ".dic", ".ima", ".png", ".jpg", ".jpeg",
)  # fmt: skip
"""Of files that may be radiographs, in any case; DICOM files often have none."""


def radiographs_of(folder: Path) -> Iterable[Path]:
    """What may be radiographs in a folder and in those below it; hidden ones, and what was
    generated from others, are passed over."""
    for where, below, files in os.walk(folder):
        here = Path(where)
        if here != folder and holds_results(here):
            below.clear()
            continue
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(files):
            path = here / name
            may_be = not name.startswith(".") and _may_be_radiograph(path)
            if may_be and not says_synthetic(path):
                yield path


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
