"""Answers: one reply to each request, with the server's headers and without its secrets.

Refusals and failures of what is behind become replies here; security headers are set, what names
the software is dropped, and server paths and tracebacks are taken out.
"""

from __future__ import annotations

import json
import logging

from monai_app.lib.security.asgi import ASGIApp, Message, RawHeaders, Receive, Scope, Send
from monai_app.lib.security.refusal import Refusal
from monai_app.lib.security.scrub import ScrubbedStream, Scrubber

_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_DROPPED = frozenset({b"server", b"x-powered-by", b"etag", b"last-modified"})

log = logging.getLogger("xr2mri.security")


class Answers:
    """Answers with what the application behind sends, or says why it does not.

    Args:
        app: the application behind.
        scrubber: knows the paths that no reply may name.
    """

    def __init__(self, app: ASGIApp, scrubber: Scrubber) -> None:
        self.app, self.scrubber = app, scrubber

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id, gone = scope["xr2mri.request_id"], False
        scope["xr2mri.headers"] = {**_SECURITY_HEADERS, "X-Request-ID": request_id}
        reply = _Reply(send, self.scrubber, scope)

        async def watched() -> Message:
            nonlocal gone
            message = {"type": "http.disconnect"} if gone else await receive()
            gone = message["type"] == "http.disconnect"
            return message

        try:
            await self.app(scope, watched, reply)
        except Refusal as refusal:
            await reply.refuse(refusal)
        except Exception:
            if gone:  # an application that was left in the middle may stumble
                return
            log.exception("request %s failed", request_id)
            if reply.status is not None and not reply.closed:
                raise  # half a reply is out: the server has to cut the connection
            await reply.refuse(_internal_error(request_id))


class _Reply:
    """The ``send`` of the application: one reply, with our headers and without our secrets."""

    def __init__(self, send: Send, scrubber: Scrubber, scope: Scope) -> None:
        self.status: int | None = None
        self.closed = False
        self._send, self._scrubber, self._scope = send, scrubber, scope
        self._request_id: str = scope["xr2mri.request_id"]
        self._held: Message | None = None
        self._stream: ScrubbedStream | None = None

    async def refuse(self, refusal: Refusal) -> None:
        """Send a refusal instead of a reply, if none has begun; ends the reply in any case."""
        if self.closed or self.status is not None:
            self.closed = True
            return
        self.closed, self.status = True, refusal.status
        content: dict[str, str] = {"detail": refusal.detail}
        if refusal.status == 500:
            content["request_id"] = self._request_id
        body = b"" if refusal.status == 204 else json.dumps(content).encode()
        self._scope["xr2mri.headers"] |= refusal.headers
        headers: RawHeaders = []
        if body:
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
            ]
        start = {"type": "http.response.start", "status": refusal.status}
        await self._send({**start, "headers": self._with_ours(headers)})
        await self._send({"type": "http.response.body", "body": body})

    async def __call__(self, message: Message) -> None:
        if self.closed:
            return
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif message["type"] == "http.response.body" and self._stream:
            last = not message.get("more_body", False)
            body = self._stream.feed(message.get("body", b""), last)
            await self._release(len(body) if last else None)
            await self._send({**message, "body": body})
        else:
            await self._send(message)

    async def _begin(self, message: Message) -> None:
        if message["status"] == 500:
            log.error("request %s: the application replied 500", self._request_id)
            await self.refuse(_internal_error(self._request_id))
            return
        self.status = message["status"]
        headers: RawHeaders = list(message.get("headers", []))
        kind = next((value for name, value in headers if name.lower() == b"content-type"), b"")
        encoded = any(name.lower() == b"content-encoding" for name, _ in headers)
        message = {**message, "headers": self._with_ours(headers)}
        if not encoded and (b"json" in kind or kind.startswith(b"text/")):
            self._stream = ScrubbedStream(self._scrubber, json=b"json" in kind)
            self._held = message  # until the length of what is left is known
        else:
            await self._send(message)

    async def _release(self, length: int | None) -> None:
        if self._held is None:
            return
        start, self._held = self._held, None
        had = any(name == b"content-length" for name, _ in start["headers"])
        headers = [pair for pair in start["headers"] if pair[0] != b"content-length"]
        if had and length is not None:
            headers.append((b"content-length", str(length).encode()))
        await self._send({**start, "headers": headers})

    def _with_ours(self, headers: RawHeaders) -> RawHeaders:
        more: dict[str, str] = self._scope["xr2mri.headers"]
        replaced = {name.lower().encode() for name in more} | _DROPPED
        kept = [
            (name.lower(), self._scrubber.scrub(value))
            for name, value in headers
            if name.lower() not in replaced and not name.lower().startswith(b"access-control-")
        ]
        return kept + [(name.lower().encode(), text.encode()) for name, text in more.items()]


def _internal_error(request_id: str) -> Refusal:
    return Refusal(500, f"the server failed; its log tells why, under the request {request_id}")
