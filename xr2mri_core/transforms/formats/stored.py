"""An image as its header describes it; its voxels are counted before they are read."""

from __future__ import annotations

import bz2
import gzip
import io
import math
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from xr2mri_core.errors import InputError, shown

LONGEST_HEADER = 1 << 20
"""Bytes before the voxels, comments and skipped bytes included."""
LARGEST_BYTES = 1 << 30
"""Bytes of all voxels, decompressed; a knee MRI volume has 50 million."""
MOST_AXES = 8


class FormatError(InputError):
    """A header is damaged, asks for too much, or for another file."""


@dataclass(frozen=True)
class StoredImage:
    """What a header says; no voxel has been read yet.

    Attributes:
        shape: voxels along each axis in file order, the fastest first; without components.
        components: values of a voxel, 1 for grey, 3 for RGB.
        affine: (4, 4) float64, voxel to RAS mm.
        oriented: whether the header states in which direction the axes run.
        nbytes: bytes of all voxels, decompressed.
        load: reads the voxels, (*shape) or (*shape, components); call it once, while the stream
            that the header came from is open. Raises FormatError where bytes are missing.
        lies: DICOM's Patient Orientation of a picture, such as ("R", "F"), where it is kept.
        doubts: what the header says against itself, for a person.
        side: side of the knee, R or L, where it is kept.
    """

    shape: tuple[int, ...]
    components: int
    affine: NDArray[np.float64]
    oriented: bool
    nbytes: int
    load: Callable[[], NDArray[Any]]
    lies: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    side: str | None = None


def open_regular(path: Path, follow_links: bool = True) -> BinaryIO:
    """Open a file to read, and only a file: a pipe would wait for ever, a device never end.

    Raises:
        OSError: there is none.
        FormatError: it is something else.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if not follow_links:
        flags |= getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        if path.is_dir():
            raise IsADirectoryError(path)
        raise FormatError("a pipe or a device; give a regular file")
    return os.fdopen(descriptor, "rb")


def beside(header: Path | None, name: str) -> BinaryIO:
    """Open the data file of a header that lies in the same folder and is named plainly.

    Args:
        header: None where the pixels must lie behind the header, as in a file from a stranger.
        name: name, as the header has it.

    Raises:
        FormatError: there is no such file, or it is none that may be opened.
    """
    if header is None:
        raise FormatError("its pixels lie in another file; save both as one")
    plain = name not in ("", ".", "..") and not any(c in name for c in '/\\:*?"<>|%\0')
    plain = plain and name.split(maxsplit=1)[0] != "LIST"
    path = header.parent / name
    if not plain or not name.isprintable() or path.is_symlink():
        raise FormatError(
            f"its header names the data file {shown(name)}; accepted is the plain name of a file "
            "in the same folder"
        )
    try:
        return open_regular(path, follow_links=False)
    except (OSError, ValueError):
        raise FormatError(f"its data file {shown(name)} does not lie beside it") from None


def check_bytes(shape: Sequence[int], item: int) -> int:
    """Return the bytes that all voxels take.

    Args:
        shape: counts along each axis, components included.
        item: bytes of one value.

    Raises:
        FormatError: too many, a count below 1, or too many axes.
    """
    text = " x ".join(str(count) for count in shape)
    if not 1 <= len(shape) <= MOST_AXES or min(shape) < 1:
        raise FormatError(f"sizes {shown(text)}; accepted are 1 to {MOST_AXES} positive numbers")
    count = math.prod(shape)
    needed = count * max(item, 4)  # all become float32
    if needed > LARGEST_BYTES:
        raise FormatError(
            f"{text} voxels take {needed >> 20} MB; at most {LARGEST_BYTES >> 20} MB are accepted"
        )
    return count * item


def read_exactly(stream: BinaryIO, count: int) -> bytes:
    """Return ``count`` bytes; never holds more, whatever a compressed stream would give.

    Raises:
        FormatError: the stream ends before.
    """
    content = stream.read(count)
    if len(content) < count:
        raise FormatError("its pixels are cut short; export the file again")
    return content


def read_text(stream: BinaryIO, count: int) -> bytes:
    """Return what numbers written as text take at most, for ``count`` bytes of them as binary."""
    return stream.read(min(LARGEST_BYTES, 32 * count + 32))


def decompressed(stream: BinaryIO, encoding: str) -> BinaryIO:
    """Return a stream of what a ``gzip``, ``bzip2`` or ``raw`` stream holds."""
    if encoding == "gzip":
        return gzip.GzipFile(fileobj=stream)  # type: ignore[return-value]
    if encoding == "bzip2":
        return bz2.BZ2File(stream)  # type: ignore[return-value]
    return stream


def skip(stream: BinaryIO, lines: int, count: int) -> None:
    """Pass over lines, then bytes, before the voxels.

    Raises:
        FormatError: more than `LONGEST_HEADER`.
    """
    if lines < 0 or count < 0 or max(lines, count) > LONGEST_HEADER:
        raise FormatError(f"skips more than {LONGEST_HEADER >> 20} MB before its pixels")
    left = LONGEST_HEADER
    for _ in range(lines):
        line = stream.readline(left)
        left -= len(line)
        if not line.endswith(b"\n"):
            raise FormatError("skips more lines than it has")
    read_exactly(stream, count)


def header_lines(stream: BinaryIO, is_last: Callable[[bytes], bool]) -> list[bytes]:
    """Return the lines of a text header up to the last one, or to the end of the file.

    Raises:
        FormatError: it is longer than `LONGEST_HEADER`.
    """
    lines, left = [], LONGEST_HEADER
    while left > 0:
        line = stream.readline(left)
        left -= len(line)
        if line:
            lines.append(line)
        if not line or is_last(line):
            return lines
    raise FormatError(f"its header is longer than {LONGEST_HEADER >> 20} MB; save the file again")


def affine_of(
    directions: NDArray[np.float64], origin: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return a RAS affine (4, 4) of a world that runs to the left and to posterior, as ITK's does.

    Args:
        directions: (axes of the world, axes of the image), a column for the step along each axis
            of the image in mm; the first three of both count.
        origin: position of the first voxel's centre, in mm.

    Raises:
        FormatError: one of the numbers is none.
    """
    affine = np.eye(4)
    rows, columns = (min(count, 3) for count in directions.shape)
    affine[:rows, :columns] = directions[:rows, :columns]
    if origin is not None:
        affine[:rows, 3] = origin[:rows]
    if not np.isfinite(affine).all():
        raise FormatError("its spacing, directions or origin are not numbers")
    affine[:2] *= -1
    return affine


_MICRO = ("u", "\N{MICRO SIGN}", "\N{GREEK SMALL LETTER MU}", 2 * "\N{REPLACEMENT CHARACTER}")
_MILLIMETRES = {
    "nm": 1e-6, "micron": 1e-3, "microns": 1e-3, "micrometer": 1e-3, "cm": 10.0, "centimeter": 10.0,
    "m": 1000.0, "meter": 1000.0, "in": 25.4, "inch": 25.4, "inches": 25.4,
    **{f"{micro}m": 1e-3 for micro in _MICRO},
}  # fmt: skip


def millimetres(unit: str) -> float:
    """Return how many mm a unit is; 1 for mm, and for what is none of length."""
    return _MILLIMETRES.get(unit.strip().strip('"').lower(), 1.0)


def buffer(content: bytes) -> BinaryIO:
    """A stream of bytes in memory: libraries that are handed it have no path."""
    return io.BytesIO(content)
