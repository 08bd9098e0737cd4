"""The guidance module: depth d for the down path, radiographic features r for the up path."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xr2mri_core import demographics
from xr2mri_core.features import encode_features, num_positions, one_hot_slices


class GuidanceSignals(NamedTuple):
    """What `Guidance` hands to `GuidedUNet`.

    Attributes:
        down_context: (B, 1, cross_attention_dim), tokens of the down path and the middle.
        up_context: (B, 1 or 20, cross_attention_dim), tokens of the up path.
        down_time: (B, time_embed_dim), added to the time embedding of the down path and the middle.
        up_time: (B, time_embed_dim), added to the time embedding of the up path.
    """

    down_context: Tensor
    up_context: Tensor
    down_time: Tensor
    up_time: Tensor


class Guidance(nn.Module):
    """Turn depth, features and the radiograph's embedding into conditions of the two halves.

    Section II-B of the paper: the depth d is embedded into the downsampling stage, so that the
    spatial hierarchy is built for the right place in the knee; the features r are embedded into
    the upsampling stage, where fine findings are synthesised. Each enters its half twice, through
    the cross-attention context and through the time embedding (the innermost blocks of the
    paper's U-Net have no cross-attention):

    - down token: Linear([e, Fourier(d)]), the radiograph's embedding e passed on unchanged and
      the depth's columns zero at the start; up token c: Linear([e, r]) in the same way;
    - an MLP of Fourier(d) and another of r, their last layers zero at the start.

    So a new `Guidance` around pre-trained weights changes nothing until it is trained.

    With one token, cross-attention is `to_out(to_v(c))` at every place alike: the paper's features
    cannot choose where to act. `tokens="per_variable"` gives the up path
    [c, c + E_1(grade_1), ..., c + E_19(grade_19)] instead. A missing variable adds nothing.
    With E = 0 all tokens are equal and attention over them equals that over c alone; once
    trained, their keys differ, and each place attends to the variables that concern it.

    Args:
        cross_attention_dim: width of the context tokens.
        time_embed_dim: width of the U-Net's time embedding (4 x its first block's channels).
        embedding_dim: width of the radiograph's embedding e; None: `cross_attention_dim`.
        grading: "paper" (61 one-hot positions) or "oai" (65).
        tokens: "single" (the paper) or "per_variable".
        embedding_std: standard deviation of the initial E_i. 0 keeps pre-trained weights intact;
            a model trained from scratch has nothing to keep and learns features sooner with 1.
        demographics: also be guided by age, sex and BMI; see `add_demographics`.
        num_frequencies: octaves of Fourier(d). The default's shortest period, 1/16 of the window,
            is three slices of the 50: depths between slices stay an interpolation.
    """

    membership: Tensor

    def __init__(
        self,
        cross_attention_dim: int,
        time_embed_dim: int,
        embedding_dim: int | None = None,
        grading: str = "oai",
        tokens: str = "single",
        embedding_std: float = 0.0,
        demographics: bool = False,
        num_frequencies: int = 6,
    ) -> None:
        super().__init__()
        if tokens not in ("single", "per_variable"):
            raise ValueError(f"tokens {tokens!r}: accepted are 'single' and 'per_variable'")
        self.grading, self.tokens = grading, tokens
        self.embedding_dim = embedding_dim or cross_attention_dim
        self.num_frequencies = num_frequencies
        self.cross_attention_dim, self.time_embed_dim = cross_attention_dim, time_embed_dim
        positions, fourier = num_positions(grading), 1 + 2 * num_frequencies

        self.down_token = _token_projection(self.embedding_dim, fourier, cross_attention_dim)
        self.up_token = _token_projection(self.embedding_dim, positions, cross_attention_dim)
        self.down_time = _zero_ended_mlp(fourier, time_embed_dim)
        self.up_time = _zero_ended_mlp(positions, time_embed_dim)

        self.grade_embeddings: nn.Parameter | None = None
        if tokens == "per_variable":
            initial = torch.randn(positions, cross_attention_dim) * embedding_std
            self.grade_embeddings = nn.Parameter(initial)
        slices = one_hot_slices(grading).values()
        membership = torch.zeros(len(slices), positions)
        for row, part in zip(membership, slices, strict=True):
            row[part] = 1.0
        self.register_buffer("membership", membership, persistent=False)
        self.demographics: _Demographics | None = None
        if demographics:
            self.add_demographics()

    def add_demographics(self) -> None:
        """Let age, sex and BMI guide the up path too (the paper's future work).

        They are known of the whole knee, so they add to the token that all variables share and to
        the time embedding; both start at zero, so that a model trained without them stays what it
        is until it is trained on.
        """
        if self.demographics is None:
            self.demographics = _Demographics(self.cross_attention_dim, self.time_embed_dim)

    @property
    def num_positions(self) -> int:
        """Length of the condition r: 61 or 65 for the features, 6 more with demographics."""
        return self.membership.shape[1] + (demographics.NUM_POSITIONS if self.demographics else 0)

    @property
    def widths(self) -> list[int]:
        """Positions of each variable of r, in its order: what is known or missing as one."""
        parts = [*one_hot_slices(self.grading).values()]
        if self.demographics is not None:
            parts += demographics.SLICES.values()
        return [part.stop - part.start for part in parts]

    def encode(
        self, features: Mapping[str, Any], patient: Mapping[str, Any] | None = None
    ) -> NDArray[np.float32]:
        """The condition r of one knee: float32 (num_positions,).

        Args:
            features: grades by name; what is missing was not read.
            patient: Demographics by name; a model that is not guided by them ignores them.

        Raises:
            FeatureError: for features that are not accepted; InputError for demographics.
        """
        vector = encode_features(features, self.grading)
        if self.demographics is None:
            return vector
        return np.concatenate([vector, demographics.encode_demographics(patient)])

    def imported(self, tokens: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Pre-trained tokens (`networks.pretrained`) as this guidance takes them: as they are.

        Args:
            tokens: weights and biases of `down_token` and `up_token`, by their names here.
        """
        return dict(tokens)

    def forward(self, embedding: Tensor, depth: Tensor, features: Tensor) -> GuidanceSignals:
        """Conditions for B slices.

        Args:
            embedding: (B, embedding_dim), of E_2(y).
            depth: (B,), positions d in [0, 1].
            features: (B, num_positions), r as of `encode`; zeros where a variable is missing.
        """
        if features.shape[-1] != self.num_positions:
            raise ValueError(
                f"features of {features.shape[-1]} positions: grading {self.grading!r} has "
                f"{self.num_positions}"
            )
        fourier = self.fourier(depth).to(embedding.dtype)
        features = features.to(embedding.dtype)
        features, patient = features.tensor_split([self.membership.shape[1]], -1)
        down = self.down_token(torch.cat([embedding, fourier], -1)).unsqueeze(1)
        up = self.up_token(torch.cat([embedding, features], -1)).unsqueeze(1)
        up_time = self.up_time(features)
        if self.demographics is not None:
            up = up + self.demographics.token(patient).unsqueeze(1)
            up_time = up_time + self.demographics.time(patient)
        if self.grade_embeddings is not None:
            # Row i of `membership` keeps the one-hot of variable i: (B, 19, positions) @ E.
            grades = (features.unsqueeze(1) * self.membership) @ self.grade_embeddings
            up = torch.cat([up, up + grades], 1)
        return GuidanceSignals(down, up, self.down_time(fourier), up_time)

    def fourier(self, depth: Tensor) -> Tensor:
        """(B,) -> (B, 1 + 2 * num_frequencies): 2d - 1, sin and cos of pi d 2^k."""
        depth = depth.float().unsqueeze(-1)
        octaves = torch.arange(self.num_frequencies, device=depth.device)
        angles = math.pi * depth * 2.0**octaves
        return torch.cat([2 * depth - 1, angles.sin(), angles.cos()], -1)


class _Demographics(nn.Module):
    """What age, sex and BMI add to the up path's shared token and to its time embedding."""

    def __init__(self, cross_attention_dim: int, time_embed_dim: int) -> None:
        super().__init__()
        positions = demographics.NUM_POSITIONS
        self.token = nn.Linear(positions, cross_attention_dim, bias=False)
        nn.init.zeros_(self.token.weight)
        self.time = _zero_ended_mlp(positions, time_embed_dim)


def _token_projection(embedding_dim: int, extra: int, out: int) -> nn.Linear:
    """Linear([e, extra]) -> out that starts as e itself (or a random map if widths differ)."""
    linear = nn.Linear(embedding_dim + extra, out)
    with torch.no_grad():
        linear.weight[:, embedding_dim:].zero_()
        linear.bias.zero_()
        if embedding_dim == out:
            linear.weight[:, :embedding_dim].copy_(torch.eye(out))
    return linear


def _zero_ended_mlp(in_features: int, out_features: int) -> nn.Sequential:
    last = nn.Linear(out_features, out_features)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(in_features, out_features), nn.SiLU(), last)
