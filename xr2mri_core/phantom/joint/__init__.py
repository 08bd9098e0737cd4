"""The joint, painted from the outside in: fat pad and capsule, menisci, ligaments, cartilage, bone.

Frames: the tibia stands still; the femur turns over it by flexion and by what narrowing takes from
one compartment. Cartilage is a shell on its bone, menisci fill the wedge between the cartilages, so
that thickness lost in a compartment brings the bones together there, down to contact.

- `measures`: where everything lies and how large it is: the constants.
- `bones`, `parts`: the bones as signed distances, the frames, thicknesses and textures.
- `surroundings`, `ligaments`, `cartilage`, `marrow`: painters, a group of structures each.

What is painted later lies over what was there.
"""

from __future__ import annotations

from ..brush import Brush
from ..fields import Canvas
from ..pathology import Disease
from ..shape import KneeShape
from .cartilage import paint_cartilage, paint_crystals, paint_menisci
from .ligaments import paint_collaterals, paint_cruciates, paint_extensor
from .marrow import paint_bones, paint_lesions
from .parts import Joint
from .surroundings import paint_surroundings

__all__ = ["paint_joint"]

ORDER = (
    paint_surroundings,
    paint_extensor,
    paint_menisci,
    paint_cruciates,
    paint_cartilage,
    paint_crystals,
    paint_bones,
    paint_lesions,
    paint_collaterals,
)


def paint_joint(canvas: Canvas, shape: KneeShape, disease: Disease, brush: Brush) -> None:
    """Paint bones and joint over a limb that holds everything else."""
    joint = Joint.of(canvas, shape, disease, brush)
    for paint in ORDER:
        paint(joint)
