"""Knee crops as public collections have them: tight around one joint, processed, and small.

Such a picture shows 75 to 140 mm: the condyles touch its sides, femur and tibia are cut off, and
contrast-limited adaptive histogram equalisation (Zuiderveld, Graphics Gems IV, 1994), sharpening,
resampling and JPEG have made the trabeculae louder than the outline of the bones. No two
collections do the same, so everything here is drawn over a wide range.

    picture, joints = draw_crop(legs, seed, index)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from xr2mri_core.errors import InputError
from xr2mri_core.phantom.bilateral import JOINT_WIDTHS, Layout, Shadow, take_film

TIGHT = (0.66, 1.30)
"""Width of a crop over that of the joint box: from 71 mm, which cuts the condyles, to 139 mm."""
_COMMON = 224  # pixels: what most collections were made for


def draw_crop(
    legs: Sequence[Shadow], seed: int, index: int
) -> tuple[NDArray[np.uint8], list[tuple[float, float, float, float]]]:
    """Crop ``index`` of a corpus, and its joint box, which may reach outside.

    Args:
        legs: one of them is taken.
        seed, index: draw everything.

    Returns:
        uint8 (rows, columns), bone bright, and the joint box in its pixels.

    Raises:
        InputError: no leg is given.
    """
    if not legs:
        raise InputError("no painted leg to make a crop of", option="legs 2")
    rng = np.random.default_rng([seed, 3, index])
    leg = legs[rng.integers(len(legs))]
    louder = math.exp(rng.uniform(0, math.log(9)))  # trabeculae up to three times the amplitude
    leg = replace(leg, trabecular=leg.trabecular * louder)
    side = "RL"[rng.integers(2)]
    layout = _layout(rng, side, leg.plateau_mm * JOINT_WIDTHS)
    take = int(rng.integers(2**31))
    right, left = (leg, None) if side == "R" else (None, leg)
    film = take_film(right, left, take, layout=layout)
    return processed(film.pixels, rng), [film.joints[side]]


def _layout(rng: np.random.Generator, side: str, joint_mm: float) -> Layout:
    width = joint_mm * math.exp(rng.uniform(math.log(TIGHT[0]), math.log(TIGHT[1])))
    height = width * (1.0 if rng.random() < 0.6 else math.exp(rng.normal(0, 0.08)))
    longer = _COMMON if rng.random() < 0.5 else round(math.exp(rng.uniform(4.8, 6.0)))
    middle = (float(rng.normal(0.05, 0.07) * height), float(rng.normal(0, 0.05) * width))
    hidden = [float(w) if rng.random() < 0.12 else 0.0 for w in rng.gamma(1.5, 3.0, 4)]
    markers: tuple[tuple[str, float, float, float, float], ...] = ()
    if rng.random() < 0.2:
        corner = (rng.choice([-1, 1], 2) * rng.uniform(0.34, 0.44, 2)) * (height, width)
        tall, turn = rng.uniform(7, 16), rng.normal(0, 8)
        markers = ((side, float(corner[0]), float(corner[1]), float(tall), float(turn)),)
    return Layout(
        (height, width),
        max(height, width) / longer,
        {side: middle},
        {side: float(rng.normal(1.0, 3.5))},
        float(rng.uniform(0.92, 1.15)),
        False,
        markers,
        bool(rng.random() < 0.25),
        (hidden[0], hidden[1], hidden[2], hidden[3]),
        float(rng.choice([0.0, 0.08, 1.0], p=[0.8, 0.15, 0.05])),
    )


def processed(picture: NDArray[Any], rng: np.random.Generator) -> NDArray[np.uint8]:
    """What software may do to a picture before anyone sees it; nothing moves.

    Args:
        picture: (rows, columns), any grey values.
        rng: draws what is done, and how much.

    Returns:
        uint8 of the same shape.
    """
    from skimage.exposure import equalize_adapthist

    low, high = np.percentile(picture, (0.2, 99.8))
    grey = np.clip((picture.astype(np.float32) - low) / max(high - low, 1e-6), 0, 1)
    grey = grey ** math.exp(rng.normal(0, 0.35))
    if rng.random() < 0.4:
        grey = _sharpened(grey, rng)
    if rng.random() < 0.8:
        tiles = rng.choice([1, 2, 3, 4, 6, 8, 12, 16])
        kernel = [max(8, round(extent / tiles)) for extent in grey.shape]
        limit = math.exp(rng.uniform(math.log(0.003), math.log(0.2)))
        even = equalize_adapthist(grey, kernel_size=kernel, clip_limit=limit)
        share = rng.uniform(0.5, 1.0) if rng.random() < 0.3 else 1.0
        grey = share * even.astype(np.float32) + (1 - share) * grey
    if rng.random() < 0.3:
        grey = _sharpened(grey, rng)
    if rng.random() < 0.4:
        grey = grey + rng.uniform(0, 0.08) * rng.standard_normal(grey.shape, dtype=np.float32)
    floor, ceiling = rng.uniform(0, 0.4), rng.uniform(0.7, 1.0)
    image = Image.fromarray(
        (np.clip(grey, 0, 1) * (ceiling - floor) * 255 + floor * 255).astype(np.uint8)
    )
    if rng.random() < 0.4:
        image = _resampled(image, rng)
    if rng.random() < 0.5:
        file = BytesIO()
        image.save(file, "JPEG", quality=int(rng.integers(15, 96)))
        image = Image.open(file)
    return np.asarray(image)


def _sharpened(grey: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """An unsharp mask of any radius, up to a hundredth of the picture or a few pixels."""
    radius = math.exp(rng.uniform(math.log(0.7), math.log(8)))
    sharp = grey + rng.uniform(0.3, 3.0) * (grey - gaussian_filter(grey, radius))
    return np.clip(sharp, 0, 1)


def _resampled(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Made smaller and larger again."""
    share = rng.uniform(0.35, 0.95)
    ways = (Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
    down, up = (ways[i] for i in rng.integers(len(ways), size=2))
    columns, rows = (max(32, round(extent * share)) for extent in image.size)
    return image.resize((columns, rows), down).resize(image.size, up)
