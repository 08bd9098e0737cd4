"""How a volume holds in three planes: it was made of coronal slices, and is looked at in all.

All functions take slices (n, H, W) float in [0, 1] as `metrics` does; axis 0 is depth, 1.5 mm a
step where there are 50. What they tell:

- **rough**: energy of the second difference along depth over that of the difference across two
  steps. Noise that is independent from slice to slice gives 3, a smooth volume close to 0.
- **comb**: of the voxels whose bright/dark label changes along depth, the share that are spikes of
  a single slice, at levels of 0.3 and 0.5 of the 99th percentile: the teeth that a border shows in
  a sagittal or axial view when every slice was made alone.
- **lags**: mean correlation of slices 1, 2 and 5 apart. A blurred volume with white jitter can have
  the truth's correlation at lag 1, never at all three: read them together, and tune to none.
- **power**: in-plane power at 32, 64 and 96 cycles a field of view: the texture of a slice.

Rough and comb are of borders where the slices are smoothed by 1.5 px first, of texture where not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from xr2mri_core.evaluation.metrics import (
    SSIM_SIGMA,
    SSIM_WINDOW,
    Region,
    bone_edges,
    edge_f1,
    ssim,
)
from xr2mri_core.evaluation.similarity import local_similarity

SMOOTHING = 1.5
"""Pixels by which slices are smoothed before borders are judged."""
COMB_LEVELS = (0.3, 0.5)
LAGS = (1, 2, 5)
CYCLES = (32, 64, 96)
_EVERY = {"sagittal": 4, "axial": 4}  # of the reformatted pictures, which are 256


def reformatted(slices: NDArray[np.float32], plane: str) -> NDArray[np.float32]:
    """Sagittal pictures (W, H, n) or axial ones (H, n, W) of coronal slices (n, H, W)."""
    if plane == "sagittal":
        return slices.transpose(2, 1, 0)
    if plane == "axial":
        return slices.transpose(1, 0, 2)
    raise ValueError(f"plane {plane!r}: accepted are sagittal and axial")


def smoothed(slices: NDArray[np.float32]) -> NDArray[np.float32]:
    """Slices smoothed in their plane, not along depth."""
    return ndimage.gaussian_filter(slices, (0, SMOOTHING, SMOOTHING))


def rough(slices: NDArray[np.float32]) -> float:
    """Mean square of v[i-1] - 2 v[i] + v[i+1] over that of v[i+1] - v[i-1]; NaN below 3 slices."""
    if len(slices) < 3:
        return float("nan")
    across = float(np.square(slices[2:] - slices[:-2]).mean())
    return float(np.square(np.diff(slices, 2, axis=0)).mean()) / across if across else float("nan")


def comb(slices: NDArray[np.float32]) -> float:
    """Share of single-slice spikes among the changes of label along depth; NaN below 3 slices."""
    if len(slices) < 3:
        return float("nan")
    top = np.percentile(slices, 99)
    shares = []
    for level in COMB_LEVELS:
        label = slices > level * top
        before, here, after = label[:-2], label[1:-1], label[2:]
        changes = int(((before != here) | (here != after)).sum())
        shares.append(int(((before == after) & (before != here)).sum()) / max(changes, 1))
    return float(np.mean(shares))


def lag_correlation(slices: NDArray[np.float32], lag: int) -> float:
    """Mean Pearson correlation of whole slices `lag` apart; NaN where there is none."""
    pairs = zip(slices[:-lag], slices[lag:], strict=True)
    rows = [(a.ravel(), b.ravel()) for a, b in pairs if a.std() and b.std()]
    values = [np.corrcoef(a, b)[0, 1] for a, b in rows]
    return float(np.mean(values)) if values else float("nan")


def power(slices: NDArray[np.float32]) -> dict[int, float]:
    """Mean in-plane power of the middle slices at each of `CYCLES` per field of view."""
    middle = slices[len(slices) // 3 : max(3 * len(slices) // 4, len(slices) // 3 + 1)]
    centred = middle - middle.mean((1, 2), keepdims=True)
    spectrum = np.square(np.abs(np.fft.fftshift(np.fft.fft2(centred), axes=(1, 2)))).mean(0)
    rows, columns = (np.arange(size) - size // 2 for size in spectrum.shape)
    radius = np.hypot(rows[:, None], columns[None]).astype(int)
    rings = {cycles: spectrum[radius == cycles] for cycles in CYCLES}
    return {cycles: float(ring.mean()) if ring.size else np.nan for cycles, ring in rings.items()}


def coherence(slices: NDArray[np.float32]) -> dict[str, float]:
    """What a volume tells of itself: ``rough``, ``comb`` (smoothed), ``rough_raw``, lags."""
    borders = smoothed(slices)
    return {
        "rough": rough(borders),
        "comb": comb(borders),
        "rough_raw": rough(slices),
        **{f"lag{lag}": lag_correlation(slices, lag) for lag in LAGS},
    }


def ssim_3d(truth: NDArray[np.float32], image: NDArray[np.float32]) -> float:
    """SSIM over windows of 7 x 7 x 7 voxels (sigma 1.5); NaN for fewer than 7 slices."""
    import torch

    if min(truth.shape) < 7:
        return float("nan")
    true, own = (torch.from_numpy(np.ascontiguousarray(v, np.float32)) for v in (truth, image))
    local, _ = local_similarity(true, own, window=7, sigma=SSIM_SIGMA, axes=3)
    return float(local.mean())


def in_planes(truth: NDArray[np.float32], image: NDArray[np.float32]) -> dict[str, float]:
    """How an image compares with the truth beside the coronal plane.

    Returns:
        ``ssim_sagittal``, ``ssim_axial`` (on the voxel grid, 0.625 x 1.5 mm), ``f1_sagittal``,
        ``f1_axial`` (edges within 2 px, of the pictures in which either has any), ``ssim_3d``; NaN
        where a plane is too thin for a window.
    """
    values = {"ssim_3d": ssim_3d(truth, image)}
    for plane, step in _EVERY.items():
        true, own = (reformatted(v, plane)[step // 2 :: step] for v in (truth, image))
        fits = min(true.shape[1:]) >= SSIM_WINDOW
        values |= {f"ssim_{plane}": float("nan"), f"f1_{plane}": float("nan")}
        if fits:
            values[f"ssim_{plane}"] = float(ssim(true, own).mean())
            whole: Region = slice(None), slice(None)
            found = edge_f1(bone_edges(true), bone_edges(own), [whole] * len(true))
            if np.isfinite(found).any():
                values[f"f1_{plane}"] = float(np.nanmean(found))
    return values


def texture(truth: NDArray[np.float32], image: NDArray[np.float32]) -> dict[str, float]:
    """In-plane power of an image over the truth's: ``power32``, ``power64``, ``power96``."""
    own, true = power(image), power(truth)
    ratios = {cycles: own[cycles] / true[cycles] if true[cycles] else np.nan for cycles in CYCLES}
    return {f"power{cycles}": ratio for cycles, ratio in ratios.items()}


def spread_error(
    truth: NDArray[np.float32], mean: NDArray[np.floating[Any]], std: NDArray[np.floating[Any]]
) -> float:
    """RMSE of the mean over the root mean square of the predicted deviation: 1 if calibrated.

    Args:
        truth, mean: (n, H, W).
        std: deviation of the truth from `mean` that is predicted (n, H, W). A mean of m draws errs
            by sqrt(1 + 1 / m) of the draws' deviation, an exact one by that itself.
    """
    error = float(np.sqrt(np.square(truth - mean).mean()))
    return error / max(float(np.sqrt(np.square(std).mean())), 1e-9)
