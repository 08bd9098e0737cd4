"""Jobs that clients started and may ask about, until their results expire."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from lib.device_queue import DeviceQueue, Job, State
from lib.http_errors import NotFound
from lib.service import Generation


@dataclass
class Entry:
    """A job with what its owner may ask for."""

    job: Job
    generation: Generation
    owner: str
    model: str
    warnings: list[str] = field(default_factory=list)
    created: float = field(default_factory=time.time)


class JobStore:
    """Jobs by id. A finished one is forgotten after `keep_seconds`, or when more than
    `keep_results` have finished since.

    Args:
        queue: where the jobs run.
        keep_seconds: life of a result.
        keep_results: results held at once, each about 13 MB for 50 slices.
    """

    def __init__(
        self, queue: DeviceQueue, keep_seconds: float = 900, keep_results: int = 16
    ) -> None:
        self.queue, self.keep_seconds, self.keep_results = queue, keep_seconds, keep_results
        self._entries: dict[str, Entry] = {}
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def add(self, entry: Entry) -> None:
        with self._lock:
            self._entries[entry.job.id] = entry
        self.expire()

    def get(self, job_id: str, owner: str) -> Entry:
        """Find a job of this owner; raises NotFound."""
        self.expire()
        with self._lock:
            entry = self._entries.get(job_id)
        if entry is None or entry.owner != owner:
            raise NotFound("no such job: it has expired, was deleted, or the server restarted")
        return entry

    def of(self, owner: str) -> list[Entry]:
        """All jobs of an owner, oldest first."""
        self.expire()
        with self._lock:
            return [entry for entry in self._entries.values() if entry.owner == owner]

    def remove(self, job_id: str, owner: str) -> Entry:
        """Cancel a job if it has not ended, and forget it with its result; raises NotFound."""
        entry = self.get(job_id, owner)
        self.queue.cancel(entry.job)
        with self._lock:
            self._entries.pop(job_id, None)
        return entry

    def expire(self) -> None:
        """Forget results that are too old or too many; comes back by itself while some are held."""
        now = time.monotonic()
        with self._lock:
            ended = [e for e in self._entries.values() if e.job.finished is not None]
            ended.sort(key=lambda entry: entry.job.finished or now)
            surplus = len(ended) - self.keep_results
            for rank, entry in enumerate(ended):
                if rank < surplus or now - (entry.job.finished or now) > self.keep_seconds:
                    del self._entries[entry.job.id]
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._entries:
                self._timer = threading.Timer(max(1.0, self.keep_seconds / 4), self.expire)
                self._timer.daemon = True
                self._timer.start()

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
            "error": None,
        }
        if job.state is State.FAILED:
            described["error"] = "the generation failed; the log of the server tells why"
        return described
