"""What lays tissues on the canvas, for the painters of limb and joint."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from .fields import Region, Texture
from .tissues import Tissue


class Brush(Protocol):
    """`Canvas.paint`, with signal and attenuation of the tissue looked up.

    Distances are in mm of the knee as large as it is.
    """

    def __call__(
        self,
        region: Region | None,
        distance: Tensor,
        tissue: Tissue,
        texture: Texture | None = None,
        opacity: float = 1.0,
    ) -> None: ...
