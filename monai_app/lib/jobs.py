"""Jobs that clients started and may ask about, until their results expire."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from monai_app.lib.bounds import Bounds
from monai_app.lib.device_queue import DeviceQueue, Job, State
from monai_app.lib.generation_work import Generation
from monai_app.lib.http_errors import NotFound, http_error
from monai_app.lib.quotas import Claim, Quota, QuotaFull
from monai_app.lib.threads import SharedThreads
from xr2mri_core.errors import InputError, XR2MRIError, encodable, shown


class OtherRequest(InputError):
    """An idempotency key that was used before comes with another request."""


@dataclass(frozen=True)
class Key:
    """What makes a request that is sent again the same request.

    Attributes:
        name: name that the client chose; one of an owner names one job.
        digest: SHA-256 of all that was asked for.
    """

    name: str
    digest: str


@dataclass(eq=False)
class Entry:
    """A job with what its owner may ask for.

    Attributes:
        owner: user who started it, and who alone gets the result.
        claim: claim on the bytes of the result, of the user who is counted for them.
        fetch_seconds: after the last fetch, until it counts as fetched though not all of it was.
        archive: its DICOM files, while they are being sent.
        archiving: makes them, in turn with those of other results.
        sending: threads that make pieces of replies.
    """

    job: Job
    generation: Generation
    owner: str
    model: str
    warnings: list[str] = field(default_factory=list)
    key: Key | None = None
    claim: Claim = field(default_factory=Claim.of_nobody)
    fetch_seconds: float = Bounds.fetch_seconds
    archive: Callable[[], BytesIO | None] = field(default=lambda: None)
    archiving: SharedThreads = field(default_factory=lambda: SharedThreads(1))
    sending: SharedThreads = field(default_factory=lambda: SharedThreads(_SENDING))
    _fetched: dict[str, float] = field(default_factory=dict)
    _partial: Callable[[], object] = field(default=lambda: None)

    def count_after_its_end(self, partial: NDArray[np.float32]) -> None:
        """Count what has arrived of a volume, too, while a reply holds it beside the result."""
        if self._partial() is partial:
            return
        held = self._partial = weakref.ref(partial)

        def ended() -> None:
            if (left := held()) is not None:
                weakref.finalize(left, self.claim.quota.count(self.claim.user, left.nbytes))

        self.job.when_final(ended)

    def was_fetched(self, kind: str) -> None:
        """Say that its owner has had one of its volumes, whole."""
        self._fetched[kind] = time.monotonic()

    @property
    def fetched(self) -> bool:
        """Whether its owner has had all of its volumes, or one, and seems not to want the others.

        A client takes them one after the other: what it is about to ask for does not go between.
        """
        if not self._fetched:
            return False
        result = self.job.result
        missing = [kind for kind in get_args(Kind) if getattr(result, kind, None) is not None]
        missing = [kind for kind in missing if kind not in self._fetched]
        since = time.monotonic() - max(self._fetched.values())
        return not missing or since > self.fetch_seconds


_LOOK_SECONDS = 0.1
_SENDING = 4  # pieces of replies that are made at once
Kind = Literal["volume", "mean", "std"]
"""Volumes of a result; the latter two are there of several samples."""


class JobStore:
    """Jobs by id. A finished one is forgotten after `keep_seconds`, or when its user needs room.

    What a job's result takes is claimed when the job is asked for. Where a user has no room left,
    that user's own results go, those that were fetched first, then the oldest. Where all users
    together have none left, others' results go only if they were fetched: what somebody waits for
    stays.

    Args:
        queue: the queue in which the jobs run.
        results: quota of the users' results.
        keep_seconds: life of a result.
        fetch_seconds: see `Entry`.
    """

    def __init__(
        self,
        queue: DeviceQueue,
        results: Quota | None = None,
        keep_seconds: float = 60 * Bounds.result_minutes,
        fetch_seconds: float = Bounds.fetch_seconds,
    ) -> None:
        self.queue, self.keep_seconds, self.fetch_seconds = queue, keep_seconds, fetch_seconds
        self.results = results or Quota("results", Bounds.results_mb << 20)
        self._archiving, self._sending = SharedThreads(1), SharedThreads(_SENDING)
        # No cache of cachetools: those count from when something is put in, a result's life begins
        # when its job has ended; and what is forgotten here gives its room back.
        self._entries: dict[str, Entry] = {}
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def start(
        self,
        generation: Generation,
        model: str,
        owner: str,
        account: str,
        warnings: list[str],
        key: Key | None = None,
    ) -> Entry:
        """Put a generation in the line, and keep its job.

        All at once: of two requests under one key that come together, the second finds the first's
        job; and a request that is refused costs nobody a result.

        Args:
            generation: the generation to run.
            model: name of the model that generates.
            owner: user who gets the result.
            account: user who is counted for it, in the line and among the results.
            warnings: about the request.
            key: name of the request.

        Returns:
            The job; with a key under which the same request came before, that one's.

        Raises:
            OtherRequest: another request came before under this key.
            InputError: a result of this size is more than a user may hold.
            QuotaFull: there is no room for it.
            QueueFull: too many wait, or too many of this user.
        """
        results, size = self.results, generation.size
        if size > results.most_of_one:
            raise InputError(
                f"this volume takes {size / 2**20:.3g} MB, and the results of one user may take "
                f"{results.most_of_one >> 20}: lower num_slices (or give fewer depths) or samples"
            )
        self.expire()
        with self._lock:
            if known := self._with_key(owner, key):
                return known
            going = self._that_make_room(account, size)
            claim = self._claim(account, size, [entry.claim for entry in going])
            try:
                job = generation.lined_up(self.queue, account)
            except BaseException:
                claim.release()
                raise
            for entry in going:
                self._drop(entry)
            entry = Entry(job, generation, owner, model, warnings, key, claim, self.fetch_seconds)
            entry.archiving, entry.sending = self._archiving, self._sending
            self._entries[job.id] = entry
            holds = claim.held_by_another()

        def ended() -> None:
            holds.release()
            if job.result is None:
                claim.give_back()

        job.when_final(ended)
        self.expire()
        return entry

    def _claim(self, account: str, size: int, going: Sequence[Claim]) -> Claim:
        """Room for a result beside those that stay; called with the lock held."""
        try:
            return self.results.claim(account, size, going)
        except QuotaFull as full:
            ends = [e.job.finished for e in self._entries.values() if e.job.finished]
            left = min(ends, default=time.monotonic()) + self.keep_seconds - time.monotonic()
            full.retry_after = max(1.0, min(left, 60.0))
            raise

    def _that_make_room(self, account: str, size: int) -> list[Entry]:
        """Results to be dropped for one to come; none where that would not suffice."""
        own_excess = self.results.held(account) + size - self.results.most_of_one
        excess = self.results.held() + size - self.results.most
        ended = [e for e in self._entries.values() if e.job.finished and e.claim.unused]
        ended.sort(key=lambda entry: (not entry.fetched, entry.job.finished))
        dropped = []
        for entry in [e for e in ended if e.claim.user == account]:
            if max(own_excess, excess) > 0:
                dropped.append(entry)
                own_excess, excess = own_excess - entry.claim.size, excess - entry.claim.size
        for entry in [e for e in ended if e.claim.user != account and e.fetched]:
            if own_excess <= 0 < excess:
                dropped.append(entry)
                excess -= entry.claim.size
        return dropped if max(own_excess, excess) <= 0 else []

    def _drop(self, entry: Entry) -> None:
        """Forget a job; called with the lock held."""
        if self._entries.pop(entry.job.id, None) is not None:
            entry.claim.release()

    def find(self, owner: str, key: Key | None) -> Entry | None:
        """The job of a request that came before, if it is still held; raises OtherRequest."""
        self.expire()
        with self._lock:
            return self._with_key(owner, key)

    def _with_key(self, owner: str, key: Key | None) -> Entry | None:
        for entry in self._entries.values():
            if key and entry.key and (entry.owner, entry.key.name) == (owner, key.name):
                if entry.key != key:
                    raise OtherRequest(f"the key {shown(key.name)} was sent with another request")
                return entry
        return None

    def get(self, job_id: str, owner: str | None) -> Entry:
        """Find a job of this owner, or with None of anybody; raises NotFound."""
        self.expire()
        with self._lock:
            entry = self._entries.get(job_id)
        if entry is None or owner not in (None, entry.owner):
            raise NotFound("no such job: it has expired, was deleted, or the server restarted")
        return entry

    def of(self, owner: str | None) -> list[Entry]:
        """All jobs of an owner, or with None of everybody, oldest first."""
        self.expire()
        with self._lock:
            return [entry for entry in self._entries.values() if owner in (None, entry.owner)]

    def remove(self, job_id: str, owner: str | None) -> Entry:
        """Find a job as `get` does, and let it go; raises NotFound."""
        entry = self.get(job_id, owner)
        self.forget(entry)
        return entry

    def drain(self, seconds: float) -> None:
        """Take no new jobs, and wait until those that are there have ended and been fetched.

        Args:
            seconds: longest time to wait.
        """
        limit = time.monotonic() + seconds
        self.queue.drain(seconds)
        while time.monotonic() < limit and self._awaited():
            time.sleep(_LOOK_SECONDS)

    def _awaited(self) -> bool:
        with self._lock:
            entries = list(self._entries.values())
        return any(entry.job.state is State.DONE and not entry.fetched for entry in entries)

    def forget(self, entry: Entry) -> None:
        """Cancel a job if it has not ended, and drop it with its result."""
        self.queue.cancel(entry.job)
        with self._lock:
            self._drop(entry)

    def expire(self) -> None:
        """Forget results that are too old; comes back by itself while any are held."""
        now = time.monotonic()
        with self._lock:
            for entry in list(self._entries.values()):
                finished = entry.job.finished
                if finished is not None and now - finished > self.keep_seconds:
                    self._drop(entry)
            if self._entries and self._timer is None:
                self._timer = threading.Timer(max(1.0, self.keep_seconds / 4), self._again)
                self._timer.daemon = True
                self._timer.start()

    def _again(self) -> None:
        self._timer = None
        self.expire()

    def describe(self, entry: Entry) -> dict[str, Any]:
        """What `GET /jobs/{id}` answers."""
        job = entry.job
        remaining = self.queue.remaining(job)
        described: dict[str, Any] = {
            "id": job.id,
            "model": entry.model,
            "state": str(job.state),
            "done": job.done,
            "total": job.total,
            "slices": entry.generation.slices,
            "num_slices": entry.generation.request.count,
            "queue_position": self.queue.position(job),
            "seconds": round(job.seconds, 2),
            "seconds_left": None if remaining is None else round(remaining, 1),
            "seed": entry.generation.request.seed,
            "affine": entry.generation.affine.tolist(),
            "warnings": [encodable(text) for text in (*entry.generation.warnings, *entry.warnings)],
            "error": None,
        }
        if isinstance(job.error, XR2MRIError):
            described["error"] = http_error(job.error).detail
        elif job.state is State.FAILED:
            described["error"] = "the generation failed; the log of the server tells why"
        return described
