"""Structural similarity (SSIM): local, of slices at several scales, and of whole volumes.

The numbers are those of MONAI's ``SSIMMetric`` to five digits on pure noise, to six on knees. MONAI
slides a whole window, 121 products a pixel and 343 a voxel; a Gaussian window is a product of one
along each axis, which a matrix applies to all lines at once. Of 50 slices of 256 x 256 pixels that
takes a quarter of the time in the plane, a sixth in three dimensions
(``benchmarks/similarity.py``), and an evaluation was waiting for little else.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Weights of the scales, each half of the one before (Wang et al. 2003)."""
_LIGHT, _CONTRAST = 0.01**2, 0.03**2  # keep quotients finite where nothing is; data range 1


def local_similarity(
    truth: Tensor, image: Tensor, window: int, sigma: float, axes: int = 2
) -> tuple[Tensor, Tensor]:
    """SSIM at every place where the window fits, and its factor of contrast and structure.

    Args:
        truth, image: float in [0, 1], of the same shape.
        window: edge of the Gaussian window.
        sigma: its deviation.
        axes: the last so many axes are those of the window.

    Returns:
        Two tensors, along each of the axes ``window - 1`` shorter.
    """

    def mean(values: Tensor) -> Tensor:
        for axis in range(-axes, 0):
            lines = values.movedim(axis, -1)
            values = (lines @ _windows(lines.shape[-1], window, sigma).T).movedim(-1, axis)
        return values

    own, true = mean(image), mean(truth)
    spread = mean(image * image) - own * own + mean(truth * truth) - true * true
    common = mean(image * truth) - own * true
    structure = (2 * common + _CONTRAST) / (spread + _CONTRAST)
    light = (2 * own * true + _LIGHT) / (own * own + true * true + _LIGHT)
    return light * structure, structure


def multi_scale_similarity(truth: Tensor, image: Tensor, window: int, sigma: float) -> Tensor:
    """MS-SSIM (n,) of slices (n, H, W), over `SCALES`.

    Only structure counts on all scales but the coarsest; a negative mean counts as 0.
    """
    product = torch.ones(len(truth))
    for scale, weight in enumerate(SCALES, 1):
        whole, structure = local_similarity(truth, image, window, sigma)
        part = whole if scale == len(SCALES) else structure
        product = product * part.mean((1, 2)).relu() ** weight
        if scale < len(SCALES):
            truth, image = (F.avg_pool2d(v[:, None], 2)[:, 0] for v in (truth, image))
    return product


@cache
def _windows(size: int, window: int, sigma: float) -> Tensor:
    """Each place of a Gaussian window on a line, a row each: (size - window + 1, size)."""
    distance = torch.arange(window) - (window - 1) / 2
    weights = torch.exp(-(distance**2) / (2 * sigma**2))
    weights = weights / weights.sum()
    rows = torch.zeros(size - window + 1, size)
    for offset, weight in enumerate(weights):
        rows.diagonal(offset).fill_(weight)
    return rows
