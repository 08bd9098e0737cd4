"""A thread in the background, and a queue of what it tells."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import errors
from .events import Event, Failed, Final, Partial, Returned, Stopped
from .programs import Program

log = logging.getLogger("xr2mri")

FIRST_LOOK, LONGEST_LOOK = 0.02, 0.2
"""Seconds between two looks at a program: most have ended at once, or take long."""


class Task:
    """A thread that ends with one `Final` event."""

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._rests_until = 0.0
        self._last: type[Final] | None = None  # no error, whose traceback would keep this
        self._lock = threading.RLock()
        name = f"XR2MRI {type(self).__name__}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> Task:
        self._thread.start()
        return self

    def drain(self) -> list[Event]:
        """All events that have come since, of several partial volumes the last; never waits."""
        drained: list[Event] = []
        while True:
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                return drained
            if isinstance(event, Partial):
                drained = [other for other in drained if not isinstance(other, Partial)]
            drained.append(event)

    def cancel(self) -> None:
        """End it: returns at once, and the last event is there at once."""
        with self._lock:
            self._stop.set()
            self._emit(Stopped())

    @property
    def rest(self) -> float:
        """Seconds for which the thread is going to do nothing, unless it is cancelled; 0 while it
        works or waits for somebody else."""
        return 0.0 if self._stop.is_set() else max(0.0, self._rests_until - time.monotonic())

    @property
    def over(self) -> bool:
        """Whether the last event has been sent."""
        return self._last is not None

    def join(self, seconds: float | None = None) -> bool:
        """Wait for the thread, also for what it does after its last event; whether it ended."""
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _work(self) -> Final:
        raise NotImplementedError

    def _check(self) -> None:
        """Raise `errors.UserCancelled` once nobody wants it any more; for `_work`."""
        if self._stop.is_set():
            raise errors.UserCancelled

    def _wait(self, seconds: float) -> None:
        """Do nothing for a while; raises `errors.UserCancelled` once nobody wants it any more."""
        self._rests_until = time.monotonic() + seconds
        if self._stop.wait(seconds):
            raise errors.UserCancelled
        self._rests_until = 0.0

    def _run_program(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        folder: Path | None = None,
        line: Callable[[str], None] = lambda _line: None,
    ) -> int:
        """Run a program to its end.

        Args:
            words, environment, folder: as of `programs.Program`.
            line: called with each line that it prints, not much later.

        Returns:
            Its exit status, negative for the signal that ended it.

        Raises:
            OSError: it cannot be started.
            errors.UserCancelled: nobody wants it any more; it has ended, by force.
        """
        self._check()
        pause = FIRST_LOOK
        with Program(words, environment, folder) as program:
            while True:
                status = program.status()  # before its last lines are read
                for printed in program.lines():
                    line(printed)
                if status is not None:
                    self._check()
                    return status
                self._wait(pause)
                pause = min(1.5 * pause, LONGEST_LOOK)

    def _failed(self, error: errors.XR2MRIClientError) -> Final:
        return Failed(error)

    def _emit(self, event: Event) -> None:
        """Send an event, unless the last one has been sent."""
        with self._lock:
            if self._last is None:
                self._last = type(event) if isinstance(event, Final) else None
                self._events.put(event)

    def _run(self) -> None:
        try:
            self._emit(self._work())
        except errors.UserCancelled:
            self._emit(Stopped())
        except errors.XR2MRIClientError as error:
            self._emit(self._failed(error))
        except Exception as error:
            log.exception("%s failed", threading.current_thread().name)
            self._emit(self._failed(errors.Unexpected(error)))


class Computation(Task):
    """Computes something here; ends with Returned.

    Args:
        function: called with a function, to be called now and then, that raises
            `errors.UserCancelled` once the user has cancelled.
    """

    def __init__(self, function: Callable[[Callable[[], None]], Any]) -> None:
        super().__init__()
        self._function = function

    def _work(self) -> Final:
        return Returned(self._function(self._check))
