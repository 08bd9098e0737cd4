"""ALDM (Kim & Park, WACV 2024): translate a source latent to a target class, in 3-D."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from xr2mri_core.features import one_hot_slices
from xr2mri_core.networks import Given, XR2MRIModel


class SwitchableSpade(nn.Module):
    """MS-SPADE: normalise a latent, then modulate it, place by place, as the target class wants.

        z <- norm(z) (1 + scale_k(z)) + shift_k(z)

    with a convolution for each class k, which starts at zero.

    Args:
        channels: c of the latent.
        classes: number of classes.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(channels)
        self.shared = nn.Sequential(nn.Conv2d(channels, 2 * channels, 3, padding=1), nn.SiLU())
        self.modulation = nn.Conv2d(2 * channels, classes * 2 * channels, 3, padding=1)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(cast(Tensor, self.modulation.bias))
        self.classes = classes

    def forward(self, z: Tensor, kind: Tensor) -> Tensor:
        """Latents (B, c, h, w) and their target classes (B,) -> (B, c, h, w)."""
        every = self.modulation(self.shared(z)).unflatten(1, (self.classes, -1))
        scale, shift = every[torch.arange(len(z), device=z.device), kind].chunk(2, 1)
        return self.norm(z) * (1 + scale) + shift


class ALDM(XR2MRIModel):
    """[z_t, z_source, SPADE(z_source)] into a U-Net that sees along depth.

    Taken from the paper (code: Apache-2.0): the source's latent and what multiple-switchable SPADE
    makes of it for the target class are concatenated to z_t, and the class enters the U-Net's time
    embedding. Its classes are MR contrasts; here they are the Kellgren-Lawrence grades of the
    target, 0 to 4 and "not read". No other feature.

    Adapted: the source has no depth, so the radiograph's latent is lifted along it: a 1x1
    convolution of [latent, Fourier(depth)] for each slice. The 3-D U-Net is the common 2-D one with
    `DepthMixing`, its convolutions along depth, on slabs of slices; so its size is that of the
    others. The autoencoder is theirs, too, instead of a 3-D VQGAN.

    Args:
        parts: see `XR2MRIModel`, with `depth_mixing`; the U-Net has 3 c input channels.
    """

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        channels = self.latent_channels
        self.grades = one_hot_slices(self.grading)["V00XRKL"]
        classes = self.grades.stop - self.grades.start + 1
        self.lift = nn.Conv2d(channels + 1 + 2 * self.guidance.num_frequencies, channels, 1)
        self.spade = SwitchableSpade(channels, classes)
        self.class_time = nn.Embedding(classes, self.guidance.time_embed_dim)
        nn.init.zeros_(self.class_time.weight)

    def target_class(self, features: Tensor) -> Tensor:
        """Kellgren-Lawrence grades (B,) of r (B, positions); one more where it was not read."""
        one_hot = features[:, self.grades]
        return torch.where(one_hot.sum(1) > 0, one_hot.argmax(1), one_hot.shape[1])

    def predict(self, z_t: Tensor, t: Tensor | float, given: Given) -> Tensor:
        """U(z_t, source, target): see `XR2MRIModel.predict`."""
        code, depth = given.code, given.depth
        kind = self.target_class(given.features)
        place = self.guidance.fourier(depth).to(code.latent.dtype)[..., None, None]
        place = place.expand(-1, -1, *z_t.shape[-2:])
        source = self.lift(torch.cat([code.latent, place], 1))
        parts = [z_t, source.to(z_t.dtype), self.spade(source, kind).to(z_t.dtype)]
        signals = self.guidance(code.embedding, depth, given.features)
        time = signals.down_time + self.class_time(kind).to(signals.down_time.dtype)
        return self.unet(
            torch.cat(parts, 1),
            t,
            signals.down_context,
            down_time_addition=time,
            up_time_addition=time,
            after_block=self.along_depth(depth, given.slab),
            return_dict=False,
        )[0]
