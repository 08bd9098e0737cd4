"""Work in the background: a thread that does the HTTP, and a queue that the GUI's thread drains.

    worker = GenerationWorker(client, "knee_xr2mri", "knee.dcm", {"seed": 1})
    worker.start()
    ... every 50 ms or so, on the GUI's thread:
    for event in worker.drain():
        ...

The last event is a `Final` one: Finished, Failed, Stopped, or what the other workers end with.
Nothing comes after it. Threads here touch neither MRML nor anything of Qt but its translator, which
any thread may ask.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from . import errors
from .client import XR2MRIClient, check_record
from .events import (
    Event,
    Failed,
    Final,
    Finished,
    Partial,
    Progress,
    Returned,
    Started,
)
from .jobs import KINDS, JobHandle, JobState, weights_of
from .tasks import Task
from .texts import tr as _
from .volume import Volume, measure

log = logging.getLogger("xr2mri")

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0
"""Seconds between two questions: more and more while nothing changes."""
FIRST_RETRY, LONGEST_RETRY = 0.5, 5.0
"""Seconds between two questions to a server that stays away."""
PARTIAL_PAUSE = 1.0
"""Least seconds between two partial volumes."""
PARTIAL_SHARE = 4.0
"""A partial volume that took a second to fetch is followed by this many seconds without one."""
PROGRESS_PAUSE = 0.1
"""Least seconds between two events of the upload."""
PATIENCE = 120.0
"""Seconds for which a server may stay away during a job before it counts as lost."""


class Worker(Task):
    """A task that asks a server.

    Args:
        client: client of the server; the worker takes a clone of it.
    """

    def __init__(self, client: XR2MRIClient) -> None:
        super().__init__()
        self._client = client.clone(cancelled=self._stop.is_set)

    def _run(self) -> None:
        try:
            super()._run()
        finally:
            self._client.close()


class ConnectionWorker(Worker):
    """Connects, with a login if name and password are given; ends with Returned, a `ServerInfo`."""

    def __init__(self, client: XR2MRIClient, user: str = "", password: str = "") -> None:
        super().__init__(client)
        self._user, self._password = user, password

    def _work(self) -> Final:
        user, password, self._password = self._user, self._password, ""
        if user:
            self._client.login(user, password)  # the client it was cloned from has the token, too
        return Returned(self._client.connect())


class CallWorker(Worker):
    """Calls a function of the client, e.g. `lambda c: c.dicom(job)`; ends with Returned."""

    def __init__(self, client: XR2MRIClient, call: Callable[[XR2MRIClient], Any]) -> None:
        super().__init__(client)
        self._call = call

    def _work(self) -> Final:
        return Returned(self._call(self._client))


class GenerationWorker(Worker):
    """One generation, from the radiograph to the volume; ends with Finished.

    A network that drops is waited for. If it drops while the radiograph is sent, the radiograph is
    sent once more under the same key: the server may have a job already, which nobody else knows.
    After `cancel` the server is informed in the background, whatever the thread is waiting for.

    Args:
        client: client of the server.
        model, radiograph, parameters: see `XR2MRIClient.start`; the radiograph may also be a
            function that makes the content, called in the thread.
        job: job to take up again instead of sending anything, as after a new login.
        partials: whether to fetch volumes while the job runs.
        patience: see `PATIENCE`.
        baseline: a volume to subtract from the new one, if they are on the same grid.
        weights: SHA-256 of the weights that it is to be made with, before anything is sent; empty
            for those that the server has.
    """

    def __init__(
        self,
        client: XR2MRIClient,
        model: str = "knee_xr2mri",
        radiograph: bytes | str | Path | Callable[[], bytes] = b"",
        parameters: Mapping[str, Any] | None = None,
        job: JobHandle | None = None,
        partials: bool = True,
        patience: float = PATIENCE,
        baseline: Volume | None = None,
        weights: str = "",
    ) -> None:
        super().__init__(client)
        self._task = (model, radiograph, dict(parameters or {}))
        self._job, self._partials, self._patience = job, partials, patience
        self._baseline, self._weights = baseline, weights
        self._preview = _Preview()
        self._telling: threading.Thread | None = None

    def cancel(self) -> None:
        """End it, here at once and on the server as soon as it can be reached. After a failure that
        left a job on the server, end that job; after a success, nothing."""
        with self._lock:
            super().cancel()
            if self._last is not Finished:
                self._tell_server()

    def join(self, seconds: float | None = None) -> bool:
        """Wait as `Worker.join` does, and until the server knows of a cancellation."""
        limit = None if seconds is None else time.monotonic() + seconds
        ended = super().join(seconds)
        if self._telling is not None:
            left = None if limit is None else max(0.0, limit - time.monotonic())
            self._telling.join(left)
            ended = ended and not self._telling.is_alive()
        return ended

    def _failed(self, error: errors.XR2MRIClientError) -> Final:
        return Failed(error, self._job)

    def _work(self) -> Final:
        if self._job is None:
            self._emit(Progress("connecting"))
            model = self._client.connect().models.get(self._task[0])
            self._check_weights(model.sha256 if model is not None else "")
            started = self._started()
            with self._lock:
                self._job = started
                if self._stop.is_set():
                    self._tell_server()
            self._emit(Started(started))
        job = self._job
        assert job is not None
        state = self._follow(job)
        if state.state == "failed":
            self._insisting(lambda: self._client.record(job))  # raises what made it fail
            raise errors.ServerFault(state.error or _("The generation failed."), 200)
        if state.state == "cancelled":
            raise errors.JobLost(_("The job was cancelled on the server."))
        return self._fetched(job)

    def _check_weights(self, found: str) -> None:
        if self._weights and found and found != self._weights:
            raise errors.OtherWeights

    def _started(self) -> JobHandle:
        """The job, asked for a second time, under the same key, if the reply is lost."""
        model, radiograph, parameters = self._task
        if callable(radiograph):
            radiograph = radiograph()
        key = uuid.uuid4().hex

        def start() -> JobHandle:
            return self._client.start(model, radiograph, parameters, _Sending(self._emit), key)

        try:
            return start()
        except (errors.Unreachable, errors.BadReply, errors.ServerFault) as error:
            if not error.passing:  # a proxy's own page may hide that the server has taken the job
                raise
            self._emit(Progress("waiting", message=error.message))
            self._wait(FIRST_RETRY)
            return start()

    def _follow(self, job: JobHandle) -> JobState:
        """Report until the job has ended."""
        pause, before = FIRST_PAUSE, None
        while True:
            state = self._insisting(lambda: self._client.state(job))
            if state.final:
                return state
            now = (state.state, state.done, state.queue_position)
            pause = FIRST_PAUSE if now != before else min(pause * 1.5, LONGEST_PAUSE)
            before = now
            self._emit(
                Progress(
                    state.state,
                    state.done / state.total if state.total else 0.0,
                    state.slices,
                    state.num_slices,
                    state.queue_position,
                    state.seconds_left,
                )
            )
            if self._partials and self._preview.due(state.slices):
                self._show(job)
            self._wait(pause)

    def _show(self, job: JobHandle) -> None:
        """Fetch what is there. It is for looking at only: if it fails, the job goes on."""
        began = time.monotonic()
        found, slices = None, 0
        try:
            found = self._client.partial(job)
        except errors.UserCancelled:
            raise
        except errors.XR2MRIClientError as error:
            log.warning("no partial volume of job %s: %s", job.id, error)
        if found is not None:
            volume, slices = found
            self._emit(Partial(volume, slices))
        self._preview.fetched(slices, time.monotonic() - began)

    def _fetched(self, job: JobHandle) -> Final:
        """The volumes and the record of a job that is done, whose kind the record tells."""
        record = self._insisting(lambda: self._client.record(job))
        if record.get("kind") in KINDS:
            job = replace(job, kind=str(record["kind"]))
        kinds = ["volume"]
        if job.samples > 1:  # a volume that is the mean itself has none beside it
            kinds += ["std"] if job.kind == "mean" else ["mean", "std"]
        volumes: dict[str, Volume] = {}
        for index, kind in enumerate(kinds):
            fraction = index / (len(kinds) + 1)
            self._emit(Progress("fetching", fraction, job.num_slices, job.num_slices))
            volumes[kind] = self._insisting(partial(self._client.result, job, kind))
        for volume in volumes.values():
            check_record(job, volume, record)
        self._check_weights(weights_of(record))  # they may have changed while it waited
        whole, old = volumes.pop("volume"), self._baseline
        if old is not None and whole.same_grid(old):
            change = np.asfortranarray(whole.array - old.array)
            volumes["difference"] = Volume(change, whole.affine)
        measure(whole, *volumes.values())
        return Finished(job, whole, volumes, record)

    def _insisting(self, call: Callable[[], Any]) -> Any:
        """What a question answers, asked again while the server stays away."""
        limit, pause = time.monotonic() + self._patience, FIRST_RETRY
        while True:
            try:
                return call()
            except errors.XR2MRIClientError as error:
                wait = error.retry_after if isinstance(error, errors.Busy) else pause
                if not error.passing or time.monotonic() + wait > limit:
                    raise
                self._emit(Progress("waiting", message=error.message))
                self._wait(wait)
                pause = min(pause * 1.5, LONGEST_RETRY)

    def _tell_server(self) -> None:
        """Cancel the job on the server, in a thread of its own: this one may be waiting."""
        with self._lock:
            if self._job is None or self._telling is not None:
                return
            client, job = self._client.clone(), self._job

            def tell() -> None:
                for pause in (0.5, 2.0, 5.0, None):
                    try:
                        return client.cancel(job)
                    except errors.XR2MRIClientError as error:
                        log.info("cancelling job %s: %s", job.id, error.message)
                        if pause is None or not error.passing:
                            return None
                        time.sleep(pause)
                return None

            telling = threading.Thread(target=tell, name="XR2MRI cancelling", daemon=True)
            telling.start()
            self._telling = telling  # now: `join` may look meanwhile, and none can before its start


@dataclass
class _Preview:
    """When to fetch the next partial volume: when more has come, and not all the time."""

    slices: int = 0
    next_at: float = 0.0

    def due(self, slices: int) -> bool:
        return slices > self.slices and time.monotonic() >= self.next_at

    def fetched(self, slices: int, seconds: float) -> None:
        self.slices = max(self.slices, slices)
        self.next_at = time.monotonic() + max(PARTIAL_PAUSE, PARTIAL_SHARE * seconds)


class _Sending:
    """Makes events of the bytes that have gone, not too many."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit, self._next_at = emit, 0.0

    def __call__(self, done: int, total: int) -> None:
        if done == total or time.monotonic() >= self._next_at:
            self._next_at = time.monotonic() + PROGRESS_PAUSE
            self._emit(Progress("uploading", done / total))
