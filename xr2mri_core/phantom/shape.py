"""The parameters of one knee: what makes it that person's, before any disease."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class KneeShape:
    """Named parameters of a healthy right knee, lengths in mm, angles in degrees; by default means.

    Means follow published morphometry: epicondylar width 83 +- 6 mm and tibial plateau 75 x 49 mm
    (Mahfouz et al., Clin Orthop 2012), medial/lateral posterior slope 6 +- 3 deg (Hashemi, JBJS
    2008), notch width index 0.27 (Souryal, AJSM 1988), cartilage 1.5-2.6 mm (Eckstein, Osteoarthr
    Cartil 2006), hip-knee-ankle angle 1.3 deg varus (Bellemans, CORR 2012).
    Means of what is not named here, and most deviations, are set by eye beside a segmented knee.
    """

    scale: float = 1.0
    """All bone lengths; about 0.92 for women and 1.04 for men."""
    bmi: float = 27.0
    muscularity: float = 1.0
    """Girth of the muscles."""
    condyle_width: float = 27.0
    medial_radius: float = 21.0
    """Radius of the posterior medial condyle; the lateral one adds `lateral_radius_offset`."""
    lateral_radius_offset: float = -0.8
    intercondylar: float = 46.0
    """Distance between the middles of the condyles."""
    notch_width: float = 19.0
    notch_height: float = 23.0
    trochlea_depth: float = 3.6
    femoral_shaft: float = 19.0
    """Half width of the femoral shaft at the top of the field."""
    plateau_width: float = 74.0
    plateau_depth: float = 48.0
    plateau_slope: float = 6.0
    medial_concavity: float = 2.2
    lateral_convexity: float = 1.0
    spine_height: float = 7.0
    tibial_shaft: float = 17.0
    fibula_height: float = -11.0
    """z of the fibular tip."""
    patella_width: float = 43.0
    patella_height: float = 41.0
    patella_z: float = 33.0
    """z of the middle of the patella."""
    varus: float = 1.0
    flexion: float = 6.0
    rotation: float = 0.0
    cartilage: float = 2.2
    """Thickness of the femoral cartilage at the weight-bearing zone."""
    meniscus_width: float = 10.0
    meniscus_height: float = 6.0
    fluid: float = 0.4
    """Joint fluid, 0 none .. 1 effusion."""
    field_x: float = -2.0
    field_y: float = -3.5
    field_z: float = 19.0
    """Middle of the field of view in the knee frame."""

    def to_dict(self) -> dict[str, float]:
        return {k: round(float(v), 4) for k, v in asdict(self).items()}


_SCALE = {"F": 0.95, "M": 1.05}
_MUSCULARITY = {"F": 0.97, "M": 1.05}
_SPREAD = {
    "condyle_width": 1.4,
    "medial_radius": 1.2,
    "lateral_radius_offset": 0.7,
    "condyle_offset": 0.7,
    "intercondylar": 1.6,
    "notch_width": 1.8,
    "notch_height": 2.2,
    "trochlea_depth": 0.8,
    "femoral_shaft": 1.6,
    "plateau_width": 2.2,
    "plateau_depth": 2.2,
    "plateau_slope": 2.2,
    "medial_concavity": 0.6,
    "lateral_convexity": 0.5,
    "spine_height": 1.4,
    "tibial_shaft": 1.4,
    "fibula_height": 2.2,
    "patella_width": 2.6,
    "patella_height": 2.6,
    "patella_z": 4.0,
    "patella_tilt": 4.0,
    "varus": 2.2,
    "flexion": 4.0,
    "rotation": 4.5,
    "cartilage": 0.3,
    "meniscus_width": 1.0,
    "meniscus_height": 0.7,
    "fluid": 0.25,
    # Where the slab is prescribed on the scouts: no radiograph shows it, so what varies here is
    # what no model can know.
    "field_x": 0.8,
    "field_y": 0.8,
    "field_z": 1.0,
}
"""Standard deviation of each parameter, in the order in which they are drawn; its mean is the
default of `KneeShape`."""
_UNUSED = ("condyle_offset", "patella_tilt")
"""Drawn, though nothing depends on them any more: what is drawn after them stays what it was."""
_MOST_DEVIATIONS = 2.2


def sample_shape(rng: np.random.Generator, sex: str = "F", bmi: float = 28.0) -> KneeShape:
    """Draws a knee. Sexes differ in size, not in shape, as in the morphometry cited above."""

    def draw(mean: float, sd: float) -> float:
        deviations = np.clip(rng.standard_normal(), -_MOST_DEVIATIONS, _MOST_DEVIATIONS)
        return float(mean + sd * deviations)

    drawn = {"scale": draw(_SCALE[sex], 0.035), "muscularity": draw(_MUSCULARITY[sex], 0.07)}
    drawn |= {name: draw(getattr(KneeShape, name, 0.0), sd) for name, sd in _SPREAD.items()}
    drawn["fluid"] = float(np.clip(drawn["fluid"], 0, 1))
    return KneeShape(bmi=float(bmi), **{n: v for n, v in drawn.items() if n not in _UNUSED})
