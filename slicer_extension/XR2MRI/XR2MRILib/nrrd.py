"""A picture as the content of a NRRD file: the plainest format that carries a pixel spacing."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ORIENTATION = re.compile(r"[A-Z]{1,3}\\[A-Z]{1,3}")
_TYPES = {
    "u1": "uchar",
    "i1": "signed char",
    "u2": "ushort",
    "i2": "short",
    "u4": "uint",
    "i4": "int",
    "f4": "float",
    "f8": "double",
}


def common(picture: NDArray[Any]) -> NDArray[Any]:
    """A picture in a type that every reader knows, with the same values.

    Truth values become bytes, integers of 64 bits those of 32, or doubles where they are too large
    for that (exact up to 2^53), floats of 16 bits those of 32, and longer ones doubles.

    Raises:
        TypeError: the pixels are no numbers.
    """
    kind, size = picture.dtype.kind, picture.dtype.itemsize
    if f"{kind}{size}" in _TYPES:
        return picture
    if kind == "b":
        return picture.astype(np.uint8)
    if kind == "f":
        return picture.astype(np.float32 if size < 4 else np.float64)
    if kind not in "iu":
        raise TypeError(f"pixels of type {picture.dtype}")
    low, high = int(picture.min()), int(picture.max())
    for candidate in (np.int32, np.uint32):
        if np.iinfo(candidate).min <= low and high <= np.iinfo(candidate).max:
            return picture.astype(candidate)
    return picture.astype(np.float64)


def encode(picture: NDArray[Any], spacing: tuple[float, float], orientation: str = "") -> bytes:
    """A picture as NRRD, uncompressed, with nothing in the header that tells of a patient.

    Args:
        picture: (rows, columns) or (rows, columns, 3 or 4), numbers of any type (see `common`).
        spacing: spacing of rows and of columns in mm; the server takes exactly 1 and 1 for unknown.
        orientation: DICOM's Patient Orientation, such as `R\\F` of a mirrored picture: the server
            turns the picture by it. Empty where it is unknown, and what is none is left out.

    Raises:
        TypeError: the pixels are no numbers.
    """
    picture = common(picture)
    code = f"{picture.dtype.kind}{picture.dtype.itemsize}"
    rows, columns = picture.shape[:2]
    sizes, kinds = f"{columns} {rows}", "domain domain"
    spacings = f"{float(spacing[1])!r} {float(spacing[0])!r}"
    if picture.ndim == 3:
        channels = picture.shape[2]
        sizes = f"{channels} {sizes}"
        kinds = f"{'RGB' if channels == 3 else 'RGBA'}-color {kinds}"
        spacings = f"nan {spacings}"
    header = (
        "NRRD0004\n"
        f"type: {_TYPES[code]}\n"
        f"dimension: {picture.ndim}\n"
        f"sizes: {sizes}\n"
        f"kinds: {kinds}\n"
        f"spacings: {spacings}\n"
        "encoding: raw\n"
        "endian: little\n"
    )
    if _ORIENTATION.fullmatch(orientation):
        header += f"PatientOrientation:={orientation}\n"
    header += "\n"
    pixels = picture.astype(picture.dtype.newbyteorder("<"), copy=False)
    return header.encode("ascii") + pixels.tobytes()
