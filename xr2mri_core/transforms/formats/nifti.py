"""NIfTI-1 and NIfTI-2 (<https://nifti.nimh.nih.gov>), plain or compressed by gzip.

nibabel parses the header from its bytes; nothing here hands it a path.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from nibabel.volumeutils import apply_read_scaling
from nibabel.wrapstruct import WrapStructError

from xr2mri_core.errors import shown
from xr2mri_core.transforms.formats.stored import (
    LONGEST_HEADER,
    FormatError,
    StoredImage,
    beside,
    check_bytes,
    decompressed,
    read_exactly,
)

GZIP = b"\x1f\x8b"
_UNITS = {"micron": 1e-3, "meter": 1e3}  # in mm; what is not stated counts as mm


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
    first = read_exactly(stream, 348)
    older = first[344:348] in (b"n+1\0", b"ni1\0")
    head = first if older else first + read_exactly(stream, 540 - 348)
    kind: Any = nib.Nifti1Header if older else nib.Nifti2Header
    try:
        described = kind(head)
        dtype = described.get_data_dtype()
        offset = int(described["vox_offset"])
        affine = np.asarray(described.get_best_affine(), float)
        scaling = described.get_slope_inter()
    except (HeaderDataError, WrapStructError, ValueError, OverflowError, KeyError) as error:
        raise FormatError(f"its NIfTI header cannot be read ({shown(error)})") from error
    shape = tuple(int(count) for count in described.get_data_shape())
    colours = dtype.names or ()
    if not colours and (dtype.kind not in "iuf" or dtype.itemsize > 8):
        raise FormatError(f"voxels of type {dtype}; accepted are integers, floats and RGB")
    vector = len(shape) == 5 and shape[3] == 1  # the fifth axis is that of a voxel's values
    size = check_bytes(shape, dtype.itemsize)
    apart = b"ni1\0" in first[344:348] or b"ni2\0" in first[4:8]
    before = 0 if apart else len(head)
    if offset == 0 and not apart:
        offset = len(head) + 4  # not set: the first byte that it may be
    if not before <= offset <= LONGEST_HEADER:
        raise FormatError(f"its pixels start at byte {offset}; save it again as .nii")
    if apart:
        beside(header, _image_name(header)).close()
    if not np.isfinite(affine).all():
        raise FormatError("its affine holds values that are not numbers")

    def load() -> np.ndarray:
        with stream if not apart else beside(header, _image_name(header)) as data:
            read_exactly(data, offset - before)
            content = read_exactly(data, size)
        array = np.frombuffer(content, dtype).reshape(shape, order="F")
        if colours:
            return np.stack([array[name] for name in colours], axis=-1)
        voxels = apply_read_scaling(array, *scaling)
        return voxels[..., 0, :] if vector else voxels

    unit = _UNITS.get(described.get_xyzt_units()[0], 1.0)
    affine = affine * [[unit], [unit], [unit], [1.0]]
    if vector:
        return StoredImage(shape[:3], shape[4], affine, True, size, load)
    return StoredImage(shape, len(colours) or 1, affine, True, size, load)


def _image_name(header: Path | None) -> str:
    return "" if header is None else f"{header.stem}.img"
