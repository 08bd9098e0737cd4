"""The guard: every request passes here before anything of MONAI Label sees it, and every reply.

A middleware a job, each small enough to be read at once; what one of them refuses, none behind it
sees. Pure ASGI: bodies stream through, `http.disconnect` reaches the application.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from monai_app.lib.security.access import Access
from monai_app.lib.security.answers import Answers
from monai_app.lib.security.asgi import ASGIApp, Receive, Scope, Send
from monai_app.lib.security.audit import Audited, AuditLog, WhileAudited
from monai_app.lib.security.auth import Authenticator
from monai_app.lib.security.binding import LOOPBACK, is_loopback
from monai_app.lib.security.hosts import KnownHosts
from monai_app.lib.security.limits import BodyLimits, HeaderLimits, Requests
from monai_app.lib.security.origins import KnownOrigins
from monai_app.lib.security.routes import Served
from monai_app.lib.security.scrub import Scrubber
from monai_app.lib.security.served import KnownParameters, ServedMethods, ServedPaths
from monai_app.lib.security.settings import SecuritySettings


class Guard:
    """An ASGI application that lets through to another what is allowed (`asgi` says more).

    Args:
        app: the application behind.
        settings: what is allowed.
        served: its routes, with who may use them.
        authenticator: finds out who asks; made from the settings by default.
        audit: the audit log; made from the settings by default.
        host: address on which the server listens. With a loopback address, requests that came
            in by another one are refused.
        folders: folders of the server that no reply may name, besides those that every path
            betrays.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: SecuritySettings,
        served: Served,
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
        # from the application outwards: the last one sees a request first
        guarded: ASGIApp = KnownParameters(app)
        guarded = BodyLimits(guarded, settings)
        guarded = Requests(guarded, settings)
        guarded = Access(guarded, settings, self.authenticator)
        guarded = WhileAudited(guarded, self.audit)
        guarded = ServedMethods(guarded)
        guarded = KnownOrigins(guarded, settings)
        guarded = ServedPaths(guarded, served)
        guarded = KnownHosts(guarded, settings, loopback_only=is_loopback(host))
        guarded = HeaderLimits(guarded, settings)
        guarded = Answers(guarded, Scrubber(folders, served))
        self._guarded = Audited(guarded, self.audit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._guarded(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})
