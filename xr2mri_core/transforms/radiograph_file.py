"""Read one radiograph from a DICOM, PNG, JPEG, NIfTI or NRRD file.

The kind of a file is told by its content, never by its name. Sizes are checked in the header
before anything is decoded, and a header that points at another file is refused: a file from a
stranger costs little and opens nothing else.
"""

from __future__ import annotations

import gzip
import math
import warnings
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from nibabel.orientations import apply_orientation, io_orientation
from PIL import Image, ImageOps

from xr2mri_core.errors import RadiographError, UndecodableError, shown
from xr2mri_core.geometry import volume_to_slices
from xr2mri_core.transforms.dicom_file import is_dicom, read_dicom
from xr2mri_core.transforms.itk_image import array_and_affine
from xr2mri_core.transforms.picture import (
    LARGEST_PIXELS,
    Picture,
    check_pixels,
    check_size,
    grey_of,
    plausible_spacing,
)

ACCEPTED = "DICOM, PNG, JPEG, NIfTI (.nii, .nii.gz) and NRRD (.nrrd)"

_HEAD = 540  # bytes: the larger of the two NIfTI headers
_LARGEST_HEADER = 1 << 20  # bytes before the pixels of a NIfTI or NRRD file
_GZIP = b"\x1f\x8b"


def read_radiograph(path: str | Path) -> tuple[np.ndarray, dict[str, Any]]:
    """Read a radiograph as it is displayed, with bone bright.

    DICOM: rescaled, MONOCHROME1 inverted, no VOI window; see :func:`.dicom_file.read_dicom`.
    PNG and JPEG: 8 or 16 bits, grey or RGB without colour. NIfTI and NRRD: a picture
    (columns, rows), with or without singleton axes, is taken in file order, as 2-D tools write
    it; a single coronal slice (x, 1, z) is turned by its affine. A spacing of exactly 1 mm both
    ways counts as unknown: it is what these formats hold when nobody set one.

    Args:
        path: the file, with any name.

    Returns:
        float32 array (rows, columns), and a dictionary with ``spacing_mm`` ((row, column) or
        None), ``laterality`` (``R``, ``L`` or None), ``format`` and ``warnings`` (list of str).

    Raises:
        UndecodableError: for a damaged file, or one of another kind.
        RadiographError: naming the file, what is wrong with it, and what to give instead.
    """
    path = Path(path)
    kind, reader = _reader(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters of them is checked here
            picture = reader(path)
            pixels = check_pixels(picture.pixels)
    except RadiographError as error:
        raise type(error)(f"{path.name}: {error}") from error
    except Exception as error:
        raise UndecodableError(
            f"{path.name}: a damaged {kind} file that cannot be decoded ({shown(error)}); "
            "export the radiograph again"
        ) from error
    return pixels, {
        "spacing_mm": picture.spacing,
        "laterality": str(picture.laterality) if picture.laterality else None,
        "format": kind,
        "warnings": list(picture.warnings),
    }


def _reader(path: Path) -> tuple[str, Callable[[Path], Picture]]:
    """Return the kind of a file, told by its first bytes, and the function that reads it."""
    try:
        head = _head(path)
    except FileNotFoundError:
        raise RadiographError(f"{path}: no such file; give the path of a radiograph") from None
    except IsADirectoryError:
        raise RadiographError(f"{path}: a folder; give the file of one radiograph") from None
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise UndecodableError(
            f"{path.name}: cannot be read ({shown(error)}); accepted are {ACCEPTED}"
        ) from error
    if not head:
        raise UndecodableError(f"{path.name}: an empty file; export the radiograph again")
    for kind, matches, reader in _KINDS:
        if matches(head):
            return kind, reader
    raise UndecodableError(f"{path.name}: not a radiograph file; accepted are {ACCEPTED}")


def _head(path: Path) -> bytes:
    """Return the first bytes of a file, of what a gzip file holds."""
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
    if head.startswith(_GZIP):
        with gzip.open(path) as unzipped:
            head = unzipped.read(_HEAD)
        if not _is_nifti(head):
            raise ValueError("compressed by gzip, and not NIfTI")
    return head


def _read_picture(path: Path) -> Picture:
    """Read PNG or JPEG."""
    try:
        image = Image.open(path, formats=("PNG", "JPEG"))
    except Image.DecompressionBombError as error:
        raise RadiographError(
            f"far more than {LARGEST_PIXELS // 10**6} million pixels; "
            "crop the radiograph to the knee or reduce its size"
        ) from error
    with image:
        check_size(image.size[::-1])
        if getattr(image, "n_frames", 1) > 1:
            raise RadiographError("an animation; give a single picture")
        upright = ImageOps.exif_transpose(image)
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        if np.asarray(upright)[..., 3].min() < 255:
            raise RadiographError("has transparent pixels; save it without transparency")
    if upright.mode in ("L", "I", "F") or upright.mode.startswith("I;16"):
        return Picture(np.asarray(upright))
    return Picture(grey_of(np.asarray(upright.convert("RGB"))))


def _is_nifti(head: bytes) -> bool:
    return head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] in (b"n+2\0", b"ni2\0")


def _read_nifti(path: Path) -> Picture:
    with path.open("rb") as stream:
        zipped = stream.read(2) == _GZIP
    opener: Any = gzip.open if zipped else open
    with opener(path, "rb") as stream:
        head = stream.read(_HEAD)
        if head[344:348] == b"ni1\0" or head[4:8] == b"ni2\0":
            raise RadiographError(
                "a NIfTI header whose pixels lie in another file; save it as .nii"
            )
        first = head[344:348] == b"n+1\0"
        kind = nib.Nifti1Image if first else nib.Nifti2Image
        header = kind.header_class(head[: 348 if first else 540])
        shape = header.get_data_shape()
        _check_axes(shape)
        offset = int(header["vox_offset"])
        if not 0 <= offset <= _LARGEST_HEADER:
            raise RadiographError(f"its pixels start at byte {offset}; save it again as .nii")
        end = offset + math.prod(shape) * header.get_data_dtype().itemsize
        image = kind.from_bytes(head + stream.read(max(end - len(head), 0)))
    pixels = np.asanyarray(image.dataobj)
    if pixels.dtype.names:  # NIfTI's RGB24 is a record of three bytes
        pixels = np.stack([pixels[name] for name in pixels.dtype.names[:3]], axis=-1)
    unit = {"micron": 1e-3, "meter": 1e3}.get(header.get_xyzt_units()[0], 1.0)
    return _oriented(pixels, image.affine * [[unit], [unit], [unit], [1.0]])


def _is_nrrd(head: bytes) -> bool:
    return head.startswith(b"NRRD0")


def _read_nrrd(path: Path) -> Picture:
    fields = _nrrd_fields(path)
    if "data file" in fields or "datafile" in fields:
        raise RadiographError("a NRRD header whose pixels lie in another file; save it as .nrrd")
    sizes = [int(size) for size in fields["sizes"].split()]
    coloured = len(sizes) > 2 and sizes[0] in (3, 4) and min(sizes[1:3]) > 4
    _check_axes(sizes[1:] if coloured else sizes)
    image = sitk.ReadImage(str(path), imageIO="NrrdImageIO")
    pixels, affine = array_and_affine(image)
    return _oriented(pixels, affine)


def _nrrd_fields(path: Path) -> dict[str, str]:
    """Return the fields of a NRRD header by their names in lower case."""
    with path.open("rb") as stream:
        lines = stream.read(_LARGEST_HEADER).split(b"\n\n")[0].splitlines()
    text = [line.decode("ascii", "replace") for line in lines]
    pairs = (line.split(":", 1) for line in text if ":" in line and not line.startswith("#"))
    return {name.strip().lower(): value.strip() for name, value in pairs}


def _check_axes(shape: Sequence[int]) -> None:
    """Refuse what is no single picture, from the sizes in a header, colour channels left out."""
    if sum(count != 1 for count in shape) > 3 or len(shape) < 2 or min(shape) < 1:
        raise RadiographError(f"sizes {tuple(shape)}; a radiograph is one picture, 2-D")
    plane = [count for count in shape if count != 1]
    if len(plane) == 3 and plane[-1] not in (3, 4):
        text = " x ".join(str(count) for count in shape)
        raise RadiographError(f"a 3-D volume of {text} voxels; a radiograph is one picture, 2-D")
    check_size(plane[:2] if len(plane) > 1 else shape)


def _oriented(pixels: np.ndarray, affine: np.ndarray) -> Picture:
    """Return the picture in an array of file order (column, row, singletons..., colour)."""
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    coronal = pixels.ndim == 3 and pixels.shape[1] == 1
    if coronal:
        turn = io_orientation(affine)
        pixels = volume_to_slices(apply_orientation(pixels, turn))[0]
        rows, columns = steps[2], steps[0]
    else:
        axes = [axis for axis, count in enumerate(pixels.shape) if count != 1]
        pixels = pixels.squeeze().swapaxes(0, 1)
        rows, columns = steps[axes[1]], steps[axes[0]]
    if pixels.ndim == 3:
        pixels = grey_of(pixels[..., :3])
    unset = rows == 1 and columns == 1
    return Picture(pixels, None if unset else plausible_spacing((rows, columns)))


_KINDS: tuple[tuple[str, Callable[[bytes], bool], Callable[[Path], Picture]], ...] = (
    ("DICOM", is_dicom, read_dicom),
    ("PNG", lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"), _read_picture),
    ("JPEG", lambda head: head.startswith(b"\xff\xd8\xff"), _read_picture),
    ("NIfTI", _is_nifti, _read_nifti),
    ("NRRD", _is_nrrd, _read_nrrd),
)
