"""Origins: a page of another origin may not even ask, unless its origin is allowed.

Starlette's CORSMiddleware answers such a page without CORS headers, but lets its request through.
"""

from __future__ import annotations

from monai_app.lib.security.asgi import ASGIApp, Receive, Scope, Send, headers_of
from monai_app.lib.security.hosts import host_of
from monai_app.lib.security.refusal import Refusal
from monai_app.lib.security.served import method_not_served
from monai_app.lib.security.settings import ANY_ORIGIN, SecuritySettings


class KnownOrigins:
    """Lets requests of allowed pages through, and answers their questions beforehand (CORS).

    They are marked as foreign (``xr2mri.foreign``), see `Access`.

    Args:
        app: the application behind.
        settings: settings, which hold the origins.
    """

    def __init__(self, app: ASGIApp, settings: SecuritySettings) -> None:
        self.app, self.settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["xr2mri.headers"] |= self._cors(scope)
        await self.app(scope, receive, send)

    def _cors(self, scope: Scope) -> dict[str, str]:
        headers, routes = headers_of(scope), scope["xr2mri.served"]
        origins = headers.get("origin", [])
        if not origins:
            site = headers.get("sec-fetch-site", [""])[0]
            opened = scope["method"] == "GET" and headers.get("sec-fetch-mode") == ["navigate"]
            if site in ("cross-site", "same-site") and not opened:
                raise Refusal(403, "requests of other web pages are not allowed")
            return {}
        origin, host = origins[0].lower(), host_of(headers)
        own = {f"{scheme}://{host[0]}" for scheme in ("http", "https")} if host else set()
        if len(origins) == 1 and origin in own:
            return {}
        if len(origins) > 1 or not {origin, ANY_ORIGIN} & set(self.settings.allowed_origins):
            raise Refusal(
                403, "this origin is not allowed: the administrator sets it in allowed_origins"
            )
        scope["xr2mri.foreign"] = True
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
                raise method_not_served(routes)
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
