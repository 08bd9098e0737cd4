"""What the compared methods know of a slice beside the radiograph: where it lies, nothing more."""

from __future__ import annotations

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
