"""What the middlewares of the guard hand to each other: ASGI, and some keys of the scope.

``xr2mri.headers`` are set on whatever reply goes out; ``xr2mri.served`` are the routes of the path,
``xr2mri.route`` is that of the request; ``xr2mri.user`` (name), ``xr2mri.role`` and
``xr2mri.account`` (who is counted for what is taken) say who asks; ``xr2mri.request_id`` names the
request, ``xr2mri.audit`` is a dict to add to (`audit.FIELDS`), and ``xr2mri.generation`` is true
once it has started one. By ``xr2mri.body_refusal`` the connection has a request refused whose body
is still coming (`connections`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
RawHeaders = list[tuple[bytes, bytes]]


def headers_of(scope: Scope) -> dict[str, list[str]]:
    """The headers of a request: all values of each name, in lower case."""
    headers: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return headers


def address_of(scope: Scope, end: str = "client") -> str | None:
    """The address of the ``client``, or that of the ``server`` that it came by."""
    value = scope.get(end)
    return value[0] if value else None
