"""E_2 of the paper: what the networks know of the radiograph, computed once per volume."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn
from torch.nn import functional as F

from xr2mri_core.networks.autoencoder import FoldDown, residual_blocks


class RadiographCode(NamedTuple):
    """E_2(y), the radiograph y as the denoiser sees it.

    Attributes:
        latent: (B, c, h, w), of the side of z_t: concatenated with it as the input of the U-Net.
        embedding: (B, D): the part of the context tokens that comes from the radiograph.
    """

    latent: Tensor
    embedding: Tensor


class CompactImageEncoder(nn.Module):
    """A small convolutional E_2, trained together with the denoiser.

    Pixels are folded by 4, two further foldings reach the side of the compact latent (1/16), and
    one self-attention over it lets every place see the whole radiograph: the outline of the shaft
    above tells what lies at the joint.

    The code's latent is concatenated with z_t, whose cells show the slice's 160 mm; a radiograph
    shows less of the knee, its square being narrower and the knee magnified. `zoom` lays both on
    the same grid, so that what a cell of the code knows concerns the same cell of the slice.

    Args:
        in_channels: radiograph channels.
        latent_channels: channels of the code's latent.
        embedding_dim: D of the code's embedding.
        zoom: size of a structure in the slice over its size in the radiograph, both in pixels.
        channels: widths at 1/4, 1/8 and 1/16 of the side.
        layers: residual blocks at 1/8 and at 1/16 of the side.
        num_heads: attention heads at 1/16.
        norm_num_groups: groups of every GroupNorm.
    """

    pooled_side = 4
    pooled_channels = 32

    def __init__(
        self,
        in_channels: int = 1,
        latent_channels: int = 16,
        embedding_dim: int = 256,
        channels: tuple[int, int, int] = (32, 128, 256),
        layers: tuple[int, int] = (1, 1),
        num_heads: int = 8,
        norm_num_groups: int = 32,
        zoom: float = 1.0,
    ) -> None:
        super().__init__()
        if not 0.5 <= zoom <= 2:
            raise ValueError(f"CompactImageEncoder: zoom must lie in [0.5, 2], got {zoom}")
        self.zoom = zoom
        fine, middle, coarse = channels
        self.stem = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(in_channels * 16, fine, 3, padding=1),
            nn.SiLU(),
            FoldDown(fine, middle),
            residual_blocks(middle, layers[0], norm_num_groups),
            FoldDown(middle, coarse),
            residual_blocks(coarse, layers[1], norm_num_groups),
        )
        self.attention = Attention(
            coarse,
            heads=num_heads,
            dim_head=coarse // num_heads,
            norm_num_groups=norm_num_groups,
            residual_connection=True,
            bias=True,
        )
        self.trunk = nn.Sequential(
            residual_blocks(coarse, 1, norm_num_groups),
            nn.GroupNorm(norm_num_groups, coarse, eps=1e-6),
            nn.SiLU(),
        )
        self.to_latent = nn.Conv2d(coarse, latent_channels, 3, padding=1)
        self.to_embedding = nn.Sequential(
            nn.Conv2d(coarse, self.pooled_channels, 1),
            nn.AdaptiveAvgPool2d(self.pooled_side),
            nn.Flatten(),
            nn.Linear(self.pooled_channels * self.pooled_side**2, embedding_dim),
            nn.LayerNorm(embedding_dim),
        )

    def forward(self, radiograph: Tensor) -> RadiographCode:
        """(B, in_channels, H, W) in [-1, 1] -> latent (B, c, H/16, W/16), embedding (B, D)."""
        features = self.trunk(self.attention(self.stem(self._zoomed(radiograph))))
        return RadiographCode(self.to_latent(features), self.to_embedding(features))

    def _zoomed(self, radiograph: Tensor) -> Tensor:
        """The radiograph scaled by `zoom` about its centre; beyond its edge the edge goes on."""
        if self.zoom == 1:
            return radiograph
        scale = torch.eye(2, 3, device=radiograph.device, dtype=torch.float32) / self.zoom
        grid = F.affine_grid(
            scale.expand(len(radiograph), -1, -1), list(radiograph.shape), align_corners=False
        )
        return F.grid_sample(
            radiograph, grid.to(radiograph.dtype), padding_mode="border", align_corners=False
        )


def clip_image_tower(name: str = "ViT-L-14-quickgelu", **settings: Any) -> nn.Module:
    """The image half of CLIP from open_clip, with random weights, ready for `load_state_dict`.

    OpenAI's weights, on which Zero-123 stands, were trained with the quick GELU: plain
    "ViT-L-14" would accept them and silently compute something else (1.2 % off).

    Args:
        name: an open_clip model name.
        settings: overrides of that model's image part (open_clip's `CLIPVisionCfg`, and
            `output_dim`), e.g. `layers=1` for tests.
    """
    import open_clip
    from open_clip.model import CLIPVisionCfg, _build_vision_tower

    config = open_clip.get_model_config(name)
    if config is None:
        raise ValueError(f"unknown open_clip model {name!r}")
    width = settings.pop("output_dim", config["embed_dim"])
    vision = CLIPVisionCfg(**{**config["vision_cfg"], **settings})
    return _build_vision_tower(width, vision, quick_gelu=config.get("quick_gelu", False))


class Zero123ImageEncoder(nn.Module):
    """The paper's E_2: the pre-trained Zero-123 route of a condition image, frozen.

    Zero-123 (the paper's [29]) uses its condition image twice, and only both together explain the
    paper's 8 = 4 + 4 input channels and its context width of 768: the **unscaled** mode of the
    autoencoder's latent is concatenated with z_t, and the CLIP ViT-L/14 image embedding (the
    paper's [30]) is the cross-attention context.

    Args:
        autoencoder: the autoencoder that the model uses for the MRI slices too.
        clip: an image tower (B, 3, 224, 224) -> (B, D), see `clip_image_tower`.
        image_size: side of the images that the tower takes.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, autoencoder: nn.Module, clip: nn.Module, image_size: int = 224) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.clip = clip
        self.image_size = image_size
        # Colour statistics of CLIP's training images, part of its published preprocessing.
        mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)

    def train(self, mode: bool = True) -> Zero123ImageEncoder:
        """Stay in evaluation mode: this encoder is frozen."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, radiograph: Tensor) -> RadiographCode:
        """(B, 1 or 3, 256, 256) in [-1, 1] -> latent (B, 4, 32, 32), embedding (B, 768)."""
        image = radiograph.expand(-1, 3, -1, -1)
        channels = cast(Any, self.autoencoder).config.in_channels
        latent = cast(Any, self.autoencoder).encode(image[:, :channels]).latent_dist.mode()
        side = (self.image_size, self.image_size)
        # The interpolation of Zero-123: bicubic, corners aligned, without antialiasing.
        small = F.interpolate(image, side, mode="bicubic", align_corners=True)
        embedding = self.clip(((small + 1) / 2 - self.mean) / self.std)
        return RadiographCode(latent, embedding)
