"""What the stages on latents have in common: the conditions of a batch, some of them blanked."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from xr2mri_core.networks import RadiographCode, XR2MRIModel
from xr2mri_core.training.batches import Batch


class Kept(NamedTuple):
    """Which conditions of B slices are kept: 1, or 0 where they are blanked.

    Attributes:
        radiograph: (B, 1).
        features: (B, num_positions).
    """

    radiograph: Tensor
    features: Tensor


class ConditionedStage(nn.Module):
    """A stage that predicts latents from radiograph, depth and features.

    Args:
        model: the whole model; its autoencoder is frozen here.
        drop_variable: probability of blanking each feature variable, so that none becomes
            indispensable and a missing one (zeros) is understood.
        drop_features: probability of blanking all features, for guidance on the features.
        drop_radiograph: probability of blanking the radiograph's code.
    """

    def __init__(
        self,
        model: XR2MRIModel,
        drop_variable: float = 0.1,
        drop_features: float = 0.1,
        drop_radiograph: float = 0.1,
    ) -> None:
        super().__init__()
        self.model = model
        model.autoencoder.requires_grad_(False)
        self.drop_variable, self.drop_features = drop_variable, drop_features
        self.drop_radiograph = drop_radiograph

    def draw_kept(self, batch: Batch, generator: torch.Generator) -> Kept:
        """Drop radiographs, single variables and whole forms at random.

        Slice by slice, or slab by slab where the batch has slabs: a slab is one patient's.
        """
        slab = batch.get("slab", 1)
        count = len(batch["depth"]) // slab
        widths = torch.tensor(self.model.guidance.widths, device=generator.device)

        def kept(probability: float, columns: int = 1) -> Tensor:
            draws = torch.rand(count, columns, generator=generator, device=generator.device)
            return (draws >= probability).float()

        seen = kept(self.drop_radiograph)
        variables = kept(self.drop_variable, len(widths)) * kept(self.drop_features)
        variables = variables.repeat_interleave(widths, dim=1)
        return Kept(seen.repeat_interleave(slab, 0), variables.repeat_interleave(slab, 0))


def encoded(
    encode: Callable[[Tensor], RadiographCode], batch: Batch, kept: Kept | None = None
) -> RadiographCode:
    """Each radiograph's code once, repeated for the slices of its case, less what is blanked."""
    repeats = len(batch["depth"]) // len(batch["radiograph"])
    parts = [part.repeat_interleave(repeats, 0) for part in encode(batch["radiograph"])]
    if kept is not None:
        parts = [part * like(kept.radiograph, part) for part in parts]
    return RadiographCode(*parts)


def features_of(batch: Batch, kept: Kept | None = None) -> Tensor:
    """r of every slice (B, num_positions), less what is blanked."""
    repeats = len(batch["depth"]) // len(batch["features"])
    features = batch["features"].repeat_interleave(repeats, 0)
    return features if kept is None else features * kept.features


def weighted_mean(error: Tensor, weight: Tensor | None) -> Tensor:
    """Mean over (B, c, h, w), cells weighted by (B, 1, h, w) where there are weights."""
    return error.mean() if weight is None else (weight / weight.mean() * error).mean()


def like(values: Tensor, other: Tensor) -> Tensor:
    """(B,) or (B, 1) -> (B, 1, ...) with as many dimensions as `other`."""
    return values.reshape(-1, *[1] * (other.ndim - 1)).to(other.dtype)


def side_by_side(model: XR2MRIModel, rows: list[Tensor]) -> Tensor:
    """Rows of latents (n, c, h, w), decoded, as one picture (1, H', W') in [0, 1]."""
    decoded = [torch.cat(list(model.to_image(row).float()), -1) for row in rows]
    return torch.cat(decoded, -2).clamp(-1, 1).add(1).div(2).cpu()
