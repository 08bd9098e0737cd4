"""What a radiograph file holds, and what is refused in any of them.

Every size is checked here, before memory of that size is asked for: of a picture as its decoder
will see it, as it is stretched to square pixels, and of the square that is cut out of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from xr2mri_core.errors import RadiographError
from xr2mri_core.geometry import Laterality
from xr2mri_core.transforms.orientation import UPRIGHT, Turn

if TYPE_CHECKING:
    from pydicom import Dataset

LARGEST_PIXELS = 64_000_000
"""Pixels that a radiograph may have; the largest detectors give about 15 million."""
LARGE = 16_000_000
"""Values beyond which a picture is large: it takes hundreds of MB; detectors give fewer."""
BEFORE_LARGE: ContextVar[Callable[[], object] | None] = ContextVar("before_large", default=None)
"""Called once, before memory for a large picture is asked for; the reading box waits there."""
SMALLEST_SIDE = 32
"""Rows and columns that a radiograph must have at least."""
MOST_ELONGATED = 16
"""Largest ratio of the longer to the shorter side: films of a whole leg have 4."""
MOST_SCANS = 100
"""Scans that a JPEG may have: each passes over the whole picture, and programs write up to 10."""

_TINY, _ENORMOUS = 1e-12, 1e12  # range of values of a picture, brought to 0 to 1 beyond
_FEW = 8  # grey values: scans of one bit have 2, bones as labels some
_SEEN = 20_000  # pixels that tell it of nearly all pictures
_COLOUR_SPREAD = 16 / 255  # of full scale: the chroma noise of a grey JPEG lies well below
_NOISY, _SMOOTHER = 0.2, 3  # roughness of pictures in the wrong order of bytes, and how many times
# that of the right one it is; of radiographs as they are it is 0.01 to 0.12
_COLOURED_PART = 0.01  # of all pixels: room for a coloured side marker
_ROWS_AT_ONCE = 64  # of a large film, whose copies would take hundreds of MB each


class Picture(NamedTuple):
    """What a file holds, as it is displayed.

    Attributes:
        pixels: grey values (rows, columns), bone bright.
        spacing: spacing of rows and of columns in mm, None where the file states none.
        laterality: the side of the knee, None where the file states none.
        warnings: what the user should know.
        turn: how the picture in the file became this upright one.
        header: the pydicom Dataset of a DICOM file, without its pixels; None for other files.
    """

    pixels: NDArray[np.float32]
    spacing: tuple[float, float] | None = None
    laterality: Laterality | None = None
    warnings: tuple[str, ...] = ()
    turn: Turn = UPRIGHT
    header: Dataset | None = None


def announce(values: int) -> None:
    """Tell whom it concerns that so many values will be held, if they are many."""
    told = BEFORE_LARGE.get()
    if values > LARGE and told is not None:
        BEFORE_LARGE.set(None)
        told()


def check_size(shape: Sequence[int], samples: int = 1) -> None:
    """Refuse a picture with too many or too few pixels; call it before anything is decoded.

    Args:
        shape: rows and columns.
        samples: values of a pixel.
    """
    text = " x ".join(str(count) for count in shape)
    if math.prod(shape) > LARGEST_PIXELS:
        raise RadiographError(
            f"{text} pixels are more than {LARGEST_PIXELS // 10**6} million; "
            "crop the radiograph to the knee or reduce its size"
        )
    if min(shape) < SMALLEST_SIDE:
        raise RadiographError(
            f"{text} pixels are too few; at least {SMALLEST_SIDE} x {SMALLEST_SIDE} are needed"
        )
    if max(shape) > MOST_ELONGATED * min(shape):
        raise RadiographError(
            f"{text} pixels are a strip: the longer side may be {MOST_ELONGATED} times the "
            "shorter; crop the radiograph to the knee"
        )
    announce(math.prod(shape) * samples)


def check_cut(height: int, width: int) -> None:
    """Refuse to cut out more than a radiograph may have; what lies outside it is filled up."""
    if height * width > LARGEST_PIXELS:
        raise RadiographError(
            f"{height} x {width} pixels would be cut out, square in mm; at most "
            f"{LARGEST_PIXELS // 10**6} million are: give a smaller box, or mend the pixel spacing"
        )
    announce(height * width)


def check_scans(content: bytes) -> None:
    """Refuse a JPEG with so many scans that decoding it takes minutes.

    Their markers are counted wherever they stand: no parser has to agree with the decoder's.
    """
    scans = content.count(b"\xff\xda")
    if scans > MOST_SCANS:
        raise RadiographError(
            f"a JPEG of {scans} scans; at most {MOST_SCANS} are read: save it anew"
        )


def check_pixels(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """Return ``pixels`` (rows, columns) as float32, refusing what cannot be a radiograph.

    Raises:
        RadiographError: for another number of axes, a size out of range, NaN or infinite
            values or range, or an empty (constant) picture.
    """
    pixels = np.asarray(pixels)
    if pixels.ndim != 2 or pixels.dtype.kind not in "uif":
        raise RadiographError(
            f"an array of shape {pixels.shape} and type {pixels.dtype}; "
            "a radiograph is one grey picture (rows, columns)"
        )
    check_size(pixels.shape)
    with np.errstate(over="ignore"):
        pixels = np.ascontiguousarray(pixels, dtype=np.float32)
    low, high = pixels.min(), pixels.max()
    with np.errstate(over="ignore", invalid="ignore"):
        usable = np.isfinite(high - low)
    if not usable:
        raise RadiographError("has NaN, infinite or enormous values; export the radiograph again")
    if low == high:
        raise RadiographError("every pixel has the same value: an empty picture; give another file")
    if not _TINY < high - low < _ENORMOUS:  # squares of such values leave float32
        pixels = (pixels - low) / (high - low)
    return pixels


def few_values(pixels: NDArray[np.float32]) -> tuple[str, ...]:
    """A warning for a picture (rows, columns) of so few grey values that it is a mask."""
    step = max(1, pixels.size // _SEEN)
    if len(np.unique(pixels.ravel()[::step])) >= _FEW or len(np.unique(pixels)) >= _FEW:
        return ()
    return (
        f"the picture has fewer than {_FEW} grey values, as a mask or a drawing has: "
        "give the radiograph itself",
    )


def in_smooth_order(
    stored: NDArray[Any], lowest: int = 0, bits: int = 16
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Integers of two bytes in the order of bytes in which neighbours are alike, and a warning.

    In the wrong order the lower byte counts most, and a picture reads as noise. Noise stays as it
    is, for it is no smoother the other way.

    Args:
        stored: values (rows, columns, ...) as they are stored.
        lowest, bits: the lowest bit of a value, and how many it has: those around are no matter.
    """
    if stored.dtype.kind not in "iu" or stored.dtype.itemsize != 2:
        return stored, ()
    part = stored[:: max(1, stored.size // _SEEN // 10)]

    def rough(values: NDArray[np.integer[Any]]) -> float:
        return _roughness(values if bits == 16 else values.view("u2") >> lowest & (1 << bits) - 1)

    if rough(part) < _NOISY or _SMOOTHER * rough(part.byteswap()) > rough(part):
        return stored, ()
    return stored.byteswap(), (
        "the two bytes of its values stand in the other order than the file says: they are read "
        "so; check the picture",
    )


def _roughness(stored: NDArray[np.integer[Any]]) -> float:
    """How much neighbours differ, over how much all values do: about 1.1 in noise."""
    values = stored.astype(np.float32)
    steps = np.abs(np.diff(values, axis=1)) if values.shape[1] > 1 else np.zeros(1)
    return float(steps.mean()) / max(float(values.std()), 1e-6)


def blocks_of(pixels: NDArray[Any]) -> Iterator[slice]:
    """A picture's rows, some at a time."""
    for start in range(0, len(pixels), _ROWS_AT_ONCE):
        yield slice(start, start + _ROWS_AT_ONCE)


def plausible_spacing(spacing: Sequence[float]) -> tuple[float, float] | None:
    """Return (row, column) spacing in mm, None where it cannot be that of a radiograph."""
    if len(spacing) != 2 or not all(0.01 <= step <= 5 for step in spacing):
        return None
    return float(spacing[0]), float(spacing[1])


class ColourRows(Protocol):
    """A colour picture (rows, columns, 3 or more), read some rows at a time."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __getitem__(self, rows: slice, /) -> NDArray[Any]: ...


def grey_of(colour: NDArray[Any] | ColourRows) -> NDArray[np.float32]:
    """Return the grey (rows, columns) of an RGB picture (rows, columns, 3) without colour.

    Raises:
        RadiographError: if the picture is really coloured.
    """
    whole = colour if isinstance(colour, np.ndarray) and colour.dtype != np.uint8 else None
    full_scale = 255 if whole is None else max(float(whole.max()), 1.0)
    grey, coloured = np.empty(colour.shape[:2], np.float32), 0
    for rows in blocks_of(grey):
        part = colour[rows]
        spread = part.max(axis=-1).astype(np.float32) - part.min(axis=-1)
        coloured += np.count_nonzero(spread > _COLOUR_SPREAD * full_scale)
        part.mean(axis=-1, dtype=np.float32, out=grey[rows])
    if coloured > _COLOURED_PART * grey.size:
        raise RadiographError("a colour picture; give the radiograph in greyscale")
    return grey
