"""Training of the detector by the engines of `xr2mri_core.training`.

Started by the bundle's ``configs/train_detector.yaml``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from torchvision.ops import box_iou

from xr2mri_core.localization.detector import filled
from xr2mri_core.localization.network import FRAME
from xr2mri_core.networks.model import write_safetensors
from xr2mri_core.training.batches import Batch
from xr2mri_core.training.detector.augment import augmented
from xr2mri_core.training.detector.films import FilmCorpus
from xr2mri_core.training.detector.network import TrainableKneeSSD
from xr2mri_core.training.ema import EMA

FOUND = 0.5
"""Score from which a detection counts."""


def network_from(width: float, weights: str | Path | None = None) -> TrainableKneeSSD:
    """A new network, or one that goes on from the weights of a file.

    Raises:
        WeightsError: see `filled`.
    """
    network = TrainableKneeSSD(width)
    return network if weights is None else filled(network, weights)


class FilmBatches(Dataset[Batch]):
    """Augmented frames of random pictures: a function of (seed, step) alone.

    A batch: ``image`` float32 (B, 1, 256, 256) in [0, 1]; ``boxes`` float32 (B, 2, 4) as left,
    top, right, bottom in pixels, NaN where there is no knee.

    Args:
        corpus: pictures and joints.
        batch_size: B.
        seed: seed of the whole stream.
        rank: process of a distributed run: each draws its own batches.
    """

    def __init__(self, corpus: FilmCorpus, batch_size: int, seed: int = 0, rank: int = 0) -> None:
        self.corpus, self.batch_size, self.seed, self.rank = corpus, batch_size, seed, rank

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng([self.seed, self.rank, step])
        image = torch.empty(self.batch_size, 1, FRAME, FRAME)
        boxes = torch.full((self.batch_size, 2, 4), torch.nan)
        for i, index in enumerate(rng.integers(len(self.corpus), size=self.batch_size)):
            image[i], joints = augmented(*self.corpus[int(index)], rng)
            boxes[i, : len(joints)] = joints
        return {"image": image, "boxes": boxes}


class DetectorStage(nn.Module):
    """The detector's loss as a module: ``forward(batch)`` -> losses by name.

    See `TrainableKneeSSD`.
    """

    def __init__(self, detector: TrainableKneeSSD) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of a batch of `FilmBatches`; ``loss`` is what is minimised."""
        targets = [
            {"boxes": b, "labels": torch.ones(len(b), dtype=torch.int64, device=b.device)}
            for b in map(_shown, batch["boxes"])
        ]
        losses = self.detector(list(batch["image"]), targets)
        return {"loss": torch.stack(list(losses.values())).sum(), **losses}

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """``error``: 1 - mean IoU of the joints, 0 for one not found; ``missed`` and ``false``."""
        overlaps: list[float] = []
        false, frames = 0, 0
        for found, boxes in zip(
            self.detector(list(batch["image"])), map(_shown, batch["boxes"]), strict=True
        ):
            sure = found["boxes"][found["scores"] >= FOUND]
            overlap = box_iou(boxes, sure)
            overlaps += overlap.amax(1).tolist() if len(sure) else [0.0] * len(boxes)
            false += int((overlap.amax(0) < 0.3).sum()) if len(boxes) else len(sure)
            frames += 1
        values = torch.tensor(overlaps)
        return {
            "error": 1 - values.mean(),
            "missed": (values < 0.3).float().mean(),
            "false": torch.tensor(false / frames),
        }

    @torch.no_grad()
    def picture(self, batch: Batch) -> Tensor:
        """Frames with what was found in them, as (1, H', W') in [0, 1]."""
        frames = batch["image"][:12].clone()
        for frame, found in zip(frames, self.detector(list(frames)), strict=True):
            for box, score in zip(found["boxes"].long().tolist(), found["scores"], strict=True):
                if score >= FOUND:
                    left, top, right, bottom = (min(edge, FRAME - 1) for edge in box)
                    frame[0, [top, bottom], left:right] = 1
                    frame[0, top:bottom, [left, right]] = 1
        rows = [torch.cat(list(part), -1) for part in frames.split(4)]
        return torch.cat(rows, -2).cpu()


def _shown(boxes: Tensor) -> Tensor:
    return boxes[~boxes[:, 0].isnan()]


def export_detector(stage: DetectorStage, ema: EMA, path: str | Path) -> None:
    """Write the averaged weights as safetensors in half precision, as they are shipped."""
    with ema.applied():
        state: dict[str, Any] = {
            name: value.half() if value.is_floating_point() else value
            for name, value in stage.detector.state_dict().items()
        }
    write_safetensors(path, state, {"format": "pt"})
