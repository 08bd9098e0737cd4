"""CoLa-Diff (Jiang et al., MICCAI 2023): latent diffusion with structural guidance and gates."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xr2mri_core.networks import Given, RadiographCode, XR2MRIModel


class ConditionGate(nn.Module):
    """Weighs conditions against one another: x_k <- x_k (1 + sigmoid(gamma_k s_k + beta_k)).

    s_k = alpha_k ||x_k||_2, divided by the norm of all s over their root mean square: a condition
    that says more in a slice is turned up there ("auto-weight adaptation" of the paper). gamma and
    beta start at zero, so that all conditions begin alike, at 1.5 times their size.

    Args:
        count: number of conditions.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(count))
        self.gamma = nn.Parameter(torch.zeros(count))
        self.beta = nn.Parameter(torch.zeros(count))

    def forward(self, conditions: list[Tensor]) -> list[Tensor]:
        """Conditions (B, c_k, h, w), in their order, weighed."""
        sizes = torch.stack([x.float().flatten(1).norm(dim=1) for x in conditions], 1)
        scaled = self.alpha * sizes
        scaled = scaled / (scaled.square().mean(1, keepdim=True) + 1e-6).sqrt()
        gates = 1 + torch.sigmoid(self.gamma * scaled + self.beta)
        return [
            x * gate.view(-1, 1, 1, 1).to(x.dtype)
            for x, gate in zip(conditions, gates.unbind(1), strict=True)
        ]


class CoLaDiff(XR2MRIModel):
    """Conditions {radiograph latent, bone mask, depth map}, gated and concatenated to z_t.

    Taken from the paper: conditions are concatenated to the noisy latent, masks of regions among
    them guide the structure, and a gate per condition balances them. The released code (BSD-3)
    works on pixels and does not run; this follows the paper.

    Adapted: the other MR contrasts of its task are one radiograph here, and its brain regions are
    the bones: a mask that a small network draws from the radiograph, on the grid of the slices
    (`xr2mri_core.training.bones`). The depth, which its 2-D task has not, is one more map. Its loss
    on the masks is computed but not added in the released code, and left out here. No features; the
    context is a token of zeros.

    Args:
        bones: radiograph (B, 1, H, W) -> code whose latent (B, 1, h, w) are logits of bone; frozen
            once `fit_bones` has trained it.
        parts: see `XR2MRIModel`; the U-Net has 2 c + 2 input channels.
    """

    def __init__(self, *, bones: nn.Module, **parts: Any) -> None:
        super().__init__(**parts)
        self.bones = bones
        self.gate = ConditionGate(3)

    def bone_logits(self, radiograph: Tensor, size: tuple[int, int]) -> Tensor:
        """Logits (B, 1, *size) of bone somewhere along the depth."""
        return F.interpolate(self.bones(radiograph).latent, size, mode="bilinear")

    def encode_radiograph(self, radiograph: Tensor) -> RadiographCode:
        """E_2(y), with the bone mask as one more channel of its latent."""
        code = super().encode_radiograph(radiograph)
        with torch.no_grad():
            logits = self.bone_logits(radiograph, (code.latent.shape[-2], code.latent.shape[-1]))
        mask = torch.sigmoid(logits).to(code.latent.dtype)
        return RadiographCode(torch.cat([code.latent, mask], 1), code.embedding)

    def predict(self, z_t: Tensor, t: Tensor | float, given: Given) -> Tensor:
        """U(z_t, conditions): see `XR2MRIModel.predict`."""
        count, _, height, width = z_t.shape
        latent, mask = given.code.latent.tensor_split([-1], 1)
        where = (
            (2 * given.depth - 1).to(latent.dtype).view(-1, 1, 1, 1).expand(-1, 1, height, width)
        )
        conditions = [part.to(z_t.dtype) for part in self.gate([latent, mask, where])]
        context = z_t.new_zeros(count, 1, self.guidance.cross_attention_dim)
        z = torch.cat([z_t, *conditions], 1)
        return self.unet(z, t, context, return_dict=False)[0]
