"""Tissues to images: a painted knee, ready for the scanner and for the X-ray beam."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from .fields import SIZE, SLICE, Canvas, Region
from .knee import paint_knee
from .mri import signal_of
from .pathology import Disease
from .shape import KneeShape
from .soft_tissue import paint_limb
from .tissues import PROPERTIES, Tissue

NUM_SLICES = 80
OUTSIDE_STEP = 6.0
"""Slice distance (mm) outside the imaged slab, where only the X-rays pass."""
OUTSIDE_SLICES = 7


def slice_positions(field_y: float) -> np.ndarray:
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
    slices_y: np.ndarray,
    centre: tuple[float, float],
    size: tuple[int, int] = (SIZE, SIZE),
) -> Canvas:
    """The same on a canvas of other slices, place or size; see :class:`.fields.Canvas`."""
    canvas = Canvas(slices_y, centre, warp=1.6, seed=seed, size=size)

    def brush(
        region: Region | None,
        distance: Tensor,
        tissue: Tissue,
        texture: Tensor | None = None,
        opacity: float = 1.0,
    ) -> None:
        canvas.paint(
            region,
            distance,
            int(tissue),
            signal_of(tissue),
            PROPERTIES[tissue].mu_per_mm,
            texture,
            opacity,
        )

    paint_limb(canvas, shape, brush)
    paint_knee(canvas, shape, Disease(features, seed), brush)
    return canvas


def imaged(volume: Tensor) -> Tensor:
    """The 80 slices of the MRI out of all the painted ones."""
    return volume[OUTSIDE_SLICES : OUTSIDE_SLICES + NUM_SLICES]


def to_ras(slices: Tensor) -> np.ndarray:
    """(slices, rows, columns) of a right knee to an RAS+ array (x, y, z)."""
    return np.ascontiguousarray(torch.flip(slices, (1, 2)).permute(2, 0, 1).numpy())
