"""A radiograph with its box, and three planes of a volume, as pictures for a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
from numpy.typing import NDArray

from .picture import frame_of, ijk_to_ras, pixels_of

PLANES = ("coronal", "sagittal", "axial")
_SHOWN = {"coronal": ("S", "R"), "sagittal": ("S", "A"), "axial": ("A", "R")}
"""What is at the top and at the left of each plane, as in Slicer's views."""
_AXES = {"R": 0, "A": 1, "S": 2}
_LARGEST = 1200


@dataclass(frozen=True, eq=False)
class Picture:
    """Grey values as they are looked at.

    Attributes:
        pixels: (rows, columns) uint8.
        height, width: size in mm, or in pixels where nobody knows the spacing: only their ratio
            counts.
        box: top, left, bottom, right to be drawn, as shares of the picture; None for none.
    """

    pixels: NDArray[np.uint8]
    height: float
    width: float
    box: tuple[float, float, float, float] | None = None


def radiograph(node: slicer.vtkMRMLVolumeNode, box: Sequence[int] | None) -> Picture:
    """A radiograph, from its darkest to its brightest pixels but for the outermost half per cent.

    Args:
        node: without `picture.problem`.
        box: box of the knee, (top, left, bottom, right) in pixels.
    """
    frame, pixels = frame_of(node), pixels_of(node)
    step = max(1, max(pixels.shape[:2]) // _LARGEST)
    grey = pixels[::step, ::step].astype(np.float64)
    if grey.ndim == 3:
        grey = grey[..., :3].mean(axis=-1)
    low, high = np.percentile(grey, (0.5, 99.5))
    row, column = frame.spacing
    shares = None
    if box is not None:
        top, left, bottom, right = box
        rows, columns = frame.rows, frame.columns
        shares = (top / rows, left / columns, bottom / rows, right / columns)
    height, width = frame.rows * row, frame.columns * column
    return Picture(_bytes(grey, low, high), height, width, shares)


def plane(node: slicer.vtkMRMLScalarVolumeNode, name: str) -> Picture:
    """The middle plane of a volume whose axes are those of the patient, as its views show it.

    Args:
        node: node of the volume.
        name: one of `PLANES`.
    """
    to_ras = ijk_to_ras(node)[:3, :3]
    array = slicer.util.arrayFromVolume(node).T  # (i, j, k)
    axis_of = {letter: int(np.abs(to_ras[index]).argmax()) for letter, index in _AXES.items()}
    top, left = (axis_of[letter] for letter in _SHOWN[name])
    (across,) = {0, 1, 2} - {top, left}
    middle: list[Any] = [slice(None)] * 3  # np.take would copy the whole volume
    middle[across] = array.shape[across] // 2
    picture = array[tuple(middle)]
    rows, columns = (axis - (axis > across) for axis in (top, left))
    picture = picture.transpose(rows, columns)
    for axis, letter in enumerate(_SHOWN[name]):
        if to_ras[_AXES[letter], axis_of[letter]] > 0:  # it grows towards what is shown first
            picture = np.flip(picture, axis)
    steps = np.linalg.norm(to_ras, axis=0)
    display = node.GetDisplayNode()
    low, high = display.GetWindowLevelMin(), display.GetWindowLevelMax()
    height, width = picture.shape[0] * steps[top], picture.shape[1] * steps[left]
    return Picture(_bytes(picture, low, high), float(height), float(width))


def _bytes(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Values from `low`, black, to `high`, white, as uint8."""
    scaled = (values.astype(np.float64) - low) / max(high - low, 1e-9)
    return np.ascontiguousarray(np.round(255 * np.clip(scaled, 0, 1)), np.uint8)
