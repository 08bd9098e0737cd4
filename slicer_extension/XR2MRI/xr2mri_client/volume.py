"""Volumes as they come over the wire: voxels as a NumPy file, their place in the job's state.

Nothing is believed: sizes are checked before memory is taken, and what does not hold float32 voxels
at a sensible place in the patient is refused.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import BadReply
from .texts import tr as _

MOST_BYTES = 1 << 30
"""Of one volume: 2000 slices, the most that a server draws, are half of it."""
LONGEST_SIDE = 8192
_LONGEST_NPY_HEADER = 10 + (1 << 16)


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels and where they lie.

    Attributes:
        array: (X, Y, Z) float32: X to the patient's right, Y to anterior (the slices), Z to
            superior. In Fortran order: `array.T` is the (k, j, i) array of VTK without a copy.
        affine: (4, 4) float64, voxel to RAS mm.
    """

    array: NDArray[np.float32]
    affine: NDArray[np.float64]

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
    """Compute in a thread what is asked of volumes when they are shown."""
    for volume in volumes:
        _ = volume.top


def read_npy(
    content: bytes | bytearray, affine: NDArray[np.float64], num_slices: int | None = None
) -> Volume:
    """Read a NumPy file of one float32 volume: the form in which a server sends them.

    Args:
        content: content of the file; if it is a bytearray, the voxels may stay in its memory.
        affine: where the voxels lie, of `jobs.JobState`.
        num_slices: number of slices that it must have.

    Raises:
        BadReply: it is damaged or incomplete, or type or shape are not what was asked for.
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
    shape = check_shape(shape, num_slices)
    missing = 4 * _product(shape) - (len(content) - file.tell())
    if missing > 0:
        raise BadReply(_("The volume is incomplete."), passing=True)
    if missing < 0:
        raise BadReply(_("The volume is longer than it says."))
    array = np.frombuffer(content, dtype, offset=file.tell())
    array = array.reshape(shape, order="F" if fortran else "C")
    return Volume(_finite(_own(array)), affine)


def check_affine(rows: Any) -> NDArray[np.float64]:
    """(4, 4) voxel to RAS mm from the rows that a server tells; raises BadReply."""
    try:
        affine = np.array(rows, np.float64)
    except (TypeError, ValueError):
        affine = np.empty(0)
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or np.abs(affine).max() > 1e5:
        raise BadReply(_("The volume's place in space is damaged."))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    flat = spacing.min() < 1e-3 or abs(np.linalg.det(affine[:3, :3])) < 1e-3 * spacing.prod()
    if flat or affine[3].tolist() != [0, 0, 0, 1]:
        raise BadReply(_("The volume's place in space is damaged."))
    return affine


def check_shape(shape: tuple[int, ...], num_slices: int | None) -> tuple[int, ...]:
    """Three sides of a sensible size; raises BadReply."""
    sensible = len(shape) == 3 and all(1 <= side <= LONGEST_SIDE for side in shape)
    if not sensible or 4 * _product(shape) > MOST_BYTES:
        raise BadReply(_("The volume has the shape {x}.").format(x=tuple(shape)))
    if num_slices is not None and shape[1] != num_slices:
        raise BadReply(
            _("The volume has {n} slices instead of {m}.").format(n=shape[1], m=num_slices)
        )
    return tuple(shape)


def _product(shape: tuple[int, ...]) -> int:
    return shape[0] * shape[1] * shape[2]


def _finite(array: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(array).all():
        raise BadReply(_("The volume holds values that are no numbers."))
    return array


def _own(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Voxels as `Volume` has them, that may be written; copied where they are not so."""
    return np.require(array, np.float32, ["F", "W"])
