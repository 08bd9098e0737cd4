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

from monai_app.lib.bounds import Bounds

_FILES_BESIDES = 256  # that the process needs for other things
_FILES_OF_ONE = 2  # that a connection needs: itself, and an upload that is too large for memory
_LOG_SECONDS = 60.0
_UNSENT = 256 << 10  # bytes of replies that a connection holds; as much is to be read in time
_TOO_SLOW = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b'content-length: 39\r\n\r\n{"detail": "the body comes too slowly"}'
)

log = logging.getLogger("xr2mri.security")


def most_connections(most: int = Bounds.max_connections) -> int:
    """How many connections this process can hold, up to `most`; it may open more files from now on.

    A process starts with few (1024) out of an old habit, and may raise that by itself.
    """
    if sys.platform == "win32":
        return most
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_OF_ONE * most + _FILES_BESIDES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return most
    return max(1, min(most, (soft - _FILES_BESIDES) // _FILES_OF_ONE))


class _Body:
    """Watches that a body comes at the slowest rate at least, in each of its periods."""

    def __init__(self, connection: BoundedConnection) -> None:
        self.connection, self.received = connection, 0
        self._begin()

    def _begin(self) -> None:
        self.received = 0
        seconds = self.connection.body_seconds
        self._timer = self.connection.loop.call_later(seconds, self._look)

    def _look(self) -> None:
        expected = self.connection.body_seconds * self.connection.slowest
        if self.received < expected and not self.connection.flow.read_paused:
            self.connection.end_slow_body()
        else:  # or it is the server that is slow
            self._begin()

    def end(self) -> None:
        """The body is complete, or its connection gone."""
        self._timer.cancel()


class BoundedConnection(H11Protocol):
    """An HTTP/1.1 connection of a server that holds so many.

    When they are too many, one without a request makes room: the oldest of those that have never
    had one, else that which is silent for longest. Where all have one, the new one is closed.
    """

    most = Bounds.max_connections
    header_seconds: float = Bounds.header_seconds
    body_seconds: float = Bounds.body_seconds
    write_seconds: float = Bounds.write_seconds
    slowest: float = Bounds.slowest_kb_s << 10
    _logged = -_LOG_SECONDS
    _deadline: asyncio.TimerHandle | None = None
    _body: _Body | None = None
    _unread: asyncio.TimerHandle | None = None

    @classmethod
    def within(cls, bounds: Bounds) -> type[BoundedConnection]:
        """Connections with these bounds."""
        cls.most = most_connections(bounds.max_connections)
        cls.header_seconds, cls.body_seconds = bounds.header_seconds, bounds.body_seconds
        cls.write_seconds, cls.slowest = bounds.write_seconds, bounds.slowest_kb_s << 10
        return cls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.since = time.monotonic()
        if len(self.connections) >= self.most and not self._make_room():
            self.transport = transport
            transport.abort()
            return
        super().connection_made(transport)
        transport.set_write_buffer_limits(_UNSENT)
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        self._expect_no_body()
        self._expect_no_reading()
        if self.flow is not None:  # it was let in
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._expect_nothing()
        elif self._deadline is None:
            self._expect_headers()
        if self.conn.their_state is not h11.SEND_BODY:
            self._expect_no_body()
        elif self._body is None:
            self._body = _Body(self)
        else:
            self._body.received += len(data)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_no_reading()
        self._unread = self.loop.call_later(self.write_seconds, self._late)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._expect_no_reading()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.since = time.monotonic()
        if self.timeout_keep_alive_task is not None:  # uvicorn waits for the next request
            self._expect_nothing()

    def end_slow_body(self) -> None:
        """Say so, where no reply has begun, and close the connection."""
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_started:
            self.transport.write(_TOO_SLOW)
        self.transport.abort()

    @property
    def silent(self) -> bool:
        """Whether it has no request that is being answered, to the last byte."""
        if self.cycle is None:
            return True
        answered: bool = self.cycle.response_complete
        return answered and not self.transport.get_write_buffer_size()

    def _make_room(self) -> bool:
        if time.monotonic() - BoundedConnection._logged >= _LOG_SECONDS:
            BoundedConnection._logged = time.monotonic()
            log.warning("%d connections: silent ones are closed for new ones", self.most)
        silent = [each for each in self.connections if isinstance(each, BoundedConnection)]
        silent = [each for each in silent if each.silent]
        if not silent:
            return False
        oldest = min(silent, key=lambda each: (each.cycle is not None, each.since))
        self.connections.discard(oldest)
        oldest.transport.abort()
        return True

    def _expect_headers(self) -> None:
        self._deadline = self.loop.call_later(self.header_seconds, self._late)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expect_no_body(self) -> None:
        if self._body is not None:
            self._body.end()
            self._body = None

    def _expect_no_reading(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _late(self) -> None:
        if not self.transport.is_closing():
            self.transport.abort()
