"""How large a pixel is: what the joint that is shown says of it.

The joint box is 1.4 widths of the tibial plateau. That width is known: 66 to 77 mm on average in
adult women and men, with a standard deviation of 3 to 5 mm within a sex (CT and MRI; Cheng et al.,
Knee 2009;16:448, Chinese, 76.4 and 68.8 mm; Kwak et al., Knee 2007;14:295, Korean, 76.1 and 67.6;
J Orthop Surg Res 2021;16:552, Egyptian, 76.0 and 67.3). Both sexes together that is 72 mm with a
standard deviation of 7.6 %. A radiograph shows it larger, by 3 to 10 % in the fixed-flexion view,
and osteophytes add to it: 76 mm, a joint box of 107 mm. With the error of the detector (5 %; 10 %
and more, mostly too small, where a crop cuts the bones and is equalised strongly) a pixel size that
is taken from the joint is good to 12 %, one standard deviation.

The same range tells a pixel spacing that cannot be true. The smallest women's plateaus of 60 mm and
the largest men's of 95 mm, magnified by up to 15 %, make joint boxes of 84 to 153 mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

JOINT_MM = 107.0
"""Side of the average joint box on the film."""
RELATIVE_ERROR = 0.12
"""Standard deviation of a scale that is taken from the joint, as a share of it."""
EXPECTED_MM = (80.0, 155.0)
"""Side of the joint box beyond which a stated spacing is doubted."""
POSSIBLE_MM = (70.0, 170.0)
"""Side of the joint box beyond which a stated spacing is not believed."""

Spacing = tuple[float, float]
"""Millimetres a pixel, of rows and columns."""


@dataclass(frozen=True)
class Scale:
    """The size of a pixel as the joint tells it.

    Attributes:
        spacing_mm: spacing of rows and columns.
        relative_error: its standard deviation, as a share.
    """

    spacing_mm: Spacing
    relative_error: float = RELATIVE_ERROR

    @property
    def words(self) -> str:
        """The spacing and its error in words."""
        row, column = self.spacing_mm
        pixel = f"{row:.2g}" if row == column else f"{row:.2g} x {column:.2g}"
        return f"{pixel} mm a pixel (± {self.relative_error:.0%})"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "spacing_mm": [float(f"{step:.4g}") for step in self.spacing_mm],
            "relative_error": self.relative_error,
            "source": "joint",
        }


def scale_of(joint: Sequence[float], stated: Spacing | None = None) -> Scale:
    """The scale at which a joint box is of average size.

    Args:
        joint: top, left, bottom, right in pixels.
        stated: a spacing that is not believed; that its pixels are not square still is.
    """
    row, column = stated or (1.0, 1.0)
    pixel = JOINT_MM / width_mm(joint, (row, column))
    return Scale((row * pixel, column * pixel))


def width_mm(joint: Sequence[float], spacing_mm: Spacing) -> float:
    """Width of a joint box (top, left, bottom, right in pixels)."""
    return (joint[3] - joint[1]) * spacing_mm[1]


def checked_spacing(
    spacing_mm: Spacing | None, joint: Sequence[float]
) -> tuple[Spacing | None, tuple[str, ...]]:
    """A stated spacing against the joint that is shown: what is believed, and what is to be said.

    Args:
        spacing_mm: spacing of rows and columns, as stated; None where it is unknown.
        joint: top, left, bottom, right in pixels.

    Returns:
        None, with a warning, for a spacing that makes an impossible joint; else the spacing, with a
        warning where the joint would be of an unusual size.
    """
    if spacing_mm is None:
        return None, ()
    width = width_mm(joint, spacing_mm)
    if EXPECTED_MM[0] <= width <= EXPECTED_MM[1]:
        return spacing_mm, ()
    stated = " x ".join(f"{step:g}" for step in dict.fromkeys(spacing_mm))
    seen = (
        f"pixels of {stated} mm make the joint's box {width:.0f} mm wide, "
        f"where {EXPECTED_MM[0]:.0f} to {EXPECTED_MM[1]:.0f} mm are expected"
    )
    if POSSIBLE_MM[0] <= width <= POSSIBLE_MM[1]:
        return spacing_mm, (f"{seen}: is the pixel spacing right?",)
    return None, (f"{seen}: the pixel spacing cannot be right and is taken as unknown",)
