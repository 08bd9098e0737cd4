"""Stage 2 of the MedM2G-inspired method: the denoiser's loss and the alignment's together."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from xr2mri_core.baselines.medm2g import MedM2GInspired
from xr2mri_core.diffusion import Scheduler
from xr2mri_core.training.batches import Batch
from xr2mri_core.training.diffusion import DiffusionStage


class AlignedStage(DiffusionStage):
    """`DiffusionStage` with InfoNCE of text, radiograph and MRI added to what is minimised.

    InfoNCE tells each case from the others of its batch: parts of a batch would make it easier, and
    a case by itself leaves nothing to tell, so `accumulation` and batches of one are refused.

    Args:
        model: a `MedM2GInspired`.
        scheduler: see `DiffusionStage`.
        alignment: weight of the contrastive loss.
        settings: see `DiffusionStage`.
    """

    compares_cases = True

    def __init__(
        self, model: MedM2GInspired, scheduler: Scheduler, alignment: float = 0.1, **settings: Any
    ) -> None:
        super().__init__(model, scheduler, **settings)
        self.alignment = alignment

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of a batch of `CaseBatches`; `loss` is what is minimised."""
        losses = super().forward(batch)
        model = cast(MedM2GInspired, self.model)
        embedding = model.encode_radiograph(batch["radiograph"]).embedding
        with torch.autocast(embedding.device.type, enabled=False):
            aligned = model.alignment(
                embedding.float(), batch["features"], batch["latent"], batch["depth"]
            )
        return losses | {"alignment": aligned, "loss": losses["loss"] + self.alignment * aligned}
