"""What a generation tells whoever waits for it, and whether it should go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the command line takes this module along, without any library
    import numpy as np
    from numpy.typing import NDArray

Progress = Callable[[int, int, str], None]
"""``progress(done, total, stage)``, counted in slices."""

Arrived = Callable[[int, "NDArray[np.float32]"], None]
"""``arrived(index, slices)``: the index along axis 1 of the first, and (W, k, H) float32."""


@dataclass(frozen=True)
class Callbacks:
    """Called from the thread that generates; what is None is not called.

    Attributes:
        progress: counted in slices: those that are done, or what a step of all of them comes to.
        arrived: given the slices of ``volume`` as they come, as they are in the result.
        cancelled: asked before every pass through the denoiser; True ends the work.
    """

    progress: Progress | None = None
    arrived: Arrived | None = None
    cancelled: Callable[[], bool] | None = None


SILENT = Callbacks()
"""Callbacks of a generation that nobody waits for."""


class SliceProgress:
    """Tells a caller's `progress` of slices, drawn one by one or all together step by step."""

    def __init__(self, progress: Progress | None, count: int, volumes: int) -> None:
        self._tell = progress or (lambda done, total, stage: None)
        self.count, self.total = count, count * volumes
        self._before = self._last = 0

    def __call__(self, stage: str, done: int = 0) -> None:
        self._last = max(self._before + done, self._last)
        self._tell(self._last, self.total, stage)

    def step(self, done: int, of: int) -> None:
        """All slices have taken a step; a tenth of the work is left for the decoder."""
        self("slices", int(0.9 * self.count * done / of))

    def again(self) -> None:
        """The work begins anew; what has been reported stays the least."""
        self._before = 0

    def next_volume(self) -> None:
        self._before += self.count
