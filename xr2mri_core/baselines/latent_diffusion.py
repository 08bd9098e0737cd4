"""LDM (Rombach et al., CVPR 2022): latent diffusion without the patient, or with the radiograph."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from xr2mri_core.networks import RadiographCode, XR2MRIModel


class LatentDiffusion(XR2MRIModel):
    """The denoiser knows the depth; of the patient nothing, or the radiograph's latent.

    Taken from the paper: diffusion in the latent space of an autoencoder, conditions concatenated
    to z_t. The study that this project follows compares with an LDM that "suffers from the lack of
    constraints provided by the input X-ray" (section IV-A), which is `radiograph=False`.

    Adapted: a volume needs to know which slice it draws, so the depth is given by `DepthGuidance`.
    With `radiograph=True` the latent of the radiograph is concatenated, the plainest conditional
    LDM, so that what the other methods add to that can be seen. Neither knows the features.

    Args:
        radiograph: whether the radiograph's latent is an input; its embedding never is.
        parts: see `XR2MRIModel`.
    """

    def __init__(self, *, radiograph: bool = False, **parts: Any) -> None:
        super().__init__(**parts)
        self.radiograph = radiograph

    def encode_radiograph(self, radiograph: Tensor) -> RadiographCode:
        """E_2(y), less what this method must not know."""
        code = super().encode_radiograph(radiograph)
        latent = code.latent if self.radiograph else torch.zeros_like(code.latent)
        return RadiographCode(latent, torch.zeros_like(code.embedding))
