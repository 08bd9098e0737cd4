"""Frames: the square windows of a radiograph that the detector looks at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from xr2mri_core.localization.network import FRAME

CONTRAST = (1.0, 99.0)
"""Percentiles of what a frame shows of the picture that become 0 and 1."""

Window = tuple[float, float, float]
"""Middle row, middle column and side of a square, in pixels of the picture; it may reach outside,
where a frame is black."""


def frame_of(picture: Tensor, window: Window) -> Tensor:
    """Cut a window out of a picture and bring it to the frame's size and contrast.

    Args:
        picture: Tensor (rows, columns), bone bright.
        window: the square to show.

    Returns:
        Tensor (1, 256, 256) in [0, 1].
    """
    row, column, side = window
    count = max(2, round(side))
    top, left = round(row - side / 2), round(column - side / 2)
    part = picture[max(top, 0) : top + count, max(left, 0) : left + count].float()
    if part.numel() == 0:
        return torch.zeros(1, FRAME, FRAME)
    scale = FRAME / count
    size = [max(1, min(FRAME, round(n * scale))) for n in part.shape]
    small = F.interpolate(part[None, None], size, mode="bilinear", antialias=scale < 1)[0, 0]
    corner = [
        min(round(max(-edge, 0) * scale), FRAME - extent)
        for edge, extent in zip((top, left), size, strict=True)
    ]
    frame = torch.zeros(1, FRAME, FRAME)
    where = np.s_[0, corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]]
    frame[where] = contrasted(small)
    return frame


def contrasted(picture: Tensor) -> Tensor:
    """A picture with its percentiles at 0 and 1, cut off there."""
    low, high = np.percentile(picture.numpy(), CONTRAST)
    return ((picture - float(low)) / max(float(high - low), 1e-6)).clamp(0, 1)


def to_picture(box: Sequence[float], window: Window) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) in a frame -> (top, left, bottom, right) in the picture."""
    row, column, side = window
    count = max(2, round(side))
    top, left = round(row - side / 2), round(column - side / 2)
    x0, y0, x1, y1 = (float(edge) * count / FRAME for edge in box)
    return y0 + top, x0 + left, y1 + top, x1 + left
