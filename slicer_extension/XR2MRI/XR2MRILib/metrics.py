"""A generated volume against a real one, with the NumPy and SciPy that Slicer bundles.

The numbers are those of the project's evaluation: PSNR in float over a data range of 1, SSIM with a
Gaussian window of 11 x 11, sigma 1.5, at valid positions. The maps are those of the paper's
Table II: the difference of each slice, and of its edges as the Sobel operator finds them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr2mri_client.errors import XR2MRIClientError
from xr2mri_client.texts import tr as _

WINDOW, SIGMA = 11, 1.5
CLIP_PERCENTILES = (0.0, 94.3)
"""Of a real volume, which become 0 and 1: what the model was trained on."""
LEAST_OVERLAP = 0.5
"""Share of the generated volume that a real one must cover."""


class NotComparable(XR2MRIClientError):
    """One of the two is no volume of intensities."""

    remedy = _("Choose an MRI of the same knee: a grey volume of several slices.")


class NoOverlap(XR2MRIClientError):
    """The two volumes do not lie at the same place."""

    remedy = _("Check that it is the same knee, or tick “Align the centres”.")


@dataclass(frozen=True, eq=False)
class Comparison:
    """What sets a generated volume off from a real one, on the generated one's grid.

    Attributes:
        difference: (X, Y, Z) float32, generated minus real, the real volume's window to [0, 1] and
            0 where it does not reach.
        edges: generated minus real after the Sobel operator, coronal slice by slice.
        psnr, ssim: (Y,) of each coronal slice.
        volume_psnr: over all voxels, in dB.
    """

    difference: NDArray[np.float32]
    edges: NDArray[np.float32]
    psnr: NDArray[np.float64]
    ssim: NDArray[np.float64]
    volume_psnr: float

    @property
    def volume_ssim(self) -> float:
        """The mean of the slices."""
        return float(np.mean(self.ssim))


def compare(
    generated: NDArray[np.float32],
    affine: NDArray[np.float64],
    real: NDArray[Any],
    real_affine: NDArray[np.float64],
    align_centres: bool = False,
    check: Callable[[], None] = lambda: None,
) -> Comparison:
    """Compare two volumes.

    Args:
        generated: (X, Y, Z) in [0, 1]; Y runs over the coronal slices.
        affine: (4, 4), its voxels to RAS mm.
        real: (I, J, K), any type, any orientation.
        real_affine: its voxels to RAS mm.
        align_centres: move the real volume so that the centres coincide.
        check: called between slices; what it raises ends the work.

    Raises:
        NoOverlap: the real volume covers less than half of the generated one.
        NotComparable: the real volume is the same everywhere, or holds values that are no numbers.
    """
    placed = _centred(real_affine, real.shape, affine, generated.shape) if align_centres else None
    to_real = np.linalg.inv(real_affine if placed is None else placed) @ affine
    if real.dtype.kind not in "iu" and real.dtype.itemsize < 4:  # bool, float16: SciPy takes none
        real = real.astype(np.float32)
    low, high = np.percentile(real[::2, ::2, ::2], CLIP_PERCENTILES)
    if not float(high) > float(low):  # no numbers are not above each other, either
        raise NotComparable(_("The real volume has no contrast, or values that are no numbers."))
    window = (float(low), float(high))
    resampled, share = _resampled(real, to_real, window, generated.shape, check)
    if share < LEAST_OVERLAP:
        message = _("The real volume covers {x:.0f} % of the generated one.")
        raise NoOverlap(message.format(x=100 * share))
    slices = range(generated.shape[1])
    edges = np.zeros(generated.shape, np.float32, order="F")
    scores = np.zeros((2, generated.shape[1]))
    for k in slices:
        check()
        edges[:, k] = sobel(generated[:, k]) - sobel(resampled[:, k])
        scores[:, k] = (
            psnr(resampled[:, k], generated[:, k]),
            ssim(resampled[:, k], generated[:, k]),
        )
    difference = generated - resampled
    whole = psnr(resampled, generated)
    return Comparison(difference, edges, scores[0], scores[1], whole)


def _resampled(
    real: NDArray[Any],
    to_real: NDArray[np.float64],
    window: tuple[float, float],
    shape: tuple[int, ...],
    check: Callable[[], None],
) -> tuple[NDArray[np.float32], float]:
    """A real volume on another grid, its window to [0, 1], and the share of it that it covers."""
    low, scale = window[0], 1.0 / (window[1] - window[0])
    resampled = np.zeros(shape, np.float32, order="F")
    covered = 0
    for k in range(shape[1]):
        check()
        values, inside = _resampled_slice(real, to_real, shape, k)
        resampled[:, k] = np.where(inside, np.clip((values - low) * scale, 0, 1), 0)
        covered += int(inside.sum())
    return resampled, covered / resampled.size


def psnr(truth: NDArray[np.float32], image: NDArray[np.float32]) -> float:
    """Peak signal-to-noise ratio in dB for a data range of 1; infinite for equal images."""
    error = float(np.mean(np.square(np.subtract(truth, image, dtype=np.float64))))
    return float("inf") if error == 0 else -10 * float(np.log10(error))


def ssim(truth: NDArray[np.float32], image: NDArray[np.float32]) -> float:
    """Structural similarity of two pictures in [0, 1], each side at least 11 long."""
    x, y = np.asarray(truth, np.float64), np.asarray(image, np.float64)
    mean_x, mean_y = _blurred(x), _blurred(y)
    variance_x, variance_y = _blurred(x * x) - mean_x**2, _blurred(y * y) - mean_y**2
    covariance = _blurred(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    top = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    bottom = (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    return float(np.mean(top / bottom))


def sobel(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Magnitude of the gradient by the Sobel operator; 1 is a step from 0 to 1."""
    p = np.asarray(picture, np.float32)
    return np.hypot(*(_ndimage().sobel(p, axis, mode="nearest") for axis in (0, 1))) / 4


def _blurred(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Gaussian mean at every valid position."""
    margin = WINDOW // 2
    blurred = _ndimage().gaussian_filter(picture, SIGMA, truncate=margin / SIGMA)
    return blurred[margin:-margin, margin:-margin]


def _centred(
    moving: NDArray[np.float64],
    moving_shape: tuple[int, ...],
    fixed: NDArray[np.float64],
    fixed_shape: tuple[int, ...],
) -> NDArray[np.float64]:
    """The affine of a volume moved so that its centre is that of another."""
    moved = moving.copy()
    moved[:3, 3] += _centre(fixed, fixed_shape) - _centre(moving, moving_shape)
    return moved


def _centre(affine: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    return (affine @ [*((np.array(shape[:3]) - 1) / 2), 1.0])[:3]


def _resampled_slice(
    volume: NDArray[Any], to_volume: NDArray[np.float64], shape: tuple[int, ...], k: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Trilinear values of a volume on coronal slice `k` of a grid, and where it reaches."""
    i, j = np.meshgrid(np.arange(shape[0]), np.arange(shape[2]), indexing="ij")
    at = np.stack([a * i + b * k + c * j + d for a, b, c, d in to_volume[:3]])
    last = np.reshape(volume.shape, (3, 1, 1)) - 1
    inside = ((at >= -0.5) & (at <= last + 0.5)).all(axis=0)
    return _ndimage().map_coordinates(volume, at, np.float32, order=1, mode="nearest"), inside


def _ndimage() -> Any:
    """SciPy's, loaded by who compares first: every start of Slicer loads this module."""
    from scipy import ndimage

    return ndimage
