"""Connections: how many, and for how long one may say nothing, or take nothing.

uvicorn takes every connection and waits for its first request for ever, and for the last byte of a
reply to be read. Some hundred such use up the files that the process may open: nobody gets in any
more, and each attempt writes a traceback to the log.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import h11
import uvicorn
from h11._connection import DEFAULT_MAX_INCOMPLETE_EVENT_SIZE
from uvicorn.protocols.http.h11_impl import H11Protocol

from monai_app.lib.bounds import Bounds
from monai_app.lib.security.asgi import Scope
from monai_app.lib.security.refusal import Refusal
from monai_app.lib.security.throttle import network_of

_FILES_BESIDES = 256  # that the process needs for other things
_FILES_OF_ONE = 3  # that a connection needs: itself, and two large files of a form
_LOG_SECONDS = 60.0
_UNSENT = 256 << 10  # bytes of replies that a connection holds before it takes no more
_PIECE = 8 << 10  # bytes that are parsed at a time: 10 ms, were all of them chunks of one byte
_FRAMING = 8 << 10, 1 / 32  # bytes that chunks may add to a body, and part of it that they may

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


class _Wire(h11.Connection):
    """HTTP/1.1 as h11 speaks it, which counts.

    A reply that begins before all of the body has come says that the connection ends with it: what
    is left of the body is not parsed.

    Attributes:
        written: bytes of all replies.
        body: bytes of the body of the request that is coming.

    Args:
        most: bytes of a request's head.
        writes: called before bytes of a reply are written.
    """

    def __init__(self, most: int | None, writes: Callable[[], None]) -> None:
        super().__init__(h11.SERVER, DEFAULT_MAX_INCOMPLETE_EVENT_SIZE if most is None else most)
        self.written, self.body, self._writes = 0, 0, writes

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            self.body = 0
        elif isinstance(event, h11.Data):
            self.body += len(event.data)
        return event

    def send(self, event: h11.Event) -> bytes | None:  # type: ignore[override]
        early = isinstance(event, h11.Response) and self.their_state is h11.SEND_BODY
        data = super().send(event)
        if not data:
            return data
        if early and b"\r\nconnection:" not in data.lower():
            data = data[:-2] + b"connection: close\r\n\r\n"
        self.written += len(data)
        self._writes()
        return data


class _Body:
    """Watches that a body comes at the slowest rate at least, in each of its periods, and in pieces
    that are worth their framing: a chunk of one byte takes as much work as one of 10,000."""

    def __init__(self, connection: BoundedConnection) -> None:
        self.connection, self.wire = connection, 0
        self._begin()

    def _begin(self) -> None:
        self._before = self.wire
        seconds = self.connection.body_seconds
        self._timer = self.connection.loop.call_later(seconds, self._look)

    def _look(self) -> None:
        expected = self.connection.body_seconds * self.connection.slowest
        if self.wire - self._before < expected and not self.connection.flow.read_paused:
            self.connection.refuse_body(Refusal(408, "the body comes too slowly"))
        else:  # or it is the server that is slow
            self._begin()

    def came(self, size: int) -> None:
        """Count bytes of the connection."""
        self.wire += size
        body = self.connection.conn.body
        if self.wire - body > _FRAMING[0] + body * _FRAMING[1]:
            self.connection.refuse_body(Refusal(400, "the body comes in too many small chunks"))

    def end(self) -> None:
        """The body is complete, or its connection gone."""
        self._timer.cancel()


class BoundedConnection(H11Protocol):
    """An HTTP/1.1 connection of a server that holds so many, which counts from its acceptance on.

    When they are too many, one without a request makes room: of the address that has most of them
    (but for proxies, which speak for many), the oldest of those that have never had one, else that
    which is silent for longest, else one that does not take its reply. Where all have one, the new
    one is closed.
    """

    most = Bounds.max_connections
    header_seconds: float = Bounds.header_seconds
    body_seconds: float = Bounds.body_seconds
    write_seconds: float = Bounds.write_seconds
    slowest: float = Bounds.slowest_kb_s << 10
    tls: ssl.SSLContext | None = None
    _logged = -_LOG_SECONDS
    _deadline: asyncio.TimerHandle | None = None
    _body: _Body | None = None
    _unread: asyncio.TimerHandle | None = None
    _discards = False
    _early = b""  # what came between the end of a TLS handshake and our hearing of it
    conn: _Wire

    @classmethod
    def within(cls, bounds: Bounds, tls: ssl.SSLContext | None = None) -> type[BoundedConnection]:
        """Connections with these bounds; with `tls` they begin with its handshake."""
        cls.most, cls.tls = most_connections(bounds.max_connections), tls
        cls.header_seconds, cls.body_seconds = bounds.header_seconds, bounds.body_seconds
        cls.write_seconds, cls.slowest = bounds.write_seconds, bounds.slowest_kb_s << 10
        return cls

    def __init__(self, config: uvicorn.Config, *args: Any, **options: Any) -> None:
        super().__init__(config, *args, **options)
        self.conn = _Wire(config.h11_max_incomplete_event_size, self._expect_reading)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.since, self.transport = time.monotonic(), transport
        address = str((transport.get_extra_info("peername") or ("local",))[0])
        proxy = address in getattr(self.app, "trusted_hosts", ())
        self.network = "" if proxy else network_of(address)
        if len(self.connections) >= self.most and not self._make_room():
            transport.abort()
            return
        self._expect_headers()
        if self.tls is None:
            self._begin(transport)
        else:
            transport.pause_reading()  # until the handshake reads
            self.connections.add(self)
            self._securing = self.loop.create_task(self._secure(transport, self.tls))

    async def _secure(self, raw: asyncio.Transport, tls: ssl.SSLContext) -> None:
        """The handshake, within the time of the first request's head.

        asyncio's own server tells a protocol of a connection when that is over, after a minute at
        most, and until then nobody counts it.
        """
        seconds = self.header_seconds
        try:
            secure = await self.loop.start_tls(
                raw, self, tls, server_side=True, ssl_handshake_timeout=seconds
            )
        except OSError:  # that of TLS is one
            secure = None
        if secure is None or raw.is_closing():
            self._expect_nothing()
            self.connections.discard(self)
            raw.abort()
            return
        self._begin(secure)
        if self._early:
            self.data_received(self._early)
            self._early = b""

    def _begin(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        transport.set_write_buffer_limits(_UNSENT)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        self._expect_no_body()
        if self._unread is not None:
            self._unread.cancel()
        self.connections.discard(self)
        if self.flow is not None:  # it was let in
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.flow is None:
            self._early += data
            return
        for first in range(0, len(data), _PIECE):
            if self._discards or self.transport.is_closing():
                return
            self._parse(data[first : first + _PIECE])

    def _parse(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._expect_nothing()
        elif self._deadline is None:
            self._expect_headers()
        self._watch_body(len(data))

    def _watch_body(self, came: int = 0) -> None:
        if self.conn.their_state is not h11.SEND_BODY:
            self._expect_no_body()
        elif self._body is None:
            self._body = _Body(self)
        else:
            self._body.came(came)

    def on_response_complete(self) -> None:
        if self.conn.their_state is h11.SEND_BODY and not self.transport.is_closing():
            self.server_state.total_requests += 1
            self._discard()
        else:
            super().on_response_complete()
            self._watch_body()  # of the next request, which may have come with this one
        self.since = time.monotonic()
        if self.timeout_keep_alive_task is not None:  # uvicorn waits for the next request
            self._expect_nothing()

    def refuse_body(self, refusal: Refusal) -> None:
        """Have the guard refuse a request whose body is still coming."""
        if not (self.cycle is None or self.transport.is_closing()):
            scope: Scope = self.cycle.scope  # type: ignore[assignment]
            scope["xr2mri.body_refusal"] = refusal
            self.cycle.message_event.set()
            self._discard()

    def _discard(self) -> None:
        """Parse nothing any more. What is left of a body is taken for some time, for a client that
        sends all of it before it reads: closed at once, the connection would lose the reply."""
        if not self._discards:
            self._discards = True
            self._expect_no_body()
            self._expect_nothing()
            self._deadline = self.loop.call_later(self.body_seconds, self._late)
            self.flow.resume_reading()

    @property
    def silent(self) -> bool:
        """Whether it has no request that is to be answered."""
        return self.cycle is None or self.cycle.response_complete

    def _make_room(self) -> bool:
        if time.monotonic() - BoundedConnection._logged >= _LOG_SECONDS:
            BoundedConnection._logged = time.monotonic()
            log.warning("%d connections: silent ones are closed for new ones", self.most)
        held = [each for each in self.connections if isinstance(each, BoundedConnection)]
        silent = [each for each in held if each.silent]
        if not silent:
            return False
        of = Counter(each.network for each in held if each.network)

        def rank(each: BoundedConnection) -> tuple[object, ...]:
            unread = each.transport.get_write_buffer_size() > 0
            return -of[each.network], unread, each.cycle is not None, each.since

        first = min(silent, key=rank)
        self.connections.discard(first)
        first.transport.abort()
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

    def _expect_reading(self) -> None:
        """What is written now is to be taken in time, whatever becomes of the connection: asyncio
        waits without limit to close one whose last bytes nobody reads."""
        if self._unread is None:
            self._unread = self.loop.call_later(
                self.write_seconds, self._look_unread, self.conn.written
            )

    def _look_unread(self, written: int) -> None:
        self._unread = None
        unsent = self.transport.get_write_buffer_size()
        if self.conn.written - unsent < written:
            self.transport.abort()
        elif unsent:
            self._expect_reading()

    def _late(self) -> None:
        self.transport.abort()
