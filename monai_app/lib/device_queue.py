"""One line before all devices: each runs one generation at a time, in the order of asking."""

from __future__ import annotations

import heapq
import logging
import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from enum import StrEnum
from functools import partial
from itertools import islice
from typing import Any

from monai_app.lib.bounds import Bounds
from xr2mri_core.errors import Cancelled, XR2MRIError

log = logging.getLogger("xr2mri")

NICE = 5
"""Niceness of the thread that computes, so that those that answer go first."""

Work = Callable[["Job"], Any]
Afterwards = Callable[["Job", Any], Any]
"""Takes what the work returned, and returns the result; needs no device."""


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


class LineClosed(QueueFull):
    """The server is about to end."""

    def __init__(self) -> None:
        super().__init__(0, 60)
        self.args = ("the server is about to end; try again in a minute",)


class DeviceLost(XR2MRIError):
    """What computes on a device ended in the middle of a job."""


class Job:
    """One piece of work in a `DeviceQueue`.

    The work reports through `advance` and asks `is_cancelled`; everyone else may read.

    Attributes:
        id: a random text that nobody can guess.
        total: units of work (slices) in all; `done` of them are.
        cost: what it takes, as that of other jobs is told; by default its units.
        owner: user who asked for it; None where that makes no difference.
        device: place of the device that it runs on, or ran on, in `DeviceQueue.devices`.
        result: what the work has returned, once `state` is DONE.
        error: the exception that it raised, once `state` is FAILED.
    """

    def __init__(
        self,
        work: Work,
        total: int,
        owner: str | None = None,
        afterwards: Afterwards | None = None,
        cost: float | None = None,
    ) -> None:
        self.id, self.owner = uuid.uuid4().hex, owner
        self.total, self.done = total, 0
        self.cost = total if cost is None else cost
        self.state = State.QUEUED
        self.result: Any = None
        self.error: Exception | None = None
        self.device: int | None = None
        self.created = time.monotonic()
        self.started: float | None = None
        self.finished: float | None = None
        self._work: Work | None = work
        self._afterwards, self._made = afterwards, None
        self._lost_on: int | None = None
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
        """Call a function once, from any thread, as soon as the state is final."""
        self._watchers.append(call)
        if self._final.is_set():
            self._tell()

    @property
    def made(self) -> Any:
        """What the work has returned, as `result` is, and before what comes afterwards is done."""
        made = self._made
        return self.result if made is None else made

    @property
    def seconds(self) -> float:
        """How long it has run, or ran."""
        if self.started is None:
            return 0.0
        return (self.finished or time.monotonic()) - self.started

    def _run(self, device: int) -> None:
        """Do what needs the device."""
        assert self._work is not None
        self.device = device
        self.started, self.state = time.monotonic(), State.RUNNING
        self._do(partial(self._work, self), last=self._afterwards is None)

    def _finish(self) -> None:
        """Do what comes afterwards."""
        assert self._afterwards is not None
        self._do(partial(self._afterwards, self, self._made), last=True)

    def _do(self, call: Callable[[], Any], last: bool) -> None:
        device = self.device
        try:
            made = call()
        except Cancelled:
            self._end(State.CANCELLED)
        except DeviceLost as error:
            if self._cancel.is_set():
                self._end(State.CANCELLED)
            elif self._lost_on is None:
                self._lost_on, self.started, self.state = device, None, State.QUEUED
                self.done = 0
            else:
                self.error = error.with_traceback(None)
                self._end(State.FAILED)
        except Exception as error:
            if not isinstance(error, XR2MRIError):
                log.exception("job %s failed", self.id)
            self.error = error.with_traceback(None)  # a traceback keeps the tensors of its frames
            self._end(State.FAILED)
        else:
            if last:
                self.result = made
                self._end(State.DONE)
            else:
                self._work, self._made = None, made

    def _end(self, state: State) -> None:
        # whatever they hold on to goes with them
        self._work = self._afterwards = self._made = None
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
    """A thread for each device that runs jobs in their order, and the line before them.

    A job whose device is lost goes back to the head of the line, once, and another device takes it
    where there is one.

    Attributes:
        lost: jobs in whose middle each device was lost.
        ended: jobs by their end.
        units: units of all jobs that were done.
        seconds: seconds that devices worked, all together.

    Args:
        devices: names of the devices, or that of the only one.
        max_waiting: jobs that may wait; one more is refused.
        expected_seconds: expected seconds for a cost of 1, until the first job has been timed.
        most_of_one: jobs of one owner that may wait; None: as many as of all.
        most_after: jobs that have left their device whose rest is done at once.
    """

    def __init__(
        self,
        devices: str | Sequence[str],
        max_waiting: int = Bounds.max_queue,
        expected_seconds: float = 0.2,
        most_of_one: int | None = None,
        most_after: int = Bounds.pacs_stores,
    ) -> None:
        self.devices = (devices,) if isinstance(devices, str) else tuple(devices)
        self.lost = [0] * len(self.devices)
        self.units, self.seconds = 0, 0.0
        self.ended = dict.fromkeys((state for state in State if state.final), 0)
        self.max_waiting, self.most_of_one = max_waiting, most_of_one
        self._seconds_per_cost = expected_seconds
        self._waiting: deque[Job] = deque()
        self._running: dict[int, Job] = {}
        self._after: set[Job] = set()
        self._pool = ThreadPoolExecutor(most_after, "xr2mri-afterwards")
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._serve, args=(k,), name=f"xr2mri-{name}", daemon=True)
            for k, name in enumerate(self.devices)
        ]
        for thread in self._threads:
            thread.start()

    def submit(
        self,
        work: Work,
        total: int,
        owner: str | None = None,
        afterwards: Afterwards | None = None,
        cost: float | None = None,
    ) -> Job:
        """Put work at the end of the line.

        Args:
            work: the work that needs the device.
            total, cost: see `Job`; units of one may take longer than those of another.
            owner: user whose share of the line it takes.
            afterwards: what is done with its result, while the device goes on with the next job.

        Raises:
            QueueFull: the line is too long, or too much of it is this owner's.
        """
        job = Job(work, total, owner, afterwards, cost)
        with self._changed:
            if self._closed:
                raise LineClosed
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
        """Jobs that wait, the running ones not counted."""
        return len(self._waiting)

    @property
    def running(self) -> list[Job | None]:
        """The job of each device."""
        return [self._running.get(device) for device in range(len(self.devices))]

    def position(self, job: Job) -> int:
        """How many jobs run or wait before this one; 0 when it runs or has ended."""
        with self._changed:
            if job not in self._waiting:
                return 0
            return self._waiting.index(job) + len(self._running)

    def remaining(self, job: Job) -> float | None:
        """Expected seconds until this job is done, the wait included; None when it has ended."""
        with self._changed:
            if job.state.final:
                return None
            if job in self._after:
                return 0.0
            if job in self._running.values():
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
                self.ended[State.CANCELLED] += 1

    @property
    def closed(self) -> bool:
        """Whether it takes no more jobs."""
        return self._closed

    def close(self) -> None:
        """Cancel everything and end the threads."""
        with self._changed:
            self._closed = True
            while self._waiting:
                (job := self._waiting.popleft())._cancel.set()
                job._end(State.CANCELLED)
            for job in (*self._running.values(), *self._after):
                job._cancel.set()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        self._pool.shutdown(wait=False)

    def drain(self, seconds: float) -> None:
        """Refuse new jobs and wait for those that are there, `seconds` at most."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: not (self._waiting or self._running or self._after), seconds
            )

    def _left(self, job: Job) -> float:
        left = max(0.0, 1 - job.done / max(1, job.total))
        return left * job.cost * self._seconds_per_cost

    def _until(self, count: int) -> float:
        """Expected seconds until the last of the first `count` waiting jobs is done; without any,
        until a device is free."""
        free = [0.0 if job is None else self._left(job) for job in self.running]
        heapq.heapify(free)
        until = free[0]
        for job in islice(self._waiting, count):
            until = free[0] + self._left(job)
            heapq.heapreplace(free, until)
        return until

    def _next(self, device: int) -> Job | None:
        """The first job in the line that was not lost on this device, where there is another."""
        for job in self._waiting:
            if job._lost_on != device or len(self.devices) == 1:
                self._waiting.remove(job)
                return job
        return None

    def _serve(self, device: int) -> None:
        with suppress(AttributeError, OSError):  # answering requests goes before computing
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICE)
        while True:
            with self._changed:
                while (job := self._next(device)) is None and not self._closed:
                    self._changed.wait()
                if job is None:
                    return
                self._running[device] = job
            job._run(device)
            with self._changed:
                del self._running[device]
                if job.state is State.QUEUED:
                    self.lost[device] += 1
                    self._waiting.appendleft(job)
                else:
                    self.seconds += job.seconds
                if job.state in (State.DONE, State.RUNNING) and job.total:
                    self.units += job.total
                    self._seconds_per_cost = job.seconds / job.cost
                if job.state is State.RUNNING:  # there is something left to do
                    self._after.add(job)
                    self._pool.submit(self._finish, job)
                elif job.state.final:
                    self.ended[job.state] += 1
                self._changed.notify_all()
            del job

    def _finish(self, job: Job) -> None:
        if job.is_cancelled():
            job._end(State.CANCELLED)
        else:
            job._finish()
        with self._changed:
            self._after.discard(job)
            self.ended[job.state] += 1
            self._changed.notify_all()
