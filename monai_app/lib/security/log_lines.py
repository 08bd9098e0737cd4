"""Log lines: those that a stranger can have written are few.

uvicorn writes one or two for each malformed request, and for each that asks for another protocol.
"""

from __future__ import annotations

import logging
import time

SECONDS = 60.0
"""Between two lines that say the same."""


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


_SELDOM = Seldom()


def bound_lines_of_uvicorn(tls: bool) -> None:
    """Have uvicorn write few lines about requests that it cannot use, and with `tls` name the right
    protocol where it says that it runs."""
    logger = logging.getLogger("uvicorn.error")
    logger.addFilter(_SELDOM)
    logger.removeFilter(_as_https)  # type: ignore[arg-type]
    if tls:
        logger.addFilter(_as_https)


def _as_https(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple) and record.args[:1] == ("http",):
        record.args = ("https", *record.args[1:])
    return True
