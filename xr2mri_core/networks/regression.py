"""mu: the best guess of a slice, which diffusion then completes."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from xr2mri_core.networks.guidance import Guidance
from xr2mri_core.networks.image_encoder import RadiographCode


class Regression(nn.Module):
    """mu(y, d, r), the conditional mean of z_0: what radiograph, depth and features tell of it.

    A diffusion model has to learn two things at once: the mean of what it should draw, and how
    draws scatter about it. Here a network of its own learns the first, by least squares, in one
    pass; diffusion then draws the residual (z_0 - mu) / std, with mu beside z_t as an input
    (Mardani et al., "Residual corrective diffusion modeling", 2023; Whang et al., "Deblurring via
    stochastic refinement", CVPR 2022). Its few steps are spent on what is open alone, and mu
    decoded is the volume that is right on average: the best guess.

    The network is a `GuidedUNet` built as the denoiser is, with its own image encoder and
    guidance. At the last timestep the denoiser sees pure noise and its velocity is -z_0, so a
    trained denoiser is a good start: mu is minus its output, with zeros for z_t and for mu.

    Args:
        image_encoder: E_2, a copy of the denoiser's.
        guidance: a copy of the denoiser's.
        unet: a copy of the denoiser's, with inputs [z_t, E_2(y), mu] of which the first and the
            last stay zero.
        timestep: t of that pass, T - 1; a model with a `timestep_scale` multiplies it.
    """

    std: Tensor

    def __init__(
        self,
        image_encoder: nn.Module,
        guidance: Guidance,
        unet: nn.Module,
        timestep: float = 999.0,
    ) -> None:
        super().__init__()
        self.image_encoder, self.guidance, self.unet = image_encoder, guidance, unet
        self.timestep = timestep
        channels = int(cast(Any, unet).config.out_channels)
        # Standard deviation of z_0 - mu by channel: makes the residual of unit variance.
        self.register_buffer("std", torch.ones(channels, 1, 1))

    def encode_radiograph(self, radiograph: Tensor) -> RadiographCode:
        """E_2(y) of this branch: (B, 1, 256, 256) in [-1, 1] -> code."""
        return self.image_encoder(radiograph)

    def forward(self, code: RadiographCode, depth: Tensor, features: Tensor) -> Tensor:
        """mu (B, c, h, w).

        Args:
            code: code as `encode_radiograph` makes it, of B radiographs or of one for all.
            depth: d (B,) in [0, 1].
            features: r (B, num_positions).
        """
        count = len(depth)
        latent = code.latent.expand(count, -1, -1, -1)
        signals = self.guidance(code.embedding.expand(count, -1), depth, features)
        blank = torch.zeros(
            count, len(self.std), *latent.shape[-2:], dtype=latent.dtype, device=latent.device
        )
        return -self.unet(
            torch.cat([blank, latent, blank], 1),
            self.timestep,
            signals.down_context,
            up_encoder_hidden_states=signals.up_context,
            down_time_addition=signals.down_time,
            up_time_addition=signals.up_time,
            return_dict=False,
        )[0]
