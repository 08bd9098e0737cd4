"""How far a generation is, reported to a callback."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""``progress(done, total, stage)``, counted in slices."""


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
