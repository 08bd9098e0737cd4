"""Files that say of themselves that they were generated, and folders of results.

The command line, the server and the Slicer module mark what they write: descriptions of volumes,
comments of pictures, DICOM tags, keys of .nrrd files. Both who looks through a folder for
radiographs, the command line and the module, ask here.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from pathlib import Path

JOURNAL = "manifest.jsonl"
"""A line for each knee as it gets done, in the folder of results of `xr2mri generate --folder` or
`--datalist`; what an interrupted run leaves, and the next one reads."""
_FIELDS = {"radiograph_sha256", "status"}
_LONGEST_LINE = 1 << 20
_HEAD = 1 << 16  # bytes of a file; .nrrd headers of Slicer are long
_MARKS = re.compile(
    rb"XR2MRI [^\n\0]*synthetic, not for diagnosis"  # description of a volume
    rb"|\nXR2MRI\.Synthetic:=1\r?\n"  # key of a .nrrd file that Slicer wrote
    rb"|tEXtComment\0synthetic, not for diagnosis"  # a picture
    rb"|\\SYNTHETIC\\.{1,4096}XR2MRI",  # DICOM
    re.DOTALL,
)


def holds_results(folder: Path) -> bool:
    """Whether a folder is that of the results of a run: by the first line of its journal, whose
    name data sets have as well."""
    try:
        with (folder / JOURNAL).open(encoding="utf-8", errors="replace") as file:
            row = json.loads(file.readline(_LONGEST_LINE))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(row, dict) and row.keys() >= _FIELDS


def says_synthetic(path: Path) -> bool:
    """Whether a file says that it was generated; False where it cannot be read."""
    is_zipped = path.name.lower().endswith(".gz")
    try:
        with gzip.open(path) if is_zipped else path.open("rb") as file:
            return _MARKS.search(file.read(_HEAD)) is not None
    except (OSError, EOFError, zlib.error):
        return False
