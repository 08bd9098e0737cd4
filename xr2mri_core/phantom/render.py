"""Tissues to images: a painted knee, ready for the scanner and for the X-ray beam."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from .fields import SIZE, SLICE, Canvas, Region, Texture, double
from .joint import paint_joint
from .limb import paint_limb
from .mri import sample_contrast, signal_of
from .pathology import Disease
from .shape import KneeShape
from .tissues import PROPERTIES, Tissue

FATTY = (Tissue.SUBCUTANEOUS_FAT, Tissue.INTERMUSCULAR_FAT, Tissue.FAT_PAD)
"""Tissues whose signal is what the water excitation leaves of fat."""
SHIM_SPREAD = 0.24
"""Relative deviation of that rest within a knee: the field is not the same everywhere. In a real
volume subcutaneous fat lies between .13 and .35 of the top grey, by place."""
_SHIM_STREAM, _SHIM_LATTICE = 7, (4, 5, 5)
"""Stream of the shim's random numbers, and how many there are along slices, rows and columns."""
NUM_SLICES = 80
OUTSIDE_STEP = 6.0
"""Slice distance (mm) outside the imaged slab, where only the X-rays pass."""
OUTSIDE_SLICES = 7


def slice_positions(field_y: float) -> NDArray[np.float64]:
    """y (mm) of all painted slices: 80 imaged ones, and coarse ones before and behind them."""
    imaged = field_y + (np.arange(NUM_SLICES) - (NUM_SLICES - 1) / 2) * SLICE
    step = OUTSIDE_STEP * np.arange(1, OUTSIDE_SLICES + 1)
    return np.concatenate([imaged[0] - step[::-1], imaged, imaged[-1] + step])


def paint(shape: KneeShape, features: Mapping[str, int], seed: int) -> Canvas:
    """The whole limb with its disease: label map, MR signal and attenuation on one canvas."""
    slices_y = slice_positions(shape.field_y)
    return paint_on(shape, features, seed, slices_y, (shape.field_x, shape.field_z))


def paint_on(
    shape: KneeShape,
    features: Mapping[str, int],
    seed: int,
    slices_y: NDArray[np.float64],
    centre: tuple[float, float],
    size: tuple[int, int] = (SIZE, SIZE),
) -> Canvas:
    """As `paint`, on a canvas of other slices, place or size; see `fields.Canvas`."""
    canvas = Canvas(slices_y, centre, warp=1.6, seed=seed, size=size)
    contrast = sample_contrast(seed)
    shim = fat_suppression(canvas, seed)

    def brush(
        region: Region | None,
        distance: Tensor,
        tissue: Tissue,
        texture: Texture | None = None,
        opacity: float = 1.0,
    ) -> None:
        if region is not None and tissue in FATTY:
            texture = _times(texture, shim[region.index])
        canvas.paint(
            region,
            distance,
            int(tissue),
            signal_of(tissue, contrast),
            PROPERTIES[tissue].mu_per_mm,
            texture,
            opacity,
        )

    paint_limb(canvas, shape, brush)
    paint_joint(canvas, shape, Disease(features, seed), brush)
    return canvas


def _times(texture: Texture | None, factor: Tensor) -> Texture:
    if texture is None:
        return factor
    if isinstance(texture, Tensor):
        return texture * factor
    fine = texture
    return lambda crop: fine(crop) * double(factor[crop])


def fat_suppression(canvas: Canvas, seed: int) -> Tensor:
    """Factor on the signal of fat (slices, rows, columns of the coarse grid), smooth, about 1."""
    generator = torch.Generator().manual_seed(seed + _SHIM_STREAM)
    lattice = torch.randn((1, 1, *_SHIM_LATTICE), generator=generator)
    grid = (len(canvas.slices_y), *(count // 2 for count in canvas.label.shape[1:]))
    field = F.interpolate(lattice, grid, mode="trilinear", align_corners=True)[0, 0]
    return field.mul_(SHIM_SPREAD).exp_()


def imaged(volume: Tensor) -> Tensor:
    """The 80 slices of the MRI out of all the painted ones."""
    return volume[OUTSIDE_SLICES : OUTSIDE_SLICES + NUM_SLICES]


def to_ras(slices: Tensor) -> NDArray[Any]:
    """(slices, rows, columns) of a right knee to an RAS+ array (x, y, z)."""
    return np.ascontiguousarray(torch.flip(slices, (1, 2)).permute(2, 0, 1).numpy())
