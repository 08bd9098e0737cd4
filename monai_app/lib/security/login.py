"""The routes of the login, with the paths and replies that stock MONAI Label clients know."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.security import OAuth2PasswordRequestForm

from monai_app.lib.json_text import Json
from monai_app.lib.security.auth import Authenticator
from monai_app.lib.security.refusal import Refusal
from monai_app.lib.security.routes import Role, allowed


def login_router(authenticator: Authenticator) -> APIRouter:
    """``/auth/``, ``/auth/token``, ``/auth/token/valid`` and ``/health``."""
    router = APIRouter(tags=["Login"], default_response_class=Json)
    settings = authenticator.settings

    @router.get("/health", summary="Does the server answer, and is it the one of this session?")
    @allowed(Role.NOBODY)
    async def health(nonce: str = "") -> dict[str, str]:
        proof = authenticator.session.proof(nonce) if nonce and authenticator.session else None
        return {"status": "ok"} if proof is None else {"status": "ok", "proof": proof}

    @router.get("/auth/", summary="Is a login needed?")
    @allowed(Role.NOBODY)
    async def login_needed() -> dict[str, Any]:
        return {
            "enabled": settings.login_needed,
            "client_id": settings.issuer_audience or None,
            "realm": settings.issuer or None,
        }

    @router.post("/auth/token", summary="Log in with name and password: a bearer token")
    @allowed(Role.NOBODY)
    async def token(
        request: Request, form: Annotated[OAuth2PasswordRequestForm, Depends()]
    ) -> dict[str, Any]:
        if authenticator.users is None and settings.authentication:
            raise HTTPException(404, "this server has no users with passwords: a token is needed")
        if authenticator.users is None:
            return {"access_token": None, "token_type": None}  # as stock without a login
        address = request.client.host if request.client else "local"
        try:
            user = await authenticator.login(form.username, form.password, address)
            reply = authenticator.issue(user)
        except Refusal as refusal:
            raise HTTPException(refusal.status, refusal.detail, refusal.headers) from None
        request.scope["xr2mri.user"] = user.name
        return reply

    @router.get("/auth/token/valid", summary="Who am I?")
    @allowed(Role.USER)
    async def valid(request: Request) -> dict[str, Any]:
        name = request.scope.get("xr2mri.user")
        role = Role(request.scope.get("xr2mri.role", Role.NOBODY)).name.lower()
        return {"username": name, "email": None, "name": name, "roles": [role]}

    return router
