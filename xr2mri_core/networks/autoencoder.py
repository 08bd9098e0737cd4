"""The compact autoencoder: E_1 and D of the paper at a size that two CPU cores can train."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, cast

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn
from torch.nn import functional as F


class Autoencoder(Protocol):
    """What is used of `CompactAutoencoder` and of diffusers' `AutoencoderKL`.

    Both are modules of PyTorch as well. `config` holds `in_channels` and `scaling_factor`,
    `encode(x)` returns what has a `latent_dist`, `decode(z)` what has a `sample`.
    """

    encoder: nn.Module

    @property
    def config(self) -> Any: ...

    def encode(self, x: Tensor) -> Any: ...

    def decode(self, z: Tensor) -> Any: ...

    def register_to_config(self, **settings: Any) -> None: ...

    def save_pretrained(self, save_directory: Any) -> None: ...

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, **settings: Any) -> Any: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any: ...

    def requires_grad_(self, requires_grad: bool = True) -> Any: ...

    def to(self, device: torch.device | str) -> Any: ...


def residual_blocks(channels: int, count: int, groups: int) -> nn.Sequential:
    """`count` GroupNorm-SiLU-conv residual blocks of constant width, without time embedding."""
    return nn.Sequential(*(_ResidualBlock(channels, groups) for _ in range(count)))


class _ResidualBlock(ResnetBlock2D):
    """diffusers' residual block, called with one tensor so that it fits `nn.Sequential`."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__(in_channels=channels, temb_channels=cast(int, None), groups=groups)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x, cast(Tensor, None))


class FoldDown(nn.Module):
    """Halve the resolution: fold 2x2 pixels into channels, with a parameter-free average shortcut.

    The shortcut (residual autoencoding, Chen et al., DC-AE, ICLR 2025) lets information pass
    unchanged from the first step on, which shortens training of strongly compressing encoders.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        if out_channels % 4 or (in_channels * 4) % out_channels:
            raise ValueError(
                f"FoldDown {in_channels} -> {out_channels}: out_channels must be a multiple of 4 "
                f"that divides {in_channels * 4}"
            )
        self.group = in_channels * 4 // out_channels
        self.conv = nn.Conv2d(in_channels, out_channels // 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H/2, W/2)."""
        shortcut = F.pixel_unshuffle(x, 2).unflatten(1, (-1, self.group)).mean(2)
        return F.pixel_unshuffle(self.conv(x), 2) + shortcut


class UnfoldUp(nn.Module):
    """Double the resolution: unfold channels into 2x2 pixels, with a copying shortcut.

    The mirror image of `FoldDown`.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        if (out_channels * 4) % in_channels:
            raise ValueError(
                f"UnfoldUp {in_channels} -> {out_channels}: in_channels must divide "
                f"{out_channels * 4}"
            )
        self.repeats = out_channels * 4 // in_channels
        self.conv = nn.Conv2d(in_channels, out_channels * 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, 2H, 2W)."""
        shortcut = x.repeat_interleave(self.repeats, dim=1)
        return F.pixel_shuffle(self.conv(x) + shortcut, 2)


class CompactAutoencoder(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """A KL autoencoder that never convolves at full resolution: 256x256x1 <-> 16x16x16.

    It keeps the compression of the paper's AutoencoderKL (4,096 numbers for 65,536 pixels there:
    32x32x4) and its interface (`encode(x).latent_dist`, `decode(z).sample`,
    `config.scaling_factor`), so that either can stand in `XR2MRIModel`. The first layer folds
    `encoder_patch` x `encoder_patch` pixels into channels, the last unfolds
    `decoder_patch` x `decoder_patch`; the decoder gets about two thirds of the work, since it alone
    must invent detail and it alone runs 50 times for a volume.

    Args:
        in_channels: image channels (1; 3 for images meant for the paper's weights).
        latent_channels: channels of z.
        encoder_channels: widths from the folded image inwards; each further level halves the side.
        encoder_layers: residual blocks per encoder level.
        decoder_channels: widths from the latent outwards; each further level doubles the side.
        decoder_layers: residual blocks per decoder level.
        encoder_patch, decoder_patch: pixels folded by the first and unfolded by the last layer.
            `encoder_patch * 2**(encoder levels - 1)` must equal
            `decoder_patch * 2**(decoder levels - 1)`: it is the compression factor of each side.
        refine_channels: width of the full-resolution 3x3 refinement after unfolding; 0 leaves
            it out. It starts at zero and removes the seams between unfolded patches.
        norm_num_groups: groups of every GroupNorm.
        scaling_factor: what multiplies a latent before diffusion (the paper: 0.2; measured:
            1/std). `XR2MRIModel` reads it at construction.

    Example:
        >>> net = CompactAutoencoder()
        >>> z = net.encode(torch.zeros(1, 1, 256, 256)).latent_dist.mode()  # (1, 16, 16, 16)
        >>> net.decode(z).sample.shape
        torch.Size([1, 1, 256, 256])
    """

    _supports_gradient_checkpointing = False

    @register_to_config
    def __init__(
        self,
        in_channels: int = 1,
        latent_channels: int = 16,
        encoder_channels: tuple[int, ...] = (128, 256),
        encoder_layers: tuple[int, ...] = (2, 1),
        decoder_channels: tuple[int, ...] = (256, 128, 64),
        decoder_layers: tuple[int, ...] = (2, 2, 2),
        encoder_patch: int = 8,
        decoder_patch: int = 4,
        refine_channels: int = 8,
        norm_num_groups: int = 32,
        scaling_factor: float = 1.0,
    ) -> None:
        super().__init__()
        if len(encoder_channels) != len(encoder_layers) or len(decoder_channels) != len(
            decoder_layers
        ):
            raise ValueError(
                "CompactAutoencoder: one number of layers per width is needed, got "
                f"{encoder_channels}/{encoder_layers} and {decoder_channels}/{decoder_layers}"
            )
        factor = encoder_patch * 2 ** (len(encoder_channels) - 1)
        if factor != decoder_patch * 2 ** (len(decoder_channels) - 1):
            raise ValueError(
                f"CompactAutoencoder: the encoder divides the side by {factor}, the decoder "
                f"multiplies it by {decoder_patch * 2 ** (len(decoder_channels) - 1)}"
            )
        self.encoder = self._build_encoder()
        self.decoder = self._build_decoder()
        self.refine: nn.Sequential | None = None
        if refine_channels:
            last = nn.Conv2d(refine_channels, in_channels, 3, padding=1)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(cast(Tensor, last.bias))
            self.refine = nn.Sequential(
                nn.Conv2d(in_channels, refine_channels, 3, padding=1), nn.SiLU(), last
            )

    def _build_encoder(self) -> nn.Sequential:
        c: Any = self.config
        widths, groups = list(c.encoder_channels), c.norm_num_groups
        layers: list[nn.Module] = [
            nn.PixelUnshuffle(c.encoder_patch),
            nn.Conv2d(c.in_channels * c.encoder_patch**2, widths[0], 3, padding=1),
        ]
        for level, (width, count) in enumerate(zip(widths, c.encoder_layers, strict=True)):
            if level:
                layers.append(FoldDown(widths[level - 1], width))
            layers.append(residual_blocks(width, count, groups))
        layers += [
            nn.GroupNorm(groups, widths[-1], eps=1e-6),
            nn.SiLU(),
            nn.Conv2d(widths[-1], 2 * c.latent_channels, 3, padding=1),
        ]
        return nn.Sequential(*layers)

    def _build_decoder(self) -> nn.Sequential:
        c: Any = self.config
        widths, groups = list(c.decoder_channels), c.norm_num_groups
        layers: list[nn.Module] = [nn.Conv2d(c.latent_channels, widths[0], 3, padding=1)]
        for level, (width, count) in enumerate(zip(widths, c.decoder_layers, strict=True)):
            if level:
                layers.append(UnfoldUp(widths[level - 1], width))
            layers.append(residual_blocks(width, count, groups))
        layers += [
            nn.GroupNorm(groups, widths[-1], eps=1e-6),
            nn.SiLU(),
            nn.Conv2d(widths[-1], c.in_channels * c.decoder_patch**2, 3, padding=1),
            nn.PixelShuffle(c.decoder_patch),
        ]
        return nn.Sequential(*layers)

    def encode(
        self, x: Tensor, return_dict: bool = True
    ) -> AutoencoderKLOutput | tuple[DiagonalGaussianDistribution]:
        """z_0 ~ E_1(x) (Eq. 1).

        Args:
            x: images (B, in_channels, H, W) in [-1, 1]; H and W multiples of the factor.

        Returns:
            `.latent_dist`, a Gaussian over (B, latent_channels, H/factor, W/factor).
        """
        posterior = DiagonalGaussianDistribution(self.encoder(x))
        return AutoencoderKLOutput(latent_dist=posterior) if return_dict else (posterior,)

    def decode(self, z: Tensor, return_dict: bool = True) -> DecoderOutput | tuple[Tensor]:
        """x_d = D(z): unscaled latents (B, latent_channels, h, w) -> images in about [-1, 1]."""
        sample = self.decoder(z)
        if self.refine is not None:
            sample = sample + self.refine(sample)
        return DecoderOutput(sample=sample) if return_dict else (sample,)

    def forward(
        self,
        x: Tensor,
        sample_posterior: bool = False,
        generator: torch.Generator | None = None,
    ) -> DecoderOutput:
        """D(E_1(x)), the argument of the reconstruction loss (Eq. 6)."""
        posterior = cast(AutoencoderKLOutput, self.encode(x)).latent_dist
        z = posterior.sample(generator) if sample_posterior else posterior.mode()
        return cast(DecoderOutput, self.decode(z))
