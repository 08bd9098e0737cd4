"""Limits: how much one request brings along, and how many of them one user has under way."""

from __future__ import annotations

import asyncio
import math
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary

from python_multipart.multipart import parse_options_header

from monai_app.lib.quotas import Claim, QuotaFull
from monai_app.lib.security.asgi import (
    ASGIApp,
    Message,
    Receive,
    Scope,
    Send,
    headers_of,
)
from monai_app.lib.security.refusal import Refusal
from monai_app.lib.security.settings import SecuritySettings

_PIECE = 16 << 10  # bytes of a body that are parsed at a time


class HeaderLimits:
    """Lets requests through with so many headers, and so long a query.

    Args:
        app: the application behind.
        settings: settings, which hold the bounds.
    """

    def __init__(self, app: ASGIApp, settings: SecuritySettings) -> None:
        self.app, self.settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw, most, kib = scope["headers"], self.settings.max_headers, self.settings.max_header_kb
        if len(raw) > most or sum(len(name) + len(value) for name, value in raw) > kib << 10:
            raise Refusal(431, f"at most {most} headers of {kib << 10} bytes in all")
        if len(scope.get("query_string", b"")) > self.settings.max_query_kb << 10:
            raise Refusal(414, f"a query has at most {self.settings.max_query_kb << 10} bytes")
        await self.app(scope, receive, send)


class Requests:
    """Lets so many requests of one user through at a time.

    Args:
        app: the application behind.
        settings: settings, which hold the bound and say whether there are several users.
    """

    def __init__(self, app: ASGIApp, settings: SecuritySettings) -> None:
        self.app, self.settings = app, settings
        self._under_way: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._counted(scope["xr2mri.account"]):
            await self.app(scope, receive, send)

    @contextmanager
    def _counted(self, account: str) -> Iterator[None]:
        most = self.settings.requests_user
        if self.settings.shared and self._under_way[account] >= most:
            raise Refusal(429, f"{most} requests of yours are under way", {"Retry-After": "1"})
        self._under_way[account] += 1
        try:
            yield
        finally:
            self._under_way[account] -= 1
            self._under_way += Counter()  # those with none are left out


class BodyLimits:
    """Lets bodies through as far as their route, and their user's uploads, have room, and a small
    piece at a time.

    Args:
        app: the application behind.
        settings: settings, which hold the bounds.
    """

    def __init__(self, app: ASGIApp, settings: SecuritySettings) -> None:
        self.app, self.settings = app, settings
        self.uploads, self.turns = settings.quota("uploads"), _Turns()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers, upload = headers_of(scope), scope["xr2mri.route"].upload
        limit = self._limit(headers, upload)
        claim = self.uploads.claim(scope["xr2mri.account"]) if upload else None
        small = self.settings.max_body_kb << 10
        body = _Body(scope, receive, send, self.turns, limit, small, claim)
        try:
            body.count(int(headers.get("content-length", ["0"])[0]), 0)
            await self.app(scope, body.receive, body.send)
        except Exception:
            if body.refusal is None:
                raise
        finally:
            body.release()
        if body.refusal is not None:  # an application that was left in the middle may stumble
            raise body.refusal

    def _limit(self, headers: dict[str, list[str]], upload: bool) -> int:
        """The most bytes of the body; what is announced is checked at once."""
        kind = _kind(headers)
        if headers.get("content-encoding", ["identity"]) != ["identity"]:
            raise Refusal(415, "compressed requests are not accepted")
        lengths = headers.get("content-length", [])
        if lengths and ("transfer-encoding" in headers or len(lengths) > 1):
            raise Refusal(400, "the length of the body is given more than once")
        if "transfer-encoding" in headers and not upload:
            raise Refusal(411, "a body in chunks is an upload; elsewhere send its Content-Length")
        limit = self.settings.max_body_kb << 10
        limit += self.settings.max_upload_bytes if upload else 0
        if kind == b"application/x-www-form-urlencoded":
            limit = min(limit, self.settings.max_form_kb << 10)
        if lengths:
            if not re.fullmatch(r"[0-9]{1,18}", lengths[0]):
                raise Refusal(400, "Content-Length is a number")
            if int(lengths[0]) > limit:
                raise _too_large(limit)
        return limit


class _Turns:
    """Who parses a piece of a body next.

    Forms are parsed where requests are answered. A piece can be made to take 3 ms there, and many
    clients can have one ready: all of them at once would keep everybody waiting for seconds. So it
    is one piece, of each user in turn, and between two whatever else is to be answered.
    """

    def __init__(self) -> None:
        self._one = asyncio.Lock()
        self._own: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def comes(self, account: str) -> None:
        """Wait for the turn of a user; what is done before the next `await` is in it."""
        async with self._own.setdefault(account, asyncio.Lock()), self._one:
            await asyncio.sleep(0)


class _Body:
    """A body that is counted while it comes; what is too much ends it for the application."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        turns: _Turns,
        limit: int,
        small: int,
        claim: Claim | None,
    ) -> None:
        self.refusal: Refusal | None = None
        self._scope, self._receive, self._send, self._claim = scope, receive, send, claim
        self._limit, self._small, self._received = limit, small, 0
        self._turns, self._piece, self._more = turns, memoryview(b""), True

    def count(self, announced: int, received: int) -> None:
        """Raises Refusal: it is too large, or its user's uploads are."""
        self._received += received
        if self._received > self._limit:
            raise _too_large(self._limit)
        size = max(announced, self._received)
        if self._claim is None or size <= max(self._small, self._claim.size):
            return
        try:
            self._claim.grow(size - self._claim.size)
        except QuotaFull as full:
            seconds = str(math.ceil(full.retry_after))
            raise Refusal(429, str(full), {"Retry-After": seconds}) from None

    async def receive(self) -> Message:
        if self.refusal is None and not self._piece:
            message = await self._receive()
            self._look(len(message.get("body", b"")))
            if self.refusal is None and not message.get("body"):
                return message
            self._piece = memoryview(message.get("body", b""))
            self._more = message.get("more_body", False)
        if self.refusal is None:
            await self._turns.comes(self._scope["xr2mri.account"])
            self._look(0)
        if self.refusal is None:
            piece, self._piece = bytes(self._piece[:_PIECE]), self._piece[_PIECE:]
            more = self._more or bool(self._piece)
            return {"type": "http.request", "body": piece, "more_body": more}
        return {"type": "http.disconnect"}

    def _look(self, received: int) -> None:
        """Count what has come, and notice what else there is to refuse."""
        self.refusal = self._scope.get("xr2mri.body_refusal")
        try:
            self.count(0, received)
        except Refusal as refusal:
            self.refusal = refusal

    async def send(self, message: Message) -> None:
        if self.refusal is None:
            await self._send(message)

    def release(self) -> None:
        """The request is over, and the body with it."""
        if self._claim is not None:
            self._claim.give_back()


def _kind(headers: dict[str, list[str]]) -> bytes:
    """The media type of the body, which is in UTF-8.

    The parser of forms would decode a field by any codec of Python that its sender names, and some
    take seconds a megabyte. The header is read here as that parser reads it.
    """
    sent = headers.get("content-type", [])
    if len(sent) > 1:
        raise Refusal(400, "one Content-Type header is accepted")
    kind, options = parse_options_header(sent[0] if sent else None)
    if options.get(b"charset", b"utf-8").lower() not in (b"utf-8", b"utf8"):
        raise Refusal(415, "the charset of a body is UTF-8")
    return kind


def _too_large(limit: int) -> Refusal:
    return Refusal(413, f"the request is too large: at most {limit} bytes are accepted here")
