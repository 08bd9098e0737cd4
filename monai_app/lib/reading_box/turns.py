"""Whose file is read next, and for how long while others wait.

- A few files are read at a time, never all of them of one owner.
- The next is of the owner with the fewest in reading; of those, the one that has waited longest.
- When the line is full and an owner with fewer files comes, the last file of the owner with the
  most is sent away.
- When a file finds no place free, one that has taken longer than `SOON` seconds is stopped: of the
  owner with the most in reading, the one that was begun first.

Large files are read one at a time, in the order in which they asked (`OneAtATime`), whoever has
a turn: together they would take all memory.

So a few clients with files that take until their deadline cost another some seconds at most.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from monai_app.lib.bounds import Bounds
from xr2mri_core.errors import XR2MRIError

SOON = 4.0
"""Seconds after which a file is slow; most take less than one."""
_LOOK = 0.1  # seconds between two looks whether a client is still there


class Crowded(XR2MRIError):
    """Others want to have their files read, too; `retry_after` says in how many seconds to ask."""

    retry_after = 5.0


class ClientGone(XR2MRIError):
    """The client has gone."""

    def __init__(self) -> None:
        super().__init__("the client has gone")


@dataclass(eq=False)
class Turn:
    """A file that is read, or waits for it.

    Attributes:
        owner: user whose file it is.
        since: monotonic seconds at which it began.
        revoked: whether its place, in reading or in the line, is needed by somebody else.
    """

    owner: str
    since: float = field(default_factory=time.monotonic)
    revoked: bool = False

    @property
    def slow(self) -> bool:
        """Whether it has taken long enough to stand back."""
        return time.monotonic() - self.since > SOON

    def crowded_out(self) -> Crowded:
        """What its client is answered when the place was taken away."""
        return Crowded(
            f"this file took more than {SOON:g} seconds to read while others waited; send it again "
            "later"
        )


class OneAtATime:
    """A line of which only the first may go on.

    >>> line = OneAtATime()
    >>> with line.place() as first, line.place() as second:
    ...     first.asks(), second.asks()
    (True, False)
    """

    def __init__(self) -> None:
        self._line: list[_Place] = []
        self._changing = threading.Lock()

    @contextmanager
    def place(self) -> Iterator[_Place]:
        """A place, in the line from when it first asks until the end of a `with`."""
        mine = _Place(self)
        try:
            yield mine
        finally:
            with self._changing, suppress(ValueError):
                self._line.remove(mine)

    def is_first(self, place: _Place) -> bool:
        """Whether it is that one's turn; who asks for the first time joins the line."""
        with self._changing:
            if place not in self._line:
                self._line.append(place)
            return self._line[0] is place


class _Place:
    def __init__(self, line: OneAtATime) -> None:
        self._line = line

    def asks(self) -> bool:
        """Whether it may go on."""
        return self._line.is_first(self)


class Turns:
    """The places for files in reading.

    Args:
        at_once: files in reading.
        most_of_one: most files of one owner in reading at once.
        most_waiting: most files that may wait, of all owners; of one owner half of them.
    """

    def __init__(
        self,
        at_once: int = Bounds.read_at_once,
        most_of_one: int = Bounds.read_at_once - 1,
        most_waiting: int = Bounds.read_waiting,
    ) -> None:
        self.at_once, self.most_of_one, self.most_waiting = at_once, most_of_one, most_waiting
        self._changed = threading.Condition()
        self._running: list[Turn] = []
        self._waiting: list[Turn] = []

    @contextmanager
    def turn(self, owner: str, gone: Callable[[], bool]) -> Iterator[Turn]:
        """Wait for a place and have it.

        Raises:
            Crowded: too many wait already.
            ClientGone: `gone` said so while it waited.
        """
        mine = Turn(owner)
        with self._changed:
            self._check_crowd(owner)
            self._waiting.append(mine)
            try:
                while self._next() is not mine:
                    self._make_room()
                    self._changed.wait(_LOOK)
                    if mine.revoked:
                        raise self._crowd(owner)
                    if gone():
                        raise ClientGone
                mine.since = time.monotonic()
                self._running.append(mine)
            finally:
                self._waiting.remove(mine)
                self._changed.notify_all()
        try:
            yield mine
        finally:
            with self._changed:
                self._running.remove(mine)
                self._changed.notify_all()

    def _check_crowd(self, owner: str) -> None:
        """Refuse one more of an owner; or have one of another sent away, who has more."""
        waiting = [turn for turn in self._waiting if not turn.revoked]
        counts = Counter(turn.owner for turn in waiting)
        if counts[owner] >= self.most_waiting // 2:
            raise self._crowd(owner)
        if len(waiting) >= self.most_waiting:
            most, count = max(counts.items(), key=lambda item: item[1])
            if count <= counts[owner] + 1:
                raise self._crowd(owner)
            next(turn for turn in reversed(waiting) if turn.owner == most).revoked = True
            self._changed.notify_all()

    def _crowd(self, owner: str) -> Crowded:
        own = sum(turn.owner == owner for turn in self._waiting)
        return Crowded(
            f"{len(self._waiting)} files wait to be read, {own} of them yours; send this one again "
            "later"
        )

    def _next(self) -> Turn | None:
        if len(self._running) >= self.at_once:
            return None
        waiting = [turn for turn in self._waiting if not turn.revoked]
        may = [turn for turn in waiting if self._reading(turn) < self.most_of_one]
        return min(may, key=self._reading, default=None)

    def _make_room(self) -> None:
        """Revoke the turn of a slow file where no place is free."""
        if len(self._running) < self.at_once or any(turn.revoked for turn in self._running):
            return
        slow = [turn for turn in self._running if turn.slow]
        if slow:
            max(slow, key=lambda turn: (self._reading(turn), -turn.since)).revoked = True

    def _reading(self, turn: Turn) -> int:
        return sum(other.owner == turn.owner for other in self._running)
