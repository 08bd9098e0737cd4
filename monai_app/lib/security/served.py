"""Routes: requests for what is not served are refused before the application sees them."""

from __future__ import annotations

from collections.abc import Iterable

from monai_app.lib.security.asgi import ASGIApp, Receive, Scope, Send
from monai_app.lib.security.refusal import Refusal
from monai_app.lib.security.routes import Served


class ServedPaths:
    """Lets requests for paths through that are served, and says with which methods they are.

    Args:
        app: the application behind.
        served: routes of the application.
    """

    def __init__(self, app: ASGIApp, served: Served) -> None:
        self.app, self.served = app, served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, root = scope["path"], scope.get("root_path", "").rstrip("/")
        if root and path.startswith(f"{root}/"):
            path = path[len(root) :]
        scope["xr2mri.served"] = self.served.methods_of(path)
        if not scope["xr2mri.served"]:
            raise not_served()
        await self.app(scope, receive, send)


class ServedMethods:
    """Lets requests through whose method their path has, and says which route they are.

    Args:
        app: the application behind.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        routes = scope["xr2mri.served"]
        if scope["method"] not in routes:
            raise method_not_served(routes)
        scope["xr2mri.route"] = routes[scope["method"]]
        await self.app(scope, receive, send)


class KnownParameters:
    """Lets requests through whose query has parameters of their route only.

    Args:
        app: the application behind.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["xr2mri.route"].check_query(scope.get("query_string", b""))
        await self.app(scope, receive, send)


def not_served() -> Refusal:
    """404: there is no such path."""
    return Refusal(404, "not served here: /info/ tells what is")


def method_not_served(methods: Iterable[str]) -> Refusal:
    """405: the path has other methods."""
    allowed = ", ".join(methods)
    return Refusal(405, f"accepted here: {allowed}", {"Allow": allowed})
