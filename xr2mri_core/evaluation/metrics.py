"""Numbers that say how close one knee volume is to another.

All functions take slices (n, H, W) float in [0, 1] in the image convention (rows superior to
inferior) and return one value per slice or per pair of neighbours. Settings that change the
numbers:

- PSNR: in float, data range 1. Integers are refused: the difference of two 8-bit pictures wraps at
  256, as does its square, so that no mean of squares can exceed 255 and no PSNR of any two pictures
  falls below 24 dB (about 28 dB is typical, whatever the pictures).
- SSIM: Gaussian window 11 x 11, sigma 1.5, data range 1, valid positions only. Equal to MONAI's
  ``SSIMMetric`` and to scikit-image with ``gaussian_weights=True, use_sample_covariance=False``.
- MS-SSIM: five scales with the weights of Wang et al. (2003), on slices of at least 176 pixels.
- RSSIM (paper, section IV-A2): Canny edges (sigma 3, thresholds 0.1 and 0.2), then SSIM of the two
  edge maps, averaged over the joint region. The region comes from the *real* slice alone, so that
  no method chooses where it is judged. An empty edge map already scores about 0.7: always read
  RSSIM beside that floor (`empty_floor`) and beside the edge F1, which the empty map loses.
- Adjacent-slice correlation (paper, section IV-C): Pearson over the body, per pair of neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import canny

from xr2mri_core.errors import InputError
from xr2mri_core.evaluation.similarity import SCALES, local_similarity, multi_scale_similarity
from xr2mri_core.phantom.tissues import Tissue

METRICS_VERSION = 2
"""Raised when a metric means something else: results of an earlier run do not count then."""
SSIM_WINDOW, SSIM_SIGMA = 11, 1.5
CANNY_SIGMA = 3.0
EDGE_TOLERANCE = 2.0
"""Pixels within which an edge counts as found in `edge_f1`."""
BODY_THRESHOLD = 0.05
"""Smoothed intensity above which a pixel belongs to the body in `body_mask`."""
PIXEL_MM = 0.625

Region = tuple[slice, slice]
"""Rows and columns of the joint in one slice."""


# --- intensities --------------------------------------------------------------------------------


def in_floats(*volumes: NDArray[Any]) -> None:
    """Refuse slices of integers, whose differences wrap around.

    Raises:
        InputError: naming the type.
    """
    for volume in volumes:
        if np.issubdtype(volume.dtype, np.integer):
            raise InputError(
                f"slices of type {volume.dtype}: metrics take floats in [0, 1]; divide by the "
                "largest value that the type can hold"
            )


def psnr(
    truth: NDArray[np.floating[Any]],
    image: NDArray[np.floating[Any]],
    mask: NDArray[np.bool_] | None = None,
) -> float:
    """Peak signal-to-noise ratio in dB over all voxels, or those in ``mask``; data range 1.

    Raises:
        InputError: the slices are integers.
    """
    in_floats(truth, image)
    difference = (truth - image) if mask is None else (truth - image)[mask]
    error = float(np.mean(np.square(difference, dtype=np.float64)))
    return float("inf") if error == 0 else -10 * float(np.log10(error))


def ssim_map(
    truth: NDArray[np.floating[Any] | np.bool_], image: NDArray[np.floating[Any] | np.bool_]
) -> NDArray[np.float32]:
    """Local SSIM (n, H, W); NaN in the 5-pixel margin where the window does not fit.

    Raises:
        InputError: the slices are integers, or smaller than the window.
    """
    in_floats(truth, image)
    if min(truth.shape[1:]) < SSIM_WINDOW:
        raise InputError(
            f"slices of {truth.shape[1]} x {truth.shape[2]} pixels: SSIM takes {SSIM_WINDOW} x "
            f"{SSIM_WINDOW} or more"
        )
    local, _ = local_similarity(_tensor(truth), _tensor(image), SSIM_WINDOW, SSIM_SIGMA)
    margin = SSIM_WINDOW // 2
    padding = ((0, 0), (margin, margin), (margin, margin))
    return np.pad(local.numpy(), padding, constant_values=np.nan)


def _tensor(slices: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(slices, np.float32))


def ssim(truth: NDArray[np.floating[Any]], image: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Structural similarity of each slice (n,)."""
    return np.nanmean(ssim_map(truth, image), axis=(1, 2))


def ms_ssim(
    truth: NDArray[np.floating[Any]], image: NDArray[np.floating[Any]]
) -> NDArray[np.floating[Any]]:
    """Multi-scale structural similarity of each slice (n,); NaN below 176 pixels.

    Over five scales, each half of the one before; the structure of coarse ones counts more than the
    grain of the finest, which a generated volume cannot have in the right place.

    Raises:
        InputError: the slices are integers.
    """
    in_floats(truth, image)
    if min(truth.shape[1:]) < SSIM_WINDOW * 2 ** (len(SCALES) - 1):
        return np.full(len(truth), np.nan)
    pair = _tensor(truth), _tensor(image)
    return multi_scale_similarity(*pair, SSIM_WINDOW, SSIM_SIGMA).numpy()


def body_mask(slices: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """The body in each slice (n, H, W): smoothed by 2 px, above 0.05, holes filled."""
    smooth = ndimage.gaussian_filter(slices, (0, 2, 2))
    return np.stack([ndimage.binary_fill_holes(s > BODY_THRESHOLD) for s in smooth])


def adjacent_correlation(slices: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Pearson correlation (n - 1,) of each slice with the next, over the body of their mean.

    Both a smaller spacing and blur raise it: compare at equal spacing, and higher than the truth
    is not better. A pair without body, or constant in it, gives NaN.
    """
    values = np.full(max(len(slices) - 1, 0), np.nan)
    for k, (a, b) in enumerate(pairwise(slices)):
        mask = body_mask((a + b)[None] / 2)[0]
        if mask.sum() > 1 and a[mask].std() > 0 and b[mask].std() > 0:
            values[k] = np.corrcoef(a[mask], b[mask])[0, 1]
    return values


# --- bone edges in the joint region ---------------------------------------------------------------


def joint_region(
    labels: NDArray[np.uint8] | None, shape: tuple[int, int] = (256, 256)
) -> Region | None:
    """The part of a real slice on which bone edges are judged.

    Rows: from the start of the lower third of the femur to the end of the upper third of the
    tibia, as far as each is seen in this slice. Columns: those of the two bones, widened by 8 px.
    A slice in which femur and tibia are not both seen has no joint: None, and it does not count.

    Without a label map (``labels`` None: real data) the region is fixed, because radiograph and
    volume are both centred on the joint: the middle third of the rows, the middle two thirds of
    the columns.
    """
    if labels is None:
        height, width = shape
        return slice(height // 3, height - height // 3), slice(width // 6, width - width // 6)
    femur, tibia = labels == Tissue.TRABECULAR_MARROW, labels == Tissue.TIBIA_MARROW
    if femur.sum() < 100 or tibia.sum() < 100:
        return None
    femur_rows, tibia_rows = np.flatnonzero(femur.any(1)), np.flatnonzero(tibia.any(1))
    top = femur_rows[-1] - (femur_rows[-1] - femur_rows[0]) // 3
    bottom = tibia_rows[0] + (tibia_rows[-1] - tibia_rows[0]) // 3
    if bottom - top < SSIM_WINDOW:
        return None
    columns = np.flatnonzero((femur | tibia)[top : bottom + 1].any(0))
    left, right = max(columns[0] - 8, 0), min(columns[-1] + 9, labels.shape[1])
    return slice(int(top), int(bottom) + 1), slice(int(left), int(right))


def bone_edges(slices: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Canny edge maps (n, H, W) bool, sigma 3 on [0, 1] floats (paper, section IV-A2)."""
    return np.stack([canny(np.asarray(s, np.float64), sigma=CANNY_SIGMA) for s in slices])


def rssim(
    truth_edges: NDArray[np.bool_], edges: NDArray[np.bool_], regions: Sequence[Region | None]
) -> NDArray[np.float64]:
    """SSIM of two edge maps averaged over each slice's region (n,); NaN where there is none."""
    margin = SSIM_WINDOW // 2

    def score(k: int, region: Region) -> float:  # on the region and as much around as windows see
        rows, columns = (slice(max(s.start - margin, 0), s.stop + margin) for s in region)
        pair = (maps[k : k + 1, rows, columns] for maps in (truth_edges, edges))
        return float(np.nanmean(ssim_map(*pair)))

    return _per_region(regions, score)


def empty_floor(
    truth_edges: NDArray[np.bool_], regions: Sequence[Region | None]
) -> NDArray[np.float64]:
    """RSSIM (n,) of a prediction without any edge: what nothing at all scores."""
    return rssim(truth_edges, np.zeros_like(truth_edges), regions)


def edge_f1(
    truth_edges: NDArray[np.bool_], edges: NDArray[np.bool_], regions: Sequence[Region | None]
) -> NDArray[np.float64]:
    """F1 (n,) of the edge pixels that have a partner within `EDGE_TOLERANCE`, in the region.

    0 where one of the two has no edge, NaN where neither has: there is nothing to find.
    """

    def score(k: int, region: Region) -> float:
        to_truth, to_image = _edge_distances(truth_edges[k], edges[k], region)
        if to_truth.size == 0 or to_image.size == 0:
            return float("nan") if to_truth.size == to_image.size else 0.0
        precision, recall = (float(np.mean(d <= EDGE_TOLERANCE)) for d in (to_truth, to_image))
        return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)

    return _per_region(regions, score)


def edge_distance(
    truth_edges: NDArray[np.bool_], edges: NDArray[np.bool_], regions: Sequence[Region | None]
) -> NDArray[np.float64]:
    """Mean symmetric distance (n,) between the edges in mm; NaN where either map has none."""

    def score(k: int, region: Region) -> float:
        distances = _edge_distances(truth_edges[k], edges[k], region)
        if min(d.size for d in distances) == 0:
            return float("nan")
        return float(np.concatenate(distances).mean()) * PIXEL_MM

    return _per_region(regions, score)


def _edge_distances(
    truth: NDArray[np.bool_], edges: NDArray[np.bool_], region: Region
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances of the region's edge pixels to the nearest true edge; and the other way round."""

    def nearest(source: NDArray[np.bool_], target: NDArray[np.bool_]) -> NDArray[np.float64]:
        if not target.any():
            return np.full(int(source[region].sum()), np.inf)
        return ndimage.distance_transform_edt(~target)[region][source[region]]

    to_truth, to_image = nearest(edges, truth), nearest(truth, edges)
    return to_truth, to_image


def _per_region(
    regions: Sequence[Region | None], score: Callable[[int, Region], float]
) -> NDArray[np.float64]:
    return np.array([np.nan if r is None else score(k, r) for k, r in enumerate(regions)])


# --- one volume against the truth -----------------------------------------------------------------


@dataclass(frozen=True)
class Reference:
    """A true volume with everything that depends on it alone, computed once for all methods.

    Attributes:
        slices: (n, H, W) in [0, 1].
        regions: the joint region of each slice.
        edges: (n, H, W) bool.
        body: (n, H, W) bool.
    """

    slices: NDArray[np.float32]
    regions: tuple[Region | None, ...]
    edges: NDArray[np.bool_]
    body: NDArray[np.bool_]

    @classmethod
    def of(cls, slices: NDArray[np.float32], labels: NDArray[np.uint8] | None = None) -> Reference:
        """From the real slices (n, H, W) and, when known, their label maps (n, H, W)."""
        shape = (slices.shape[1], slices.shape[2])
        maps = [None] * len(slices) if labels is None else list(labels)
        regions = tuple(joint_region(m, shape) for m in maps)
        return cls(slices, regions, bone_edges(slices), body_mask(slices))

    def compare(self, slices: NDArray[np.float32]) -> dict[str, float]:
        """All metrics of one volume (n, H, W) against this truth, as means over its slices."""
        edges = bone_edges(slices)
        local = ssim_map(self.slices, slices)
        in_joint = _per_region(self.regions, lambda k, r: float(np.nanmean(local[k][r])))
        return {
            "psnr": psnr(self.slices, slices),
            "psnr_body": psnr(self.slices, slices, self.body),
            "ssim": float(np.nanmean(local)),
            "ms_ssim": float(np.mean(ms_ssim(self.slices, slices))),
            "ssim_joint": _mean(in_joint),
            "rssim": _mean(rssim(self.edges, edges, self.regions)),
            "edge_f1": _mean(edge_f1(self.edges, edges, self.regions)),
            "edge_distance_mm": _mean(edge_distance(self.edges, edges, self.regions)),
            "adjacent": _mean(adjacent_correlation(slices)),
        }

    def floor(self) -> float:
        """RSSIM of an empty edge map against this truth."""
        return _mean(empty_floor(self.edges, self.regions))


def _mean(values: NDArray[np.float64]) -> float:
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else float("nan")


# --- does a feature do what it should? ------------------------------------------------------------


def feature_response(
    generated_off: NDArray[np.float32],
    generated_on: NDArray[np.float32],
    truth_off: NDArray[np.float32],
    truth_on: NDArray[np.float32],
    threshold: float = 0.1,
) -> dict[str, float]:
    """How the generated change compares with the true one when one feature is switched on.

    The true region is where the truth changes by more than ``threshold``, also in at least three
    of the eight neighbours in the slice, so that noise does not count. All arrays are (n, H, W) in
    [0, 1].

    Returns:
        ``voxels`` (size of the true region), ``inside`` and ``outside`` (mean absolute generated
        change there; outside is the rest of the body), ``ratio`` of the two, ``gain`` (projection
        of the generated on the true change within the region: 1 is perfect, 0 none, below 0 the
        wrong way), ``agreement`` (share of the region's true change, by magnitude, whose sign is
        reproduced; chance 0.5) and ``correlation`` of the two changes over the region grown by 4
        px.
    """
    true_change, change = truth_on - truth_off, generated_on - generated_off
    region = np.abs(true_change) > threshold
    region &= ndimage.uniform_filter(region.astype(np.float32), (1, 3, 3)) > 0.4
    if region.sum() < 10:
        return dict.fromkeys(RESPONSE[1:], float("nan")) | {"voxels": float(region.sum())}
    near = ndimage.binary_dilation(region, np.ones((1, 9, 9), bool))
    rest = body_mask(truth_off) & ~near
    inside, outside = float(np.abs(change[region]).mean()), float(np.abs(change[rest]).mean())
    true_in, change_in = true_change[region].astype(np.float64), change[region].astype(np.float64)
    spread = float(change[near].std())
    values = (
        float(region.sum()),
        inside,
        outside,
        inside / outside if outside > 0 else float("nan"),
        float(true_in @ change_in / (true_in @ true_in)),
        float(
            np.abs(true_in)[np.sign(true_in) == np.sign(change_in)].sum() / np.abs(true_in).sum()
        ),
        float(np.corrcoef(true_change[near], change[near])[0, 1]) if spread > 0 else 0.0,
    )
    return dict(zip(RESPONSE, values, strict=True))


RESPONSE = ("voxels", "inside", "outside", "ratio", "gain", "agreement", "correlation")
"""What `feature_response` tells."""
