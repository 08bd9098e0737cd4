"""What a generation gives, and the words that mark it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydicom import Dataset

NOTICE = "synthetic, not for diagnosis"
"""The words that mark every generated file."""

KINDS = {
    "sample": "one realistic draw: what such a knee could look like",
    "mean": "the best guess: the mean of what such knees look like, smoother than any of them",
}
"""What a generated volume can be, in words."""


@dataclass(frozen=True)
class GeneratedVolume:
    """What `KneeMRIGenerator.generate` returns.

    Attributes:
        volume: (W, n, H) float32 in [0, 1], RAS: of the kind that was asked for, one of `KINDS`.
        affine: (4, 4) float64, voxel to RAS mm.
        mean: mean of all samples; None for a single one, and where `volume` is the mean itself.
        std: their standard deviation, where the model is unsure; None for a single sample.
        radiograph: (H, W) float32 in [0, 1], cropped, as seen by the network but on its own side.
        record: what was asked for and with what it was made; plain values for JSON.
        source: `PreparedRadiograph.header`: of which patient and study it is.
    """

    volume: NDArray[np.float32]
    affine: NDArray[np.float64]
    mean: NDArray[np.float32] | None
    std: NDArray[np.float32] | None
    radiograph: NDArray[np.float32]
    record: dict[str, Any]
    source: Dataset | None = None

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        return str(self.record.get("kind", "sample"))
