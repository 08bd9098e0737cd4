"""Other radiographs of the same knee: what positioning, exposure and processing change.

A model that has seen only one X-ray unit takes the unit's habits for anatomy. These changes leave
the knee, hence the MRI volume, as it is. `CHANGES` names them one by one, so that the spread of the
generated volume under each can be measured (`xr2mri robustness`); `radiograph_augmentation` draws
some of them for each training picture.

They act on the picture that the network sees: Tensor (1, H, W) in [-1, 1], right-knee frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from monai.transforms import (
    Compose,
    Lambda,
    RandAdjustContrast,
    RandAffine,
    RandBiasField,
    RandGaussianNoise,
    RandGaussianSharpen,
    RandGaussianSmooth,
    RandHistogramShift,
    RandomizableTransform,
    SomeOf,
    Transform,
)
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from xr2mri_core.transforms.radiograph import CLIP_PERCENTILES
from xr2mri_core.transforms.steps import stretched

ROTATION_DEG, SHIFT, SCALE, SHEAR = 4.0, 0.03, 0.05, 0.03
"""Largest error of a crop: in the plane, degrees; shift and size as shares of the side; and the
shear of an oblique beam."""


class RandCollimation(RandomizableTransform):
    """Darken what the collimator's shutters hide: a band along each side with probability 0.5.

    Args:
        widest: largest width of a band, as a share of the side.
    """

    def __init__(self, widest: float = 0.08) -> None:
        super().__init__(1.0)
        self.widest = widest

    def __call__(self, picture: Tensor) -> Tensor:
        height, width = picture.shape[-2:]
        drawn = self.R.uniform(0, self.widest, 4) * (self.R.uniform(size=4) < 0.5)
        top, bottom = (round(share * height) for share in drawn[:2])
        left, right = (round(share * width) for share in drawn[2:])
        done = torch.full_like(picture, -1.0)
        seen = (..., slice(top, height - bottom), slice(left, width - right))
        done[seen] = picture[seen]
        return done


class RandMarker(RandomizableTransform):
    """Lay a lead letter on the film: R or L, any corner, 6 to 12 % of the side high, tilted.

    Args:
        letters: letters to choose from.
    """

    def __init__(self, letters: str = "RL") -> None:
        super().__init__(1.0)
        self.letters = letters

    def __call__(self, picture: Tensor) -> Tensor:
        side = min(picture.shape[-2:])
        letter = self.letters[self.R.randint(len(self.letters))]
        height = round(side * self.R.uniform(0.06, 0.12))
        mask = _letter(letter, height, self.R.uniform(-15, 15))
        down, across = mask.shape
        top = round((picture.shape[-2] - down) * _corner(self.R))
        left = round((picture.shape[-1] - across) * _corner(self.R))
        done = picture.clone()
        place = (..., slice(top, top + down), slice(left, left + across))
        done[place] = done[place] + mask * (1.0 - done[place]) * self.R.uniform(0.7, 1.0)
        return done


def _corner(random: np.random.RandomState) -> float:
    """Where along a side a marker lies: near one of its ends."""
    near = random.uniform(0.02, 0.2)
    return float(near if random.randint(2) else 1 - near)


def _letter(letter: str, height: int, tilt_deg: float) -> Tensor:
    """A letter as an opacity Tensor (H, W) in [0, 1]."""
    font = ImageFont.load_default(size=height)
    canvas = Image.new("L", (2 * height, 2 * height))
    ImageDraw.Draw(canvas).text((height, height), letter, 255, font, anchor="mm", stroke_width=1)
    canvas = canvas.rotate(tilt_deg, Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(canvas.crop(canvas.getbbox()))).float() / 255


def renormalized(picture: Tensor) -> Tensor:
    """Clip at the percentiles that every radiograph is clipped at; they become -1 and 1."""
    found = stretched(picture, CLIP_PERCENTILES)
    return torch.full_like(picture, -1) if found is None else found


def _affine(**ranges: Any) -> RandAffine:
    return RandAffine(prob=1.0, padding_mode="border", mode="bilinear", **ranges)


CHANGES: dict[str, Callable[[int], Transform]] = {
    "rotation": lambda side: _affine(rotate_range=math.radians(ROTATION_DEG)),
    "crop": lambda side: _affine(
        translate_range=(SHIFT * side, SHIFT * side), scale_range=(SCALE, SCALE)
    ),
    "projection": lambda side: _affine(shear_range=(SHEAR, SHEAR), scale_range=(SCALE / 2, 0)),
    "exposure": lambda side: RandBiasField(degree=2, coeff_range=(-0.2, 0.2), prob=1.0),
    "contrast": lambda side: RandAdjustContrast(prob=1.0, gamma=(0.6, 1.6)),
    "curve": lambda side: RandHistogramShift(num_control_points=(12, 16), prob=1.0),
    "noise": lambda side: RandGaussianNoise(prob=1.0, std=0.12),
    "blur": lambda side: RandGaussianSmooth((0.3, 1.2), (0.3, 1.2), prob=1.0),
    "sharpening": lambda side: RandGaussianSharpen(alpha=(2.0, 8.0), prob=1.0),
    "collimation": lambda side: RandCollimation(),
    "marker": lambda side: RandMarker(),
}
"""Changes by name: side of the picture in pixels -> the transform, which always acts."""

POSITIONING = ("rotation", "crop", "projection")
"""The changes that move the knee in the picture, by up to a few millimetres."""


def change(name: str, size: int) -> Compose:
    """One change of `CHANGES`, then the normalisation that every radiograph gets.

    Call `set_random_state(seed=...)` for a reproducible draw.

    Args:
        name: key of `CHANGES`.
        size: side of the pictures in pixels.
    """
    return Compose([CHANGES[name](size), Lambda(func=_plain), Lambda(func=renormalized)])


def radiograph_augmentation(size: int, at_most: int = 4, positioning: bool = True) -> Compose:
    """Up to `at_most` of the changes, chosen anew for each picture (1, H, W).

    Args:
        size: side of the pictures in pixels.
        at_most: 0 to 11 (8 without positioning); how many are applied is drawn evenly from 0 to
            this number.
        positioning: also draw changes of `POSITIONING`. The MRI volume stays where it is while the
            knee moves in the picture: what is learned is robust to a crop that is off, and less
            exact where it is not.
    """
    chosen = [make for name, make in CHANGES.items() if positioning or name not in POSITIONING]
    if not 0 <= at_most <= len(chosen):
        raise ValueError(f"at_most must be 0 to {len(chosen)}, not {at_most}")
    some = SomeOf([make(size) for make in chosen], num_transforms=(0, at_most))
    return Compose([some, Lambda(func=_plain), Lambda(func=renormalized)])


def _plain(picture: Tensor) -> Tensor:
    return torch.as_tensor(picture).detach().clone().float()
