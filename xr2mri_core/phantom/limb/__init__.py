"""The limb around the joint: skin, fat, fascia, muscles, vessels, nerves and long tendons.

Everything here is laid down before the bones. The leg is described by two families of curves in the
knee frame (right knee of scale 1): the deep fascia as a polar contour in eight directions at each
height, with the subcutaneous fat outside it, and the muscles as bellies, tubes along the leg whose
centres and radii are tabulated against height. Girth follows `KneeShape.muscularity`, fat follows
`KneeShape.bmi`, and each knee draws its own small departures, so that the outline of the leg on a
radiograph predicts, but does not determine, the soft tissue on the MR image.

- `measures`: where everything lies and how large it is: the constants.
- `frame`: the limb's coordinates and contours.
- `envelope`, `muscles`, `cords`: painters, a group of structures each.
"""

from __future__ import annotations

from ..brush import Brush
from ..fields import Canvas
from ..shape import KneeShape
from .cords import paint_cords, paint_subcutaneous_veins
from .envelope import paint_envelope, paint_iliotibial_band, paint_retinacula
from .frame import Limb
from .muscles import paint_muscles

__all__ = ["paint_limb"]

ORDER = (
    paint_envelope,
    paint_muscles,
    paint_cords,
    paint_iliotibial_band,
    paint_retinacula,
    paint_subcutaneous_veins,
)


def paint_limb(canvas: Canvas, shape: KneeShape, brush: Brush) -> None:
    """Paints everything of the limb that lies outside bones and joint.

    Args:
        canvas: an empty canvas; its generator supplies what is particular to this knee.
        shape: size, muscularity and BMI of the knee.
        brush: lays one tissue on the canvas.
    """
    limb = Limb(canvas, shape, brush)
    for paint in ORDER:
        paint(limb)
