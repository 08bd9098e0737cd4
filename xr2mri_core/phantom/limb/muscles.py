"""Muscles: bellies along the leg, each of fascicles with septa and streaks of fat between them."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..fields import Crop, Region, Texture, double, intersection
from ..tissues import Tissue
from . import measures as m
from .frame import Limb, tabulate


def paint_muscles(limb: Limb) -> None:
    """All bellies: a later one gives way to the earlier ones, and all stay within the fascia."""
    occupied = torch.full_like(limb.fascia, m.BELLY_FAR)
    girth = limb.shape.muscularity * (1 + limb.normal(m.OWN_MUSCLES))
    marbling = m.MARBLING_BY_BMI * (limb.shape.bmi - m.MEAN_BMI) + limb.normal(m.OWN_MARBLING)
    for belly in m.BELLIES:
        drift = np.array([limb.normal(m.OWN_DRIFT), limb.normal(m.OWN_DRIFT)])
        size = girth * (1 + limb.normal(m.OWN_BELLY))
        ends = [limb.normal(m.OWN_LOW), limb.normal(m.OWN_HIGH)]
        z, x, y, rx, ry = np.array(sorted(belly.knots), dtype=float).T
        x, y, rx, ry = x + drift[0], y + drift[1], rx * size, ry * size
        low = -np.inf if belly.low is None else belly.low + ends[0]
        high = np.inf if belly.high is None else belly.high + ends[1]
        reach = np.maximum(rx, ry) + 2
        lo = ((x - reach).min(), (y - reach).min(), low)
        hi = ((x + reach).max(), (y + reach).max(), high)
        region = limb.region(lo, hi)
        if region is None:
            continue
        height = region.height.numpy().ravel()
        table = tabulate(list(zip(z, np.stack([x, y, rx, ry], 1), strict=True)), height)
        cap = np.ones_like(height)
        for gap in (height - low, high - height):
            t = 1 - np.clip(gap / belly.taper, m.ENDS_WITHIN, 1)
            cap = cap * np.sqrt(1 - t**2)
        table[:, 2:] *= cap[:, None]
        distance = _ellipse(region, table, belly.turn)
        within = limb.fascia[region.index] + m.UNDER_FASCIA
        distance = intersection(distance, within, m.FASCIA_FILLET)
        distance = intersection(distance, m.PLANE_MM - occupied[region.index], m.BELLY_FILLET)
        view = occupied[region.index]
        torch.minimum(view, distance, out=view)
        limb.paint(
            region, distance, Tissue.MUSCLE, _fascicles(limb, region, belly.fibres, marbling)
        )


def _ellipse(region: Region, table: NDArray[np.float64], turn: float) -> Tensor:
    """Distance to a tube with a turned elliptic section; `table`: (rows, 4) of x, y, rx, ry."""
    rows = torch.from_numpy(table.astype(np.float32))
    cx, cy, rx, ry = (rows[:, a].view(1, -1, 1) for a in range(4))
    c, s = float(np.cos(np.deg2rad(turn))), float(np.sin(np.deg2rad(turn)))
    dx, dy = region.x - cx, region.y - cy
    u, v = (c * dx + s * dy) / rx, (c * dy - s * dx) / ry
    rho2 = u * u + v * v
    steep = torch.sqrt((u / rx) ** 2 + (v / ry) ** 2).clamp_min(1e-4)
    rho = torch.sqrt(rho2)
    return rho * (rho - 1) / steep


def _fascicles(limb: Limb, region: Region, fibres: tuple[float, float], amount: float) -> Texture:
    """Signal factor of muscle: fascicles along the fibres, thin septa and streaks of fat.

    A table of random values is swept along the fibres, so that a fascicle is a column: about
    `FASCICLE_MM` thick across slices as within them, and long. It is evaluated at full
    resolution: septa are one pixel wide.
    """

    def at(crop: Crop) -> Tensor:
        x, y, z = (double(c.expand(region.x.shape)[crop]) for c in (region.x, region.y, region.z))
        clump = double(limb.belly_clump[region.index][crop])
        u = (x - fibres[0] * z) * (1 / m.FASCICLE_MM) + m.FASCICLE_BEND * clump
        v = (y - m.OBLIQUE * fibres[1] * z) * (1 / m.FASCICLE_MM) + m.FASCICLE_SHIFT * fibres[0]
        fine = _swept(limb.table, u, v)
        coarse = _swept(limb.table, m.COARSER * u + m.COARSER_SHIFT, m.COARSER * v)
        a, b, c = m.STREAK_PARTS
        height = a * fine + b * coarse + c * clump - m.STREAK_LEVEL + amount
        streak = torch.sigmoid(m.STREAK_STEEP * height)
        near = torch.exp(-torch.square(coarse * (1 / m.SEPTUM_LEVEL)))
        septum = near * torch.sigmoid(m.SEPTUM_STEEP * clump)
        a, b, c = m.MUSCLE_GRAIN
        grain = 1 + a * fine + b * coarse + c * clump
        return grain * (1 - m.STREAK_DARK * streak) * (1 - m.SEPTUM_DARK * septum)

    return at


def _swept(table: Tensor, u: Tensor, v: Tensor) -> Tensor:
    grid = torch.stack([u, v], dim=-1).view(1, -1, u.shape[-1], 2) * (2 / m.FASCICLE_TABLE)
    value = F.grid_sample(table, grid, padding_mode="reflection", align_corners=False)
    return value.view(u.shape)
