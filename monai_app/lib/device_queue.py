"""One line per device: generations run one at a time, in the order in which they were asked for."""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import Any

from xr2mri_core.errors import Cancelled, XR2MRIError

log = logging.getLogger("xr2mri")

NICE = 5
"""By how much the thread that computes stands back behind those that answer."""

Work = Callable[["Job"], Any]


class State(StrEnum):
    """Where a job stands. The last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self in (State.DONE, State.FAILED, State.CANCELLED)


class QueueFull(XR2MRIError):
    """Too many jobs wait, of all or of one; `retry_after` says in how many seconds to try again."""

    def __init__(self, waiting: int, retry_after: float, whose: str = "") -> None:
        super().__init__(f"{waiting} generations{whose} wait already; try again later")
        self.retry_after = retry_after


class Job:
    """One piece of work in a `DeviceQueue`.

    The work reports through `advance` and asks `is_cancelled`; everyone else may read.

    Attributes:
        id: unguessable.
        total: units of work (slices) in all; `done` of them are.
        owner: user who asked for it; None where that makes no difference.
        result: what the work returned, once `state` is DONE.
        error: what it raised, once `state` is FAILED.
    """

    def __init__(self, work: Work, total: int, owner: str | None = None) -> None:
        self.id, self.owner = uuid.uuid4().hex, owner
        self.total, self.done = total, 0
        self.state = State.QUEUED
        self.result: Any = None
        self.error: Exception | None = None
        self.created = time.monotonic()
        self.started: float | None = None
        self.finished: float | None = None
        self._work: Work | None = work
        self._cancel, self._final = threading.Event(), threading.Event()
        self._watchers: list[Callable[[], object]] = []

    def advance(self, done: int) -> None:
        """Say how many units are done."""
        self.done = done

    def is_cancelled(self) -> bool:
        return self._cancel.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for a final state; False if it took longer than `seconds`."""
        return self._final.wait(seconds)

    def when_final(self, call: Callable[[], object]) -> None:
        """Have something called once, from any thread, as soon as the state is final."""
        self._watchers.append(call)
        if self._final.is_set():
            self._tell()

    @property
    def seconds(self) -> float:
        """How long it has run, or ran."""
        if self.started is None:
            return 0.0
        return (self.finished or time.monotonic()) - self.started

    def _run(self) -> None:
        work, self._work = self._work, None  # whatever it holds on to goes with the job
        assert work is not None
        self.started, self.state = time.monotonic(), State.RUNNING
        try:
            self.result = work(self)
        except Cancelled:
            self._end(State.CANCELLED)
        except Exception as error:
            if not isinstance(error, XR2MRIError):
                log.exception("job %s failed", self.id)
            self.error = error.with_traceback(None)  # a traceback keeps the tensors of its frames
            self._end(State.FAILED)
        else:
            self._end(State.DONE)

    def _end(self, state: State) -> None:
        self._work = None
        self.finished, self.state = time.monotonic(), state
        self._final.set()
        self._tell()

    def _tell(self) -> None:
        while self._watchers:
            try:
                call = self._watchers.pop()
            except IndexError:  # another thread was faster
                return
            call()


class DeviceQueue:
    """A thread that runs jobs in their order, and the line before it.

    Args:
        name: of the device, for the thread's name.
        max_waiting: jobs that may wait; one more is refused.
        expected_seconds: for one unit of work, until the first job has been timed.
        most_of_one: jobs of one owner that may wait; None: as many as of all.
    """

    def __init__(
        self,
        name: str,
        max_waiting: int = 8,
        expected_seconds: float = 0.2,
        most_of_one: int | None = None,
    ) -> None:
        self.max_waiting, self.most_of_one = max_waiting, most_of_one
        self._seconds_per_unit = expected_seconds
        self._waiting: deque[Job] = deque()
        self._current: Job | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name=f"xr2mri-{name}", daemon=True)
        self._thread.start()

    def submit(self, work: Work, total: int, owner: str | None = None) -> Job:
        """Put work of `total` units at the end of the line.

        Raises:
            QueueFull: the line is too long, or too much of it is this owner's.
        """
        job = Job(work, total, owner)
        with self._changed:
            if self._closed:
                raise QueueFull(0, 60)
            if len(self._waiting) >= self.max_waiting:
                raise QueueFull(len(self._waiting), self._until(len(self._waiting) // 2))
            self._check_share(owner)
            self._waiting.append(job)
            self._changed.notify_all()
        return job

    def _check_share(self, owner: str | None) -> None:
        if owner is None or self.most_of_one is None:
            return
        places = [place for place, job in enumerate(self._waiting) if job.owner == owner]
        if len(places) >= self.most_of_one:
            raise QueueFull(len(places), self._until(places[0]), " of yours")

    @property
    def waiting(self) -> int:
        """Jobs that wait, the running one not counted."""
        return len(self._waiting)

    def position(self, job: Job) -> int:
        """How many jobs run or wait before this one; 0 when it runs or has ended."""
        with self._changed:
            if job not in self._waiting:
                return 0
            return self._waiting.index(job) + (self._current is not None)

    def remaining(self, job: Job) -> float | None:
        """Expected seconds until this job is done, the wait included; None when it has ended."""
        with self._changed:
            if job.state.final:
                return None
            if job is self._current:
                return self._left(job)
            place = self._waiting.index(job) if job in self._waiting else 0
            return self._until(place + 1)

    def cancel(self, job: Job) -> None:
        """End a job: at once when it waits, at its next question when it runs."""
        with self._changed:
            job._cancel.set()
            if job in self._waiting:
                self._waiting.remove(job)
                job._end(State.CANCELLED)

    def close(self) -> None:
        """Cancel everything and end the thread."""
        with self._changed:
            self._closed = True
            for job in list(self._waiting):
                self._waiting.remove(job)
                job._cancel.set()
                job._end(State.CANCELLED)
            if self._current is not None:
                self._current._cancel.set()
            self._changed.notify_all()
        self._thread.join()

    def _left(self, job: Job) -> float:
        return max(0.0, (job.total - job.done) * self._seconds_per_unit)

    def _until(self, count: int) -> float:
        """Expected seconds until the running job and the first `count` waiting ones are done."""
        running = self._left(self._current) if self._current is not None else 0.0
        return running + sum(self._left(job) for job in list(self._waiting)[:count])

    def _serve(self) -> None:
        with suppress(AttributeError, OSError):  # answering requests goes before computing
            thread = threading.get_native_id()
            usual = os.getpriority(os.PRIO_PROCESS, thread)
            os.setpriority(os.PRIO_PROCESS, thread, usual + NICE)
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                self._current = job = self._waiting.popleft()
            job._run()
            with self._changed:
                self._current = None
                if job.state is State.DONE and job.total:
                    self._seconds_per_unit = job.seconds / job.total
            del job
