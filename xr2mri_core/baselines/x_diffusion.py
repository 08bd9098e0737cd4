"""X-Diffusion (Bourigault et al., arXiv 2404.19604): Zero-123 with a slice's place as pose."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from xr2mri_core.baselines.depth_guidance import DepthGuidance

AXES = ("coronal", "sagittal", "axial")


class XDiffusionGuidance(DepthGuidance):
    """One token for both halves: Linear([e, axis, depth]), as Zero-123's pose enters.

    Taken from the paper and its public source (MIT): the input picture's latent is concatenated to
    z_t (`XR2MRIModel` does that); its embedding e and the place of the target, an axis as one-hot
    and a depth in [-1, 1], go through one linear layer that starts as e itself; 5 % of the
    radiographs are dropped in training (`drop_radiograph` in the overlay). No features.

    Adapted: the input is a radiograph, not a slice of the volume. Targets are coronal slices, as
    the other methods' are: the authors' cross-sectional training on slices along all three axes,
    whose volumes are averaged, would see three times the data in the same budget, and slices that
    are 1.5 mm thick are no pictures along the other two. The axis code is there and constant.

    Args:
        settings: see `DepthGuidance`.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        del self.down_time  # the pose is in the token alone
        width = self.embedding_dim + len(AXES) + 1
        self.cc_projection = nn.Linear(width, self.cross_attention_dim)
        with torch.no_grad():
            self.cc_projection.weight[:, self.embedding_dim :].zero_()
            self.cc_projection.bias.zero_()
            if self.embedding_dim == self.cross_attention_dim:
                own = torch.eye(self.embedding_dim)
                self.cc_projection.weight[:, : self.embedding_dim].copy_(own)

    def token(self, embedding: Tensor, depth: Tensor, features: Tensor) -> Tensor:
        """(B, 1, cross_attention_dim)."""
        axis = torch.zeros(len(depth), len(AXES), dtype=embedding.dtype, device=depth.device)
        axis[:, AXES.index("coronal")] = 1
        place = (2 * depth - 1).to(embedding.dtype).unsqueeze(1)
        return self.cc_projection(torch.cat([embedding, axis, place], 1)).unsqueeze(1)

    def time(self, embedding: Tensor, depth: Tensor, features: Tensor) -> Tensor:
        """Nothing: Zero-123 leaves the time embedding alone."""
        return embedding.new_zeros(len(depth), self.time_embed_dim)
