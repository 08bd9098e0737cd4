"""Slices along three axes as targets: X-Diffusion's cross-sectional training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from xr2mri_core.baselines.x_diffusion import AXES, placed, resliced
from xr2mri_core.errors import TrainingError
from xr2mri_core.training.batches import Batch, CaseBatches
from xr2mri_core.training.cache import LatentCache, SliceCache

if TYPE_CHECKING:
    from xr2mri_core.networks import Autoencoder


@dataclass(frozen=True)
class _Along:
    """An array of volumes (cases, n, H, W), resliced as it is read."""

    array: NDArray[np.uint8]
    axis: str
    order: int

    def __getitem__(self, case: int) -> NDArray[np.uint8]:
        return resliced(np.asarray(self.array[case]), self.axis, self.order)


class ReslicedCache:
    """What a `SliceCache` holds, along another axis; nothing is stored.

    Args:
        slices: cache with all slices of its cases.
        axis: one of `AXES`.
    """

    def __init__(self, slices: SliceCache, axis: str) -> None:
        orders = {"slices": 1, "labels": 0}
        along = {n: _Along(slices.arrays[n], axis, k) for n, k in orders.items()
                 if n in slices.arrays}  # fmt: skip
        depths = np.linspace(0, 1, slices.slices_per_case, dtype=np.float32)
        self.arrays: dict[str, Any] = {
            **slices.arrays,
            **along,
            "depths": np.tile(depths, (len(slices), 1)),
        }
        self.items, self.fingerprint = slices.items, f"{slices.fingerprint}-{axis}"


class AxisBatches(Dataset[Batch]):
    """Batches of `CaseBatches` along each axis in turn; their depths tell the axis (`placed`).

    Args:
        cache: latents of coronal slices.
        autoencoder: autoencoder that made them; it encodes the others.
        root: folder of the caches.
        emphasis_labels, emphasis, device, batch_size: see `LatentCache.build`.
        options: options of `CaseBatches`.

    Raises:
        TrainingError: with pixels, which are of coronal slices alone.
    """

    def __init__(
        self,
        cache: LatentCache,
        autoencoder: Autoencoder,
        root: str,
        emphasis_labels: Sequence[int | str] = (),
        emphasis: float = 0.0,
        device: Any = "cpu",
        batch_size: int = 32,
        **options: Any,
    ) -> None:
        if options.get("images"):
            raise TrainingError(
                "slices along three axes have no pixels to reconstruct", option="reconstruction 0"
            )
        caches = [cache]
        for axis in AXES[1:]:
            turned: Any = ReslicedCache(cache.slices, axis)
            caches.append(
                LatentCache.build(
                    turned, autoencoder, root, emphasis_labels, emphasis, device, batch_size
                )
            )
        self.parts = [CaseBatches(one, **options) for one in caches]

    def __getitem__(self, step: int) -> Batch:
        axis = step % len(AXES)
        batch = self.parts[axis][step]
        return batch | {"depth": placed(batch["depth"], AXES[axis])}
