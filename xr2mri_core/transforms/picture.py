"""What a radiograph file holds, and what is refused in any of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from xr2mri_core.errors import RadiographError
from xr2mri_core.geometry import Laterality
from xr2mri_core.transforms.orientation import UPRIGHT, Turn

LARGEST_PIXELS = 64_000_000
"""Pixels that a radiograph may have; the largest detectors give about 15 million."""
SMALLEST_SIDE = 32
"""Rows and columns that a radiograph must have at least."""

_COLOUR_SPREAD = 16 / 255  # of full scale: the chroma noise of a grey JPEG lies well below
_COLOURED_PART = 0.01  # of all pixels: room for a coloured side marker


class Picture(NamedTuple):
    """What a file holds, as it is displayed.

    Attributes:
        pixels: grey values (rows, columns), bone bright.
        spacing: of rows and of columns in mm, None where the file states none.
        laterality: the side of the knee, None where the file states none.
        warnings: what the user should know.
        turn: how the picture in the file became this upright one.
    """

    pixels: np.ndarray
    spacing: tuple[float, float] | None = None
    laterality: Laterality | None = None
    warnings: tuple[str, ...] = ()
    turn: Turn = UPRIGHT


def check_size(shape: Sequence[int]) -> None:
    """Refuse a picture with too many or too few pixels; call it before anything is decoded."""
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


def check_pixels(pixels: np.ndarray) -> np.ndarray:
    """Return ``pixels`` (rows, columns) as float32, refusing what cannot be a radiograph.

    Raises:
        RadiographError: for another number of axes, a size out of range, NaN or infinite values,
            or an empty (constant) picture.
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
    if not (np.isfinite(low) and np.isfinite(high)):
        raise RadiographError("has NaN or infinite values; export the radiograph again")
    if low == high:
        raise RadiographError("every pixel has the same value: an empty picture; give another file")
    return pixels


def plausible_spacing(spacing: Sequence[float]) -> tuple[float, float] | None:
    """Return (row, column) spacing in mm, None where it cannot be that of a radiograph."""
    if len(spacing) != 2 or not all(0.01 <= step <= 5 for step in spacing):
        return None
    return float(spacing[0]), float(spacing[1])


def grey_of(colour: np.ndarray) -> np.ndarray:
    """Return the grey (rows, columns) of an RGB picture (rows, columns, 3) without colour.

    Raises:
        RadiographError: if the picture is really coloured.
    """
    full_scale = 255 if colour.dtype == np.uint8 else max(float(colour.max()), 1.0)
    spread = colour.max(axis=-1).astype(np.float32) - colour.min(axis=-1)
    if (spread > _COLOUR_SPREAD * full_scale).mean() > _COLOURED_PART:
        raise RadiographError("a colour picture; give the radiograph in greyscale")
    return colour.mean(axis=-1, dtype=np.float32)
