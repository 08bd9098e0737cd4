"""Puts the guard before an application: the one call that the app's ``main.py`` makes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI

from monai_app.lib.security.audit import AuditLog
from monai_app.lib.security.auth import Authenticator
from monai_app.lib.security.binding import bind, start_of
from monai_app.lib.security.description import description_router
from monai_app.lib.security.guard import Guard
from monai_app.lib.security.login import login_router
from monai_app.lib.security.routes import Served
from monai_app.lib.security.settings import SecuritySettings, SettingsError


def protect(
    app: FastAPI,
    settings: SecuritySettings,
    folders: Iterable[Path | str] = (),
    routers: Iterable[APIRouter] = (),
) -> Guard:
    """Guard an application that is just starting, and tell its server where to listen.

    To be called once all routes are there, while the server starts (in MONAI Label:
    ``on_init_complete``, which runs in the server only).

    Args:
        app: application with its routes; those are served that declare who may use them; those of
            the login are added, before the others.
        settings: what is allowed.
        folders: folders that no reply may name: those of the app and of the studies.
        routers: routers that the application includes.

    Returns:
        The guard, which every request passes from now on.

    Raises:
        SettingsError: a setting cannot be used, or others could use the server without a login.
    """
    authenticator, audit = _parts(settings)
    host = bind(settings, start_of(app))
    own = login_router(authenticator), description_router(lambda: app.openapi())
    before = len(app.router.routes)
    for router in own:
        app.include_router(router)
    app.router.routes[:] = app.router.routes[before:] + app.router.routes[:before]
    served = Served.by(*own, app, *routers)
    _describe_only(app, served)
    inner = app.build_middleware_stack()  # anew: handlers of errors were added to the application
    guard = Guard(
        inner,
        settings,
        served,
        authenticator=authenticator,
        audit=audit,
        host=host,
        folders=folders,
    )
    app.middleware_stack = guard
    return guard


def check_parts(settings: SecuritySettings) -> None:
    """Try what `protect` opens: said before a server starts, a fault is one line.

    Raises:
        SettingsError: users, a secret, a key or the audit log cannot be used.
    """
    _, audit = _parts(settings)
    audit.close()


def _parts(settings: SecuritySettings) -> tuple[Authenticator, AuditLog]:
    if os.environ.get("MONAI_LABEL_AUTH_ENABLE", "").lower() in ("1", "true", "yes", "on", "y"):
        raise SettingsError(
            "MONAI_LABEL_AUTH_ENABLE: the stock login refuses every token; unset it and use "
            "users_file, or issuer with its key"
        )
    audit = settings.audit_file, settings.audit_max_mb, settings.audit_keep
    return Authenticator(settings), AuditLog(*audit)


def _describe_only(app: FastAPI, served: Served) -> None:
    describe = type(app).openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = served.only(describe(app))
        return app.openapi_schema

    app.openapi_schema = None
    app.openapi = openapi  # type: ignore[method-assign]
