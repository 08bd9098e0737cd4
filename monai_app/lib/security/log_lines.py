"""Log lines: those that a stranger can have written are few, and nobody waits for them.

uvicorn writes one or two for each malformed request, and for each that asks for another protocol.
Where standard error is a pipe that nobody reads, who writes to it waits for ever.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import queue
import sys
import threading
import time

SECONDS = 60.0
"""Seconds between two lines that say the same."""
LINES = 1000
"""Lines that may wait to be written; more are lost."""
_FLUSH_SECONDS = 1.0
_LOOK_SECONDS = 0.002


class Seldom(logging.Filter):
    """Lets a warning or error through once in a while, and then says how many were left out."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, tuple[float, int]] = {}  # when it was let through, how many were not

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is written. What was left out is counted by the message before its
        values: they are the client's."""
        if record.levelno < logging.WARNING:
            return True
        now, said = time.monotonic(), str(record.msg)
        last, left_out = self._known.get(said, (-SECONDS, 0))
        if now - last < SECONDS:
            self._known[said] = last, left_out + 1
            return False
        self._known[said] = now, 0
        if left_out:
            record.msg = f"{said} (and {left_out} times more in {now - last:.0f} s)"
        return True


class NeverWaiting(logging.Handler):
    """Hands lines to a thread that writes them. Those for which there is no room, or that nobody
    takes any more, are lost: a failure of this handler (`handleError`).

    Args:
        target: the handler that writes.
        most: lines that wait.
    """

    def __init__(self, target: logging.Handler, most: int = LINES) -> None:
        super().__init__(target.level)
        self.target = target
        target.handleError = lambda record: self.handleError(record)  # type: ignore[method-assign]
        self._lines: queue.Queue[logging.LogRecord] = queue.Queue(most)
        self._taken = self._done = 0
        self._stalled = False
        self._thread: threading.Thread | None = None
        atexit.register(self.flush)

    def emit(self, record: logging.LogRecord) -> None:
        """Have it written, soon; called with the handler's lock."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="xr2mri-log", daemon=True)
            self._thread.start()
        try:
            self._lines.put_nowait(record)
            self._taken += 1
        except queue.Full:
            self.handleError(record)

    async def has_written(self, seconds: float) -> bool:
        """Whether the lines that it was handed by now are written, or are so within some seconds.

        Once that took longer, the answer is no, at once, until the target takes lines again.
        """
        taken, limit = self._taken, time.monotonic() + seconds
        while self._done < taken:
            if self._stalled or time.monotonic() > limit:
                self._stalled = True
                return False
            await asyncio.sleep(_LOOK_SECONDS)
        return True

    def handleError(self, record: logging.LogRecord) -> None:
        """Does nothing: reporting the failure would have to wait, too."""

    @property
    def idle(self) -> bool:
        """Whether no line waits."""
        return not self._lines.unfinished_tasks

    def _write(self) -> None:
        while True:
            self.target.handle(self._lines.get())
            self._done += 1
            self._stalled = False
            self._lines.task_done()

    def flush(self) -> None:
        """Wait until all is written, but not for long."""
        limit = time.monotonic() + _FLUSH_SECONDS
        while not self.idle and time.monotonic() < limit:
            time.sleep(0.005)

    def close(self) -> None:
        """Write what waits."""
        self.flush()
        super().close()


def write_in_a_thread() -> None:
    """Have the process's own lines, which go to standard error or output or to files, wait for
    nobody."""
    known = [logging.getLogger(name) for name in list(logging.root.manager.loggerDict)]
    for logger in (logging.root, *known):
        for handler in list(logger.handlers):
            if _may_wait(handler):
                logger.removeHandler(handler)
                logger.addHandler(NeverWaiting(handler))
    if logging.lastResort is not None and not isinstance(logging.lastResort, NeverWaiting):
        logging.lastResort = NeverWaiting(logging.lastResort)  # writes where nothing else does


def _may_wait(handler: logging.Handler) -> bool:
    """Whether a handler is one of Python's own that writes to a pipe or a disk."""
    if isinstance(handler, logging.FileHandler):
        return type(handler).__module__.partition(".")[0] == "logging"
    return type(handler) is logging.StreamHandler and handler.stream in (sys.stderr, sys.stdout)


_SELDOM = Seldom()


def bound_lines_of_uvicorn(tls: bool) -> None:
    """Have uvicorn write few lines about requests that it cannot use, and with `tls` name the right
    protocol where it says that it runs."""
    logger = logging.getLogger("uvicorn.error")
    logger.addFilter(_SELDOM)
    logger.removeFilter(_as_https)
    if tls:
        logger.addFilter(_as_https)


def _as_https(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple) and record.args[:1] == ("http",):
        record.args = ("https", *record.args[1:])
    return True
