"""Inspired by MedM2G (Zhan et al., CVPR 2024): modalities aligned by text guide one another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xr2mri_core.baselines.depth_guidance import DepthGuidance, projection
from xr2mri_core.networks import XR2MRIModel


class TextGuidance(DepthGuidance):
    """The report (features) as text, and the radiograph, as tokens that both halves attend to.

    A read feature is a word: the embedding of its grade; what was not read is no word. A
    self-attention layer makes a text of the words, its first token the whole of it.

    Args:
        heads: attention heads of the text encoder.
        settings: see `DepthGuidance`.
    """

    def __init__(self, heads: int = 4, **settings: Any) -> None:
        super().__init__(**settings)
        width, positions = self.cross_attention_dim, self.membership.shape[1]
        self.words = nn.Parameter(torch.randn(positions, width) * 0.5)
        self.start = nn.Parameter(torch.randn(1, 1, width) * 0.5)
        self.reader = nn.TransformerEncoderLayer(
            width, heads, 2 * width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.seen = nn.Linear(self.embedding_dim, width)

    def imported(self, tokens: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Zero-123's token of the picture as that of the radiograph."""
        return super().imported(tokens) | projection("seen", tokens, self.embedding_dim)

    def text(self, features: Tensor) -> Tensor:
        """r (B, positions) -> tokens (B, 1 + variables, D); the first stands for all."""
        read = features.unsqueeze(1) * self.membership.to(features.dtype)
        start = self.start.expand(len(features), -1, -1)
        words = torch.cat([start.to(features.dtype), read @ self.words.to(features.dtype)], 1)
        unread = torch.cat([read.new_zeros(len(read), 1), 1 - read.amax(2)], 1).bool()
        return self.reader(words, src_key_padding_mask=unread)

    def token(self, embedding: Tensor, depth: Tensor, features: Tensor) -> Tensor:
        """[radiograph, text, words ...] (B, 2 + variables, D)."""
        seen = self.seen(embedding).unsqueeze(1)
        return torch.cat([seen, self.text(features).to(seen.dtype)], 1)


class MedM2GInspired(XR2MRIModel):
    """Radiograph, text and MRI in one space, aligned on the text; then cross-guided diffusion.

    Taken from the paper: the text is the centre that the other modalities are aligned to, by
    InfoNCE, and flows of diffusion attend to one another's aligned embeddings.

    No code was published, so this is "inspired by", and called so. Adapted: the text is the form of
    features; the MRI is its slices' latents, pooled by a small network (`mri`), which is needed in
    training only. Alignment and diffusion are trained together (`AlignedStage`), so that the budget
    is that of the others. There is one flow, radiograph to MRI, guided by the aligned tokens of
    radiograph and text. Its visual-invariant loss, which augments unpaired pictures, is left out:
    the radiographs of all methods are augmented.

    Args:
        parts: see `XR2MRIModel`, with a `TextGuidance`.
    """

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        channels = self.latent_channels
        width = self.guidance.cross_attention_dim
        self.mri = nn.Sequential(
            nn.Conv2d(channels + 1, 4 * channels, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Linear(4 * channels * 16, width),
        )
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))

    def alignment(self, embedding: Tensor, features: Tensor, z_0: Tensor, depth: Tensor) -> Tensor:
        """InfoNCE of text with radiograph and of text with MRI, over the C cases of a batch.

        Args:
            embedding: embedding of the radiographs, (C, D).
            features: r (C, positions).
            z_0: latents of S slices of each case, case by case (C*S, c, h, w).
            depth: (C*S,), where they lie.
        """
        guidance = cast(TextGuidance, self.guidance)
        text = guidance.text(features)[:, 0].float()
        place = (2 * depth - 1).view(-1, 1, 1, 1).expand(-1, 1, *z_0.shape[-2:])
        slices = self.mri(torch.cat([z_0, place.to(z_0.dtype)], 1))
        mri = slices.unflatten(0, (len(features), -1)).mean(1)
        seen = guidance.seen(embedding)
        return (self._contrast(text, seen.float()) + self._contrast(text, mri.float())) / 2

    def _contrast(self, text: Tensor, other: Tensor) -> Tensor:
        scale = self.log_scale.exp().clamp(max=100)
        logits = scale * F.normalize(text, dim=1) @ F.normalize(other, dim=1).T
        own = torch.arange(len(text), device=text.device)
        return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
