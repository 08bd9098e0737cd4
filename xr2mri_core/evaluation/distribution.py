"""Whether volumes look alike as a whole, voxel for voxel aside; needs no trained network.

A sample that is sharp and in the wrong place scores badly by PSNR and SSIM, and may still be a
perfect picture of a knee. These two ask only whether the greys and textures are those of the truth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance

from xr2mri_core.evaluation.metrics import body_mask

_BINS = 256


def histogram_distance(
    truth: NDArray[np.float32], image: NDArray[np.float32], body: NDArray[np.bool_] | None = None
) -> float:
    """Earth mover's distance of the greys within the truth's body, in grey values of [0, 1].

    Args:
        truth, image: slices (n, H, W) float in [0, 1].
        body: the truth's body, where it is known (`body_mask`).

    Returns:
        0 where the greys are the same, in whatever place; NaN where there is no body.
    """
    body = body_mask(truth) if body is None else body
    if not body.any():
        return float("nan")
    edges = np.linspace(0, 1, _BINS + 1)
    centres = (edges[:-1] + edges[1:]) / 2
    counts = [np.histogram(np.clip(v[body], 0, 1), edges)[0] for v in (truth, image)]
    return float(wasserstein_distance(centres, centres, *counts))


def radial_spectrum(slices: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Mean power of slices (n, H, W) at 1, 2, ... cycles a field of view, up to Nyquist's."""
    centred = slices - slices.mean((1, 2), keepdims=True)
    power = np.square(np.abs(np.fft.fft2(centred.astype(np.float64)))).mean(0)
    rows, columns = (np.fft.fftfreq(size) * size for size in power.shape)
    radius = np.rint(np.hypot(rows[:, None], columns[None])).astype(int)
    highest = min(power.shape) // 2
    sums = np.bincount(radius.ravel(), power.ravel())
    return (sums / np.maximum(np.bincount(radius.ravel()), 1))[1 : highest + 1]


def spectrum_distance(truth: NDArray[np.float32], image: NDArray[np.float32]) -> float:
    """Root mean square difference of the in-plane power spectra in dB, over all frequencies alike.

    Blur shows here, and so does grain that is too strong; where a structure lies does not.

    Args:
        truth, image: slices (n, H, W) float in [0, 1].
    """
    own, true = (10 * np.log10(radial_spectrum(v) + 1e-9) for v in (image, truth))
    return float(np.sqrt(np.mean(np.square(own - true))))
