"""Things to do one after another, each in a turn of the event loop of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import qt


class Turns:
    """Does what is slow in the views a step at a time, so that Slicer draws and listens between.

    turns = Turns()
    turns.add(layout.show, lambda: layout.show_volume(node))
    """

    def __init__(self) -> None:
        self._steps: deque[Callable[[], None]] = deque()
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.connect("timeout()", self._turn)

    @property
    def busy(self) -> bool:
        """Whether something is still to be done."""
        return bool(self._steps)

    def add(self, *steps: Callable[[], None]) -> None:
        """Do these after all that is waiting. A step finds the scene as it is by then."""
        self._steps.extend(steps)
        self._timer.start()

    def walk(self, pieces: Iterator[None]) -> None:
        """Do the pieces of something, a piece a turn."""

        def step() -> None:
            for _piece in pieces:
                self._steps.appendleft(step)
                self._timer.start()
                return

        self.add(step)

    def clear(self) -> None:
        """Do nothing of what is waiting."""
        self._steps.clear()
        self._timer.stop()

    def _turn(self) -> None:
        if not self._steps:
            return
        step = self._steps.popleft()
        if self._steps:
            self._timer.start()
        step()
