"""Connections: how many, and for how long one may say nothing.

uvicorn takes every connection and waits for its first request for ever. Some hundred that stay
silent use up the files that the process may open: nobody gets in any more, and each attempt writes
a traceback to the log.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 512
HEADER_SECONDS = 15.0
"""From the first byte of a request, or from connecting, to the end of its headers."""
_FILES_BESIDES = 256  # that the process needs for other things than connections
_LOG_SECONDS = 60.0

log = logging.getLogger("xr2mri.security")


def most_connections() -> int:
    """How many connections this process can hold; it may open more files from now on.

    A process starts with few (1024) out of an old habit, and may raise that by itself.
    """
    if sys.platform == "win32":
        return MOST_CONNECTIONS
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + _FILES_BESIDES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return max(1, min(MOST_CONNECTIONS, soft - _FILES_BESIDES))


class BoundedConnection(H11Protocol):
    """An HTTP/1.1 connection of a server that holds so many.

    When they are too many, the oldest one without a request makes room. Where all have one, the
    new one is closed.
    """

    most = MOST_CONNECTIONS
    header_seconds = HEADER_SECONDS
    _told = -_LOG_SECONDS
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.since = time.monotonic()
        if len(self.connections) >= self.most and not self._make_room():
            self.transport = transport
            transport.abort()
            return
        super().connection_made(transport)
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        if self.flow is not None:  # it was let in
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._expect_nothing()
        elif self._deadline is None:
            self._expect_headers()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.timeout_keep_alive_task is not None:  # uvicorn waits for the next request
            self._expect_nothing()

    @property
    def silent(self) -> bool:
        """Whether it has no request that is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _make_room(self) -> bool:
        if time.monotonic() - BoundedConnection._told >= _LOG_SECONDS:
            BoundedConnection._told = time.monotonic()
            log.warning("%d connections: silent ones are closed for new ones", self.most)
        silent = [each for each in self.connections if isinstance(each, BoundedConnection)]
        silent = [each for each in silent if each.silent]
        if not silent:
            return False
        oldest = min(silent, key=lambda each: each.since)
        self.connections.discard(oldest)
        oldest.transport.abort()
        return True

    def _expect_headers(self) -> None:
        self._deadline = self.loop.call_later(self.header_seconds, self._late)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        if not self.transport.is_closing():
            self.transport.abort()
