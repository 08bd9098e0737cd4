"""Bones in a radiograph: the small network that CoLa-Diff takes its mask from."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from xr2mri_core.baselines.cola_diff import CoLaDiff
from xr2mri_core.errors import WeightsError
from xr2mri_core.networks.model import check_state, read_safetensors, write_safetensors
from xr2mri_core.phantom.tissues import BONE
from xr2mri_core.training.cache import SliceCache, from_bytes

logger = logging.getLogger("xr2mri")


def fit_bones(
    model: CoLaDiff,
    slices: SliceCache,
    file: str | Path,
    device: torch.device,
    steps: int = 300,
    batch_size: int = 16,
    seed: int = 0,
) -> None:
    """Train the mask network of a `CoLaDiff`, or load it from `file` where it is there; freeze it.

    The target of a radiograph is where its knee's label maps show bone anywhere along depth, on the
    grid of the slices: labels projected. Without label maps, give a file that a phantom's training
    has written.

    Args:
        model: a `CoLaDiff`; its `bones` are filled in place.
        slices: slices of the training split, with labels.
        file: safetensors, read or written.
        device: device of the model.
        steps: number of steps of the training.
        batch_size: radiographs of a step.
        seed: seed of their order.

    Raises:
        WeightsError: there is neither a file nor a label map, or the file is of another network.
    """
    bones, path = cast(CoLaDiff, model).bones, Path(file)
    if path.is_file():
        state, _ = read_safetensors(path)
        check_state(bones.state_dict(), state, path)
        bones.load_state_dict(state)
    elif "labels" not in slices.arrays:
        raise WeightsError(
            "CoLa-Diff needs a mask of the bones, and these data have no label maps to learn it "
            "from: give the bones.safetensors of a training on phantoms",
            option="bones_weights",
        )
    else:
        _train(model, slices, device, steps, batch_size, seed)
        write_safetensors(path, bones.state_dict())
    bones.requires_grad_(False).eval()


def projected_bones(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Label maps (n, H, W) of a knee -> where any slice shows bone, (H, W) bool."""
    return np.isin(labels, [int(tissue) for tissue in BONE]).any(0)


def _train(
    model: CoLaDiff,
    slices: SliceCache,
    device: torch.device,
    steps: int,
    batch_size: int,
    seed: int,
) -> None:
    arrays, bones = slices.arrays, model.bones
    optimizer = torch.optim.AdamW(bones.parameters(), lr=1e-3)
    rng = np.random.default_rng(seed)
    loss = torch.tensor(float("nan"))
    for _ in range(steps):
        cases = rng.choice(len(slices), min(batch_size, len(slices)), replace=False)
        pictures = from_bytes(arrays["radiographs"][cases]).unsqueeze(1).to(device)
        masks = np.stack([projected_bones(arrays["labels"][case]) for case in cases])
        logits = bones(pictures).latent
        target = F.adaptive_avg_pool2d(_floats(masks).to(device), logits.shape[-2:])
        loss = F.binary_cross_entropy_with_logits(logits, target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    logger.info("mask of the bones: loss %.3f after %d steps", float(loss), steps)


def _floats(masks: NDArray[np.bool_]) -> Tensor:
    return torch.from_numpy(masks).float().unsqueeze(1)
