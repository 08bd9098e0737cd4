"""Measure the texture that an autoencoder loses, for the model that draws it again."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import ignite.distributed as idist
import numpy as np
import torch
from numpy.typing import NDArray

from xr2mri_core.geometry import WINDOW_SLICES
from xr2mri_core.networks import XR2MRIModel
from xr2mri_core.networks.grain import measured_grain
from xr2mri_core.training.cache import SliceCache, from_bytes

logger = logging.getLogger("xr2mri")


@torch.no_grad()
def measure_grain(
    model: XR2MRIModel,
    slices: SliceCache,
    device: torch.device,
    cases: int = 12,
    neighbours: int = 8,
) -> None:
    """Set `model.grain` from slices and what the autoencoder makes of them; without one, nothing.

    Args:
        model: the model with its trained autoencoder.
        slices: every slice of a case (`cached_slices: null`), however far they lie apart.
        device: device of the model.
        cases: number of cases that are looked at, from the first on.
        neighbours: slices of each, from the middle of the knee.
    """
    if model.grain is None or idist.get_rank():
        return

    def pairs() -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        start = max((slices.slices_per_case - neighbours) // 2, 0)
        for case in range(min(cases, len(slices))):
            true = from_bytes(slices.arrays["slices"][case, start : start + neighbours])
            decoded = model.to_image(model.to_latent(true.unsqueeze(1).to(device)))
            yield true.numpy(), decoded[:, 0].float().cpu().numpy()

    std, length = measured_grain(pairs())
    length *= (WINDOW_SLICES - 1) / max(slices.slices_per_case - 1, 1)  # in slices of 1.5 mm
    model.grain.std.copy_(torch.from_numpy(std))
    model.grain.length.copy_(torch.from_numpy(length))
    logger.info("grain: strongest %s, slices long %s", std.max(1).round(3), length.round(2))
