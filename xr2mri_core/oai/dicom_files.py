"""Which files of a series' folder are its pictures, with or without a preamble."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

_PREAMBLE = 128
_OTHER = re.compile(
    r"\..*|_.*|~.*|thumbs\.db|dicomdir|md5.*|sha\d+.*|checksums?.*|manifest.*|readme.*"
    r"|.*\.(db|ini|md5|sha\d+|txt|csv|json|xml|html?|log|pdf|png|jpe?g|gif|bmp|bak|tmp|part|lnk)",
    re.IGNORECASE,
)
"""What desktops, downloads and archives leave beside pictures."""


def pictures_among(files: Iterable[Path]) -> list[Path]:
    """Return the DICOM files among others, and those that were meant to be such.

    A file that is none is passed over (``Thumbs.db``, ``desktop.ini``, ``._001``, lists of MD5
    sums), unless it is called as the pictures are, digits aside: ``040`` beside ``039`` and
    ``041`` is a picture that is damaged, and has to be noticed.
    """
    named = [path for path in files if not is_other(path.name)]
    pictures = {path for path in named if is_dicom(path)}
    if not pictures:
        return sorted(named)
    forms = {_form(path.name) for path in pictures}
    return sorted(path for path in named if path in pictures or _form(path.name) in forms)


def is_other(name: str) -> bool:
    """Whether a file's name tells that it is no picture."""
    return _OTHER.fullmatch(name) is not None


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do, with a preamble or at once with data.

    Raises:
        OSError: if it cannot be read.
    """
    with path.open("rb") as stream:
        start = stream.read(_PREAMBLE + 4)
    return begins_as_dicom(start)


def begins_as_dicom(start: bytes) -> bool:
    """`is_dicom` by the first 132 bytes of a file."""
    if start[_PREAMBLE : _PREAMBLE + 4] == b"DICM":
        return True
    if len(start) < 8 or start[:2] not in (b"\x02\x00", b"\x08\x00") or start[3] != 0:
        return False
    explicit = start[4:6].isalpha() and start[4:6].isupper()
    return explicit or int.from_bytes(start[4:8], "little") < 2**16


def is_bare(path: Path) -> bool:
    """Whether it is a DICOM file without preamble, which pydicom reads only with `force`."""
    with path.open("rb") as stream:
        start = stream.read(_PREAMBLE + 4)
    return start[_PREAMBLE:] != b"DICM" and begins_as_dicom(start)


def completed(dataset: Dataset) -> Dataset:
    """The dataset with a transfer syntax; a bare file, which states none, gets the one it is in."""
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit = dataset.is_implicit_VR
        syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        dataset.file_meta.TransferSyntaxUID = syntax
    return dataset


def _form(name: str) -> str:
    return re.sub(r"\d+", "0", name.lower())
