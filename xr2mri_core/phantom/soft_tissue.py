"""The limb around the joint: skin, fat, fascia, muscles, vessels, nerves and long tendons.

Everything here is laid down before the bones. The leg is described by two families of curves in the
knee frame (right knee of scale 1): the deep fascia as a polar contour in eight directions at each
height, with the subcutaneous fat outside it, and the muscles as bellies, tubes along the leg whose
centres and radii are tabulated against height. Positions follow cross-sectional anatomy (Moeller
and Reif, Pocket Atlas of Sectional Anatomy III, 2007); girth follows `KneeShape.muscularity`, fat
follows `KneeShape.bmi`, and each knee draws its own small departures, so that the outline of the
leg on a radiograph predicts, but does not determine, the soft tissue on the MR image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from scipy.interpolate import CubicSpline, PchipInterpolator
from torch import Tensor

from .fields import (
    Canvas,
    Crop,
    Point,
    Region,
    Texture,
    capsule,
    double,
    intersection,
    rounded,
)
from .shape import KneeShape
from .tissues import Tissue


class TissuePaint(Protocol):
    """Lays a tissue on the canvas: `Canvas.paint` with the signal and attenuation looked up."""

    def __call__(
        self,
        region: Region | None,
        distance: Tensor,
        tissue: Tissue,
        texture: Texture | None = None,
        opacity: float = 1.0,
    ) -> None: ...


_SKIN_MM = 1.3
_FASCIA_MM = 0.9
FASCICLE_MM = 1.4
"""Thickness of a fascicle: the texture of a real calf has a correlation of .64 at .6 mm, .2 at 1.3
mm across the fibres in plane and .2 from slice to slice, 1.5 mm on."""
_PLANE_MM = 1.1
"""Fat and epimysium between neighbouring bellies."""

# The contours, in eight directions: medial, anteromedial, anterior, anterolateral, lateral,
# posterolateral, posterior, posteromedial.
_CENTRE = ((100, 2, -4), (60, 1, -3), (33, 1, -2), (0, 0, -2), (-30, -3, -6), (-62, -5, -10))
"""(z, x, y) of the pole of the contours, mm."""
_FASCIA = {
    100: (49, 52, 58, 50, 46, 52, 57, 54),
    60: (47, 49, 58, 47, 46, 50, 55, 53),
    33: (45, 46, 60, 46, 45, 49, 52, 52),
    0: (43, 44, 52, 45, 45, 50, 51, 50),
    -30: (36, 35, 46, 43, 46, 53, 53, 49),
    -62: (30, 32, 40, 42, 47, 55, 54, 51),
}
"""Radius of the deep fascia by z, mm, at muscularity 1."""
_FAT = {
    100: (19, 14, 11, 10, 11, 13, 14, 18),
    60: (18, 12, 6, 9, 10, 12, 13, 18),
    33: (17, 10, 4, 8, 10, 11, 12, 17),
    0: (17, 13, 8, 9, 9, 10, 11, 16),
    -30: (19, 15, 8, 9, 9, 10, 11, 15),
    -62: (22, 17, 8, 8, 9, 10, 11, 14),
}
"""Thickness of the subcutaneous fat by z, mm, at BMI 27."""
_FAT_BY_BMI = ((16.0, 4.5), (20.0, 6.0), (28.0, 12.0), (36.0, 19.0), (48.0, 23.0))
_MUSCLE_SHARE = ((100, 1.0), (60, 0.6), (33, 0.3), (0, 0.15), (-30, 0.7), (-62, 1.0))
"""How much of the muscles' girth the fascia takes over, by z."""


@dataclass(frozen=True)
class Belly:
    """One muscle belly: an elliptic tube with rounded ends.

    `knots`: (z, x, y, rx, ry) in mm. `low`, `high`: z of its ends, None where it leaves the field.
    `turn`: degrees by which the section's rx axis turns from medial towards anterior.
    `fibres`: (dx, dy) in mm per mm of z, the direction of its fascicles. `taper`: length in mm over
    which an end is rounded off.
    """

    name: str
    knots: tuple[tuple[float, float, float, float, float], ...]
    low: float | None = None
    high: float | None = None
    turn: float = 0.0
    fibres: tuple[float, float] = (0.0, 0.0)
    taper: float = 14.0


# In order of precedence: a later belly gives way to the earlier ones.
BELLIES: tuple[Belly, ...] = (
    Belly(
        "vastus medialis",
        ((100, 21, 14, 20, 29), (75, 25, 16, 18, 27), (55, 30, 20, 11, 20), (40, 33, 23, 8, 14)),
        low=44,
        turn=-20,
        fibres=(-0.35, 0.3),
        taper=24,
    ),
    Belly(
        "vastus lateralis",
        ((100, -30, 13, 12, 25), (75, -34, 13, 8, 21), (55, -37, 14, 4.5, 15)),
        low=54,
        turn=8,
        fibres=(0.25, 0.15),
        taper=26,
    ),
    Belly(
        "vastus intermedius",
        ((100, -2, 38, 17, 6.5), (75, -2, 42, 12, 3.5), (60, -2, 44, 8, 2)),
        low=66,
        fibres=(0.0, 0.2),
        taper=20,
    ),
    Belly(
        "semimembranosus",
        ((100, 6, -36, 17, 16), (75, 9, -37, 17, 15), (50, 15, -36, 12, 11), (28, 20, -34, 5, 6)),
        low=27,
        turn=15,
        fibres=(0.25, -0.1),
        taper=16,
    ),
    Belly(
        "semitendinosus",
        ((100, 7, -55, 13, 7), (75, 12, -54, 9, 5.5), (50, 19, -52, 4, 3)),
        low=48,
        fibres=(0.1, 0.0),
        taper=20,
    ),
    Belly(
        "gracilis",
        ((100, 30, -36, 6, 10), (60, 34, -35, 5, 9), (25, 37, -32, 3, 5)),
        low=22,
        turn=35,
        fibres=(0.1, 0.0),
        taper=24,
    ),
    Belly(
        "sartorius",
        (
            (100, 39, -20, 5, 11),
            (60, 41, -21, 4.5, 10),
            (20, 41, -21, 3.5, 10),
            (-20, 34, -12, 2, 10),
        ),
        low=-14,
        turn=12,
        fibres=(0.05, 0.1),
        taper=34,
    ),
    Belly(
        "biceps femoris, long head",
        (
            (100, -25, -36, 15, 13.5),
            (70, -30, -33, 11.5, 12),
            (40, -34, -31, 7, 9),
            (12, -37, -25, 3.5, 5),
        ),
        low=12,
        turn=-30,
        fibres=(-0.2, 0.15),
        taper=18,
    ),
    Belly(
        "biceps femoris, short head",
        (
            (100, -24, -15, 10, 10),
            (60, -31, -18, 8, 8),
            (30, -36, -20, 5.5, 6),
            (5, -38, -20, 3.5, 4),
        ),
        low=4,
        turn=-15,
        fibres=(-0.35, 0.0),
        taper=20,
    ),
    Belly(
        "popliteus",
        ((2, -22, -22, 10, 4.5), (-18, -5, -20, 21, 7), (-42, 8, -16, 16, 9), (-62, 11, -13, 9, 7)),
        low=-66,
        high=2,
        fibres=(-0.8, -0.1),
        taper=16,
    ),
    Belly(
        "gastrocnemius, medial head",
        (
            (36, 9, -33, 11, 9.5),
            (15, 12, -35, 15, 12.5),
            (-20, 15, -39, 19, 17),
            (-62, 14, -42, 21, 19),
        ),
        high=38,
        turn=-8,
        fibres=(0.15, -0.15),
        taper=15,
    ),
    Belly(
        "gastrocnemius, lateral head",
        (
            (32, -22, -32, 11, 9.5),
            (15, -23, -34, 14, 12),
            (-20, -26, -41, 17, 15),
            (-62, -27, -45, 20, 16),
        ),
        high=34,
        turn=8,
        fibres=(-0.12, -0.15),
        taper=15,
    ),
    Belly(
        "plantaris",
        ((40, -26, -24, 4.5, 4.5), (15, -19, -27, 5.5, 4.5), (-12, -11, -31, 3, 2.5)),
        low=-14,
        high=40,
        fibres=(-0.2, 0.0),
        taper=12,
    ),
    Belly(
        "soleus",
        ((-14, -26, -30, 15, 7), (-40, -17, -29, 25, 9), (-62, -10, -29, 29, 11)),
        high=-8,
        turn=4,
        fibres=(0.1, -0.2),
        taper=14,
    ),
    Belly(
        "tibialis anterior",
        ((-14, -32, 12, 7, 8), (-35, -32, 14, 12, 13), (-62, -27, 15, 15, 15)),
        high=-12,
        fibres=(0.15, 0.0),
        taper=22,
    ),
    Belly(
        "extensor digitorum longus",
        ((-18, -41, -1, 6, 9), (-40, -41, 0, 8.5, 10), (-62, -40, 1, 10, 11)),
        high=-15,
        fibres=(0.1, 0.0),
        taper=18,
    ),
    Belly(
        "peroneus longus",
        ((-22, -44, -14, 6, 9), (-42, -45, -15, 8.5, 11), (-62, -44, -16, 10, 13)),
        high=-20,
        turn=-10,
        fibres=(0.1, 0.05),
        taper=18,
    ),
    Belly(
        "tibialis posterior",
        ((-30, -17, -9, 9, 8), (-62, -15, -9, 14, 12)),
        high=-30,
        fibres=(0.1, 0.0),
        taper=14,
    ),
)


@dataclass(frozen=True)
class Cord:
    """A vessel, nerve or tendon: a rod along `path` ((x, y, z), ...) with radii at its ends, mm."""

    tissue: Tissue
    path: tuple[tuple[float, float, float], ...]
    radius: tuple[float, float]
    wander: float = 1.0


CORDS: tuple[Cord, ...] = (
    # popliteal vein, artery; tibial and common peroneal nerve
    Cord(
        Tissue.VESSEL, ((-9, -14, 106), (-7, -19, 60), (-3, -33, 20), (-5, -34, -64)), (5.4, 3.2), 2
    ),
    Cord(
        Tissue.VESSEL,
        ((-1, -11, 106), (-1, -17, 60), (0, -28, 22), (-2, -29, -12), (-4, -26, -64)),
        (3.3, 2.6),
    ),
    Cord(
        Tissue.NERVE, ((-8, -29, 106), (-6, -38, 60), (-5, -43, 20), (-6, -38, -64)), (2.9, 2.2), 2
    ),
    Cord(
        Tissue.NERVE,
        ((-13, -30, 106), (-20, -38, 60), (-30, -36, 25), (-39, -29, -8), (-42, -17, -36)),
        (2.0, 1.4),
    ),
    # medial and lateral superior, inferior genicular branches
    Cord(Tissue.VESSEL, ((-1, -18, 58), (16, -14, 49), (33, -4, 46), (38, 16, 47)), (1.4, 0.8), 3),
    Cord(
        Tissue.VESSEL, ((-1, -18, 55), (-18, -14, 47), (-33, -5, 44), (-37, 14, 45)), (1.3, 0.8), 3
    ),
    Cord(
        Tissue.VESSEL, ((0, -28, 4), (18, -27, -10), (35, -12, -16), (34, 12, -14)), (1.2, 0.8), 2
    ),
    Cord(Tissue.VESSEL, ((-1, -28, 6), (-24, -27, 2), (-39, -10, 2), (-38, 14, 3)), (1.1, 0.7), 2),
    # descending genicular, under vastus medialis
    Cord(Tissue.VESSEL, ((32, 0, 100), (33, 6, 72), (37, 14, 50), (34, 28, 36)), (1.3, 0.8), 2),
    # hamstring and pes anserinus tendons
    Cord(
        Tissue.TENDON,
        ((17, -54, 62), (26, -47, 30), (35, -30, 2), (31, -4, -34), (21, 16, -56)),
        (2.3, 2.2),
        1,
    ),
    Cord(
        Tissue.TENDON,
        ((36, -35, 40), (39, -30, 15), (38, -20, -8), (31, 2, -36), (21, 18, -52)),
        (1.9, 1.8),
        1,
    ),
    Cord(Tissue.TENDON, ((19, -37, 40), (24, -32, 20), (27, -25, 0), (28, -20, -9)), (3.2, 2.8), 1),
    Cord(Tissue.TENDON, ((-35, -30, 36), (-38, -26, 10), (-35, -22, -14)), (2.0, 3.2), 0.5),
)


class _Limb:
    """The state while one limb is painted: coordinates of scale 1, contours, random numbers."""

    def __init__(self, canvas: Canvas, shape: KneeShape, paint: TissuePaint) -> None:
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
        self._table = torch.randn((1, 1, 288, 288), generator=canvas.generator)
        self._belly_clump = canvas.noise(self.whole, (9, 40, 9))
        self.fascia, self.fat = self._contours()

    def _posed(self, x: Tensor, y: Tensor, height: Tensor) -> tuple[Tensor, Tensor]:
        """Coordinates in which the leg is unrotated and the thigh stands straight on the shank."""
        turn, flexion = np.deg2rad(self.shape.rotation), np.deg2rad(self.shape.flexion)
        lean = np.deg2rad(-self.shape.varus / 2)
        cos, sin = float(np.cos(turn)), float(np.sin(turn))
        above = 8 * F.softplus((height - 26) / 8)
        turned_x, turned_y = cos * x - sin * y, sin * x + cos * y
        return turned_x + float(np.tan(lean)) * above, turned_y + float(np.tan(flexion)) * above

    def normal(self, sd: float) -> float:
        return float(torch.randn((), generator=self.canvas.generator).clamp(-2.2, 2.2)) * sd

    def region(self, lo: Point | np.ndarray, hi: Point | np.ndarray) -> Region | None:
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
        centre = _tabulate([(k[0], k[1:]) for k in _CENTRE], z)
        grow = 0.75 * (shape.muscularity - 1 + self.normal(0.015)) * _tabulate(_MUSCLE_SHARE, z)
        own = [np.array([1 + self.normal(sd) for _ in range(8)]) for sd in (0.015, 0.09)]
        fascia = _tabulate(list(_FASCIA.items()), z) * (1 + grow)[:, None] * own[0]
        bmi = _tabulate(_FAT_BY_BMI, np.array([shape.bmi]))[0] / 11.2
        fat = _tabulate(list(_FAT.items()), z) * own[1] * bmi * (1 + self.normal(0.1))
        fat = np.maximum(fat, 2.5)

        angles = np.linspace(0, 2 * np.pi, 97)
        knots = np.linspace(0, 2 * np.pi, 9)
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
        at = torch.atan2(dy, dx) * (96 / (2 * np.pi))
        at = torch.where(at < 0, at + 96, at)
        # Rows never mix: the grid's vertical coordinate falls on the middle of each row.
        rows = torch.arange(len(z), dtype=torch.float32) * (2 / max(len(z) - 1, 1)) - 1
        grid = torch.stack([at * (2 / 96) - 1, rows.view(1, -1, 1).expand_as(at)], dim=-1)
        grid = grid.view(1, -1, at.shape[-1], 2)
        fields = F.grid_sample(stack[None], grid, padding_mode="border", align_corners=True)[0]
        radius, slope, thickness = fields.view(3, *at.shape)
        return (torch.sqrt(dx * dx + dy * dy) - radius) * slope, thickness

    def in_fat(self, z: float, angle: float, share: float) -> tuple[float, float, float]:
        """The point (x, y, z) in the subcutaneous fat in a direction, degrees from medial.

        `share` of its thickness lies between the deep fascia and the point.
        """
        row = int((self.whole.height.ravel() - z).abs().argmin())
        column = round(angle % 360 * 96 / 360)
        radius = self._radius[row, column] + share * self._thickness[row, column]
        turn = np.deg2rad(angle)
        cx, cy = self._centre[row]
        return (cx + radius * np.cos(turn), cy + radius * np.sin(turn), z)

    def fascicles(self, region: Region, fibres: tuple[float, float], amount: float) -> Texture:
        """Signal factor of muscle: fascicles along the fibres, thin septa and streaks of fat.

        A table of random values is swept along the fibres, so that a fascicle is a column: about
        FASCICLE_MM thick across slices as within them, and long. It is evaluated at full
        resolution: septa are one pixel wide.
        """

        def at(crop: Crop) -> Tensor:
            x, y, z = (
                double(c.expand(region.x.shape)[crop]) for c in (region.x, region.y, region.z)
            )
            clump = double(self._belly_clump[region.index][crop])
            u = (x - fibres[0] * z) * (1 / FASCICLE_MM) + 1.2 * clump
            v = (y - 0.3 * fibres[1] * z) * (1 / FASCICLE_MM) + 30 * fibres[0]
            fine = self._swept(u, v)
            coarse = self._swept(0.3 * u + 40, 0.3 * v)
            streak = torch.sigmoid(5 * (0.8 * fine + 1.0 * coarse + 0.6 * clump - 2.0 + amount))
            septum = torch.exp(-torch.square(coarse * (1 / 0.14))) * torch.sigmoid(3 * clump)
            grain = 1 + 0.09 * fine + 0.03 * coarse + 0.05 * clump
            return grain * (1 - 0.6 * streak) * (1 - 0.3 * septum)

        return at

    def _swept(self, u: Tensor, v: Tensor) -> Tensor:
        grid = torch.stack([u, v], dim=-1).view(1, -1, u.shape[-1], 2) * (2 / 288)
        value = F.grid_sample(self._table, grid, padding_mode="reflection", align_corners=False)
        return value.view(u.shape)


def paint_limb(canvas: Canvas, shape: KneeShape, tissue_paint: TissuePaint) -> None:
    """Paints everything of the limb that lies outside bones and joint.

    Args:
        canvas: an empty canvas; its generator supplies what is particular to this knee.
        shape: size, muscularity and BMI of the knee.
        tissue_paint: lays one tissue on the canvas.
    """
    limb = _Limb(canvas, shape, tissue_paint)
    _paint_envelope(limb)
    _paint_muscles(limb)
    for cord in CORDS:
        _paint_cord(limb, cord)
    _paint_iliotibial_band(limb)
    _paint_retinacula(limb)
    _paint_subcutaneous_veins(limb)


def _paint_envelope(limb: _Limb) -> None:
    w, d = limb.whole, limb.fascia
    skin = d - limb.fat
    grain = limb.canvas.noise(w, (2.0, 2.0, 1.25))
    lobules = limb.canvas.noise(w, (4.0, 11.0, 4.0))
    fat = 0.32 * grain + 0.12 * lobules
    limb.paint(
        w, skin, Tissue.SKIN, (0.65 + 0.1 * grain).clamp_min(0.3)
    )  # drier towards the surface
    limb.paint(w, skin + _SKIN_MM / limb.scale, Tissue.SUBCUTANEOUS_FAT, (1 + fat).clamp_min(0.3))
    limb.paint(w, d, Tissue.FASCIA, (0.75 + 0.3 * lobules).clamp(0.2, 1.2))
    limb.paint(w, d + _FASCIA_MM / limb.scale, Tissue.INTERMUSCULAR_FAT, (1 + fat).clamp_min(0.3))


def _paint_muscles(limb: _Limb) -> None:
    occupied = torch.full_like(limb.fascia, 50.0)
    girth = limb.shape.muscularity * (1 + limb.normal(0.03))
    marbling = 0.02 * (limb.shape.bmi - 27) + limb.normal(0.15)
    for belly in BELLIES:
        drift = np.array([limb.normal(1.2), limb.normal(1.2)])
        size = girth * (1 + limb.normal(0.06))
        ends = [limb.normal(5.0), limb.normal(3.0)]
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
        table = _tabulate(list(zip(z, np.stack([x, y, rx, ry], 1), strict=True)), height)
        cap = np.ones_like(height)
        for gap in (height - low, high - height):
            t = 1 - np.clip(gap / belly.taper, 0.01, 1)
            cap = cap * np.sqrt(1 - t**2)
        table[:, 2:] *= cap[:, None]
        distance = _ellipse(region, table, belly.turn)
        distance = intersection(distance, limb.fascia[region.index] + 1.6, 2.0)
        distance = intersection(distance, _PLANE_MM - occupied[region.index], 1.5)
        view = occupied[region.index]
        torch.minimum(view, distance, out=view)
        limb.paint(region, distance, Tissue.MUSCLE, limb.fascicles(region, belly.fibres, marbling))


def _ellipse(region: Region, table: np.ndarray, turn: float) -> Tensor:
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


def _paint_cord(limb: _Limb, cord: Cord) -> None:
    shift = np.array([limb.normal(cord.wander), limb.normal(cord.wander), limb.normal(cord.wander)])
    points = np.array(cord.path) + shift
    radii = np.linspace(*cord.radius, len(points)) * (1 + limb.normal(0.1))
    for (a, ra), (b, rb) in pairwise(zip(points, radii, strict=True)):
        margin = max(ra, rb) + 2
        region = limb.region(np.minimum(a, b) - margin, np.maximum(a, b) + margin)
        if region is not None:
            limb.paint(region, capsule(region.x, region.y, region.z, a, b, ra, rb), cord.tissue)


def _paint_iliotibial_band(limb: _Limb) -> None:
    """A thickening of the fascia on the lateral side, from the thigh to Gerdy's tubercle."""
    region = limb.region((-58, -14, -14), (-24, 34, 110))
    if region is None:
        return
    depth = limb.fascia[region.index] + 1.6
    middle = region.profile([(100, 4), (40, 8), (0, 12), (-14, 16)])
    half = region.profile([(100, 17), (40, 13), (0, 8), (-14, 6)])
    band = rounded(depth.abs() - 1.0, (region.y - middle).abs() - half, 1.0)
    limb.paint(region, band - 0.7, Tissue.FASCIA)
    limb.paint(region, band, Tissue.TENDON)


def _paint_retinacula(limb: _Limb) -> None:
    """Two sheets from the patella back to the epicondyles, a few mm under the fascia."""
    for lo, hi in ((4, 60), (-60, -4)):
        region = limb.region((lo, 8, -8), (hi, 62, 66))
        if region is None:
            continue
        depth = limb.fascia[region.index] + 3.4 + limb.normal(0.5)
        reach = torch.maximum((region.z - 27).abs() - 32, 12 - region.y)
        sheet = rounded(depth.abs() - 0.55, reach, 0.5)
        limb.paint(region, sheet, Tissue.FASCIA, opacity=0.85)
        second = rounded((depth + 2.6).abs() - 0.35, reach + 6, 0.3)
        limb.paint(region, second, Tissue.FASCIA, opacity=0.7)


def _paint_subcutaneous_veins(limb: _Limb) -> None:
    """The great saphenous vein, the small one, and a few tributaries within the fat."""
    n = limb.canvas.generator
    courses: list[tuple[list[tuple[float, float]], float]] = [
        ([(100, -28), (40, -38), (0, -30), (-62, 4)], 1.7 + limb.normal(0.2)),
        ([(10, -96), (-62, -92)], 1.2),
    ]
    for _ in range(14):
        z0, a0 = (torch.rand(2, generator=n) * torch.tensor([165.0, 300.0])).tolist()
        z0, a0 = z0 - 63, a0 - 150
        step = 12 + 25 * float(torch.rand((), generator=n))
        courses.append(
            ([(z0, a0), (z0 - step, a0 + limb.normal(14))], 0.45 + abs(limb.normal(0.3)))
        )
    for course, radius in courses:
        zs = np.linspace(course[0][0], course[-1][0], 2 * len(course))
        angle = _tabulate(course, zs)
        share = 0.45 + limb.normal(0.15)
        points = [limb.in_fat(z, a, share) for z, a in zip(zs, angle, strict=True)]
        for a, b in pairwise(points):
            region = limb.region(np.minimum(a, b) - radius - 2, np.maximum(a, b) + radius + 2)
            if region is not None:
                d = capsule(region.x, region.y, region.z, a, b, radius)
                limb.paint(region, d, Tissue.VESSEL)


def _tabulate(knots: Sequence[tuple], at: np.ndarray) -> np.ndarray:
    """Monotone interpolation of ((z, value or values), ...) in any order, constant beyond."""
    order = sorted(knots, key=lambda k: k[0])
    zs = np.array([k[0] for k in order], dtype=float)
    values = np.array([k[1] for k in order], dtype=float)
    return PchipInterpolator(zs, values)(np.clip(at, zs[0], zs[-1]))
