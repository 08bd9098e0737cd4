"""Small applications to stand behind the guard, with and without a network."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI, Request
from served_routes import everything
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from monai_app.lib.security.audit import AuditLog
from monai_app.lib.security.guard import Guard
from monai_app.lib.security.protect import protect
from monai_app.lib.security.routes import Role, allowed
from monai_app.lib.security.settings import SecuritySettings
from monai_app.lib.security.users import StoredUser, hash_password, write_users
from xr2mri_client.programs import free_port

PASSWORD = "correct horse battery"
_HASH = hash_password(PASSWORD)
ISSUER, AUDIENCE = "https://sso.example/realms/mri", "xr2mri"
LOCAL = ("127.0.0.1", 50000)
REMOTE = ("10.1.2.3", 50000)


class NoAudit(AuditLog):
    """Keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    async def ready(self) -> bool:
        return True

    def write(self, **line: Any) -> None:
        self.lines.append(line)


class Behind:
    """An application that answers every path, as badly as it can, and counts."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
        self.app = Starlette(routes=[Route("/{path:path}", self.answer, methods=methods)])

    async def answer(self, request: Request) -> Response:
        self.calls.append(f"{request.method} {request.url.path}")
        path = request.url.path
        if path == "/infer/count":
            return JSONResponse({"bytes": len(await request.body())})
        if path == "/infer/crash":
            raise RuntimeError("cannot open /home/someone/weights.pt")
        if path == "/infer/failed":
            return JSONResponse({"detail": "in /tmp/x"}, 500)
        if path == "/infer/missing":
            return JSONResponse({"detail": "no '/home/some one/a.nii' here"}, 503)
        if path == "/jobs/stream/volume":
            return StreamingResponse(_pieces(), media_type="application/octet-stream")
        if path == "/jobs/text/volume":
            return StreamingResponse(_pieces(), media_type="text/plain")
        headers = {
            "Server": "uvicorn",
            "Access-Control-Allow-Origin": "https://evil.example",
            "Access-Control-Allow-Credentials": "true",
        }
        scope = request.scope
        reply = {"user": scope.get("xr2mri.user"), "role": scope.get("xr2mri.role")}
        scope["xr2mri.audit"].update(model="knee", patient="Doe^John", seed=7)
        return JSONResponse(reply, headers=headers)


async def _pieces():
    for piece in (b"first /ho", b"me/someone/x ", b"last"):
        yield piece


def guarded(audit: AuditLog | None = None, host: str = "127.0.0.1", **settings: Any):
    """A guard and what is behind it."""
    behind = Behind()
    guard = Guard(
        behind.app, SecuritySettings(**settings), everything(), audit=audit or NoAudit(), host=host
    )
    guard.authenticator.failure_seconds = 0.0
    return guard, behind


def ask(
    app: Any,
    method: str = "GET",
    url: str = "/info/",
    base: str = "http://127.0.0.1:8000",
    client: tuple[str, int] = LOCAL,
    **more: Any,
) -> httpx.Response:
    """One request; `client` is the address that it comes from."""

    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(app, client=client)
        async with httpx.AsyncClient(transport=transport, base_url=base) as session:
            return await session.request(method, url, **more)

    return asyncio.run(go())


def make_users(folder: Path) -> Path:
    """A file with `ada`, a user, and `root`, an admin, who have the same password."""
    path = folder / "users.json"
    users = [StoredUser("ada", Role.USER, _HASH), StoredUser("root", Role.ADMIN, _HASH)]
    write_users(path, {user.name: user for user in users})
    return path


def make_certificate(folder: Path, name: str) -> Path:
    """A self-signed certificate of a host, fullchain.pem, and its key, privkey.pem."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "privkey.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "fullchain.pem").write_bytes(certificate.public_bytes(pem))
    return folder / "fullchain.pem"


def issued(key: Any, subject: str) -> str:
    """A token of the issuer for a user."""
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 3600}
    claims["realm_access"] = {"roles": ["xr2mri-user"]}
    return jwt.encode(claims, key, algorithm="ES256")


def make_app(settings: SecuritySettings, failures: list) -> FastAPI:
    """An application that protects itself while it starts, as the MONAI Label app does."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI):
        try:
            app.state.guard = protect(app, settings, ["/srv/studies"])
        except Exception as error:
            failures.append(error)
            raise
        yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/infer/{model}")
    @allowed(Role.USER, upload=True)
    async def infer(model: str, request: Request):
        return {"bytes": len(await request.body())}

    @app.post("/reload")
    async def reload():
        return {}

    @app.get("/auth/")
    async def stock_login():
        return {"enabled": "stock"}

    return app


@contextlib.contextmanager
def serving(
    settings: SecuritySettings, host: str, arguments: list[str], monkeypatch, **options: Any
):
    """The application on a real uvicorn, started with a host as the stock command does."""
    monkeypatch.setattr(sys, "argv", ["monailabel", "start_server", *arguments])
    monkeypatch.delenv("MONAI_LABEL_AUTH_ENABLE", raising=False)
    failures: list = []
    port = free_port()
    app = make_app(settings, failures)
    config = uvicorn.Config(app, host=host, port=port, **{"log_level": "error", **options})
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]

    def run():
        with contextlib.suppress(SystemExit):
            server.run()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    try:
        if failures:
            raise failures[0]
        assert server.started
        yield server, port
    finally:
        server.should_exit = True
        thread.join(10)
