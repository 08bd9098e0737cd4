"""Signed distance fields and the canvas on which tissues are painted.

The knee frame, in mm: x grows from lateral to medial (image columns of a right knee), y from
posterior to anterior (slices), z from inferior to superior (against the image rows); the origin is
the middle of the tibial plateau. Fields are tensors (slices, rows, columns) in mm, negative inside.

Shapes are evaluated on a grid of half the in-plane resolution (1.25 mm) and interpolated to
0.625 mm: the distance to a smooth surface is nearly linear over one cell, so the surface stays
accurate to a few hundredths of a millimetre at a quarter of the cost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

PIXEL = 0.625
"""In-plane pixel size in mm (OAI COR_T1_3D_FLASH resampled to 256 x 256)."""
SIZE = 256
SLICE = 1.5
"""Slice thickness in mm."""

Point = Sequence[float] | NDArray[np.float64]
Crop = tuple[slice, slice, slice]
Texture = Tensor | Callable[[Crop], Tensor]


@dataclass(frozen=True)
class Region:
    """A box of the coarse grid with its (warped) coordinates.

    `x, y, z`: Tensor (slices, rows, columns), mm. `height`: Tensor (1, rows, 1), the z of each row
    before the warp, for profiles that are tabulated along the leg.
    """

    index: tuple[slice, slice, slice]
    x: Tensor
    y: Tensor
    z: Tensor
    height: Tensor

    def profile(self, knots: Sequence[tuple[float, float]]) -> Tensor:
        """A value tabulated along the leg, ((z mm, value), ...) in any order, as (1, rows, 1)."""
        zs, values = zip(*sorted(knots), strict=True)
        height = self.height.numpy().ravel()
        return torch.from_numpy(_pchip(zs, values, height).astype(np.float32)).view(1, -1, 1)


class Canvas:
    """Paints tissues, in order, on a label map, an MR signal and an X-ray attenuation volume.

    Args:
        slices_y: y of each slice centre in mm, ascending; the spacing may vary (the leg outside
            the imaged slab is only seen by the X-rays and is sampled coarsely).
        centre: (x, z) in mm of the middle of the field of view.
        warp: amplitude in mm of a smooth random displacement, so that no two knees share an edge.
        seed: seed of the warp and the textures.
        size: rows and columns of 0.625 mm, both even; more than an MRI's for a long film.
    """

    def __init__(
        self,
        slices_y: Sequence[float] | NDArray[np.float64],
        centre: tuple[float, float],
        warp: float,
        seed: int,
        size: tuple[int, int] = (SIZE, SIZE),
    ) -> None:
        self.slices_y = torch.tensor(np.asarray(slices_y), dtype=torch.float32)
        n = len(self.slices_y)
        self.label = torch.zeros(n, *size, dtype=torch.uint8)
        self.signal = torch.zeros(n, *size)
        self.mu = torch.zeros(n, *size)
        self.generator = torch.Generator().manual_seed(seed)

        step = 2 * PIXEL
        down, across = ((torch.arange(c // 2) - (c // 2 - 1) / 2) * step for c in size)
        self._cols, self._rows = across + centre[0], centre[1] - down
        shift = [self._smooth_noise(n, warp) for _ in range(3)]
        self._x = self._cols.view(1, 1, -1) + shift[0]
        self._y = self.slices_y.view(-1, 1, 1) + shift[1]
        self._z = self._rows.view(1, -1, 1) + shift[2]

    def _smooth_noise(self, n: int, amplitude: float) -> Tensor:
        lattice = torch.randn((1, 1, 5, 7, 7), generator=self.generator)
        grid = (n, len(self._rows), len(self._cols))
        field = F.interpolate(lattice, grid, mode="trilinear", align_corners=True)
        return field[0, 0] * amplitude

    def noise(self, region: Region, grain: Point = (1.5, 2.0, 2.0)) -> Tensor:
        """Gaussian texture, unit variance, of the given grain (y, z, x) in mm, on a region."""
        shape = region.x.shape
        steps = (SLICE, 2 * PIXEL, 2 * PIXEL)
        cells = [max(2, round(s * d / g)) for s, d, g in zip(shape, steps, grain, strict=True)]
        cells = [min(c, s) for c, s in zip(cells, shape, strict=True)]
        white = torch.randn((1, 1, *cells), generator=self.generator)
        if tuple(cells) == tuple(shape):
            return white[0, 0]
        field = F.interpolate(white, tuple(shape), mode="trilinear", align_corners=True)[0, 0]
        return field / field.std().clamp_min(1e-6)

    def region(
        self,
        x: tuple[float, float] = (-np.inf, np.inf),
        y: tuple[float, float] = (-np.inf, np.inf),
        z: tuple[float, float] = (-np.inf, np.inf),
    ) -> Region | None:
        """The part of the grid within a box in mm, or None where the box misses the grid."""
        spans = []
        for axis, (lo, hi) in ((self.slices_y, y), (self._rows, z), (self._cols, x)):
            inside = torch.nonzero((axis >= lo) & (axis <= hi)).ravel()
            if len(inside) < 2:
                return None
            spans.append(slice(int(inside[0]), int(inside[-1]) + 1))
        index = (spans[0], spans[1], spans[2])
        height = self._rows[index[1]].view(1, -1, 1)
        return Region(index, self._x[index], self._y[index], self._z[index], height)

    def paint(
        self,
        region: Region | None,
        distance: Tensor,
        label: int,
        signal: float,
        mu: float,
        texture: Texture | None = None,
        opacity: float = 1.0,
    ) -> None:
        """Lays one tissue over what is there, with partial volume at its border.

        Args:
            distance: signed distance on the region (broadcast to it), mm.
            label: value in the label map; 0 leaves the labels as they are.
            signal, mu: MR signal (cartilage = 1) and linear attenuation in 1/mm.
            texture: optional factor on the signal, on the region (about 1), or a function of the
                part of the region that is painted which gives it at full in-plane resolution.
            opacity: largest share of the voxel that the tissue takes, 0..1.
        """
        if region is None:
            return
        distance = distance.expand(region.x.shape)
        crop = _near(distance)
        if crop is None:
            return
        distance = distance[crop]
        slope = _slope_along_slices(distance)
        scaled = distance / torch.sqrt(PIXEL**2 + (0.8 * slope) ** 2)
        alpha = (0.5 - double(scaled)).clamp_(0, 1)
        start = [region.index[a].start + crop[a].start for a in range(3)]
        rows = slice(2 * start[1], 2 * start[1] + alpha.shape[1])
        cols = slice(2 * start[2], 2 * start[2] + alpha.shape[2])
        target = (slice(start[0], start[0] + alpha.shape[0]), rows, cols)
        if label:
            self.label[target].masked_fill_(alpha >= 0.5, label)
        if opacity < 1:
            alpha *= opacity
        self.mu[target].lerp_(torch.tensor(mu), alpha)
        if texture is None:
            self.signal[target].lerp_(torch.tensor(signal), alpha)
        else:
            if callable(texture):
                value = texture(crop) * signal
            else:
                value = double(texture.expand(region.x.shape)[crop]) * signal
            self.signal[target].lerp_(value, alpha)


def _near(distance: Tensor) -> Crop | None:
    """The part of a field within 2 mm of the surface or inside; None where there is none."""
    flat = distance.amin(dim=0)
    spans = []
    for nearest in (distance.amin(dim=(1, 2)), flat.amin(dim=1), flat.amin(dim=0)):
        hit = torch.nonzero(nearest < 2.0).ravel()
        if len(hit) == 0:
            return None
        # One cell of margin, for the slope and the interpolation.
        spans.append(slice(max(int(hit[0]) - 1, 0), min(int(hit[-1]) + 2, len(nearest))))
    return spans[0], spans[1], spans[2]


def double(field: Tensor) -> Tensor:
    """A field (slices, rows, columns) of the coarse grid at twice the in-plane resolution."""
    return F.interpolate(field[None], scale_factor=2, mode="bilinear", align_corners=False)[0]


def _slope_along_slices(distance: Tensor) -> Tensor:
    """Change of the distance from one slice to the next, mm per slice (central differences)."""
    slope = torch.empty_like(distance)
    slope[1:-1] = (distance[2:] - distance[:-2]) / 2
    slope[0], slope[-1] = distance[1] - distance[0], distance[-1] - distance[-2]
    return slope


def _pchip(
    xs: Sequence[float], ys: Sequence[float], at: NDArray[np.float32]
) -> NDArray[np.float64]:
    from scipy.interpolate import PchipInterpolator

    return PchipInterpolator(xs, ys)(np.clip(at, xs[0], xs[-1]))


# --- Shapes: each takes coordinates in mm and gives a signed distance in mm -----------------------


def ellipsoid(x: Tensor, y: Tensor, z: Tensor, centre: Point, radii: Point) -> Tensor:
    """An ellipsoid, to first order in the distance from its surface."""
    u, v, w = ((a - c) / r for a, c, r in zip((x, y, z), centre, radii, strict=True))
    k0 = torch.sqrt(u * u + v * v + w * w)
    k1 = torch.sqrt((u / radii[0]) ** 2 + (v / radii[1]) ** 2 + (w / radii[2]) ** 2)
    return k0 * (k0 - 1) / k1.clamp_min(1e-4)


class Placed(Protocol):
    """What has coordinates across the leg."""

    @property
    def x(self) -> Tensor: ...
    @property
    def y(self) -> Tensor: ...


def tube(
    region: Placed, cx: Tensor, cy: Tensor, rx: Tensor, ry: Tensor, power: float = 2
) -> Tensor:
    """A tube along the leg with an elliptic (power 2) or squarish (power > 2) section.

    Centre and radii in mm are profiles (1, rows, 1), see `Region.profile`.
    """
    u, v = ((region.x - cx) / rx).abs(), ((region.y - cy) / ry).abs()
    rho = torch.sqrt(u * u + v * v) if power == 2 else (u**power + v**power) ** (1 / power)
    slope = torch.sqrt((u / rx) ** 2 + (v / ry) ** 2) / torch.sqrt(u * u + v * v).clamp_min(1e-4)
    return (rho - 1) / slope.clamp_min(1e-4)


def capsule(
    x: Tensor, y: Tensor, z: Tensor, a: Point, b: Point, ra: float, rb: float | None = None
) -> Tensor:
    """A rod from a to b with radius ra at a and rb at b (a cord, a ligament bundle)."""
    d = [q - p for p, q in zip(a, b, strict=True)]
    length2 = sum(k * k for k in d)
    px, py, pz = x - a[0], y - a[1], z - a[2]
    t = ((px * d[0] + py * d[1] + pz * d[2]) / length2).clamp(0, 1)
    gap = torch.sqrt((px - t * d[0]) ** 2 + (py - t * d[1]) ** 2 + (pz - t * d[2]) ** 2)
    return gap - (ra if rb is None else ra + (rb - ra) * t)


def band(
    x: Tensor,
    y: Tensor,
    z: Tensor,
    path: Sequence[Point],
    width: float,
    thickness: float,
    flat: Point,
) -> Tensor:
    """A flat band (ligament, tendon) along a polyline: `width` across, `thickness` along `flat`."""
    n = np.asarray(flat, float) / np.linalg.norm(flat)
    best: Tensor | None = None
    for a, b in pairwise(path):
        a_, d = np.asarray(a, float), np.asarray(b, float) - np.asarray(a, float)
        px, py, pz = x - a_[0], y - a_[1], z - a_[2]
        t = ((px * d[0] + py * d[1] + pz * d[2]) / float(d @ d)).clamp(0, 1)
        qx, qy, qz = px - t * d[0], py - t * d[1], pz - t * d[2]
        h = qx * n[0] + qy * n[1] + qz * n[2]
        side = torch.sqrt((qx * qx + qy * qy + qz * qz - h * h).clamp_min(0))
        gap = rounded(h.abs() - thickness / 2, side - width / 2, min(thickness, width) / 2)
        best = gap if best is None else torch.minimum(best, gap)
    assert best is not None
    return best


def rounded(a: Tensor, b: Tensor, radius: float) -> Tensor:
    """The intersection of two fields with the edge between them rounded off."""
    u, v = (a + radius).clamp_min(0), (b + radius).clamp_min(0)
    return torch.sqrt(u * u + v * v) + torch.maximum(a, b).clamp_max(-radius)


def union(a: Tensor, b: Tensor, blend: float = 0.0) -> Tensor:
    """The union, with a fillet of about `blend` mm."""
    if blend <= 0:
        return torch.minimum(a, b)
    h = (0.5 + 0.5 * (b - a) / blend).clamp(0, 1)
    return torch.lerp(b, a, h) - blend * h * (1 - h)


def intersection(a: Tensor, b: Tensor, blend: float = 0.0) -> Tensor:
    """The intersection, with the edge rounded over about `blend` mm."""
    return -union(-a, -b, blend)


def difference(a: Tensor, b: Tensor, blend: float = 0.0) -> Tensor:
    """What of a is not in b."""
    return intersection(a, -b, blend)


def rotate(
    x: Tensor, y: Tensor, z: Tensor, about: Point, flexion: float, varus: float, axial: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Coordinates in a bone's own frame: turned about a point by angles in degrees.

    Flexion turns about x, varus about y, axial about z; the origin of the bone frame stays where
    the knee frame has it.
    """
    fx, vy, az = (float(np.deg2rad(k)) for k in (flexion, varus, axial))
    rx = np.array([[1, 0, 0], [0, np.cos(fx), -np.sin(fx)], [0, np.sin(fx), np.cos(fx)]])
    ry = np.array([[np.cos(vy), 0, np.sin(vy)], [0, 1, 0], [-np.sin(vy), 0, np.cos(vy)]])
    rz = np.array([[np.cos(az), -np.sin(az), 0], [np.sin(az), np.cos(az), 0], [0, 0, 1]])
    m = rx @ ry @ rz
    c = np.asarray(about, float)
    t = c - m @ c
    out = [m[i, 0] * x + m[i, 1] * y + m[i, 2] * z + t[i] for i in range(3)]
    return out[0].float(), out[1].float(), out[2].float()
