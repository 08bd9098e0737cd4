"""What the compared methods know of a slice beside the radiograph: where it lies, nothing more."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from xr2mri_core.networks.guidance import Guidance, GuidanceSignals


class DepthGuidance(Guidance):
    """The depth for both halves of the U-Net alike; the form is read by the same code and ignored.

    The paper's guidance gives its two halves different conditions, which is its own idea; a method
    that is compared with it must not profit from that. Here the depth is added to the time
    embedding of both halves, and the context is one token of zeros, so that cross-attention keeps
    its place and its size in the U-Net and adds a constant.

    Args:
        cross_attention_dim, time_embed_dim, embedding_dim, grading, num_frequencies: see
            `Guidance`.
    """

    def __init__(
        self,
        cross_attention_dim: int,
        time_embed_dim: int,
        embedding_dim: int | None = None,
        grading: str = "oai",
        num_frequencies: int = 6,
    ) -> None:
        super().__init__(
            cross_attention_dim,
            time_embed_dim,
            embedding_dim,
            grading,
            num_frequencies=num_frequencies,
        )
        del self.down_token, self.up_token, self.up_time

    def imported(self, tokens: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Less the tokens that a compared method has no place for; see `projection`."""
        return {n: v for n, v in tokens.items() if not n.startswith(("down_token.", "up_token."))}

    def forward(self, embedding: Tensor, depth: Tensor, features: Tensor) -> GuidanceSignals:
        """Conditions for B slices; see `Guidance.forward`."""
        token, time = self.token(embedding, depth, features), self.time(embedding, depth, features)
        return GuidanceSignals(token, token, time, time)

    def token(self, embedding: Tensor, depth: Tensor, features: Tensor) -> Tensor:
        """The context (B, n, cross_attention_dim) of both halves; what a method may change."""
        return embedding.new_zeros(len(depth), 1, self.cross_attention_dim)

    def time(self, embedding: Tensor, depth: Tensor, features: Tensor) -> Tensor:
        """What is added to the time embedding (B, time_embed_dim), the same in both halves."""
        return self.down_time(self.fourier(depth).to(embedding.dtype))


def projection(
    name: str, tokens: Mapping[str, Tensor], embedding_dim: int, extra: int = 0
) -> dict[str, Tensor]:
    """The pre-trained projection of the radiograph's embedding, as a linear layer of a method.

    Args:
        name: name of the layer.
        tokens: see `Guidance.imported`; nothing comes of none.
        embedding_dim: columns of the embedding, which are taken with the bias.
        extra: further columns of the layer, which become zeros.
    """
    if not tokens.keys() >= {"down_token.weight", "down_token.bias"}:
        return {}
    weight = tokens["down_token.weight"][:, :embedding_dim]
    weight = torch.cat([weight, weight.new_zeros(len(weight), extra)], 1)
    return {f"{name}.weight": weight, f"{name}.bias": tokens["down_token.bias"]}
