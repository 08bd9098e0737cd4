"""Femur, tibia, fibula and patella as signed distances, each in its own frame.

Their constants and where these come from stand in `bone_measures`; what differs between people, in
`shape`. Coordinates arrive in mm divided by `shape.scale`; distances leave in the same unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..fields import Region, difference, ellipsoid, rounded, tube, union
from ..shape import KneeShape
from . import bone_measures as m

Knots = Sequence[tuple[float, float]]
"""((z, value), ...), mm."""


@dataclass(frozen=True)
class Local:
    """Coordinates of a region in a bone's frame, with its profile lookup."""

    x: Tensor
    y: Tensor
    z: Tensor
    region: Region
    scale: float

    @property
    def xyz(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.x, self.y, self.z

    def profile(self, *knots: tuple[float, float]) -> Tensor:
        """A value tabulated along the leg, (1, rows, 1)."""
        return self.region.profile([(z * self.scale, v) for z, v in knots])

    def tube(self, cx: Tensor, cy: Tensor, rx: Tensor, ry: Tensor, power: float = 2.0) -> Tensor:
        return tube(self, cx, cy, rx, ry, power)


def condyle_profile(local: Local, shape: KneeShape, bottom: tuple[float, float]) -> Tensor:
    """The sagittal outline of the condyles and trochlea, swept across the knee.

    Three circles: posterior condyle, distal condyle (flatter) and trochlea. `bottom` gives the
    lowest z of the medial and lateral condyle. The transverse roundness of both condyles and the
    trochlear groove between them are one quadratic: zero on the condyles' crests.
    """
    x, y, z = local.xyz
    medial = torch.sigmoid(x / m.SIDE_BLEND)
    lateral_radius = shape.medial_radius + shape.lateral_radius_offset
    radius = torch.lerp(torch.tensor(lateral_radius), torch.tensor(shape.medial_radius), medial)
    z = z - torch.lerp(torch.tensor(bottom[1]), torch.tensor(bottom[0]), medial)
    posterior = torch.hypot(y - m.POSTERIOR_Y, z - radius) - radius
    distal = torch.hypot(y - m.DISTAL_Y, z - m.DISTAL_Z) - m.DISTAL_RADIUS
    forward = y - m.TROCHLEA_Y + m.TROCHLEA_MEDIAL_BACK * medial
    trochlea = torch.hypot(forward, z - m.TROCHLEA_Z) - m.TROCHLEA_RADIUS
    outline = union(union(posterior, distal, m.CONDYLE_FILLET), trochlea, m.TROCHLEA_FILLET)
    return outline + _roundness(x, y, shape)


def _roundness(x: Tensor, y: Tensor, shape: KneeShape) -> Tensor:
    """What the condyles rise beside their crests, and the groove of the trochlea between them."""
    converging = m.CREST_CONVERGES * (y - m.CREST_FROM).clamp(0, m.CREST_OVER)
    crest = shape.intercondylar / 2 - converging
    across = (x.abs() - crest) / (shape.condyle_width / 2)
    inner = (x.abs() < crest).float()
    depth = torch.tensor(shape.trochlea_depth / m.GROOVE_UNIT)
    anterior = ((y - m.GROOVE_FROM) / m.GROOVE_OVER).clamp(0, 1)
    inside = torch.lerp(torch.tensor(m.ROUND_INSIDE), depth, anterior)
    return torch.lerp(torch.tensor(m.ROUND_OUTSIDE), inside, inner) * across**2


def femur(local: Local, shape: KneeShape, bottom: tuple[float, float]) -> Tensor:
    """The distal femur: the block of the condyles, the shaft, and the notch cut out of both."""
    x, y, z = local.xyz
    shaft = rounded(_femoral_shaft(local, shape), m.FEMUR_LOW - z, m.FEMUR_LOW_EDGE)
    bone = union(_condyles(local, shape, bottom), shaft, m.FEMUR_FILLET)
    fall = (1 - (y - m.NOTCH_Y) / m.NOTCH_LENGTH).clamp(0, m.NOTCH_MOST)
    roof = shape.notch_height * fall + m.NOTCH_LEAST
    roof = roof + m.NOTCH_OPENS * (m.NOTCH_OPENS_FROM - y).clamp_min(0)
    widen = m.NOTCH_WIDENS * (-y).clamp(0, m.NOTCH_WIDENS_OVER)
    notch = rounded(x.abs() - (shape.notch_width / 2 + widen), z - roof, m.NOTCH_EDGE)
    return difference(bone, notch, m.NOTCH_FILLET)


def _condyles(local: Local, shape: KneeShape, bottom: tuple[float, float]) -> Tensor:
    """The block of the condyles: epicondyles stand out halfway up; behind and ahead it narrows."""
    x, y, z = local.xyz
    width = shape.intercondylar / 2 + shape.condyle_width / 2
    (middle_z, wide_z), (middle_y, wide_y) = m.EPICONDYLE_Z, m.EPICONDYLE_Y
    bulge = m.EPICONDYLE * torch.exp(
        -(((z - middle_z) / wide_z) ** 2) - ((y - middle_y) / wide_y) ** 2
    )
    taper = m.BACK_TAPER * (-(y - m.BACK_FROM)).clamp(0, m.BACK_OVER)
    taper = taper + m.FRONT_TAPER * (y - m.FRONT_FROM).clamp(0, m.FRONT_OVER)
    outline = condyle_profile(local, shape, bottom)
    return rounded(outline, x.abs() - (width + bulge - taper), m.BLOCK_EDGE)


def _femoral_shaft(local: Local, shape: KneeShape) -> Tensor:
    lean = torch.tan(torch.deg2rad(torch.tensor(m.FEMORAL_LEAN_DEG - shape.varus / 2)))
    above = (local.region.height / local.scale - m.LEAN_FROM).clamp_min(0)
    return local.tube(
        local.profile(*m.FEMUR_X) - (lean - m.FEMORAL_LEAN) * above,
        local.profile(*m.FEMUR_Y),
        local.profile(*m.FEMUR_HALF_X, *_over(shape.femoral_shaft, m.FEMUR_SHAFT_X)),
        local.profile(*m.FEMUR_HALF_Y),
        power=m.FEMUR_SQUARE,
    )


def _over(base: float, knots: Knots) -> Knots:
    """A profile that is given over a person's measure."""
    return [(z, base + value) for z, value in knots]


def plateau(local: Local, shape: KneeShape, attrition: tuple[float, float] = (0.0, 0.0)) -> Tensor:
    """Height of the tibial plateau (bone) over the joint plane: z of the surface at (x, y)."""
    x, y = local.x, local.y
    slope = torch.tan(torch.deg2rad(torch.tensor(shape.plateau_slope)))
    height = slope * y.clamp(-m.SLOPE_REACH, m.SLOPE_REACH) * m.SLOPE_SHARE
    medial, lateral = (_hollow(x - sign * m.HOLLOW_MIDDLE, y, half) for sign, half in _SIDES)
    height = height - shape.medial_concavity * medial.sqrt() + shape.lateral_convexity * lateral
    behind = y - m.WORN_Y
    height = height - attrition[0] * _plate(x - m.WORN_MIDDLE, behind)
    height = height - attrition[1] * _plate(x + m.WORN_MIDDLE, behind)
    spines = _spine(x, y, m.MEDIAL_SPINE)
    spines = spines + m.LATERAL_SPINE_SHARE * _spine(x, y, m.LATERAL_SPINE)
    height = height + shape.spine_height * spines
    edge = (x.abs() / (shape.plateau_width / 2)) ** 2 + (y / (shape.plateau_depth / 2)) ** 2
    return height - m.RIM_FALL * (edge - m.RIM_FROM).clamp_min(0) * m.RIM_STEEP


_SIDES = tuple(zip((1, -1), m.HOLLOW_HALF_Y, strict=True))


def _hollow(x: Tensor, y: Tensor, half_y: float) -> Tensor:
    return (1 - (x / m.HOLLOW_HALF_X) ** 2 - (y / half_y) ** 2).clamp_min(0)


def _spine(x: Tensor, y: Tensor, at: tuple[float, float]) -> Tensor:
    across, along = (x - at[0]) / m.SPINE_WIDTH, (y - at[1]) / m.SPINE_LENGTH
    return torch.exp(-(across**2) - along**2)


def _plate(x: Tensor, y: Tensor) -> Tensor:
    """A flat-bottomed depression of the weight-bearing zone, 1 in its middle."""
    rho = torch.sqrt((x / m.WORN_HALF_X) ** 2 + (y / m.WORN_HALF_Y) ** 2)
    return ((m.WORN_RIM - rho) / m.WORN_FADE).clamp(0, 1)


def tibia(local: Local, shape: KneeShape, height: Tensor) -> Tensor:
    """The proximal tibia under the plateau `height`."""
    x, y, z = local.xyz
    w, d, s = shape.plateau_width / 2, shape.plateau_depth / 2, shape.tibial_shaft
    lean = torch.tan(torch.deg2rad(torch.tensor(shape.varus / 2)))
    below = (m.TIBIAL_LEAN_FROM - local.region.height / local.scale).clamp_min(0)
    body = local.tube(
        local.profile(*m.TIBIA_X) + lean * below,  # medially
        local.profile(*m.TIBIA_Y),
        local.profile(*_over(w, m.TIBIA_HALF_X), *_over(s, m.TIBIA_SHAFT_X)),
        local.profile(*_over(d, m.TIBIA_HALF_Y), *_over(s, m.TIBIA_SHAFT_Y)),
        power=m.TIBIA_SQUARE,
    )
    bone = rounded(body, (z - height) * m.PLATEAU_STEEP, m.PLATEAU_EDGE)
    cx, dy, cz = m.TUBEROSITY.centre
    tuberosity = ellipsoid(x, y, z, (cx, d + dy, cz), m.TUBEROSITY.radii)
    fossa = torch.hypot(x, (y + d + m.FOSSA_BACK) * m.FOSSA_FLAT) - m.FOSSA_RADIUS
    bone = difference(bone, torch.maximum(fossa, m.FOSSA_TOP - z), m.FOSSA_FILLET)
    return union(bone, tuberosity, m.TUBEROSITY_FILLET)


def fibula(local: Local, shape: KneeShape) -> Tensor:
    """The fibular head, neck and upper shaft, behind and beside the lateral tibial condyle."""
    top = shape.fibula_height
    neck, narrow = top + m.FIBULA_NECK, top + m.FIBULA_NARROW
    head, styloid = (
        ellipsoid(*local.xyz, (part.centre[0], part.centre[1], top + part.centre[2]), part.radii)
        for part in (m.FIBULA_HEAD, m.FIBULA_STYLOID)
    )
    shaft = local.tube(
        local.profile((neck, m.FIBULA_X_NECK), *m.FIBULA_X),
        local.profile((neck, m.FIBULA_Y_NECK), *m.FIBULA_Y),
        local.profile(*zip((neck, narrow), m.FIBULA_HALF_X_TOP, strict=True), *m.FIBULA_HALF_X),
        local.profile(*zip((neck, narrow), m.FIBULA_HALF_Y_TOP, strict=True), *m.FIBULA_HALF_Y),
    )
    shaft = torch.maximum(shaft, local.z - neck)
    return union(union(head, styloid, m.STYLOID_FILLET), shaft, m.FIBULA_FILLET)


def patella(local: Local, shape: KneeShape) -> Tensor:
    """The patella: a shield with a vertical ridge behind, pointed below."""
    rx, rz = shape.patella_width / 2, shape.patella_height / 2
    x, y, z = local.x - m.PATELLA_X, local.y - m.PATELLA_Y, local.z - shape.patella_z
    half = rx * (1 - m.PATELLA_POINTED * (-z).clamp_min(0))
    shield = torch.sqrt((x / half) ** 2 + (z / rz) ** 2)
    face = (shield - 1) * (rx * m.PATELLA_FACE)
    back = -y - (m.PATELLA_BACK - m.PATELLA_RIDGE * x.abs() - m.PATELLA_HOLLOW * z**2)
    front = y - (m.PATELLA_FRONT - m.PATELLA_ROUND * x**2 - m.PATELLA_ROUND * z**2)
    return rounded(rounded(back, front, m.PATELLA_EDGE), face, m.PATELLA_RIM)
