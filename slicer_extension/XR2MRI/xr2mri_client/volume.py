"""Volumes as they come over the wire, read and checked without nibabel, which Slicer lacks.

Nothing is believed: sizes are checked before memory is taken, and a file that does not hold
float32 voxels at a sensible place in the patient is refused.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .errors import BadReply
from .texts import tr as _

MOST_BYTES = 1 << 30
"""Of one volume: 2000 slices, the most that a server draws, are half of it."""
LONGEST_SIDE = 8192
_HEADER = 348
_FLOAT32 = 16
_LONGEST_NPY_HEADER = 10 + (1 << 16)
_PIECE = 1 << 18
"""Bytes of a gzipped file that are unpacked at a time: what is left of them is copied each time."""


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels and where they lie.

    Attributes:
        array: (X, Y, Z) float32: X to the patient's right, Y to anterior (the slices), Z to
            superior. In Fortran order: `array.T` is the (k, j, i) array of VTK without a copy.
        affine: (4, 4) float64, voxel to RAS mm.
    """

    array: np.ndarray
    affine: np.ndarray

    @property
    def spacing(self) -> tuple[float, ...]:
        """Voxel size in mm along each axis."""
        return tuple(float(step) for step in np.linalg.norm(self.affine[:3, :3], axis=0))

    @cached_property
    def top(self) -> float:
        """What is brightest when it is shown: the 99.5th percentile of the magnitudes, of a sample
        of the voxels. Workers `measure` it, so that the GUI's thread finds it known."""
        return float(np.percentile(np.abs(self.array[::4, ::2, ::4]), 99.5))

    def same_grid(self, other: Volume) -> bool:
        """Whether two volumes can be subtracted voxel by voxel."""
        same_size = self.array.shape == other.array.shape
        return same_size and np.allclose(self.affine, other.affine, atol=1e-3)


def measure(*volumes: Volume) -> None:
    """Find out what is asked of volumes when they are shown, where it holds nobody up."""
    for volume in volumes:
        _ = volume.top


def read_nifti(content: bytes | bytearray, num_slices: int | None = None) -> Volume:
    """Read a NIfTI-1 file, plain or gzipped, of one float32 volume.

    Args:
        content: of the file; if it is a bytearray, the voxels may stay in its memory.
        num_slices: that it must have.

    Raises:
        BadReply: it is damaged or incomplete, or type, shape or place are not what was asked for.
    """
    source = _Gunzip(content) if content[:2] == b"\x1f\x8b" else _Plain(content)
    header = source.read(_HEADER)
    order = {348: "<", 1543569408: ">"}.get(struct.unpack("<i", header[:4])[0])
    if order is None or header[344:348] != b"n+1\0":
        raise BadReply(_("The volume is not a NIfTI file."))
    dim = struct.unpack(order + "8h", header[40:56])
    kind, bits = struct.unpack(order + "2h", header[70:74])
    pixdim = struct.unpack(order + "8f", header[76:108])
    offset, slope, intercept = struct.unpack(order + "3f", header[108:120])
    if (kind, bits) != (_FLOAT32, 32):
        raise BadReply(_("The volume has data type {n}, not float32.").format(n=kind))
    if dim[0] not in (3, 4) or (dim[0] == 4 and dim[4] != 1):
        raise BadReply(
            _("The volume has the dimensions {x}.").format(x=dim[1 : max(dim[0], 0) + 1])
        )
    shape = check_shape(dim[1:4], num_slices)
    if not np.isnan(slope) and (slope not in (0.0, 1.0) or intercept != 0.0):
        raise BadReply(_("The volume's intensities are scaled."))
    if not _HEADER <= offset <= _HEADER + (1 << 16):
        raise BadReply(_("The volume's header is damaged."))
    affine = _affine(header, order, pixdim)
    source.read(int(offset) - _HEADER)
    voxels = source.read(4 * shape[0] * shape[1] * shape[2])
    source.finish()
    array = np.frombuffer(voxels, order + "f4").reshape(shape, order="F")
    return Volume(_finite(_own(array)), affine)


def read_npy(content: bytes | bytearray, like: Volume) -> Volume:
    """Read a NumPy file of voxels that lie where those of another volume do.

    Raises:
        BadReply: as for `read_nifti`.
    """
    file = io.BytesIO(bytes(content[:_LONGEST_NPY_HEADER]))
    try:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError("version")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    except Exception:  # ValueError mostly, but a damaged header is parsed as Python text
        raise BadReply(_("The volume is not a NumPy file.")) from None
    if dtype.kind != "f" or dtype.itemsize != 4:
        raise BadReply(_("The volume has data type {n}, not float32.").format(n=dtype))
    if shape != like.array.shape:
        raise BadReply(
            _("The volume has the shape {x} instead of {y}.").format(x=shape, y=like.array.shape)
        )
    if len(content) - file.tell() != 4 * like.array.size:
        raise BadReply(_("The volume is incomplete."), passing=True)
    array = np.frombuffer(content, dtype, offset=file.tell())
    array = array.reshape(shape, order="F" if fortran else "C")
    return Volume(_finite(_own(array)), like.affine)


def check_shape(shape: tuple[int, ...], num_slices: int | None) -> tuple[int, ...]:
    """Three sides of a sensible size; raises BadReply."""
    if any(not 1 <= side <= LONGEST_SIDE for side in shape) or 4 * _product(shape) > MOST_BYTES:
        raise BadReply(_("The volume has the shape {x}.").format(x=tuple(shape)))
    if num_slices is not None and shape[1] != num_slices:
        raise BadReply(
            _("The volume has {n} slices instead of {m}.").format(n=shape[1], m=num_slices)
        )
    return tuple(shape)


def _product(shape: tuple[int, ...]) -> int:
    return shape[0] * shape[1] * shape[2]


def _finite(array: np.ndarray) -> np.ndarray:
    if not np.isfinite(array).all():
        raise BadReply(_("The volume holds values that are no numbers."))
    return array


def _own(array: np.ndarray) -> np.ndarray:
    """Voxels as `Volume` has them, that may be written; copied where they are not so."""
    return np.require(array, np.float32, ["F", "W"])


def _affine(
    header: bytes | bytearray | memoryview, order: str, pixdim: tuple[float, ...]
) -> np.ndarray:
    """Voxel to RAS mm of a NIfTI header, checked."""
    qform, sform = struct.unpack(order + "2h", header[252:256])
    affine = np.eye(4)
    if sform > 0:
        affine[:3] = np.reshape(struct.unpack(order + "12f", header[280:328]), (3, 4))
    elif qform > 0:
        affine[:3] = _from_quaternion(struct.unpack(order + "6f", header[256:280]), pixdim)
    else:
        raise BadReply(_("The volume does not say where it lies."))
    if not np.isfinite(affine).all() or np.abs(affine).max() > 1e5:
        raise BadReply(_("The volume's place in space is damaged."))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if spacing.min() < 1e-3 or abs(np.linalg.det(affine[:3, :3])) < 1e-3 * spacing.prod():
        raise BadReply(_("The volume's place in space is damaged."))
    if not np.allclose(spacing, np.abs(pixdim[1:4]), rtol=1e-3, atol=1e-4):
        raise BadReply(_("The volume's voxel size contradicts its place in space."))
    return affine


def _from_quaternion(numbers: tuple[float, ...], pixdim: tuple[float, ...]) -> np.ndarray:
    """The upper three rows of the affine, by the NIfTI-1 standard's method 2."""
    b, c, d, *origin = numbers
    a = max(0.0, 1.0 - (b * b + c * c + d * d)) ** 0.5
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    flip = -1.0 if pixdim[0] < 0 else 1.0
    steps = np.array([pixdim[1], pixdim[2], flip * pixdim[3]])
    return np.column_stack([rotation * steps, origin])


class _Plain:
    """The bytes of a file in pieces of known size, not copied."""

    def __init__(self, content: bytes | bytearray) -> None:
        self._content, self._at = memoryview(content), 0

    def read(self, size: int) -> memoryview:
        piece = self._content[self._at : self._at + size]
        self._at += size
        if len(piece) < size:
            raise _incomplete()
        return piece

    def finish(self) -> None:
        if self._at != len(self._content):
            raise BadReply(_("The volume is longer than it says."))


class _Gunzip:
    """The same of a gzipped file: never unpacks more than it was asked for."""

    def __init__(self, content: bytes | bytearray) -> None:
        self._unpacker = zlib.decompressobj(wbits=31)
        self._content, self._at = memoryview(content), 0
        self._rest: bytes | memoryview = b""

    def read(self, size: int) -> bytearray:
        piece = bytearray()
        while len(piece) < size:
            more = self._unpacked(min(size - len(piece), 1 << 20))
            if not more and not self._rest and self._at >= len(self._content):
                raise _incomplete()
            piece += more
        return piece

    def _unpacked(self, most: int) -> bytes:
        """Up to so many bytes of the next piece of the file."""
        rest = self._rest
        if not rest:
            rest = self._content[self._at : self._at + _PIECE]
            self._at += len(rest)
        try:
            more = self._unpacker.decompress(rest, most)
        except zlib.error:
            raise BadReply(_("The volume is damaged.")) from None
        self._rest = self._unpacker.unconsumed_tail
        return more

    def finish(self) -> None:
        """Nothing may follow, and the checksum must be right."""
        while not self._unpacker.eof:
            if not self._rest and self._at >= len(self._content):
                raise _incomplete()
            if self._unpacked(1):
                raise BadReply(_("The volume is longer than it says."))
        if self._unpacker.unused_data or self._at < len(self._content):
            raise BadReply(_("The volume is longer than it says."))


def _incomplete() -> BadReply:
    return BadReply(_("The volume is incomplete."), passing=True)
