"""The graded radiographic features as changes of the anatomy.

Each feature has its own generator (seed, variable), and draws its places whether or not it is
present: switching one feature changes what it stands for and nothing else.

Grades follow the OARSI atlas (Altman & Gold, Osteoarthr Cartil 2007): osteophytes of about 2, 4.5
and 7.5 mm; joint-space narrowing with 28, 60 and 94 % of the cartilage gone, then bone on bone;
attrition of 1.2, 2.2 and 3.2 mm. KL grade (V00XRKL) sums up the others and has no shape of its own.

The atlas is a collection of pictures without measurements: the lengths above, and every constant
below, are set by eye until the painted knee looks as its pictures do. Lengths in mm.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .fields import Region, ellipsoid, union

CARTILAGE_LEFT = (1.0, 0.72, 0.40, 0.06)
MENISCUS_LEFT = (1.0, 0.90, 0.65, 0.40)
OSTEOPHYTE_MM = (0.0, 2.0, 4.5, 7.5)
SCLEROSIS_MM = (0.0, 3.0, 5.5, 8.5)
ATTRITION_MM = (0.0, 1.2, 2.2, 3.2)
SIGNS = {"M": 1.0, "L": -1.0}
"""Sign of x on the medial and on the lateral side."""

_LUMPS_APART, _LUMP_SHIFT, _LUMP_HALF_Y = 10.0, 3.0, 9.0
"""Three lumps of an osteophyte along y: their distance, how far each is shifted, half length."""
_OUTER_SHARE, _SIZE_SPREAD, _RISE_SPREAD = 0.8, 0.15, 0.6
"""Size of the outer two over the middle one's; how sizes and heights differ."""
_LUMP_ROOT, _LUMP_OUT, _LUMP_LIFT = 3.0, 0.28, {"F": 0.15, "T": 0.30}
"""Middle of a lump: how far within the rim at size 0, then outwards and upwards by its size."""
_LUMP_HALF_X, _LUMP_HALF_Z, _LUMP_FILLET = (4.0, 0.66), (1.6, 0.42), 2.0
"""Half width and height at size 0 and by its size; fillet between lumps."""

_PLATE_MIDDLE, _PLATE_SHIFT = (24.0, -1.0), (2.0, 4.0)
_PLATE_HALF, _PLATE_EDGE = (13.5, 18.0), 10
"""Sclerosis: |x| and y of its middle, and how far it is shifted; half widths; mm a unit of them."""

_CYST_MM, _CYST_SPREAD, _CYST_SMALLER = 5.5, 1.0, 0.55
"""Radius of the larger cyst, how it differs, and the smaller one's over it."""
_CYST_MIDDLE, _CYST_SHIFT, _CYST_DEEPER = (22.0, -1.0), (3.0, 6.0), 2.2
"""|x| and y of the middle, and how far it is shifted; how far the roof lies under the surface."""
_SECOND_APART, _SECOND_SHIFT = (4.0, 7.0, 1.0), 2.0
"""Where the smaller one lies from the larger, and how its y is shifted."""

_CRYSTAL_LATTICE = (24, 40, 40)
"""Random numbers along (y, z, x) of a region, which the pattern of crystals interpolates."""


@dataclass(frozen=True)
class Disease:
    """The grades of one knee, and where each finding would sit in it."""

    features: Mapping[str, int]
    seed: int

    def grade(self, finding: str, side: str, bone: str = "") -> int:
        """Grade of e.g. ("OS", "M", "F"), ("JS", "L"), ("CH", "M"); missing counts as 0."""
        name = {"JS": f"V00XRJS{side}", "CH": f"V00XRCH{side}"}.get(
            finding, f"V00XR{finding}{bone}{side}"
        )
        return int(self.features.get(name, 0))

    def rng(self, finding: str, side: str, bone: str = "") -> np.random.Generator:
        return np.random.default_rng([self.seed, zlib.crc32(f"{finding}{bone}{side}".encode())])

    def cartilage_left(self, side: str) -> float:
        return CARTILAGE_LEFT[self.grade("JS", side)]

    def meniscus_left(self, side: str) -> float:
        return MENISCUS_LEFT[self.grade("JS", side)]

    def attrition(self, side: str) -> float:
        return ATTRITION_MM[self.grade("AT", side, "T")]


def osteophytes(
    x: Tensor,
    y: Tensor,
    z: Tensor,
    disease: Disease,
    side: str,
    bone: str,
    rim: float,
    level: float,
) -> Tensor | None:
    """Bony lips along the joint margin of one compartment, or None at grade 0.

    Args:
        rim: half width of the bone at its joint margin, mm.
        level: z of the margin, mm. Femoral lips curl up and out, tibial ones out and up.
    """
    size = OSTEOPHYTE_MM[disease.grade("OS", side, bone)]
    rng = disease.rng("OS", side, bone)
    lumps = rng.uniform(-1, 1, (3, 3))
    if size == 0:
        return None
    sign = SIGNS[side]
    field: Tensor | None = None
    for i, (along, out, up) in enumerate(lumps):
        reach = size * (1.0 + _SIZE_SPREAD * out) * (1.0 if i == 1 else _OUTER_SHARE)
        centre = (
            sign * (rim - _LUMP_ROOT + _LUMP_OUT * reach),
            (i - 1) * _LUMPS_APART + _LUMP_SHIFT * along,
            level + _LUMP_LIFT[bone] * reach + _RISE_SPREAD * up,
        )
        half_x, half_z = (least + share * reach for least, share in (_LUMP_HALF_X, _LUMP_HALF_Z))
        lump = ellipsoid(x, y, z, centre, (half_x, _LUMP_HALF_Y, half_z))
        field = lump if field is None else union(field, lump, _LUMP_FILLET)
    return field


def sclerosis(depth: Tensor, x: Tensor, y: Tensor, disease: Disease, side: str, bone: str):
    """Subchondral plate thickened into the marrow: signed distance, or None at grade 0.

    `depth`: distance below the articular surface of the bone, mm, positive inside the bone.
    """
    thickness = SCLEROSIS_MM[disease.grade("SC", side, bone)]
    shift = disease.rng("SC", side, bone).uniform(-1, 1, 2)
    if thickness == 0:
        return None
    cx = SIGNS[side] * _PLATE_MIDDLE[0] + _PLATE_SHIFT[0] * shift[0]
    cy = _PLATE_MIDDLE[1] + _PLATE_SHIFT[1] * shift[1]
    rho = torch.sqrt(((x - cx) / _PLATE_HALF[0]) ** 2 + ((y - cy) / _PLATE_HALF[1]) ** 2)
    lens = thickness * (1 - rho**2).clamp_min(-1)
    return torch.maximum(depth - lens, (rho - 1) * _PLATE_EDGE)


def cysts(
    surface: float, disease: Disease, side: str, bone: str
) -> list[tuple[NDArray[np.float64], float]]:
    """Subchondral cysts as (centre, radius) in mm; empty at grade 0.

    One of 4.5 to 6.5 mm radius under the weight-bearing zone and a smaller one beside it.
    """
    rng = disease.rng("CY", side, bone)
    u = rng.uniform(-1, 1, 6)
    if disease.grade("CY", side, bone) == 0:
        return []
    into = 1.0 if bone == "F" else -1.0
    radius = _CYST_MM + _CYST_SPREAD * u[0]
    centre = np.array(
        [
            SIGNS[side] * (_CYST_MIDDLE[0] + _CYST_SHIFT[0] * u[1]),
            _CYST_MIDDLE[1] + _CYST_SHIFT[1] * u[2],
            surface + into * (radius + _CYST_DEEPER),
        ]
    )
    away, ahead, deeper = _SECOND_APART
    offset = np.array(
        [SIGNS[side] * away * u[3], ahead + _SECOND_SHIFT * u[4], into * (deeper + u[5])]
    )
    return [(centre, radius), (centre + offset, _CYST_SMALLER * radius)]


def crystal_pattern(region: Region, disease: Disease, side: str) -> Tensor | None:
    """Chondrocalcinosis: a field of unit variance whose heights are crystals; None at grade 0."""
    rng = disease.rng("CH", side)
    if disease.grade("CH", side) == 0:
        return None
    lattice = torch.from_numpy(rng.standard_normal((1, 1, *_CRYSTAL_LATTICE)).astype(np.float32))
    field = torch.nn.functional.interpolate(
        lattice, tuple(region.x.shape), mode="trilinear", align_corners=True
    )[0, 0]
    return field
