"""The conditions of one pass of the denoiser."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from xr2mri_core.networks.image_encoder import RadiographCode


class Given(NamedTuple):
    """What the U-Net is given beside z_t and t: the arguments of `XR2MRIModel.denoise`.

    Attributes:
        code: code with a row for each of the B slices.
        depth: d (B,).
        features: r (B, num_positions).
        mean: mu (B, c, h, w), where the model has a `regression`.
        slab: how many neighbouring slices know of one another.
    """

    code: RadiographCode
    depth: Tensor
    features: Tensor
    mean: Tensor | None
    slab: int
