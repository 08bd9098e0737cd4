"""Access: who asks, and whether that role suffices for the route."""

from __future__ import annotations

from monai_app.lib.security.asgi import ASGIApp, Receive, Scope, Send, address_of, headers_of
from monai_app.lib.security.auth import (
    LOCAL,
    SESSION_HEADER,
    Authenticator,
    User,
    account_of,
    stranger,
    unauthorized,
)
from monai_app.lib.security.binding import is_loopback
from monai_app.lib.security.description import POLICY
from monai_app.lib.security.hosts import LOOPBACK_NAMES, host_of
from monai_app.lib.security.refusal import Refusal
from monai_app.lib.security.routes import Role, Route
from monai_app.lib.security.served import not_served
from monai_app.lib.security.settings import SecuritySettings

_FORWARDED = ("forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip")
_FORWARDED_ANYHOW = "x-forwarded-"


class Access:
    """Lets requests through whose sender has the role of their route, and says who that is.

    Args:
        app: the application behind.
        settings: whether there is a login, and who needs none.
        authenticator: finds out who asks.
    """

    def __init__(
        self, app: ASGIApp, settings: SecuritySettings, authenticator: Authenticator
    ) -> None:
        self.app, self.settings, self.authenticator = app, settings, authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers, route = headers_of(scope), scope["xr2mri.route"]
        local = is_local(scope, headers)
        if route.docs:
            if not {"on": True, "off": False, "auto": local}[self.settings.docs]:
                raise not_served()
            scope["xr2mri.headers"] |= {"Content-Security-Policy": POLICY}
        user = await self._user(scope, headers, route, local)
        scope["xr2mri.account"] = account_of(address_of(scope))
        if user is not None:
            scope["xr2mri.user"], scope["xr2mri.role"] = user.name, user.role
            scope["xr2mri.account"] = user.account
        await self.app(scope, receive, send)

    async def _user(
        self, scope: Scope, headers: dict[str, list[str]], route: Route, local: bool
    ) -> User | None:
        if route.role is Role.NOBODY:
            return None
        sent = headers.get("authorization", [])
        if len(sent) > 1:
            raise Refusal(400, "one Authorization header is accepted")
        if sent and "xr2mri.foreign" in scope and not sent[0].lower().startswith("bearer "):
            # a browser that remembers a basic login sends it along, whichever page asks
            raise Refusal(403, "a page of another origin logs in by a bearer token, and only so")
        if sent and self.settings.authentication:
            user = await self.authenticator.identify(sent[0], address_of(scope) or "local")
        elif self.settings.login_needed:
            raise unauthorized("log in first: POST /auth/token, or send a basic login")
        elif self.settings.allow_anonymous_remote:
            # at this machine, too: a relay that adds no headers looks like it (stunnel, ssh -L)
            user = stranger(address_of(scope), headers.get(SESSION_HEADER, []))
        elif local and not self.settings.authentication:
            user = LOCAL
        else:
            raise Refusal(403, "this server serves its own machine only: no login is configured")
        if user.role < route.role:
            raise Refusal(403, f"this needs the role {route.role.name.lower()}")
        return user


def is_local(scope: Scope, headers: dict[str, list[str]]) -> bool:
    """Whether a request comes from this machine, and not through a proxy on it.

    A proxy that says nothing of itself is known by its HTTP: nginx speaks 1.0 unless it is set to
    speak another, and hands on an address of this machine as the host.
    """
    host = host_of(headers)
    return (
        is_loopback(address_of(scope, "server"))
        and is_loopback(address_of(scope))
        and host is not None
        and host[1] in LOOPBACK_NAMES
        and scope.get("http_version") != "1.0"
        and not any(name in _FORWARDED or name.startswith(_FORWARDED_ANYHOW) for name in headers)
    )
