"""A picture as the content of a NRRD file: the plainest format that carries a pixel spacing."""

from __future__ import annotations

import numpy as np

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


def encode(picture: np.ndarray, spacing: tuple[float, float]) -> bytes:
    """A picture as NRRD, uncompressed, with nothing in the header that tells of a patient.

    Args:
        picture: (rows, columns) or (rows, columns, 3 or 4), any integer or float type.
        spacing: of rows and of columns in mm; the server takes exactly 1 and 1 for unknown.

    Raises:
        TypeError: for another type of pixels.
    """
    code = f"{picture.dtype.kind}{picture.dtype.itemsize}"
    if code not in _TYPES:
        raise TypeError(f"pixels of type {picture.dtype}")
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
        "endian: little\n\n"
    )
    pixels = picture.astype(picture.dtype.newbyteorder("<"), copy=False)
    return header.encode("ascii") + pixels.tobytes()
