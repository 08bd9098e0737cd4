"""Plain radiographs: whole films with both knees, or one leg, and where the joints are on them.

An OAI radiograph is a bilateral posteroanterior fixed-flexion view on one film: two different
knees, the right one on image left, between them the positioning frame with its columns of beads
(Kothari et al., Osteoarthr Cartil 2004;12:141), a lead letter, and the edges of the collimator.

    right, left = cast_shadow(shape_r, grades_r, seed=1), cast_shadow(shape_l, grades_l, seed=2)
    film = take_film(right, left, seed=3)
    film.pixels       # uint16 (rows, columns), 12 bits, bone bright
    film.joints       # {"R": (top, left, bottom, right), "L": ...} in pixels

A leg is painted once, 320 mm long, and projected to *shadows*: path integrals of soft tissue and
of bone, apart. Films are then laid out in the plane of the detector, where legs are turned,
mirrored and set side by side, and exposed by the X-ray unit of `radiograph`. That one tube
serves both legs, so that each is seen some 3 degrees obliquely, is left out: knees differ by more
than that in rotation.

- `shadow`: one leg, painted and projected.
- `layout`: what lies where on a film.
- `plane`: legs, frame and letters on the detector.
- `film`: the exposed film and the truth about it.
"""

from .film import JOINT_WIDTHS, Box, Film, joint_of_case, take_film
from .layout import Layout, sample_layout
from .shadow import LEG_PIXELS, SHADOW_MM, Shadow, cast_shadow, shadow_of

__all__ = [
    "JOINT_WIDTHS",
    "LEG_PIXELS",
    "SHADOW_MM",
    "Box",
    "Film",
    "Layout",
    "Shadow",
    "cast_shadow",
    "joint_of_case",
    "sample_layout",
    "shadow_of",
    "take_film",
]
