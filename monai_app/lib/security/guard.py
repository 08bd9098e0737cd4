"""The guard: every request passes here before anything of MONAI Label sees it, and every reply.

A request is let through if its ``Host`` is a name of this server, its route is served, its origin
is allowed, its sender has the role, and its size and parameters are what the route takes; these are
checked in this order, and the first fault ends it. Of a reply the guard sets the security headers,
drops what names the software, and takes out server paths and tracebacks.

Pure ASGI: bodies stream through, `http.disconnect` reaches the application.
"""

from __future__ import annotations

import json
import logging
import math
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from python_multipart.multipart import parse_options_header

from monai_app.lib.quotas import Claim, Quota, QuotaFull
from monai_app.lib.security.audit import AuditLog
from monai_app.lib.security.auth import (
    LOCAL,
    SESSION_HEADER,
    Authenticator,
    User,
    account_of,
    stranger,
    unauthorized,
)
from monai_app.lib.security.binding import LOOPBACK, is_loopback
from monai_app.lib.security.description import POLICY
from monai_app.lib.security.refusal import Refusal
from monai_app.lib.security.routes import Role, Route, methods_of
from monai_app.lib.security.scrub import ScrubbedStream, Scrubber
from monai_app.lib.security.settings import ANY_ORIGIN, SecuritySettings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
RawHeaders = list[tuple[bytes, bytes]]

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HOST_HEADER = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9]([a-z0-9.-]*[a-z0-9])?)(:[0-9]{1,5})?")
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
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


class Guard:
    """An ASGI application that lets through to another what is allowed.

    For the application behind it the scope has ``xr2mri.user`` (name), ``xr2mri.role``,
    ``xr2mri.account`` (who is counted for what is taken), ``xr2mri.request_id``, and
    ``xr2mri.audit``, a dict to add to (:data:`.audit.FIELDS`).

    Args:
        app: the application behind.
        settings: what is allowed.
        authenticator: tells who asks; made from the settings by default.
        audit: the audit log; made from the settings by default.
        host: that the server was told to listen on. With a loopback address, requests that came
            in by another one are refused.
        folders: of the server that no reply may name, besides those that every path betrays.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: SecuritySettings,
        *,
        authenticator: Authenticator | None = None,
        audit: AuditLog | None = None,
        host: str = LOOPBACK,
        folders: Iterable[Path | str] = (),
    ) -> None:
        self.app, self.settings = app, settings
        self.authenticator = authenticator or Authenticator(settings)
        self.audit = audit or AuditLog(
            settings.audit_file, settings.audit_max_mb, settings.audit_keep
        )
        self.loopback_only = is_loopback(host)
        self.uploads, self._under_way = settings.quota("uploads"), Counter[str]()
        self.scrubber = Scrubber(folders)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        scope["xr2mri.request_id"] = request_id = uuid4().hex[:16]
        scope["xr2mri.audit"] = {}
        reply = _Reply(send, self.scrubber, request_id)
        body = _Body(receive, reply, self.settings.max_body_kb << 10)
        try:
            await self._admit(scope, body, reply)
            with self._counted(scope["xr2mri.account"]):
                await self.app(scope, body, reply)
        except Refusal as refusal:
            await reply.refuse(refusal)
        except Exception:
            if not body.gone:  # an application that was left in the middle may stumble
                log.exception("request %s failed", request_id)
                if reply.status is not None and not reply.closed:
                    raise  # half a reply is out: the server has to cut the connection
                await reply.refuse(_internal_error(request_id))
        finally:
            body.release()
            route: Route | None = scope.get("xr2mri.route")
            self.audit.write(
                request_id=request_id,
                user=scope.get("xr2mri.user"),
                address=_address(scope, "client"),
                method=scope["method"],
                route=route.path if route else None,
                status=reply.status,
                milliseconds=(time.perf_counter() - started) * 1000,
                fields=scope["xr2mri.audit"],
            )

    async def _admit(self, scope: Scope, body: _Body, reply: _Reply) -> None:
        """Let a request through by returning.

        Raises:
            Refusal: it is not.
        """
        headers = self._headers(scope)
        host = self._check_host(scope, headers)
        routes = self._routes_of(scope)
        reply.add(self._check_origin(scope, headers, host[0], routes))
        route = _route(scope["method"], routes)
        scope["xr2mri.route"] = route
        if route.path != "/health" and not self.audit.ready():
            raise Refusal(507, "the audit log cannot be written: tell the administrator")
        local = self._is_local(scope, headers, host[1])
        shown = {"on": True, "off": False, "auto": local}[self.settings.docs]
        if route.docs and not shown:
            raise _not_served()
        if route.docs:
            reply.add({"Content-Security-Policy": POLICY})
        user = await self._check_role(scope, headers, route, local)
        account = account_of(_address(scope, "client"))
        if user is not None:
            scope["xr2mri.user"], scope["xr2mri.role"], account = user.name, user.role, user.account
        scope["xr2mri.account"] = account
        body.limit = self._check_size(headers, route)
        route.check_query(scope.get("query_string", b""))
        if route.upload:
            body.claim(self.uploads, account, int(headers.get("content-length", ["0"])[0]))

    @contextmanager
    def _counted(self, account: str) -> Iterator[None]:
        """A request is under way meanwhile; raises Refusal where a user has too many."""
        most = self.settings.requests_user
        if self._under_way[account] >= most and self.settings.shared:
            raise Refusal(429, f"{most} requests of yours are under way", {"Retry-After": "1"})
        self._under_way[account] += 1
        try:
            yield
        finally:
            self._under_way[account] -= 1
            self._under_way += Counter()  # those with none are left out

    def _headers(self, scope: Scope) -> dict[str, list[str]]:
        raw, most, kib = scope["headers"], self.settings.max_headers, self.settings.max_header_kb
        if len(raw) > most or sum(len(name) + len(value) for name, value in raw) > kib << 10:
            raise Refusal(431, f"at most {most} headers of {kib << 10} bytes in all")
        if len(scope.get("query_string", b"")) > self.settings.max_query_kb << 10:
            raise Refusal(414, f"a query has at most {self.settings.max_query_kb << 10} bytes")
        headers: dict[str, list[str]] = {}
        for name, value in raw:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        return headers

    def _check_host(self, scope: Scope, headers: dict[str, list[str]]) -> re.Match[str]:
        """The ``Host`` of a request: a page that rebinds its name to this server has another."""
        came_by = _address(scope, "server")
        if self.loopback_only and not is_loopback(came_by):
            raise Refusal(403, "this server serves its own machine only")
        values = headers.get("host", [])
        match = _HOST_HEADER.fullmatch(values[0].lower()) if len(values) == 1 else None
        if match is None:
            raise Refusal(400, "one Host header with a valid name is needed")
        name = match[1]
        known = name in _LOOPBACK_NAMES or name in self.settings.hosts
        if not known and name.strip("[]") != came_by:  # an address cannot be rebound
            raise Refusal(
                400, "this host name is not served: the administrator sets it as public_host"
            )
        return match

    def _routes_of(self, scope: Scope) -> dict[str, Route]:
        path, root = scope["path"], scope.get("root_path", "").rstrip("/")
        if root and path.startswith(f"{root}/"):
            path = path[len(root) :]
        routes = methods_of(path)
        if not routes:
            raise _not_served()
        return routes

    def _check_origin(
        self, scope: Scope, headers: dict[str, list[str]], host: str, routes: dict[str, Route]
    ) -> dict[str, str]:
        """The CORS headers of the reply; a page of another origin may not even ask."""
        origins = headers.get("origin", [])
        if not origins:
            site = headers.get("sec-fetch-site", [""])[0]
            opened = scope["method"] == "GET" and headers.get("sec-fetch-mode") == ["navigate"]
            if site in ("cross-site", "same-site") and not opened:
                raise Refusal(403, "requests of other web pages are not allowed")
            return {}
        origin = origins[0].lower()
        if len(origins) == 1 and origin in (f"http://{host}", f"https://{host}"):
            return {}
        if len(origins) > 1 or not {origin, ANY_ORIGIN} & set(self.settings.allowed_origins):
            raise Refusal(
                403, "this origin is not allowed: the administrator sets it in allowed_origins"
            )
        everyone = ANY_ORIGIN in self.settings.allowed_origins
        cors = {
            "Access-Control-Allow-Origin": ANY_ORIGIN if everyone else origin,
            "Access-Control-Expose-Headers": "Content-Disposition, Retry-After, X-Request-ID, "
            "X-Slices-Done",
            "Cross-Origin-Resource-Policy": "cross-origin",
            "Vary": "Origin",
        }
        asked = headers.get("access-control-request-method", [])
        if scope["method"] == "OPTIONS" and asked:
            if asked[0] not in routes:
                raise _method_not_served(routes)
            raise Refusal(
                204,
                "",
                cors
                | {
                    "Access-Control-Allow-Methods": ", ".join(routes),
                    "Access-Control-Allow-Headers": "Authorization, Content-Type, "
                    "Idempotency-Key, X-Session",
                    "Access-Control-Max-Age": "600",
                },
            )
        return cors

    def _is_local(self, scope: Scope, headers: dict[str, list[str]], name: str) -> bool:
        """Whether a request comes from this machine, and not through a proxy on it."""
        return (
            is_loopback(_address(scope, "server"))
            and is_loopback(_address(scope, "client"))
            and name in _LOOPBACK_NAMES
            and not any(name in headers for name in _FORWARDED)
        )

    async def _check_role(
        self, scope: Scope, headers: dict[str, list[str]], route: Route, local: bool
    ) -> User | None:
        if route.role is Role.NOBODY:
            return None
        sent = headers.get("authorization", [])
        if len(sent) > 1:
            raise Refusal(400, "one Authorization header is accepted")
        if sent and self.settings.authentication:
            address = _address(scope, "client") or "local"
            user = await self.authenticator.identify(sent[0], address)
        elif self.settings.login_needed:
            raise unauthorized("log in first: POST /auth/token, or send a basic login")
        elif local and not self.settings.authentication:
            user = LOCAL
        elif self.settings.allow_anonymous_remote:
            user = stranger(_address(scope, "client"), headers.get(SESSION_HEADER, []))
        else:
            raise Refusal(403, "this server serves its own machine only: no login is configured")
        if user.role < route.role:
            raise Refusal(403, f"this needs the role {route.role.name.lower()}")
        return user

    def _check_size(self, headers: dict[str, list[str]], route: Route) -> int:
        """The most bytes of the body; what is announced is checked at once."""
        kind = _kind(headers)
        if headers.get("content-encoding", ["identity"]) != ["identity"]:
            raise Refusal(415, "compressed requests are not accepted")
        lengths = headers.get("content-length", [])
        if lengths and ("transfer-encoding" in headers or len(lengths) > 1):
            raise Refusal(400, "the length of the body is given more than once")
        limit = self.settings.max_body_kb << 10
        limit += self.settings.max_upload_bytes if route.upload else 0
        if kind == b"application/x-www-form-urlencoded":
            limit = min(limit, self.settings.max_form_kb << 10)
        if lengths:
            if not re.fullmatch(r"[0-9]{1,18}", lengths[0]):
                raise Refusal(400, "Content-Length is a number")
            if int(lengths[0]) > limit:
                raise _too_large(limit)
        return limit


class _Body:
    """The ``receive`` of the application: counts, and ends what is too much."""

    def __init__(self, receive: Receive, reply: _Reply, limit: int) -> None:
        self.limit, self.gone = limit, False
        self._receive, self._reply, self._received = receive, reply, 0
        self._small, self._claim = limit, Claim.of_nobody()

    def claim(self, uploads: Quota, account: str, announced: int) -> None:
        """Count the body among a user's uploads, if it is a large one; raises Refusal."""
        self._claim = uploads.claim(account)
        self._grow(announced)

    def release(self) -> None:
        """The request is over, and the body with it."""
        self._claim.give_back()

    def _grow(self, size: int) -> None:
        more = size - self._claim.size
        if self._small < size <= self.limit and more > 0:
            try:
                self._claim.grow(more)
            except QuotaFull as full:
                seconds = str(math.ceil(full.retry_after))
                raise Refusal(429, str(full), {"Retry-After": seconds}) from None

    async def __call__(self) -> Message:
        if self.gone:
            return {"type": "http.disconnect"}
        message = await self._receive()
        self.gone = message["type"] == "http.disconnect"
        self._received += len(message.get("body", b""))
        try:
            if self._received > self.limit:
                raise _too_large(self.limit)
            self._grow(self._received)
        except Refusal as refusal:
            await self._reply.refuse(refusal)
            self.gone = True
            return {"type": "http.disconnect"}
        return message


class _Reply:
    """The ``send`` of the application: one reply, with our headers and without our secrets."""

    def __init__(self, send: Send, scrubber: Scrubber, request_id: str) -> None:
        self.status: int | None = None
        self.closed = False
        self._send, self._scrubber, self._request_id = send, scrubber, request_id
        self._more = {**_SECURITY_HEADERS, "X-Request-ID": request_id}
        self._held: Message | None = None
        self._stream: ScrubbedStream | None = None

    def add(self, headers: dict[str, str]) -> None:
        """More headers for whatever is sent."""
        self._more |= headers

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
        self.add(refusal.headers)
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
        replaced = {name.lower().encode() for name in self._more} | _DROPPED
        kept = [
            (name.lower(), self._scrubber.scrub(value))
            for name, value in headers
            if name.lower() not in replaced and not name.lower().startswith(b"access-control-")
        ]
        return kept + [(name.lower().encode(), text.encode()) for name, text in self._more.items()]


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


def _route(method: str, routes: dict[str, Route]) -> Route:
    if method not in routes:
        raise _method_not_served(routes)
    return routes[method]


def _address(scope: Scope, end: str) -> str | None:
    value = scope.get(end)
    return value[0] if value else None


def _not_served() -> Refusal:
    return Refusal(404, "not served here: /info/ tells what is")


def _method_not_served(routes: dict[str, Route]) -> Refusal:
    allowed = ", ".join(routes)
    return Refusal(405, f"accepted here: {allowed}", {"Allow": allowed})


def _too_large(limit: int) -> Refusal:
    return Refusal(413, f"the request is too large: at most {limit} bytes are accepted here")


def _internal_error(request_id: str) -> Refusal:
    return Refusal(500, f"the server failed; its log tells why, under the request {request_id}")
