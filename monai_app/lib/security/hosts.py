"""Hosts: a page that rebinds its name to this server's address sends another ``Host``."""

from __future__ import annotations

import re

from monai_app.lib.security.asgi import ASGIApp, Receive, Scope, Send, address_of, headers_of
from monai_app.lib.security.binding import is_loopback
from monai_app.lib.security.refusal import Refusal
from monai_app.lib.security.settings import SecuritySettings

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HOST_HEADER = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9]([a-z0-9.-]*[a-z0-9])?)(:[0-9]{1,5})?")


class KnownHosts:
    """Lets a request through that came to this server by one of its names.

    Starlette's TrustedHostMiddleware takes several headers and malformed names, and knows nothing
    of the address that a request came by.

    Args:
        app: the application behind.
        settings: settings, which hold the names.
        loopback_only: whether what came in by another address is refused.
    """

    def __init__(self, app: ASGIApp, settings: SecuritySettings, loopback_only: bool) -> None:
        self.app, self.settings, self.loopback_only = app, settings, loopback_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        came_by = address_of(scope, "server")
        if self.loopback_only and not is_loopback(came_by):
            raise Refusal(403, "this server serves its own machine only")
        match = host_of(headers_of(scope))
        if match is None:
            raise Refusal(400, "one Host header with a valid name is needed")
        name = match[1]
        known = name in LOOPBACK_NAMES or name in self.settings.hosts
        if not known and name.strip("[]") != came_by:  # an address cannot be rebound
            raise Refusal(
                400, "this host name is not served: the administrator sets it as public_host"
            )
        await self.app(scope, receive, send)


def host_of(headers: dict[str, list[str]]) -> re.Match[str] | None:
    """The one ``Host`` of a request, and in its first group the name; None if it is malformed."""
    values = headers.get("host", [])
    return _HOST_HEADER.fullmatch(values[0].lower()) if len(values) == 1 else None
