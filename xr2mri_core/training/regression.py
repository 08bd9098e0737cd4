"""Stage 2a: the regression, mean of a slice given radiograph, depth and features."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor

from xr2mri_core.errors import TrainingError
from xr2mri_core.networks import Regression, XR2MRIModel
from xr2mri_core.training.batches import Batch, to_device
from xr2mri_core.training.conditions import (
    ConditionedStage,
    Kept,
    encoded,
    features_of,
    side_by_side,
    weighted_mean,
)
from xr2mri_core.training.ema import EMA

logger = logging.getLogger("xr2mri")


class RegressionStage(ConditionedStage):
    """Least squares: || z_0 - mu(y, d, r) ||^2, whose minimum is the conditional mean of z_0.

    With `power` 1 it is the mean absolute error, whose minimum is the conditional median.

    Each latent cell counts what the batch's `weight` map says. Everything but the regression is
    frozen, and of the regression what was frozen before: at the paper's size its image encoder
    holds the model's own autoencoder and CLIP.

    Args:
        model: the model with a `regression`.
        drop_variable, drop_features, drop_radiograph: see `ConditionedStage`.
        power: power of the error that is minimised, 2 or 1.

    Raises:
        TrainingError: the model has no regression.
    """

    def __init__(
        self,
        model: XR2MRIModel,
        drop_variable: float = 0.1,
        drop_features: float = 0.1,
        drop_radiograph: float = 0.1,
        power: int = 2,
    ) -> None:
        super().__init__(model, drop_variable, drop_features, drop_radiograph)
        self.power = power
        if model.regression is None:
            raise TrainingError(
                "the model has no regression to train: add the overlay volume.yaml",
                option="config_file",
            )
        trained = [p for p in model.regression.parameters() if p.requires_grad]
        model.requires_grad_(False)
        for parameter in trained:
            parameter.requires_grad_(True)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of a batch of `CaseBatches`; `loss` is what is minimised."""
        generator = torch.Generator(batch["latent"].device).manual_seed(batch["seed"])
        return self._losses(batch, self.draw_kept(batch, generator))

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """Losses with everything known; `explained` is the share of z_0's variance, up to 1."""
        losses = self._losses(batch, None)
        variance = (batch["latent"] - batch["latent"].mean((0, 2, 3), keepdim=True)).square().mean()
        return losses | {"explained": 1 - losses["plain"] / variance}

    @torch.no_grad()
    def picture(self, batch: Batch, columns: int = 8) -> Tensor:
        """True slices above their means, as (1, H', W') in [0, 1]."""
        every = max(1, len(batch["latent"]) // columns)
        chosen = slice(None, every * columns, every)
        return side_by_side(
            self.model, [batch["latent"][chosen], predicted_mean(self.model, batch)[chosen]]
        )

    def _losses(self, batch: Batch, kept: Kept | None) -> dict[str, Tensor]:
        error = predicted_mean(self.model, batch, kept).float() - batch["latent"]
        minimised = error.square() if self.power == 2 else error.abs()
        loss = weighted_mean(minimised, batch.get("weight"))
        return {"loss": loss, "plain": error.square().mean()}


def predicted_mean(model: XR2MRIModel, batch: Batch, kept: Kept | None = None) -> Tensor:
    """mu (B, c, h, w) of a batch's slices."""
    regression = cast(Regression, model.regression)
    code = encoded(regression.encode_radiograph, batch, kept)
    return regression(code, batch["depth"], features_of(batch, kept))


@torch.no_grad()
def measure_residual(
    model: XR2MRIModel, ema: EMA, batches: Iterable[Batch], device: torch.device
) -> None:
    """Set `regression.std` to the standard deviation of z_0 - mu by channel over the batches."""
    regression = cast(Regression, model.regression)
    squares, count = torch.zeros(len(regression.std)), 0
    training = model.training
    model.eval()
    with ema.applied():
        for batch in batches:
            batch = to_device(batch, device)
            error = (batch["latent"] - predicted_mean(model, batch)).float()
            squares += error.square().sum((0, 2, 3)).cpu()
            count += error[:, 0].numel()
    model.train(training)
    std = (squares / count).sqrt().to(regression.std)
    regression.std.copy_(std.view(-1, 1, 1))
    logger.info("residual's standard deviation by channel: %.3f to %.3f", std.min(), std.max())
