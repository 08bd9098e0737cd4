"""What workers tell, in plain data: events that the GUI's thread takes from a queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import errors
from .jobs import JobHandle
from .volume import Volume


@dataclass(frozen=True, eq=False)
class Event:
    """Something that happened, in plain data."""


@dataclass(frozen=True, eq=False)
class Final(Event):
    """The last event of a worker."""


@dataclass(frozen=True, eq=False)
class Progress(Event):
    """How far a generation is.

    Attributes:
        phase: `connecting`, `uploading`, `queued`, `running`, `fetching` or `waiting` (for a
            server that stays away; `message` says why).
        fraction: done share of the phase, in [0, 1].
        slices, num_slices: slices of the first sample that have come, and all of them.
        queue_position: jobs before this one.
        seconds_left: expected; None where nobody knows.
    """

    phase: str
    fraction: float = 0.0
    slices: int = 0
    num_slices: int = 0
    queue_position: int = 0
    seconds_left: float | None = None
    message: str = ""


@dataclass(frozen=True, eq=False)
class Started(Event):
    """The server has the radiograph and a job."""

    job: JobHandle


@dataclass(frozen=True, eq=False)
class Partial(Event):
    """A volume with the slices that have come so far, zeros elsewhere."""

    volume: Volume
    slices_done: int


@dataclass(frozen=True, eq=False)
class Finished(Final):
    """A whole volume.

    Attributes:
        extras: `mean` and `std` where several samples were asked for, `difference` to the baseline
            of a worker that has one.
        record: what it was made from and with.
    """

    job: JobHandle
    volume: Volume
    extras: Mapping[str, Volume]
    record: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Failed(Final):
    """It did not work.

    Attributes:
        error: the error with its remedy.
        job: where the server may still have one, which another worker can take up again.
    """

    error: errors.XR2MRIClientError
    job: JobHandle | None = None


@dataclass(frozen=True, eq=False)
class Stopped(Final):
    """The user has cancelled it."""


@dataclass(frozen=True, eq=False)
class Returned(Final):
    """What was asked for: the server's description, or what a function returned."""

    value: Any
