"""X-Diffusion (Bourigault et al., arXiv 2404.19604): Zero-123 with a slice's place as pose.

Its cross-sectional idea needs slices along all three axes of volumes that are acquired along one:
`resliced` makes them, `coronal` turns what was generated along an axis back, and `placed` tells the
guidance axis and depth in one number, so that nothing between them has to know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from xr2mri_core.baselines.depth_guidance import DepthGuidance, projection
from xr2mri_core.geometry import Voxel

AXES = ("coronal", "sagittal", "axial")
_APART = 2.0  # between the depths of two axes, which are in [0, 1]
_ORDER = {"coronal": (0, 1, 2), "sagittal": (2, 1, 0), "axial": (1, 0, 2)}


class XDiffusionGuidance(DepthGuidance):
    """One token for both halves: Linear([e, axis, depth]), as Zero-123's pose enters.

    Taken from the paper and its public source (MIT): the input picture's latent is concatenated to
    z_t (`XR2MRIModel` does that); its embedding e and the place of the target, an axis as one-hot
    and a depth in [-1, 1], go through one linear layer that starts as e itself; 5 % of the
    radiographs are dropped in training (`drop_radiograph` in the overlay). No features.

    Adapted: the input is a radiograph, not a slice of the volume. The overlay `x_diffusion` has
    coronal slices alone as targets, as the other methods have, and its axis code is constant. The
    overlay `x_diffusion_axes` is the authors' cross-sectional training on slices along all three
    axes, whose volumes are averaged: its budget is shared by three times as many kinds of slices, a
    volume costs three times as much, and along the two other axes slices are stretched from 1.5 mm
    a voxel, by an autoencoder that knows coronal ones.

    Args:
        settings: see `DepthGuidance`.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        del self.down_time  # the pose is in the token alone
        width = self.embedding_dim + len(AXES) + 1
        self.cc_projection = nn.Linear(width, self.cross_attention_dim)
        self.axis = AXES[0]
        with torch.no_grad():
            self.cc_projection.weight[:, self.embedding_dim :].zero_()
            self.cc_projection.bias.zero_()
            if self.embedding_dim == self.cross_attention_dim:
                own = torch.eye(self.embedding_dim)
                self.cc_projection.weight[:, : self.embedding_dim].copy_(own)

    def imported(self, tokens: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Zero-123's projection of no rotation; the place, in its pose's stead, adds nothing."""
        own = projection("cc_projection", tokens, self.embedding_dim, len(AXES) + 1)
        return super().imported(tokens) | own

    @contextmanager
    def along(self, axis: str) -> Iterator[None]:
        """Within the context, depths that are not `placed` are taken as depths along this axis."""
        self.axis, before = axis, self.axis
        try:
            yield
        finally:
            self.axis = before

    def token(self, embedding: Tensor, depth: Tensor, features: Tensor) -> Tensor:
        """(B, 1, cross_attention_dim)."""
        place = placed(depth, self.axis)
        number = (place / _APART).floor()
        axis = nn.functional.one_hot(number.long(), len(AXES)).to(embedding.dtype)
        where = 2 * (place - _APART * number) - 1
        parts = [embedding, axis, where.to(embedding.dtype).unsqueeze(1)]
        return self.cc_projection(torch.cat(parts, 1)).unsqueeze(1)

    def time(self, embedding: Tensor, depth: Tensor, features: Tensor) -> Tensor:
        """Nothing: Zero-123 leaves the time embedding alone."""
        return embedding.new_zeros(len(depth), self.time_embed_dim)


def placed(depth: Any, axis: str) -> Any:
    """Depths in [0, 1] along an axis as one number each, by which the axis is known, too."""
    return depth + _APART * AXES.index(axis)


def resliced(volume: NDArray[Voxel], axis: str, order: int = 1) -> NDArray[Voxel]:
    """Coronal slices (n, H, W) -> n pictures (H, W) along an axis, evenly spaced.

    Sagittal pictures (from the patient's right, anterior on the right hand) and axial ones
    (from above, posterior on top) are stretched along the depth.

    Args:
        volume: the volume, of any number type; uint8 stays uint8.
        axis: one of AXES.
        order: order of the interpolation: 1 is linear, 0 nearest (for labels).
    """
    if axis == AXES[0]:
        return volume
    turned = np.transpose(volume, _ORDER[axis])
    rows = np.linspace(0, len(turned) - 1, len(volume)).round().astype(int)
    return _sized(turned[rows], (len(volume), *volume.shape[1:]), order)


def coronal(pictures: NDArray[Voxel], axis: str, count: int) -> NDArray[Voxel]:
    """Pictures (k, H, W) along an axis, as of `resliced` -> coronal slices (count, H, W)."""
    turned = np.transpose(pictures, _ORDER[axis])  # each of these orders is its own inverse
    return _sized(turned, (count, *pictures.shape[1:]), 1)


def _sized(array: NDArray[Voxel], shape: tuple[int, ...], order: int) -> NDArray[Voxel]:
    """Resampled so that first and last places stay what they are."""
    zoom = [new / old for new, old in zip(shape, array.shape, strict=True)]
    return ndimage.zoom(array, zoom, order=order, mode="nearest")
