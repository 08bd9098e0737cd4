"""One thing that the module does, from the thread that does it to the nodes that come of it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from xr2mri_client.events import Event, Final
from xr2mri_client.tasks import Task

from .states import State

Steps = Generator[None, None, Any]
"""Work on the GUI's thread in pieces that do not hold it up; what it returns came of it."""


def at_once(value: Any) -> Steps:
    """Steps of what is there already: none."""
    yield from ()
    return value


class Activity:
    """Base of all of them; `logic` drives it.

    Attributes:
        worker: the thread.
        state: what the module is doing meanwhile.
        importing: what it is doing during `steps`.
        lasting: whether it goes on when the scene is closed.
    """

    worker: Task
    state = State.RUNNING
    importing = State.IMPORTING
    lasting = False

    def on_event(self, event: Event) -> None:
        """React to an event that is not the last."""

    def steps(self, event: Final) -> Steps:
        """Make of the last event, a success, what is wanted of it."""
        raise NotImplementedError

    def needs(self, node_id: str) -> bool:
        """Whether there is no point in going on without this node."""
        return False

    def drop(self) -> None:
        """End the thread and leave nothing behind."""
        self.worker.cancel()
