"""Read one radiograph from a DICOM, PNG, JPEG, NIfTI, NRRD or MetaImage file.

The kind of a file is found in its content, not in its name. Parsers are handed an open stream, and
have no way to open a path. Sizes are checked in the header before anything is decoded, and a header
that points at another file is refused unless the caller allows it: a file from a stranger costs
little and opens nothing else. The server lets a process of its own read them, which can be killed.
"""

from __future__ import annotations

import logging
import math
import warnings
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from nibabel.orientations import io_orientation
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydicom import Dataset

from xr2mri_core.errors import RadiographError, UndecodableError, shown
from xr2mri_core.geometry import Laterality
from xr2mri_core.transforms.dicom_file import is_dicom, read_dicom
from xr2mri_core.transforms.dicom_lie import turn_by_letters
from xr2mri_core.transforms.formats import (
    FormatError,
    StoredImage,
    format_of,
    head_of,
    open_regular,
    open_stored,
)
from xr2mri_core.transforms.orientation import UPRIGHT, slanting
from xr2mri_core.transforms.picture import (
    LARGEST_PIXELS,
    Picture,
    check_pixels,
    check_scans,
    check_size,
    few_values,
    grey_of,
    in_smooth_order,
    plausible_spacing,
)

log = logging.getLogger("xr2mri")

ACCEPTED = "DICOM, PNG, JPEG, NIfTI (.nii, .nii.gz), NRRD (.nrrd) and MetaImage (.mha)"

_IHDR = 24  # where a PNG says how many bits a value has
_COARSE = 64  # grey values below which a picture in 16-bit colours has lost its own
_LARGEST_PICTURE = 256 << 20  # bytes of pixels, decompressed: the most pixels in 32 bits


class RadiographFile(NamedTuple):
    """What a file holds.

    Attributes:
        name: name of the file, for the record.
        pixels: float32 (rows, columns), upright, bone bright.
        info: see `read_radiograph`.
        header: the pydicom Dataset of a DICOM file, without its pixels; None for other files.
    """

    name: str
    pixels: NDArray[np.float32]
    info: dict[str, Any]
    header: Dataset | None = None


def read_radiograph(
    path: str | Path, detached: bool = False
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Read a radiograph as it is displayed, with bone bright.

    DICOM: upright by its Patient Orientation, rescaled, MONOCHROME1 inverted, no VOI window; see
    `dicom_file.read_dicom`.
    PNG and JPEG: 8 or 16 bits, grey or RGB without colour. NIfTI, NRRD and MetaImage: a picture
    (columns, rows), with or without singleton axes, is turned upright by its affine; one whose
    affine says nothing is taken in file order. The key ``XR2MRI.Laterality`` of NRRD, as our module
    for 3D Slicer reads it, states the side. A spacing of exactly 1 mm both ways counts as
    unknown: it is what these formats hold when nobody set one.

    Args:
        path: the file, with any name.
        detached: whether the pixels of NIfTI, NRRD and MetaImage may lie in another file of the
            same folder. Never for a file from a stranger, whose header would choose it.

    Returns:
        float32 array (rows, columns), and a dictionary with ``spacing_mm`` ((row, column) or
        None), ``laterality`` (``R``, ``L`` or None), ``format`` and ``warnings`` (list of str);
        for a picture that does not lie upright in its file also ``turn``, a `Turn`.

    Raises:
        UndecodableError: for a damaged file, or one of another kind.
        RadiographError: naming the file, what is wrong with it, and what to give instead.
    """
    _, pixels, info, _ = open_radiograph(path, detached)
    return pixels, info


def open_radiograph(path: str | Path, detached: bool = False) -> RadiographFile:
    """`read_radiograph`, with all that the file holds.

    Raises:
        RadiographError: as `read_radiograph` raises it.
    """
    path = Path(path)
    try:
        stream = open_regular(path)
    except FileNotFoundError:
        raise RadiographError(f"{path}: no such file; give the path of a radiograph") from None
    except IsADirectoryError:
        raise RadiographError(f"{path}: a folder; give the file of one radiograph") from None
    except FormatError as error:
        raise UndecodableError(f"{path.name}: {error}") from error
    except (OSError, ValueError) as error:
        raise UndecodableError(
            f"{path.name}: cannot be read ({shown(error)}); accepted are {ACCEPTED}"
        ) from error
    with stream:
        return read_stream(stream, path.name, path if detached else None)


def read_stream(stream: BinaryIO, name: str, beside: Path | None = None) -> RadiographFile:
    """`open_radiograph` of a file that is open.

    Args:
        stream: stream at its beginning; it can be rewound.
        name: name for messages.
        beside: path of the file, where its pixels may lie in another one of the same folder.

    Raises:
        RadiographError: it is no radiograph; `UndecodableError` where it is damaged.
    """
    kind, reader = _reader(stream, name, beside)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters of them is checked here
            picture = reader(stream)
            pixels = check_pixels(picture.pixels)
    except RadiographError as error:
        raise type(error)(f"{name}: {error}") from error
    except MemoryError as error:
        raise RadiographError(
            f"{name}: needs more memory than there is for it; reduce its size"
        ) from error
    except Exception as error:
        log.info("a damaged %s file: %s", kind, shown(error))
        raise UndecodableError(
            f"{name}: a damaged {kind} file that cannot be decoded; export the radiograph again"
        ) from error
    info: dict[str, Any] = {
        "spacing_mm": picture.spacing,
        "laterality": str(picture.laterality) if picture.laterality else None,
        "format": kind,
        "warnings": [*picture.warnings, *few_values(pixels)],
    }
    if picture.turn != UPRIGHT:
        info["turn"] = picture.turn
    return RadiographFile(name, pixels, info, picture.header)


def _reader(
    stream: BinaryIO, name: str, beside: Path | None
) -> tuple[str, Callable[[BinaryIO], Picture]]:
    """Return the kind of a file, by its first bytes, and the function that reads it."""
    try:
        head = head_of(stream)
    except FormatError as error:
        raise UndecodableError(f"{name}: {error}") from error
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise UndecodableError(
            f"{name}: cannot be read ({shown(error)}); accepted are {ACCEPTED}"
        ) from error
    if not head:
        raise UndecodableError(f"{name}: an empty file; export the radiograph again")
    for kind, matches, reader in _KINDS:
        if matches(head):
            return kind, reader
    stored = format_of(head)
    if stored is not None:
        return stored.name, partial(_read_stored, beside=beside)
    raise UndecodableError(f"{name}: not a radiograph file; accepted are {ACCEPTED}")


def _read_picture(stream: BinaryIO) -> Picture:
    """Read PNG or JPEG."""
    try:
        image = Image.open(stream, formats=("PNG", "JPEG"))
    except Image.DecompressionBombError as error:
        raise RadiographError(
            f"far more than {LARGEST_PIXELS // 10**6} million pixels; "
            "crop the radiograph to the knee or reduce its size"
        ) from error
    with image:
        check_size(image.size[::-1], len(image.getbands()))
        if image.format == "PNG" and getattr(image, "n_frames", 1) > 1:
            raise RadiographError("an animation; give a single picture")
        if image.format != "PNG":
            stream.seek(0)
            check_scans(stream.read())
        ImageOps.exif_transpose(image, in_place=True)  # of previews (MPO) the first picture
        if image.mode in ("L", "I", "F") or image.mode.startswith("I;16"):
            pixels = np.asarray(image)
            _check_opaque(pixels != image.info.get("transparency"))
            return Picture(pixels, warnings=_density_notes(image))
        mode = "RGBA" if image.has_transparency_data else "RGB"
        colour = image if image.mode == mode else image.convert(mode)
        if mode == "RGBA":
            _check_opaque(colour.getchannel("A").getextrema()[0] == 255)
        grey = grey_of(_Rows(colour))
        _check_levels(stream, grey)
        return Picture(grey, warnings=_density_notes(image))


def _check_levels(stream: BinaryIO, grey: NDArray[np.float32]) -> None:
    """Refuse 16-bit colours of which few grey values are left: only their upper 8 bits are read."""
    stream.seek(0)
    head = stream.read(_IHDR + 1)
    deep = head.startswith(b"\x89PNG") and head[_IHDR] == 16
    if deep and (levels := len(np.unique(grey))) < _COARSE:
        raise RadiographError(
            f"a PNG in 16-bit colours, of which 8 bits are read: {levels} grey values are left; "
            "save it in grey, without transparency"
        )


def _density_notes(image: Image.Image) -> tuple[str, ...]:
    """A warning where PNG's or JPEG's density says that pixels are not square."""
    stated: Any = next(
        (image.info[name] for name in ("dpi", "aspect", "jfif_density") if name in image.info), ()
    )
    try:
        across, down = (float(number) for number in stated)
    except (TypeError, ValueError):
        return ()
    if not (across > 0 and down > 0) or 0.98 <= across / down <= 1.02:
        return ()
    return (
        f"its density is {across:g} x {down:g}, as of pixels that are not square: they are taken "
        "as square, as viewers show them; if the knee looks squeezed, save it with square pixels",
    )


class _Rows:
    """The colours of a picture, some rows at a time: its values are held once more only in part."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image
        self.shape: tuple[int, ...] = (image.height, image.width, 3)
        self.dtype: np.dtype[Any] = np.dtype(np.uint8)

    def __getitem__(self, rows: slice) -> NDArray[np.uint8]:
        top, bottom, _ = rows.indices(self.image.height)
        return np.asarray(self.image.crop((0, top, self.image.width, bottom)))[..., :3]


def _check_opaque(opaque: NDArray[np.bool_] | bool) -> None:
    if not np.all(opaque):
        raise RadiographError("has transparent pixels; save it without transparency")


def _read_stored(stream: BinaryIO, beside: Path | None) -> Picture:
    """Read NIfTI, NRRD or MetaImage."""
    try:
        stored = open_stored(stream, beside)
        axes = _plane(stored)
        if stored.nbytes > _LARGEST_PICTURE:
            raise RadiographError(
                f"its pixels take {stored.nbytes >> 20} MB; at most "
                f"{_LARGEST_PICTURE >> 20} MB are accepted: save it with fewer bits"
            )
        picture = _upright(stored, axes)._replace(laterality=Laterality.parse(stored.side))
        return _turned(picture, stored.lies) if stored.lies else picture
    except FormatError as error:
        raise UndecodableError(str(error)) from error


def _turned(picture: Picture, orientation: Sequence[str]) -> Picture:
    """An upright picture of one that lies as DICOM's Patient Orientation says."""
    turn, notes = turn_by_letters(orientation)
    spacing = picture.spacing
    if spacing is not None and turn.transposed:
        spacing = spacing[::-1]
    upright = turn.upright(picture.pixels)
    return picture._replace(
        pixels=upright, spacing=spacing, warnings=picture.warnings + notes, turn=turn
    )


def _plane(stored: StoredImage) -> tuple[int, int]:
    """Return the two axes of the picture, or refuse what is none, before anything is decoded."""
    shape, colours = list(stored.shape), stored.components
    plane = [axis for axis, count in enumerate(shape) if count != 1]
    if len(plane) == 3 and colours == 1 and shape[plane[2]] in (3, 4):
        colours = shape[plane.pop()]  # as some tools write RGB
    if len(shape) < 2 or len(plane) > 3 or colours not in (1, 3, 4):
        raise RadiographError(f"sizes {stored.shape}; a radiograph is one picture, 2-D")
    if len(plane) == 3:
        text = " x ".join(str(count) for count in stored.shape if count != 1)
        raise RadiographError(f"a 3-D volume of {text} voxels; a radiograph is one picture, 2-D")
    plane += [axis for axis in range(len(shape)) if axis not in plane][: 2 - len(plane)]
    pixels = max(1, math.prod(shape[axis] for axis in plane))
    check_size([shape[axis] for axis in plane], max(colours, stored.nbytes // pixels // 4))
    if max(plane) > 2:
        raise RadiographError(f"sizes {stored.shape}; a radiograph lies in the first three axes")
    return plane[0], plane[1]


def _upright(stored: StoredImage, axes: tuple[int, int]) -> Picture:
    """Return the picture as it is displayed: the patient's right on image left, feet below.

    An image without a stated orientation is taken in file order, rows from the top, as is one with
    ITK's identity, in which the second axis runs to posterior: the plane that ITK and dcm2niix give
    to pictures that have none. Of a positive diagonal at the origin nobody has said anything
    either: it is what scripts write.
    """
    pixels = stored.load()
    rest = tuple(axis for axis in range(pixels.ndim) if axis not in axes)
    colours = [axis for axis in rest if pixels.shape[axis] != 1]
    pixels = pixels.transpose(*axes, *colours, *(axis for axis in rest if axis not in colours))
    pixels, notes = in_smooth_order(pixels.reshape(pixels.shape[: 2 + len(colours)]))
    steps = np.linalg.norm(stored.affine[:3, list(axes)], axis=0)
    across, down, mirrored, upended = _turn(stored, axes)
    pixels = pixels.swapaxes(0, 1) if (across, down) == axes else pixels
    rows, columns = steps[axes.index(down)], steps[axes.index(across)]
    pixels = pixels[:: -1 if upended else 1, :: -1 if mirrored else 1]
    if pixels.ndim == 3:
        pixels = grey_of(pixels[..., :3])
    unset = rows == 1 and columns == 1
    spacing = None if unset else plausible_spacing((rows, columns))
    return Picture(pixels, spacing, warnings=stored.doubts + notes + _plane_notes(stored, axes))


def _plane_notes(stored: StoredImage, axes: tuple[int, int]) -> tuple[str, ...]:
    """A warning where a stated orientation is that of a view from the side, or aslant."""
    affine = stored.affine
    stated = stored.oriented and not np.array_equal(affine, np.diag(np.abs(np.diag(affine))))
    if not stated:
        return ()
    aslant = slanting(affine[:3, list(axes)].T)
    if set(io_orientation(affine)[list(axes), 0]) != {1.0, 2.0}:
        return aslant
    return (*aslant,
        "the picture is sagittal by its orientation, not a frontal view (AP or PA): "
        "the knee's MRI cannot be predicted from it",
    )  # fmt: skip


def _turn(stored: StoredImage, axes: tuple[int, int]) -> tuple[int, int, bool, bool]:
    """Return the axes along columns and rows, and whether each runs against the display."""
    affine = stored.affine
    world = io_orientation(affine)[list(axes)]
    coronal = len(stored.shape) == 3 and axes == (0, 2)
    silent = np.array_equal(affine, np.diag(np.abs(np.diag(affine)))) and not coronal
    if silent or (not stored.oriented and not coronal) or not np.isfinite(world).all():
        return axes[0], axes[1], False, False
    (first, _), (second, _) = world
    vertical = axes[0] if first > second else axes[1]  # of x, y and z the later one
    across = axes[1] if vertical == axes[0] else axes[0]
    signs = dict(zip(axes, world[:, 1], strict=True))
    return across, vertical, signs[across] > 0, signs[vertical] > 0


_KINDS: tuple[tuple[str, Callable[[bytes], bool], Callable[[BinaryIO], Picture]], ...] = (
    ("DICOM", is_dicom, read_dicom),
    ("PNG", lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"), _read_picture),
    ("JPEG", lambda head: head.startswith(b"\xff\xd8\xff"), _read_picture),
)
