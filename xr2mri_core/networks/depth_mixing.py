"""Layers between the blocks of the U-Net that let neighbouring slices know of one another."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xr2mri_core.geometry import SLICE_MM, WINDOW_MM

Mix = Callable[[int, Tensor, Tensor], Tensor]
"""(index of the block, hidden (B, C, h, w), time embedding (B, D)) -> hidden of the same shape."""


class DepthMixing(nn.Module):
    """Make a stack of slices one volume: a convolution along depth after every block of the U-Net.

    The paper denoises each coronal slice alone. What the radiograph leaves open is then decided
    anew in every slice, and the stack, cut sagittally, is a comb. Video diffusion models have the
    same task along time and solve it with temporal layers between the spatial ones (Ho et al.,
    "Video Diffusion Models", 2022; Blattmann et al., "Align your Latents", CVPR 2023); this is
    theirs for depth:

        h <- h + W2 silu(norm(conv(norm(h))) * (1 + scale) + shift),    conv: 3 slices, in place

    where scale and shift come from the timestep and from the spacing of the slices. So one set of
    weights serves any spacing that it was trained with: how much neighbours have in common at
    0.15 mm and at 3 mm is not the same.

    W2 starts at zero: a network with new layers computes what it computed without them, to the
    bit, and pre-trained 2-D weights stay what they are until the layers are trained.

    One layer reaches one slice to either side, so a slice depends on `reach` neighbours on either
    side in each pass through the network, and on nothing beyond: a stack of any length can be
    denoised in windows that overlap by `reach`, with the same result.

    Args:
        block_out_channels: channels of the U-Net's levels.
        time_embed_dim: D, width of the U-Net's time embedding.
        norm_num_groups: groups of the GroupNorms, each over one slice.
        window_mm: length of depth 0 to 1 in mm.

    Example:
        >>> mixing = DepthMixing([32, 64], time_embed_dim=16)
        >>> mix = mixing.over(torch.linspace(0.4, 0.6, 8), slab=8)
        >>> mix(0, torch.zeros(8, 32, 4, 4), torch.zeros(8, 16)).shape
        torch.Size([8, 32, 4, 4])
    """

    WIDEST_MM = 3.0  # between the slices of a slab in training, see `training.batches`
    _OCTAVES = 4  # of log2(spacing): distinguished from a sixteenth of a doubling on

    def __init__(
        self,
        block_out_channels: Sequence[int],
        time_embed_dim: int,
        norm_num_groups: int = 32,
        window_mm: float = WINDOW_MM,
    ) -> None:
        super().__init__()
        self.window_mm = window_mm
        self.spacing = nn.Linear(1 + 2 * self._OCTAVES, time_embed_dim)
        levels = list(block_out_channels)
        widths = [*levels, levels[-1], *reversed(levels)]  # after down blocks, middle, up blocks
        self.layers = nn.ModuleList(
            _MixingLayer(width, time_embed_dim, norm_num_groups) for width in widths
        )

    @property
    def reach(self) -> int:
        """Slices to either side that a slice depends on in one pass."""
        return len(self.layers)

    def among(self, depths: NDArray[np.float64]) -> tuple[NDArray[np.float64], slice]:
        """Depths to be drawn together for those that are asked for: with neighbours as in training.

        What neighbours 20 mm away have in common was never learnt, and slices that are mixed all
        the same are noisier than those of a fine volume, as are slices that are not mixed. So
        others are put between slices that lie further apart than in training, and around a single
        one as many as it depends on in a pass, `SLICE_MM` apart, as far as the window goes.

        Args:
            depths: (n,) in [0, 1], evenly spaced.

        Returns:
            (m,) depths with those in it, and where they are.
        """
        if len(depths) == 1:
            steps = np.arange(-self.reach, self.reach + 1)
            around = depths[0] + steps * SLICE_MM / self.window_mm
            within = (steps == 0) | ((around > -1e-6) & (around < 1 + 1e-6))
            before = int(within[: self.reach].sum())
            return around[within], slice(before, before + 1)
        spacing = abs(depths[1] - depths[0]) * self.window_mm
        every = max(1, math.ceil(spacing / self.WIDEST_MM - 1e-6))
        count = (len(depths) - 1) * every + 1
        drawn = depths if every == 1 else np.linspace(depths[0], depths[-1], count)
        return drawn, slice(None, None, every)

    def over(self, depth: Tensor, slab: int) -> Mix:
        """The layers for one batch of slabs, to be called after each block.

        Args:
            depth: d (B,), slab after slab, evenly spaced and ascending within each.
            slab: slices of a slab, from 2; B is a multiple of it.

        Raises:
            ValueError: B is no multiple of the slab's slices.
        """
        if slab < 2 or len(depth) % slab:
            raise ValueError(f"{len(depth)} slices in slabs of {slab}: no whole number of slabs")
        spacing = (depth.view(-1, slab)[:, 1] - depth.view(-1, slab)[:, 0]) * self.window_mm
        code = self.spacing(self._fourier(spacing)).repeat_interleave(slab, 0)

        def mix(index: int, hidden: Tensor, time: Tensor) -> Tensor:
            layer = cast(_MixingLayer, self.layers[index])
            return layer(hidden, time + code.to(time.dtype), slab)

        return mix

    def _fourier(self, spacing: Tensor) -> Tensor:
        """Spacing in mm (S,) -> (S, 1 + 2 octaves): its logarithm, sines and cosines of that."""
        place = spacing.float().abs().clamp(min=1e-3).log2().unsqueeze(-1)
        octaves = torch.arange(self._OCTAVES, device=spacing.device)
        angles = math.pi / 4 * place * 2.0**octaves
        return torch.cat([place / 3, angles.sin(), angles.cos()], -1)


class _MixingLayer(nn.Module):
    def __init__(self, width: int, time_embed_dim: int, groups: int) -> None:
        super().__init__()
        self.norm_in = nn.GroupNorm(groups, width)
        self.conv = nn.Conv2d(width, width, (3, 1))  # along (slices, pixels)
        self.norm = nn.GroupNorm(groups, width)
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(time_embed_dim, 2 * width))
        self.out = nn.Conv2d(width, width, 1)
        for last in (self.modulation[-1], self.out):
            nn.init.zeros_(cast(Tensor, last.weight))
            nn.init.zeros_(cast(Tensor, last.bias))

    def forward(self, hidden: Tensor, time: Tensor, slab: int) -> Tensor:
        count, width, height, columns = hidden.shape
        # Norms are over a slice each: over a slab, a slice would depend on the slab's other end.
        stack = self.norm_in(hidden).reshape(-1, slab, width, height * columns).transpose(1, 2)
        stack = torch.cat([stack[:, :, :1], stack, stack[:, :, -1:]], 2)  # the end slices go on
        mixed = self.conv(stack).transpose(1, 2).reshape(count, width, height, columns)
        scale, shift = self.modulation(time)[:, :, None, None].chunk(2, 1)
        mixed = self.norm(mixed) * (1 + scale) + shift
        return hidden + self.out(nn.functional.silu(mixed))
