"""U of the paper: diffusers' conditional U-Net with separate conditions for its two halves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel, UNet2DConditionOutput
from torch import Tensor


class GuidedUNet(UNet2DConditionModel):
    """`UNet2DConditionModel` whose up path may get other conditions than its down path.

    Parameters, configuration, `from_pretrained` and `from_single_file` are the parent's; only
    `forward` differs. Without the additional arguments it computes what the parent computes.
    """

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor | float | int,
        encoder_hidden_states: Tensor,
        up_encoder_hidden_states: Tensor | None = None,
        down_time_addition: Tensor | None = None,
        up_time_addition: Tensor | None = None,
        after_block: Callable[[int, Tensor, Tensor], Tensor] | None = None,
        return_dict: bool = True,
    ) -> UNet2DConditionOutput | tuple[Tensor]:
        """eps_theta(z_t, t, (y, d, r)), the prediction of Eq. 5, 7, 9 and 10.

        Args:
            sample: z_t with the radiograph's latent, (B, in_channels, h, w); h and w multiples of
                2 ** (number of levels - 1).
            timestep: t, one for all or (B,).
            encoder_hidden_states: context of the down path and the middle, (B, n, D).
            up_encoder_hidden_states: context of the up path, (B, m, D); None: that of the down
                path.
            down_time_addition, up_time_addition: (B, time_embed_dim), added to the time embedding
                of the down path and the middle, and of the up path.
            after_block: called with the number of each block (down, middle, up), what came out of
                it and its time embedding; what it returns goes on, e.g. `DepthMixing.over`. What
                the skip connections take is left as it is.
            return_dict: False returns a tuple.

        Returns:
            `.sample` (B, out_channels, h, w).
        """
        if up_encoder_hidden_states is None:
            up_encoder_hidden_states = encoder_hidden_states
        factor = 2**self.num_upsamplers
        if sample.shape[-1] % factor or sample.shape[-2] % factor:
            raise ValueError(f"sample {tuple(sample.shape)}: sides must be multiples of {factor}")

        time = self.time_embedding(self.get_time_embed(sample=sample, timestep=timestep))
        down_time = time if down_time_addition is None else time + down_time_addition
        up_time = time if up_time_addition is None else time + up_time_addition

        change = after_block or (lambda index, hidden, time: hidden)
        levels = len(self.down_blocks)
        hidden = self.conv_in(sample)
        skips = [hidden]
        for index, block in enumerate(self.down_blocks):
            hidden, outputs = block(
                hidden_states=hidden, temb=down_time, **_context(block, encoder_hidden_states)
            )
            skips += outputs
            hidden = change(index, hidden, down_time)
        hidden = self.mid_block(
            hidden, down_time, **_context(self.mid_block, encoder_hidden_states)
        )
        hidden = change(levels, hidden, down_time)
        for index, block in enumerate(self.up_blocks, start=levels + 1):
            count = len(cast(Any, block).resnets)
            skips, taken = skips[:-count], tuple(skips[-count:])
            hidden = block(
                hidden_states=hidden,
                temb=up_time,
                res_hidden_states_tuple=taken,
                **_context(block, up_encoder_hidden_states),
            )
            hidden = change(index, hidden, up_time)

        hidden = self.conv_out(self.conv_act(self.conv_norm_out(hidden)))
        return UNet2DConditionOutput(sample=hidden) if return_dict else (hidden,)


def _context(block: torch.nn.Module, tokens: Tensor) -> dict[str, Any]:
    """The context argument of blocks that attend to one; plain blocks take none."""
    attends = getattr(block, "has_cross_attention", False)
    return {"encoder_hidden_states": tokens} if attends else {}
