"""Femur, tibia, fibula and patella as signed distances, each in its own frame.

Calibrated against a segmented right knee (pymskt's example: femur 75 x 62 mm, tibia 71 x 51 mm,
patella 41 x 39 x 21 mm, fibular head 27 x 23 mm) and the morphometry cited in `shape`.
Coordinates arrive in mm divided by `shape.scale`; distances leave in the same unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .fields import Region, difference, ellipsoid, rounded, tube, union
from .shape import KneeShape


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
        return self.region.profile([(z * self.scale, v) for z, v in knots])

    def tube(self, cx: Tensor, cy: Tensor, rx: Tensor, ry: Tensor, power: float = 2.0) -> Tensor:
        return tube(self, cx, cy, rx, ry, power)  # type: ignore[arg-type]


def condyle_profile(local: Local, shape: KneeShape, bottom: tuple[float, float]) -> Tensor:
    """The sagittal outline of the condyles and trochlea, swept across the knee.

    Three circles: posterior condyle, distal condyle (flatter) and trochlea. `bottom` gives the
    lowest z of the medial and lateral condyle. The transverse roundness of both condyles and the
    trochlear groove between them are one quadratic: zero on the condyles' crests.
    """
    x, y, z = local.x, local.y, local.z
    medial = torch.sigmoid(x / 4)
    lateral_radius = shape.medial_radius + shape.lateral_radius_offset
    radius = torch.lerp(torch.tensor(lateral_radius), torch.tensor(shape.medial_radius), medial)
    low = torch.lerp(torch.tensor(bottom[1]), torch.tensor(bottom[0]), medial)
    z = z - low
    posterior = torch.hypot(y + 1.5, z - radius) - radius
    distal = torch.hypot(y - 8.5, z - 25.5) - 25.0
    trochlea = torch.hypot(y - 16.5 + 2.0 * medial, z - 27.5) - 22.5
    outline = union(union(posterior, distal, 4.0), trochlea, 6.0)
    # Ahead of the condyles the crests converge into the trochlea.
    crest = shape.intercondylar / 2 - 0.10 * (y - 8).clamp(0, 30)
    across = (x.abs() - crest) / (shape.condyle_width / 2)
    inner = (x.abs() < crest).float()
    depth = shape.trochlea_depth / 2.9
    anterior = ((y - 4) / 16).clamp(0, 1)
    curvature = torch.lerp(
        torch.tensor(5.2), torch.lerp(torch.tensor(2.4), torch.tensor(depth), anterior), inner
    )
    return outline + curvature * across**2


def femur(local: Local, shape: KneeShape, bottom: tuple[float, float]) -> Tensor:
    """The distal femur."""
    x, y, z = local.x, local.y, local.z
    outline = condyle_profile(local, shape, bottom)
    width = shape.intercondylar / 2 + shape.condyle_width / 2
    # Epicondyles stand out halfway up; posterior condyles are narrower.
    bulge = 3.0 * torch.exp(-(((z - 27) / 11) ** 2) - ((y - 3) / 15) ** 2)
    taper = 0.10 * (-(y + 4)).clamp(0, 25) + 0.16 * (y - 12).clamp(0, 30)
    block = rounded(outline, x.abs() - (width + bulge - taper), 9.0)
    lean = torch.tan(torch.deg2rad(torch.tensor(5.5 - shape.varus / 2)))
    shaft_x = local.profile((20, 0.0), (45, -1.0), (70, -3.0), (110, -6.5))
    shaft_x = shaft_x - (lean - 0.096) * (local.region.height / local.scale - 30).clamp_min(0)
    f = shape.femoral_shaft
    shaft = local.tube(
        shaft_x,
        local.profile((15, 10.0), (40, 11.0), (65, 13.5), (110, 16.0)),
        local.profile(
            (14, 33), (24, 39), (34, 38.5), (46, 33), (60, 26.5), (78, f + 2.5), (110, f - 1)
        ),
        local.profile((14, 16), (24, 20), (40, 18.5), (60, 16.5), (80, 15.5), (110, 15)),
        power=2.4,
    )
    shaft = rounded(shaft, 19 - z, 4.0)
    bone = union(block, shaft, 7.0)
    notch_top = shape.notch_height * (1 - (y + 4) / 22).clamp(0, 1.6) + 5.0
    notch_top = notch_top + 3.5 * (-8 - y).clamp_min(0)
    widen = 0.25 * (-y).clamp(0, 25)
    notch = rounded(x.abs() - (shape.notch_width / 2 + widen), z - notch_top, 8.5)
    return difference(bone, notch, 6.0)


def plateau(local: Local, shape: KneeShape, attrition: tuple[float, float] = (0.0, 0.0)) -> Tensor:
    """Height of the tibial plateau (bone) over the joint plane: z of the surface at (x, y)."""
    x, y = local.x, local.y
    slope = torch.tan(torch.deg2rad(torch.tensor(shape.plateau_slope)))
    height = slope * y.clamp(-30, 30) * 0.8
    near_m = (1 - ((x - 22) / 15) ** 2 - (y / 20) ** 2).clamp_min(0)
    near_l = (1 - ((x + 22) / 15) ** 2 - (y / 18) ** 2).clamp_min(0)
    height = height - shape.medial_concavity * near_m.sqrt() + shape.lateral_convexity * near_l
    height = height - attrition[0] * _plate(x - 24, y + 2) - attrition[1] * _plate(x + 24, y + 2)
    spines = torch.exp(-(((x - 5) / 4.2) ** 2) - ((y - 1) / 8) ** 2)
    spines = spines + 0.8 * torch.exp(-(((x + 6) / 4.2) ** 2) - ((y + 3) / 8) ** 2)
    height = height + shape.spine_height * spines
    # The rim rolls off.
    edge = (x.abs() / (shape.plateau_width / 2)) ** 2 + (y / (shape.plateau_depth / 2)) ** 2
    return height - 1.6 * (edge - 0.85).clamp_min(0) * 4


def _plate(x: Tensor, y: Tensor) -> Tensor:
    """A flat-bottomed depression of the weight-bearing zone, 1 in its middle."""
    rho = torch.sqrt((x / 13) ** 2 + (y / 17) ** 2)
    return ((1.25 - rho) / 0.5).clamp(0, 1)


def tibia(local: Local, shape: KneeShape, height: Tensor) -> Tensor:
    """The proximal tibia under the plateau `height`."""
    x, y, z = local.x, local.y, local.z
    w, d, s = shape.plateau_width / 2, shape.plateau_depth / 2, shape.tibial_shaft
    lean = torch.tan(torch.deg2rad(torch.tensor(shape.varus / 2)))
    centre = local.profile((4, 0.0), (-15, 0.0), (-35, -0.5), (-70, -1.0))
    centre = centre + lean * (-15 - local.region.height / local.scale).clamp_min(0)  # medially
    body = local.tube(
        centre,
        local.profile((0, 0.0), (-20, 0.5), (-40, 3.0), (-70, 4.5)),
        local.profile(
            (6, w - 1), (-4, w), (-10, w - 1), (-20, w - 6), (-32, w - 13), (-46, s + 2.5), (-75, s)
        ),
        local.profile(
            (6, d - 1), (-5, d), (-14, d - 1.5), (-28, d - 5), (-45, s + 1.5), (-75, s + 0.5)
        ),
        power=2.7,
    )
    bone = rounded(body, (z - height) * 0.97, 2.5)
    tuberosity = ellipsoid(x, y, z, (-3, d - 5.0, -27), (9, 8, 15))
    fossa = torch.hypot(x, (y + d + 3) * 0.9) - 8.0
    bone = difference(bone, torch.maximum(fossa, -22 - z), 4.0)
    return union(bone, tuberosity, 6.0)


def fibula(local: Local, shape: KneeShape) -> Tensor:
    """The fibular head, neck and upper shaft, behind and beside the lateral tibial condyle."""
    top = shape.fibula_height
    x, y, z = local.x, local.y, local.z
    head = ellipsoid(x, y, z, (-32, -19.5, top - 11), (11.5, 11, 12.5))
    styloid = ellipsoid(x, y, z, (-33.5, -22, top - 3), (5.5, 5.5, 6.5))
    shaft = local.tube(
        local.profile((top - 10, -32.0), (-45, -31.0), (-70, -30.0)),
        local.profile((top - 10, -19.5), (-45, -17.5), (-70, -16.0)),
        local.profile((top - 10, 10.0), (top - 22, 7.6), (-45, 6.6), (-70, 6.2)),
        local.profile((top - 10, 9.5), (top - 22, 7.2), (-45, 6.4), (-70, 6.2)),
    )
    shaft = torch.maximum(shaft, z - (top - 10))
    return union(union(head, styloid, 3.0), shaft, 4.0)


def patella(local: Local, shape: KneeShape) -> Tensor:
    """The patella: a shield with a vertical ridge behind, pointed below."""
    rx, rz = shape.patella_width / 2, shape.patella_height / 2
    x, z = local.x + 1.5, local.z - shape.patella_z
    y = local.y - 49.5
    shield = torch.sqrt((x / (rx * (1 - 0.012 * (-z).clamp_min(0)))) ** 2 + (z / rz) ** 2)
    face = (shield - 1) * (rx * 0.8)
    back = -y - (11.5 - 0.36 * x.abs() - 0.012 * z**2)
    front = y - (9.5 - 0.010 * x**2 - 0.010 * z**2)
    return rounded(rounded(back, front, 2.5), face, 5.0)
