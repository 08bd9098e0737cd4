"""Pictures that show no knee, from which the detector learns to say so.

Other anatomy is drawn: outlines of a hand, foot, ankle, hip, spine, chest and skull, as soft tissue
with cortical edges on the bones, anatomy of no one but of a radiograph's texture. Beside it stand
noise, gradients, patterns and photographs (those that come with scikit-image). Real radiographs of
other body parts can join them: see ``strangers`` in ``configs/train_detector.yaml``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import binary_erosion, gaussian_filter, zoom

PHOTOGRAPHS = (
    *("camera", "astronaut", "coffee", "moon", "page", "text", "brick", "grass", "cell", "horse"),
    *("hubble_deep_field", "retina", "clock", "colorwheel", "immunohistochemistry", "logo"),
)
"""Pictures of `skimage.data` that the detector learns from."""
UNSEEN_PHOTOGRAPHS = ("chelsea", "coins", "rocket", "gravel", "stereo_motorcycle")
"""Pictures of `skimage.data` that only test it."""

Point = tuple[float, float]
"""Distances down and to the right, in pixels."""


@lru_cache(maxsize=32)
def photograph(name: str) -> NDArray[np.float32]:
    """A picture of `skimage.data` in grey, float32 (rows, columns)."""
    from skimage import data

    picture = getattr(data, name)()
    picture = np.asarray(picture[0] if isinstance(picture, tuple) else picture, np.float32)
    return picture[..., :3].mean(-1) if picture.ndim == 3 else picture


def draw_stranger(rng: np.random.Generator, size: int = 320) -> NDArray[np.float32]:
    """Draws a picture without a knee.

    Args:
        rng: draws what and how.
        size: length of the longer side, about.

    Returns:
        float32 (rows, columns) in [0, 1].
    """
    kinds = (_photographed, _patterned, *_ANATOMY)
    weights = np.array([0.22, 0.18, *[0.6 / len(_ANATOMY)] * len(_ANATOMY)])
    kind = kinds[rng.choice(len(kinds), p=weights)]
    picture = kind(rng, size).astype(np.float32)
    low, high = picture.min(), picture.max()
    return (picture - low) / max(high - low, 1e-6)


def _photographed(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    picture = photograph(PHOTOGRAPHS[rng.integers(len(PHOTOGRAPHS))])
    share = rng.uniform(0.35, 1.0, 2)
    rows, columns = (max(24, round(s * n)) for s, n in zip(share, picture.shape, strict=True))
    top, left = (
        int(rng.integers(n - m + 1)) for n, m in zip(picture.shape, (rows, columns), strict=True)
    )
    part = picture[top : top + rows, left : left + columns]
    factor = size / max(part.shape)
    image = Image.fromarray(part).resize(
        (max(8, round(columns * factor)), max(8, round(rows * factor)))
    )
    return np.rot90(np.asarray(image), int(rng.integers(4)))


def _patterned(rng: np.random.Generator, size: int) -> NDArray[np.float64]:
    """Noise of any grain, gradients, stripes, blocks; two of them, mixed."""

    def noise() -> NDArray[np.float64]:
        cells = int(2 ** rng.uniform(1, math.log2(size)))
        coarse = rng.standard_normal((cells + 1, cells + 1))
        return zoom(coarse, size / (cells + 1), order=1, grid_mode=True, mode="nearest")

    def gradient() -> NDArray[np.float64]:
        y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
        a = rng.uniform(0, 2 * np.pi)
        return np.hypot(x, y) if rng.random() < 0.3 else np.cos(a) * x + np.sin(a) * y

    def stripes() -> NDArray[np.float64]:
        return np.sin(gradient() * rng.uniform(3, 60))

    def blocks() -> NDArray[np.float32]:
        image = Image.new("L", (size, size))
        pen = ImageDraw.Draw(image)
        for _ in range(int(rng.integers(1, 12))):
            corner, extent = rng.uniform(-0.1, 1, 2) * size, rng.uniform(0.05, 0.6, 2) * size
            box = (*corner, *(corner + extent))
            draw = pen.ellipse if rng.random() < 0.5 else pen.rectangle
            draw(box, fill=int(rng.integers(256)))
        return np.asarray(image, np.float32) / 128 - 1

    makers: tuple[Callable[[], NDArray[np.floating[Any]]], ...] = (noise, gradient, stripes, blocks)
    a, b = (makers[rng.integers(4)]() for _ in range(2))
    c = np.resize(a, (size, size)) + rng.uniform(0, 1) * np.resize(b, (size, size))
    return c[: max(40, round(size * rng.uniform(0.5, 1)))]


# --- other anatomy --------------------------------------------------------------------------------


class _Plate:
    """A sheet on which soft tissue and bones are drawn, as thickness."""

    def __init__(self, rng: np.random.Generator, size: int, tall: float = 1.0) -> None:
        self.rng, self.size = rng, size
        self.shape = (size, max(60, round(size / tall)))
        self.picture = np.zeros(self.shape, np.float32)

    def _mask(self, draw: Callable[[ImageDraw.ImageDraw], None]) -> NDArray[np.bool_]:
        image = Image.new("L", self.shape[::-1])
        draw(ImageDraw.Draw(image))
        return np.asarray(image) > 0

    def soft(self, points: list[Point], radii: list[float], thick: float = 0.35) -> None:
        """Soft tissue along a line, thicker in its middle."""
        mask = self._mask(lambda pen: _rod(pen, points, radii))
        depth = np.sqrt(gaussian_filter(mask.astype(np.float32), min(radii) * 0.4)) * mask
        self.picture += thick * depth

    def bone(self, points: list[Point], radii: list[float], bright: float = 0.3) -> None:
        """A bone along a line, with a cortex."""
        self._ossify(self._mask(lambda pen: _rod(pen, points, radii)), max(radii), bright)

    def blob(self, centre: Point, radii: Point, bright: float = 0.3) -> None:
        """A roundish bone, or a heart."""
        y, x = centre
        box = (x - radii[1], y - radii[0], x + radii[1], y + radii[0])
        self._ossify(self._mask(lambda pen: pen.ellipse(box, fill=1)), max(radii), bright)

    def _ossify(self, mask: NDArray[np.bool_], radius: float, bright: float) -> None:
        if not mask.any():
            return
        width = max(1, round(radius * self.rng.uniform(0.08, 0.22)))
        edge = mask & ~binary_erosion(mask, iterations=width)
        body = gaussian_filter(mask.astype(np.float32), 0.7)
        self.picture += bright * body * self.rng.uniform(0.5, 1.0)
        self.picture += bright * gaussian_filter(edge.astype(np.float32), 0.6)

    def vary(self, value: float, share: float = 0.15) -> float:
        return float(value * self.rng.uniform(1 - share, 1 + share))


def _rod(pen: ImageDraw.ImageDraw, points: list[Point], radii: list[float]) -> None:
    for (a, ra), (b, rb) in pairwise(zip(points, radii, strict=True)):
        length = math.dist(a, b)
        for t in np.linspace(0, 1, 2 + int(2.5 * length / max(min(ra, rb), 1))):
            y, x = ((1 - t) * p + t * q for p, q in zip(a, b, strict=True))
            r = (1 - t) * ra + t * rb
            pen.ellipse((x - r, y - r, x + r, y + r), fill=1)


def _fan(plate: _Plate, base: Point, reach: float, spread: float) -> None:
    """Rays of a hand or foot: metacarpals or metatarsals and phalanges."""
    rng, u = plate.rng, plate.size / 320
    for ray in range(5):
        turn = math.radians((ray - 2) * spread + rng.normal(0, 3))
        long = reach * (1 - 0.07 * abs(ray - 1.7)) * (0.72 if ray == 0 else 1)
        start = (base[0] - 12 * u * math.cos(turn), base[1] + (ray - 2) * plate.vary(13 * u))
        ends = [start]
        for share in (0.42, 0.28, 0.18, 0.12):
            y, x = ends[-1]
            ends.append((y - share * long * math.cos(turn), x + share * long * math.sin(turn)))
        girth = plate.vary(7 * u)
        plate.soft(ends, [girth * 1.9] + [girth * 1.4] * (len(ends) - 1), 0.22)
        for i, (a, b) in enumerate(pairwise(ends)):
            thin = girth * 0.95**i
            c = (0.12 * a[0] + 0.88 * b[0], 0.12 * a[1] + 0.88 * b[1])
            middle = ((a[0] + c[0]) / 2, (a[1] + c[1]) / 2)
            plate.bone([a, middle, c], [thin, thin * 0.6, thin], 0.3)


def _hand(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    plate, u = _Plate(rng, size, float(rng.uniform(1.0, 1.6))), size / 320
    middle = plate.shape[1] / 2
    base = (plate.vary(215 * u, 0.1), middle)
    for shift in (-14, 14):  # radius and ulna
        path = [(base[0] + 40 * u, middle + shift * u), (size + 9.0, middle + 0.8 * shift * u)]
        plate.soft(path, [24 * u, 26 * u], 0.25)
        plate.bone(path, [plate.vary(12 * u), plate.vary(9 * u)])
    for _ in range(8):
        spot = (base[0] + rng.uniform(-5, 28) * u, middle + rng.uniform(-24, 24) * u)
        plate.blob(spot, (plate.vary(8 * u), plate.vary(8 * u)), 0.2)
    _fan(plate, base, plate.vary(190 * u), float(rng.uniform(5, 15)))
    return plate.picture


def _foot(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    plate, u = _Plate(rng, size, float(rng.uniform(1.2, 2.0))), size / 320
    middle = plate.shape[1] / 2
    path = [(size * 0.95, middle), (size * 0.7, middle), (size * 0.5, middle)]
    plate.soft(path, [38 * u, 40 * u, 42 * u], 0.3)
    plate.blob((size * 0.87, middle), (plate.vary(34 * u), plate.vary(22 * u)))
    for _ in range(6):
        spot = (size * rng.uniform(0.6, 0.75), middle + rng.uniform(-26, 26) * u)
        plate.blob(spot, (plate.vary(14 * u), plate.vary(11 * u)), 0.2)
    _fan(plate, (size * 0.6, middle), plate.vary(180 * u), float(rng.uniform(3, 7)))
    return plate.picture


def _ankle(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    plate, u = _Plate(rng, size, float(rng.uniform(0.9, 2.0))), size / 320
    x, joint = plate.shape[1] * rng.uniform(0.4, 0.6), size * rng.uniform(0.6, 0.85)
    lean, side = rng.normal(0, 18) * u, float(rng.choice([-1, 1]))
    girth = plate.vary(24 * u, 0.3)
    plate.soft([(-20, x + lean), (joint, x), (joint + 60 * u, x)], [2.6 * girth, 2 * girth, 60 * u])
    plate.bone(
        [(-20, x + lean), (joint - 60 * u, x + lean / 4), (joint - 8 * u, x)],
        [0.8 * girth, 0.85 * girth, 1.25 * girth],
    )
    fibula = x + side * 1.55 * girth
    plate.bone(
        [(-20, fibula + lean), (joint - 20 * u, fibula), (joint + 22 * u, fibula)],
        [0.38 * girth, 0.38 * girth, 0.5 * girth],
    )
    plate.blob((joint + 30 * u, x), (plate.vary(22 * u), plate.vary(27 * u)), 0.35)
    plate.blob((joint + 72 * u, x), (plate.vary(34 * u), plate.vary(26 * u)), 0.3)
    return plate.picture


def _shaft(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """One or two long bones without their joints: forearm, shank, thigh, humerus."""
    plate, u = _Plate(rng, size, float(rng.uniform(0.8, 2.2))), size / 320
    count, middle = int(rng.integers(1, 3)), plate.shape[1] / 2
    lean, girth = rng.normal(0, 30) * u, plate.vary(60 * u, 0.4)
    plate.soft([(-30, middle + lean), (size + 30, middle - lean)], [girth, plate.vary(girth)])
    for i in range(count):
        x = middle + (i - (count - 1) / 2) * girth * 0.8
        r = plate.vary(girth * 0.27, 0.3)
        flare = plate.vary(r, 0.4)
        plate.bone([(-30, x + lean), (size / 2, x), (size + 30, x - lean)], [r, r, flare])
    return plate.picture


def _hip(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    plate, u = _Plate(rng, size, float(rng.uniform(0.7, 1.2))), size / 320
    middle = plate.shape[1] / 2
    for side in (-1, 1) if rng.random() < 0.7 else (1,):
        x = middle + side * plate.shape[1] * 0.27
        plate.soft([(size * 0.2, middle), (size * 1.1, x)], [120 * u, 70 * u], 0.4)
        plate.blob((size * 0.28, x - side * 24 * u), (plate.vary(64 * u), plate.vary(46 * u)), 0.25)
        plate.blob((size * 0.55, x - side * 6 * u), (plate.vary(25 * u), plate.vary(25 * u)), 0.35)
        neck = [(size * 0.55, x - side * 6 * u), (size * 0.66, x + side * 30 * u)]
        plate.bone(neck, [14 * u, 20 * u])
        plate.bone(
            [(size * 0.64, x + side * 32 * u), (size * 1.1, x + side * 24 * u)], [20 * u] * 2
        )
    plate.blob((size * 0.3, middle), (60 * u, 26 * u), 0.25)
    return plate.picture


def _spine(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    plate, u = _Plate(rng, size, float(rng.uniform(1.0, 2.2))), size / 320
    middle, tall = plate.shape[1] / 2, plate.vary(34 * u, 0.35)
    plate.soft([(-20, middle), (size + 20, middle)], [plate.shape[1] * 0.4] * 2, 0.4)
    bend, y, i = rng.normal(0, 20) * u, 0.0, 0
    while y < size:
        x = middle + bend * math.sin(y / size * 3)
        wide = tall * plate.vary(0.75, 0.1)
        plate.bone([(y, x - wide), (y, x + wide)], [tall * 0.42] * 2, 0.28)
        plate.blob((y + tall * 0.3, x), (tall * 0.35, tall * 0.12), 0.3)
        y, i = y + tall * 1.12, i + 1
    return plate.picture


def _chest(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    plate, u = _Plate(rng, size, float(rng.uniform(0.8, 1.15))), size / 320
    wide = plate.shape[1]
    middle = wide / 2
    plate.picture += 0.75 * plate.vary(1.0)
    y, x = np.mgrid[: plate.shape[0], :wide]
    for side in (-1, 1):
        centre = (plate.vary(150 * u, 0.08), middle + side * wide * plate.vary(0.22, 0.08))
        lung = ((y - centre[0]) / (118 * u)) ** 2 + ((x - centre[1]) / (0.17 * wide)) ** 2
        plate.picture -= 0.55 * np.clip(1.15 - lung**2, 0, 0.6)
    plate.blob((210 * u, middle + 20 * u), (plate.vary(60 * u), plate.vary(52 * u)), 0.22)
    plate.bone([(-10, middle), (size + 10, middle)], [13 * u] * 2, 0.2)
    for rib in range(9):
        top = (28 + 24 * rib) * u
        for side in (-1, 1):
            arc = [
                (top + drop * u, middle + side * part * wide)
                for drop, part in ((0, 0.05), (-8, 0.2), (10, 0.36), (45, 0.41))
            ]
            plate.bone(arc, [plate.vary(4 * u)] * 4, 0.10)
    for side in (-1, 1):
        clavicle = [(45 * u, middle + side * 14 * u), (25 * u, middle + side * 0.42 * wide)]
        plate.bone(clavicle, [6 * u] * 2, 0.15)
    return plate.picture


def _skull(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    plate, u = _Plate(rng, size, float(rng.uniform(0.9, 1.3))), size / 320
    middle = plate.shape[1] / 2
    plate.blob((130 * u, middle), (plate.vary(110 * u), plate.vary(90 * u)), 0.5)
    plate.blob((200 * u, middle), (plate.vary(60 * u), plate.vary(55 * u)), 0.3)
    for side in (-1, 1):
        y, x = 165 * u, middle + side * 38 * u
        rows, columns = np.mgrid[: plate.shape[0], : plate.shape[1]]
        plate.picture -= 0.3 * np.exp(-(((rows - y) / 20 / u) ** 2) - ((columns - x) / 24 / u) ** 2)
    plate.bone([(285 * u, middle), (size + 20, middle)], [24 * u] * 2, 0.3)
    return plate.picture


_ANATOMY = (_hand, _foot, _ankle, _shaft, _hip, _spine, _chest, _skull)
