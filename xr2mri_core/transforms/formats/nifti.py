"""NIfTI-1 and NIfTI-2 (<https://nifti.nimh.nih.gov>), plain or compressed by gzip.

nibabel parses the header from its bytes; nothing here hands it a path.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import nibabel as nib
import numpy as np
from nibabel.orientations import aff2axcodes
from nibabel.spatialimages import HeaderDataError
from nibabel.volumeutils import apply_read_scaling
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from xr2mri_core.errors import shown
from xr2mri_core.transforms.formats.stored import (
    LONGEST_HEADER,
    FormatError,
    StoredImage,
    beside,
    check_bytes,
    decompressed,
    millimetres,
    read_exactly,
)

_UNITS = {1: "m", 2: "mm", 3: "um"}
GZIP = b"\x1f\x8b"
logging.getLogger("nibabel.global").setLevel(logging.ERROR)  # what it mends of a header in passing


def is_nifti(head: bytes) -> bool:
    """Say whether a file, decompressed, starts like NIfTI."""
    return head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] in (b"n+2\0", b"ni2\0")


def open_nifti(stream: BinaryIO, header: Path | None = None) -> StoredImage:
    """Read a NIfTI header.

    Args:
        stream: stream at its beginning.
        header: path of the file where the pixels may lie beside it, as .img beside .hdr.

    Raises:
        FormatError: a header that cannot be used.
    """
    zipped = stream.read(2) == GZIP
    stream.seek(0)
    stream = decompressed(stream, "gzip" if zipped else "raw")
    head, kind, apart = _head(stream)
    stated = _stated(kind, head)
    shape, dtype, affine = stated.shape, stated.dtype, stated.affine
    colours = dtype.names or ()
    if not colours and (dtype.kind not in "iuf" or dtype.itemsize > 8):
        raise FormatError(f"voxels of type {dtype}; accepted are integers, floats and RGB")
    vector = len(shape) == 5 and shape[3] == 1  # the fifth axis is that of a voxel's values
    size = check_bytes(shape, dtype.itemsize)
    before = _bytes_before(stated.offset, 0 if apart else len(head), apart)
    if apart:
        beside(header, _image_name(header)).close()
    if not np.isfinite(affine).all():
        raise FormatError("its affine holds values that are not numbers")

    def load() -> NDArray[Any]:
        with stream if not apart else beside(header, _image_name(header)) as data:
            read_exactly(data, before)
            content = read_exactly(data, size)
        array = np.frombuffer(content, dtype).reshape(shape, order="F")
        if colours:
            return np.stack([array[name] for name in colours], axis=-1)
        voxels = apply_read_scaling(array, *stated.scaling)
        return voxels[..., 0, :] if vector else voxels

    affine = affine * [[stated.unit], [stated.unit], [stated.unit], [1.0]]
    places, components = (shape[:3], shape[4]) if vector else (shape, len(colours) or 1)
    return StoredImage(
        places, components, affine, stated.oriented, size, load, doubts=stated.doubts
    )


def _head(stream: BinaryIO) -> tuple[bytes, Any, bool]:
    """The header's bytes, nibabel's class for it, and whether the pixels are in another file."""
    first = read_exactly(stream, 348)
    apart = b"ni1\0" in first[344:348] or b"ni2\0" in first[4:8]
    if first[344:348] in (b"n+1\0", b"ni1\0"):
        return first, nib.Nifti1Header, apart
    return first + read_exactly(stream, 540 - 348), nib.Nifti2Header, apart


class _Stated(NamedTuple):
    """What a header states.

    Attributes:
        shape: counts along the axes, components included.
        dtype: type of a stored value.
        offset: byte at which the pixels start; 0: not set.
        affine: voxel to RAS, in units of the file.
        oriented: whether the header states the affine.
        doubts: what it says against itself.
        scaling: slope and intercept.
        unit: mm in a unit of the file.
    """

    shape: tuple[int, ...]
    dtype: Any
    offset: int
    affine: NDArray[np.float64]
    oriented: bool
    doubts: tuple[str, ...]
    scaling: tuple[float | None, float | None]
    unit: float


def _stated(kind: Any, head: bytes) -> _Stated:
    """Parse a header; raises FormatError."""
    try:
        described = kind(head)
        dtype = described.get_data_dtype()
        offset = int(described["vox_offset"])
        orientation = _orientation(described)
        scaling = _scaling(described)
        unit = millimetres(_UNITS.get(int(described["xyzt_units"]) & 7, ""))
    except (HeaderDataError, WrapStructError, ValueError, OverflowError, KeyError) as error:
        raise FormatError(f"its NIfTI header cannot be read ({shown(error)})") from error
    shape = tuple(int(count) for count in described.get_data_shape())
    return _Stated(shape, dtype, offset, *orientation, scaling, unit)


def _scaling(described: Any) -> tuple[float | None, float | None]:
    """Slope and intercept; an intercept that is no number is none."""
    if np.isfinite(described["scl_slope"]) and not np.isfinite(described["scl_inter"]):
        described["scl_inter"] = 0
    scaling: tuple[float | None, float | None] = described.get_slope_inter()
    return scaling


def _bytes_before(offset: int, read: int, apart: bool) -> int:
    """How many bytes lie between what is read of a file and its pixels; raises FormatError."""
    if offset == 0 and not apart:
        offset = read + 4  # not set: the first byte that it may be
    if not read <= offset <= LONGEST_HEADER:
        raise FormatError(f"its pixels start at byte {offset}; save it again as .nii")
    return offset - read


def _orientation(described: Any) -> tuple[NDArray[np.float64], bool, tuple[str, ...]]:
    """The affine (4, 4), whether the header states it, and what it says against itself.

    The sform counts before the qform, where it is a matrix of full rank. A header with neither
    states nothing, unless its writer has filled in the sform without its code, as dcm2niix does
    where a DICOM file has no orientation: its rows run from the bottom, as in NIfTI's own default.
    """
    sform, qform = described.get_sform(), None
    try:
        qform = described.get_qform()
    except (HeaderDataError, ValueError) as error:  # no rotation
        if not described["sform_code"]:
            raise FormatError(f"its qform is none ({shown(error)}); save the file again") from error
    if described["sform_code"] and abs(np.linalg.det(sform[:3, :3])) > 0:
        doubts: tuple[str, ...] = ()
        if described["qform_code"] and qform is not None and _apart(sform, qform):
            doubts = (
                "its sform and its qform turn the picture differently: the sform is taken; check "
                "that the head is up and the patient's right on image left",
            )
        return sform, True, doubts
    if described["qform_code"] and qform is not None:
        return qform, True, ()
    written = any(described[f"srow_{axis}"].any() for axis in "xyz")
    return np.asarray(described.get_base_affine(), float), written, ()


def _apart(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether two affines name different parts of the patient for an axis of the image."""
    return aff2axcodes(one) != aff2axcodes(other)


def _image_name(header: Path | None) -> str:
    return "" if header is None else f"{header.stem}.img"
