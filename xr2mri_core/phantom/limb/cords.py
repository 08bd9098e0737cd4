"""Vessels, nerves and long tendons as rods, and the veins in the subcutaneous fat."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch

from ..fields import capsule
from ..tissues import Tissue
from . import measures as m
from .frame import Limb, tabulate

Course = Sequence[tuple[float, float]]


def paint_cords(limb: Limb) -> None:
    """Paint the vessels, nerves and tendons of `CORDS`, in their order."""
    for cord in m.CORDS:
        _paint_cord(limb, cord)


def _paint_cord(limb: Limb, cord: m.Cord) -> None:
    shift = np.array([limb.normal(cord.wander), limb.normal(cord.wander), limb.normal(cord.wander)])
    points = np.array(cord.path) + shift
    radii = np.linspace(*cord.radius, len(points)) * (1 + limb.normal(m.OWN_CORD))
    for (a, ra), (b, rb) in pairwise(zip(points, radii, strict=True)):
        margin = max(ra, rb) + 2
        region = limb.region(np.minimum(a, b) - margin, np.maximum(a, b) + margin)
        if region is not None:
            limb.paint(region, capsule(region.x, region.y, region.z, a, b, ra, rb), cord.tissue)


def paint_subcutaneous_veins(limb: Limb) -> None:
    """The great saphenous vein, the small one, and a few tributaries within the fat."""
    for course, radius in _courses(limb):
        zs = np.linspace(course[0][0], course[-1][0], 2 * len(course))
        angle = tabulate(course, zs)
        share = m.VEIN_SHARE + limb.normal(m.OWN_SHARE)
        points = [limb.in_fat(z, a, share) for z, a in zip(zs, angle, strict=True)]
        for a, b in pairwise(points):
            region = limb.region(np.minimum(a, b) - radius - 2, np.maximum(a, b) + radius + 2)
            if region is not None:
                d = capsule(region.x, region.y, region.z, a, b, radius)
                limb.paint(region, d, Tissue.VESSEL)


def _courses(limb: Limb) -> list[tuple[Course, float]]:
    """Each vein's course, (z, degrees from medial), and its radius, mm."""
    generator = limb.canvas.generator
    courses: list[tuple[Course, float]] = [
        (m.SAPHENOUS, m.SAPHENOUS_RADIUS + limb.normal(m.OWN_RADIUS)),
        (m.SMALL_SAPHENOUS, m.SMALL_RADIUS),
    ]
    (least_z, range_z), (least_angle, range_angle) = m.TRIBUTARY_Z, m.TRIBUTARY_ANGLE
    least, more = m.TRIBUTARY_LENGTH
    for _ in range(m.TRIBUTARIES):
        place = torch.rand(2, generator=generator) * torch.tensor([range_z, range_angle])
        z, angle = place.tolist()
        z, angle = z + least_z, angle + least_angle
        length = least + more * float(torch.rand((), generator=generator))
        end = (z - length, angle + limb.normal(m.TRIBUTARY_TURN))
        radius = m.TRIBUTARY_RADIUS + abs(limb.normal(m.OWN_TRIBUTARY))
        courses.append((((z, angle), end), radius))
    return courses
