"""Boxes: from the joint that is found to the square that the model is given.

The joint box is a square of 1.4 widths of the tibial plateau about the joint space, some 107 mm.
The crop is that box and 30 % more, as in the paper (Section III-B1), its middle a sixth of the
joint box above the joint space; where the pixel spacing is known it is 140 mm, whatever the knee's
size. Both follow from what the shipped model has learnt from: middle 140 mm squares of radiographs
whose middle lies some 19 mm above the tibial plateau, about where the MRI's field of view has its
own. A box that is known by hand needs no such shift: it is taken as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from xr2mri_core.transforms.radiograph import CROP_MM, Box

EXPANSION = 1.3
"""Side of the crop over that of the joint box."""
RISE = 0.16
"""How far the crop's middle lies above the joint space, in sides of the joint box."""

Edges = tuple[float, float, float, float]
"""Top, left, bottom, right in pixels of the picture."""


def crop_of(joint: Sequence[float], spacing_mm: tuple[float, float] | None = None) -> Box:
    """The square to cut out for a joint box.

    Args:
        joint: top, left, bottom, right in pixels; of a box that is not square in mm the longer side
            counts.
        spacing_mm: spacing of rows and columns, None where unknown.

    Returns:
        Box in whole pixels, square in mm; it may reach outside the picture.
    """
    joint_tall, joint_wide = _square_size(joint, spacing_mm)
    row, column = middle_of(joint)
    row -= RISE * joint_tall
    if spacing_mm is None:
        tall, wide = EXPANSION * joint_tall, EXPANSION * joint_wide
    else:
        tall, wide = (CROP_MM / step for step in spacing_mm)
    tall, wide = max(1, round(tall)), max(1, round(wide))
    top, left = round(row - tall / 2), round(column - wide / 2)
    return top, left, top + tall, left + wide


def squared(joint: Sequence[float], spacing_mm: tuple[float, float] | None = None) -> Edges:
    """A joint box made square in mm about its middle, by its longer side; in pixels without any."""
    row, column = middle_of(joint)
    tall, wide = _square_size(joint, spacing_mm)
    return row - tall / 2, column - wide / 2, row + tall / 2, column + wide / 2


def _square_size(
    joint: Sequence[float], spacing_mm: tuple[float, float] | None
) -> tuple[float, float]:
    """Rows and columns of the square in mm that is as long as a box's longer side."""
    columns_a_row = 1.0 if spacing_mm is None else spacing_mm[0] / spacing_mm[1]
    tall = max(joint[2] - joint[0], (joint[3] - joint[1]) / columns_a_row)
    return tall, tall * columns_a_row


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes (top, left, bottom, right)."""
    height = min(a[2], b[2]) - max(a[0], b[0])
    width = min(a[3], b[3]) - max(a[1], b[1])
    common = max(height, 0.0) * max(width, 0.0)
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return common / (both - common) if both > common else 0.0


def middle_of(box: Sequence[float]) -> tuple[float, float]:
    """Row and column of a box's middle."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
