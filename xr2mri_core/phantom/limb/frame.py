"""One limb while it is painted: coordinates of scale 1, contours, random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline, PchipInterpolator
from torch import Tensor

from ..brush import Brush
from ..fields import Canvas, Point, Region, Texture
from ..shape import KneeShape
from ..tissues import Tissue
from . import measures as m

_ANGLES = 96
"""Directions in which the contours are tabulated."""


class Limb:
    """The state while one limb is painted: coordinates of scale 1, contours, random numbers."""

    def __init__(self, canvas: Canvas, shape: KneeShape, paint: Brush) -> None:
        self.canvas, self.shape, self._paint = canvas, shape, paint
        self.scale = shape.scale
        whole = canvas.region()
        assert whole is not None
        k = 1 / self.scale
        x, y = self._posed(whole.x * k, whole.y * k, whole.height * k)
        self.whole = Region(whole.index, x, y, whole.z * k, whole.height * k)
        # Least and largest x of each column and y of each slice, by row: (columns or slices, rows).
        self._extent = (
            (x.amin(0).T, x.amax(0).T),
            (y.amin(2), y.amax(2)),
        )
        side = m.FASCICLE_TABLE
        self.table = torch.randn((1, 1, side, side), generator=canvas.generator)
        self.belly_clump = canvas.noise(self.whole, m.CLUMPS)
        self.fascia, self.fat = self._contours()

    def _posed(self, x: Tensor, y: Tensor, height: Tensor) -> tuple[Tensor, Tensor]:
        """Coordinates in which the leg is unrotated and the thigh stands straight on the shank."""
        turn, flexion = np.deg2rad(self.shape.rotation), np.deg2rad(self.shape.flexion)
        lean = np.deg2rad(-self.shape.varus / 2)
        cos, sin = float(np.cos(turn)), float(np.sin(turn))
        above = m.BEND_OVER * F.softplus((height - m.BEND_Z) / m.BEND_OVER)
        turned_x, turned_y = cos * x - sin * y, sin * x + cos * y
        return turned_x + float(np.tan(lean)) * above, turned_y + float(np.tan(flexion)) * above

    def normal(self, sd: float) -> float:
        """A random deviation, never beyond `MOST_DEVIATIONS` standard deviations."""
        drawn = torch.randn((), generator=self.canvas.generator)
        return float(drawn.clamp(-m.MOST_DEVIATIONS, m.MOST_DEVIATIONS)) * sd

    def region(self, lo: Point, hi: Point) -> Region | None:
        """The grid within a box (x, y, z) in mm of scale 1, in coordinates of scale 1."""
        s = self.scale
        box = self.canvas.region(z=(lo[2] * s, hi[2] * s))
        if box is None:
            return None
        w, rows = self.whole, box.index[1]
        spans = []
        for (low, high), a, b in zip(self._extent, lo, hi, strict=False):
            near = (high[:, rows].amax(1) > a - 0.5) & (low[:, rows].amin(1) < b + 0.5)
            hit = torch.nonzero(near).ravel()
            if len(hit) < 2:
                return None
            spans.append(slice(int(hit[0]), int(hit[-1]) + 1))
        i = (spans[1], rows, spans[0])
        return Region(i, w.x[i], w.y[i], w.z[i], w.height[:, i[1]])

    def paint(
        self,
        region: Region,
        distance: Tensor,
        tissue: Tissue,
        texture: Texture | None = None,
        opacity: float = 1.0,
    ) -> None:
        self._paint(region, distance * self.scale, tissue, texture, opacity)

    def _contours(self) -> tuple[Tensor, Tensor]:
        """Distance to the deep fascia, and thickness of the fat outside it, on the whole grid."""
        shape, r = self.shape, self.whole
        z = r.height.numpy().ravel()
        centre = tabulate([(k[0], k[1:]) for k in m.CENTRE], z)
        grow = (
            m.GIRTH_SHARE
            * (shape.muscularity - 1 + self.normal(m.OWN_GIRTH))
            * tabulate(m.MUSCLE_SHARE, z)
        )
        own = [
            np.array([1 + self.normal(sd) for _ in range(m.DIRECTIONS)])
            for sd in (m.OWN_FASCIA, m.OWN_FAT)
        ]
        fascia = tabulate(list(m.FASCIA.items()), z) * (1 + grow)[:, None] * own[0]
        bmi = tabulate(m.FAT_BY_BMI, np.array([shape.bmi]))[0] / m.FAT_UNIT
        fat = tabulate(list(m.FAT.items()), z) * own[1] * bmi * (1 + self.normal(m.OWN_THICKNESS))
        fat = np.maximum(fat, m.LEAST_FAT)

        angles = np.linspace(0, 2 * np.pi, _ANGLES + 1)
        knots = np.linspace(0, 2 * np.pi, m.DIRECTIONS + 1)
        tables = []
        for table in (fascia, fat):
            spline = CubicSpline(knots, np.c_[table, table[:, :1]], axis=1, bc_type="periodic")
            tables.append(spline(angles))
            if table is fascia:
                steep = spline(angles, 1) / tables[0]
                tables.append(1 / np.sqrt(1 + steep**2))
        self._centre, self._radius, self._thickness = centre, tables[0], tables[2]
        stack = torch.from_numpy(np.stack(tables).astype(np.float32))

        cx, cy = (torch.from_numpy(centre[:, a].astype(np.float32)).view(1, -1, 1) for a in (0, 1))
        dx, dy = r.x - cx, r.y - cy
        at = torch.atan2(dy, dx) * (_ANGLES / (2 * np.pi))
        at = torch.where(at < 0, at + _ANGLES, at)
        # Rows never mix: the grid's vertical coordinate falls on the middle of each row.
        rows = torch.arange(len(z), dtype=torch.float32) * (2 / max(len(z) - 1, 1)) - 1
        grid = torch.stack([at * (2 / _ANGLES) - 1, rows.view(1, -1, 1).expand_as(at)], dim=-1)
        grid = grid.view(1, -1, at.shape[-1], 2)
        fields = F.grid_sample(stack[None], grid, padding_mode="border", align_corners=True)[0]
        radius, slope, thickness = fields.view(3, *at.shape)
        return (torch.sqrt(dx * dx + dy * dy) - radius) * slope, thickness

    def in_fat(self, z: float, angle: float, share: float) -> tuple[float, float, float]:
        """The point (x, y, z) in the subcutaneous fat in a direction, degrees from medial.

        `share` of its thickness lies between the deep fascia and the point.
        """
        row = int((self.whole.height.ravel() - z).abs().argmin())
        column = round(angle % 360 * _ANGLES / 360)
        radius = self._radius[row, column] + share * self._thickness[row, column]
        turn = np.deg2rad(angle)
        cx, cy = self._centre[row]
        return (cx + radius * np.cos(turn), cy + radius * np.sin(turn), z)


def tabulate(
    knots: Sequence[tuple[float, Any]], at: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Monotone interpolation of ((z, value or values), ...) in any order, constant beyond."""
    order = sorted(knots, key=lambda k: k[0])
    zs = np.array([k[0] for k in order], dtype=float)
    values = np.array([k[1] for k in order], dtype=float)
    return PchipInterpolator(zs, values)(np.clip(at, zs[0], zs[-1]))
