"""Jobs that clients started and may ask about, until their results expire."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from monai_app.lib.device_queue import DeviceQueue, Job, State
from monai_app.lib.http_errors import NotFound, http_error
from monai_app.lib.service import Generation
from xr2mri_core.errors import InputError, XR2MRIError, encodable, shown


class OtherRequest(InputError):
    """An idempotency key that was used before comes with another request."""


@dataclass(frozen=True)
class Key:
    """What makes a request that is sent again the same request.

    Attributes:
        name: that the client chose; one of an owner names one job.
        digest: of all that was asked for.
    """

    name: str
    digest: str


@dataclass
class Entry:
    """A job with what its owner may ask for.

    Attributes:
        owner: user who started it, and who alone gets the result.
    """

    job: Job
    generation: Generation
    owner: str
    model: str
    warnings: list[str] = field(default_factory=list)
    key: Key | None = None

    @property
    def size(self) -> int:
        """Bytes of the result's arrays; what else it has is some kilobytes."""
        result = self.job.result
        if result is None:
            return 0
        arrays = [result.volume, result.mean, result.std, result.radiograph]
        return sum(array.nbytes for array in arrays if array is not None)


class JobStore:
    """Jobs by id. A finished one is forgotten after `keep_seconds`, or when the younger results
    take up `keep_bytes`.

    Args:
        queue: where the jobs run.
        keep_seconds: life of a result.
        keep_bytes: of results held at once; one of 50 slices has 13 MB.
    """

    def __init__(
        self, queue: DeviceQueue, keep_seconds: float = 900, keep_bytes: int = 512 << 20
    ) -> None:
        self.queue, self.keep_seconds, self.keep_bytes = queue, keep_seconds, keep_bytes
        self._entries: dict[str, Entry] = {}
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def add(self, entry: Entry) -> Entry:
        """Keep a job. If its request came before under the same key, that one is returned, and
        this one cancelled."""
        with self._lock:
            known = self._with_key(entry.owner, entry.key)
            if known is None:
                self._entries[entry.job.id] = entry
        if known is not None:
            self.queue.cancel(entry.job)
        self.expire()
        return known or entry

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

    def forget(self, entry: Entry) -> None:
        """Cancel a job if it has not ended, and drop it with its result."""
        self.queue.cancel(entry.job)
        with self._lock:
            self._entries.pop(entry.job.id, None)

    def expire(self) -> None:
        """Forget results that are too old or too large; comes back by itself while any are held."""
        now, held = time.monotonic(), 0
        with self._lock:
            ended = [(e.job.finished, e) for e in self._entries.values() if e.job.finished]
            ended.sort(key=lambda pair: pair[0], reverse=True)
            for rank, (finished, entry) in enumerate(ended):
                held += entry.size
                if now - finished > self.keep_seconds or (rank and held > self.keep_bytes):
                    del self._entries[entry.job.id]
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
            "num_slices": entry.generation.parameters.count,
            "queue_position": self.queue.position(job),
            "seconds": round(job.seconds, 2),
            "seconds_left": None if remaining is None else round(remaining, 1),
            "seed": entry.generation.parameters.seed,
            "affine": entry.generation.affine.tolist(),
            "warnings": [encodable(text) for text in (*entry.generation.warnings, *entry.warnings)],
            "error": None,
        }
        if isinstance(job.error, XR2MRIError):
            described["error"] = http_error(job.error).detail
        elif job.state is State.FAILED:
            described["error"] = "the generation failed; the log of the server tells why"
        return described
