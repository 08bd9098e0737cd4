"""MetaImage (.mha, .mhd; <https://itk.org/Wiki/ITK/MetaIO/Documentation>).

A small parser of our own: MetaIO, the only other one at hand, opens whatever ElementDataFile names.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from xr2mri_core.errors import shown
from xr2mri_core.transforms.formats.stored import (
    LONGEST_HEADER,
    FormatError,
    StoredImage,
    affine_of,
    beside,
    check_bytes,
    header_lines,
    millimetres,
    read_exactly,
    read_text,
)

_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_START = re.compile(rb"\s*(ObjectType|NDims|Comment)\s*=")
_FROM = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "I": (2, 1), "S": (2, -1)}
_CHUNK = 1 << 16


def is_metaimage(head: bytes) -> bool:
    """Say whether a file starts like MetaImage."""
    return _START.match(head) is not None


def open_metaimage(stream: BinaryIO, header: Path | None = None) -> StoredImage:
    """Read a MetaImage header.

    Args:
        stream: stream at its beginning.
        header: path of the file where the pixels may lie beside it; see `stored.beside`.

    Raises:
        FormatError: a header that cannot be used.
    """
    fields = _Fields(header_lines(stream, _is_last))
    if fields.text("ObjectType", "Image").lower() != "image":
        raise FormatError(f"a MetaIO file of type {shown(fields.text('ObjectType'))}, no image")
    shape = fields.integers("DimSize")
    if fields.integers("NDims") != [len(shape)]:
        raise FormatError(f"NDims {shown(fields.text('NDims'))}, but {len(shape)} sizes")
    name = fields.text("ElementType")
    if name not in _TYPES:
        raise FormatError(f"element type {shown(name)}; accepted are {', '.join(_TYPES)}")
    big = fields.true("ElementByteOrderMSB", "BinaryDataByteOrderMSB")
    dtype = np.dtype((">" if big else "<") + _TYPES[name])
    (components,) = fields.integers("ElementNumberOfChannels", "1")
    size = check_bytes([components, *shape], dtype.itemsize)
    (start,) = fields.integers("HeaderSize", "0")
    if not -1 <= start <= LONGEST_HEADER:
        raise FormatError(f"HeaderSize {start}; accepted are -1 to {LONGEST_HEADER}")
    place = fields.text("ElementDataFile")
    local = place.lower() == "local"
    if not local:
        beside(header, place).close()

    def load() -> NDArray[Any]:
        with stream if local else beside(header, place) as data:
            if start:
                data.seek(*((-size, 2) if start == -1 else (start, 0)))
            if not fields.true("BinaryData"):
                values = np.fromstring(read_text(data, size), dtype, sep=" ")
            elif fields.true("CompressedData"):
                values = np.frombuffer(_inflated(data, size), dtype)
            else:
                values = np.frombuffer(read_exactly(data, size), dtype)
        if values.nbytes != size:
            raise FormatError("its pixels are cut short; export the file again")
        voxels = values.reshape(*shape[::-1], components).transpose(*range(len(shape))[::-1], -1)
        return voxels if components > 1 else voxels[..., 0]

    return StoredImage(tuple(shape), components, _affine(fields, len(shape)), True, size, load)


class _Fields:
    """``Name = value`` lines; the first of each name counts, as there may be only one."""

    def __init__(self, lines: list[bytes]) -> None:
        self._values: dict[str, str] = {}
        for line in lines:
            name, equals, value = line.decode("ascii", "replace").partition("=")
            if not equals and name.strip():
                raise FormatError(f"the line {shown(name.strip())} is no MetaImage header's")
            if equals:
                if name.strip() in self._values:
                    raise FormatError(f"its MetaImage header has {shown(name.strip())} twice")
                self._values[name.strip()] = value.strip()

    def text(self, name: str, default: str | None = None) -> str:
        value = self._values.get(name, default)
        if value is None:
            raise FormatError(f"its MetaImage header lacks '{name}'")
        return value

    def true(self, *names: str) -> bool:
        return any(self._values.get(name, "").lower() in ("true", "t", "1") for name in names)

    def integers(self, name: str, default: str | None = None) -> list[int]:
        text = self.text(name, default)
        if not re.fullmatch(r"-?[0-9]{1,18}( +-?[0-9]{1,18})*", text):
            raise FormatError(f"{name} {shown(text)}; whole numbers are accepted")
        return [int(part) for part in text.split()]

    def numbers(self, names: tuple[str, ...], count: int) -> NDArray[np.float64] | None:
        """The first of these that is there; None where there is none."""
        for name in names:
            if name in self._values:
                try:
                    values = np.array([float(part) for part in self._values[name].split()])
                except ValueError:
                    values = np.empty(0)
                if values.shape != (count,):
                    raise FormatError(
                        f"{name} {shown(self._values[name])}; {count} numbers are accepted"
                    )
                return values
        return None


def _is_last(line: bytes) -> bool:
    return line.split(b"=")[0].strip() == b"ElementDataFile"


def _affine(fields: _Fields, axes: int) -> NDArray[np.float64]:
    steps = fields.numbers(("ElementSpacing", "ElementSize"), axes)
    turn = fields.numbers(("TransformMatrix", "Rotation", "Orientation"), axes * axes)
    directions = _named(fields, axes) if turn is None else turn.reshape(axes, axes).T
    if steps is not None:
        directions = directions * steps * millimetres(fields.text("DistanceUnits", "mm"))
    return affine_of(directions, fields.numbers(("Offset", "Position", "Origin"), axes))


def _named(fields: _Fields, axes: int) -> NDArray[np.float64]:
    """Directions by AnatomicalOrientation: from what part of the patient each axis comes."""
    letters = fields.text("AnatomicalOrientation", "").upper()
    places = [_FROM.get(letter, (-1, 1)) for letter in letters[:axes]]
    if len(letters) != axes or sorted(axis for axis, _ in places) != list(range(axes)):
        return np.eye(axes)
    directions = np.zeros((axes, axes))
    for column, (axis, sign) in enumerate(places):
        directions[axis, column] = sign
    return directions


def _inflated(stream: BinaryIO, size: int) -> bytes:
    """Inflate zlib or gzip, ``size`` bytes at most."""
    inflater, parts, left = zlib.decompressobj(zlib.MAX_WBITS | 32), [], size
    while left > 0 and not inflater.eof:
        packed = inflater.unconsumed_tail or stream.read(_CHUNK)
        if not packed:
            break
        try:
            parts.append(inflater.decompress(packed, left))
        except zlib.error as error:
            raise FormatError(f"its pixels cannot be decompressed ({shown(error)})") from error
        left -= len(parts[-1])
    if left:
        raise FormatError("its pixels are cut short; export the file again")
    return b"".join(parts)
