"""The knee frame: laterality, the slice window, depth <-> position, affines.

Volumes are RAS+: axis 0 runs to the patient's right, axis 1 from posterior to anterior (the
paper's depth), axis 2 to superior. Pictures, radiographs and coronal slices alike, are shown as a
radiologist sees a **right** knee: rows from superior to inferior, columns from the patient's
right to left, the fibula on image left. So ``picture[r, c]`` of slice k is
``volume[W - 1 - c, k, H - 1 - r]``. A left knee is mirrored into this frame, and what is
generated is mirrored back.

Depth d in [0, 1] covers the paper's 50-slice window of OAI's 80 slices: d = k / 49 for slice k of
the window, 0 posterior.

This module needs numpy only, and what cells of tables mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from xr2mri_client.cells import side_of
from xr2mri_core.errors import InputError, RadiographError, VolumeError, shown

Voxel = TypeVar("Voxel", bound=np.generic)
"""The type of a picture's or a volume's numbers, which turning keeps."""

LARGEST_EDGE = 100_000
"""Largest coordinate of a box, in pixels: beyond any picture that is read."""
IMAGE_SIZE = 256
"""Rows and columns of a picture."""
FIELD_OF_VIEW_MM = 160.0
"""In-plane field of view of ``COR_T1_3D_FLASH``."""
IN_PLANE_MM = FIELD_OF_VIEW_MM / IMAGE_SIZE
"""In-plane spacing, 0.625 mm."""
SLICE_MM = 1.5
"""Spacing of the acquired slices."""
ACQUIRED_SLICES = 80
"""Slices of an acquired volume."""
WINDOW_PERCENT = (16, 78)
"""The proportional positions between which the paper keeps slices (Section III-B2)."""


def slice_window(count: int) -> tuple[int, int]:
    """Return the half-open range (start, stop) of slices that the paper keeps.

    The rule: slice k of ``count`` (0-based, posterior first) is kept if
    0.16 count <= k < 0.78 count, so 13..62, 50 slices, of 80.

    Raises:
        VolumeError: if nothing would be left.
    """
    start, stop = (-(-percent * count // 100) for percent in WINDOW_PERCENT)
    if count < 1 or stop <= start:
        raise VolumeError(f"a volume of {count} slices has none in the window: at least 2 needed")
    return start, stop


WINDOW_START, WINDOW_STOP = slice_window(ACQUIRED_SLICES)
WINDOW_SLICES = WINDOW_STOP - WINDOW_START
"""Slices of the window, 50."""
WINDOW_MM = (WINDOW_SLICES - 1) * SLICE_MM
"""Distance from depth 0 to depth 1, 73.5 mm."""
LEAST_STEP = 1e-4
"""Distance of depths from each other, at least: 7 micrometres, which any file can state."""
EVEN = 1e-3
"""Share of their distance by which distances of depths may differ: depths come as rounded text."""


class Laterality(StrEnum):
    """The side of the patient's body that a knee is on."""

    RIGHT = "R"
    LEFT = "L"

    @classmethod
    def parse(cls, value: object) -> Laterality | None:
        """Return the side that ``value`` names, or None for "unknown" and "auto".

        Args:
            value: ``R``, ``right``, ``L``, ``left`` in any case, OAI's codes 1 (right) and 2
                (left) also as ``"1: Right"`` and ``2.0``, DICOM's ``U``, ``auto``, empty or None.

        Raises:
            InputError: for anything else.
        """
        text = "" if value is None else str(value)
        if side := side_of(text):
            return cls(side)
        if text.split(":")[0].strip().lower() in ("", "auto", "u", "unknown"):
            return None
        raise InputError(f"laterality {shown(value)}: accepted are R, L and auto")


def edges_of(box: object) -> tuple[float, float, float, float]:
    """Return a given box as four numbers; every box goes through here before it is computed with.

    Raises:
        RadiographError: it is not four numbers, or one is beyond `LARGEST_EDGE`.
    """
    try:
        top, left, bottom, right = (float(edge) for edge in box)  # type: ignore[attr-defined]
    except (TypeError, ValueError, OverflowError):
        top = left = bottom = right = math.nan
    if isinstance(box, str) or not all(
        abs(edge) <= LARGEST_EDGE
        for edge in (top, left, bottom, right)  # nor is NaN
    ):
        raise RadiographError(
            f"box {shown(box)} is not four numbers: give top, left, bottom, right in pixels"
        )
    return top, left, bottom, right


def depths_of(num_slices: int) -> NDArray[np.float64]:
    """Return the depths of ``num_slices`` slices spread evenly over the window.

    Returns:
        float64 array (num_slices,) ascending from 0 to 1; [0.5] for a single slice.

    Raises:
        InputError: if ``num_slices`` is less than 1.
    """
    if num_slices < 1:
        raise InputError(f"{num_slices} slices asked for: at least 1")
    return np.linspace(0.0, 1.0, num_slices) if num_slices > 1 else np.array([0.5])


def depth_to_mm(depth: float | NDArray[np.float64]) -> float | NDArray[np.float64]:
    """Return the world coordinate along axis 1 (anterior +, mm) of a depth.

    The origin is the centre of the acquired 80 slices, so that generated and acquired volumes
    overlay: depth 0 lies at -39.75 mm, depth 1 at +33.75 mm.
    """
    return (WINDOW_START - (ACQUIRED_SLICES - 1) / 2) * SLICE_MM + depth * WINDOW_MM


def centred_affine(shape: Sequence[int], spacing: Sequence[float]) -> NDArray[np.float64]:
    """Return the RAS affine of a volume whose centre is the world's origin.

    Args:
        shape: voxels along each of the three axes.
        spacing: voxel size in mm along each.

    Returns:
        float64 array (4, 4).
    """
    affine = np.diag([*map(float, spacing), 1.0])
    affine[:3, 3] = [-(count - 1) / 2 * step for count, step in zip(shape, spacing, strict=True)]
    return affine


def volume_affine(
    depths: int | Sequence[float] | NDArray[np.float64],
    in_plane: float = IN_PLANE_MM,
    size: int = IMAGE_SIZE,
) -> NDArray[np.float64]:
    """Return the RAS affine of a volume (size, n, size) generated at ``depths``.

    Args:
        depths: a number of slices, spread evenly, or their depths, ascending and evenly spaced.
        in_plane: spacing of rows and columns in mm.
        size: rows and columns.

    Returns:
        float64 array (4, 4). The spacing along axis 1 is 49 * 1.5 / (n - 1) mm for n slices over
        the whole window, and 1.5 mm for a single slice.

    Raises:
        VolumeError: if the depths are not ascending with one spacing, which no affine describes, or
            nearer to each other than `LEAST_STEP`.
    """
    positions = depths_of(depths) if isinstance(depths, int) else np.asarray(depths, dtype=float)
    if positions.ndim != 1 or positions.size == 0 or not np.isfinite(positions).all():
        raise VolumeError(f"depths {shown(depths)}: give a list of numbers in [0, 1]")
    steps = np.diff(positions)
    if steps.size and (steps.min() <= 0 or np.ptp(steps) > EVEN * steps.mean()):
        raise VolumeError(
            f"depths {shown(positions.tolist())} are not ascending with equal spacing: "
            "a volume needs equal spacing, so give a number of slices or evenly spaced depths"
        )
    if steps.size and steps.mean() < LEAST_STEP * (1 - EVEN):
        raise VolumeError(
            f"depths {shown(positions.tolist())} are {steps.mean():.3g} apart: accepted is "
            f"{LEAST_STEP:g} ({LEAST_STEP * WINDOW_MM * 1000:.0f} micrometres) and more"
        )
    spacing = steps.mean() * WINDOW_MM if steps.size else SLICE_MM
    affine = centred_affine((size, 1, size), (in_plane, spacing, in_plane))
    affine[1, 3] = depth_to_mm(positions[0])
    return affine


def slices_to_volume(slices: NDArray[Voxel]) -> NDArray[Voxel]:
    """Stack pictures (n, H, W), posterior first, into a RAS volume (W, n, H)."""
    return np.ascontiguousarray(np.transpose(slices, (2, 0, 1))[::-1, :, ::-1])


def volume_to_slices(volume: NDArray[Voxel]) -> NDArray[Voxel]:
    """Cut a RAS volume (W, n, H) into pictures (n, H, W): inverse of `slices_to_volume`."""
    return np.ascontiguousarray(np.transpose(volume[::-1, :, ::-1], (1, 2, 0)))


def mirror_picture(picture: NDArray[Voxel]) -> NDArray[Voxel]:
    """Mirror pictures (..., H, W) left to right: a left knee becomes a right one and back."""
    return np.ascontiguousarray(picture[..., ::-1])


def mirror_volume(volume: NDArray[Voxel]) -> NDArray[Voxel]:
    """Mirror a RAS volume (W, n, H) along axis 0, to go with an affine centred on that axis."""
    return np.ascontiguousarray(volume[::-1])


def own_side(picture: NDArray[Voxel], side: Laterality | None) -> NDArray[Voxel]:
    """Turn pictures (..., H, W) of the right-knee frame back to the patient's own side."""
    return mirror_picture(picture) if side is Laterality.LEFT else picture
