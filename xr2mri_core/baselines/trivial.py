"""Predictions without a generator: what any method has to be better than.

- **mean volume**: the mean of training volumes; knows no patient. Hard to beat by PSNR.
- **other patient**: the true volume of another test patient: a perfect picture of the wrong knee.
- **nearest radiograph**: the volume of the training patient whose radiograph is most alike.

The first two are `mean_volume` and `next_patient` of `xr2mri_core.evaluation.truth`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_SIDE = 32
"""Pixels of the side of the small pictures that are compared."""


def thumbnail(radiograph: NDArray[Any]) -> NDArray[np.float64]:
    """A radiograph (H, W) as a small picture (32 * 32,) of mean 0 and norm 1, exposure left out."""
    picture = np.asarray(radiograph, np.float64)
    zoom = [_SIDE / side for side in picture.shape]
    smooth = ndimage.gaussian_filter(picture, [0.5 / z if z < 1 else 0 for z in zoom])
    small = ndimage.zoom(smooth, zoom, order=1, grid_mode=True, mode="nearest").ravel()
    small -= small.mean()
    norm = float(np.linalg.norm(small))
    return small / norm if norm else small


def nearest(radiograph: NDArray[Any], others: NDArray[np.float64]) -> int:
    """The index of the most alike of the thumbnails (n, 32 * 32), by correlation."""
    return int(np.argmax(others @ thumbnail(radiograph)))
