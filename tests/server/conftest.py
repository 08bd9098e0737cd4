"""The app's routes in one process with a tiny model, and the real server as a user starts it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from xr2mri_core.local_server import LocalServer


@pytest.fixture
def service(tiny_bundle):
    """The generation service on the tiny bundle; beside it a bundle without weights."""
    from monai_app.lib.service import GenerationService

    bare = tiny_bundle.with_name("bare")
    if not bare.exists():
        shutil.copytree(tiny_bundle / "configs", bare / "configs")
    service = GenerationService({"knee_xr2mri": tiny_bundle, "bare": bare}, "cpu", max_queue=3)
    yield service
    service.close()


@pytest.fixture
def studies(tmp_path, radiograph):
    """A folder with one radiograph, read as the app reads it."""
    from monai_app.lib.studies import Studies

    folder = tmp_path / "studies" / "case-7"
    folder.mkdir(parents=True)
    (folder / "radiograph.png").write_bytes(radiograph.read_bytes())
    return Studies(tmp_path / "studies")


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """Temporary files go to a folder of this test, which is empty in the end."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == [], "a request left a file behind"


@pytest.fixture
def store(service):
    from monai_app.lib.jobs import JobStore

    return JobStore(service.queue)


class Logins:
    """Stands for the guard: who asks is whom the header `X-User` names; `root` is an admin. What
    stands before a slash in it is counted for what is taken."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        from monai_app.lib.security.routes import Role

        named = dict(scope.get("headers", ())).get(b"x-user", b"").decode()
        if named:
            scope["xr2mri.user"], scope["xr2mri.account"] = named, named.partition("/")[0]
            scope["xr2mri.role"] = Role.ADMIN if named == "root" else Role.USER
        await self.app(scope, receive, send)


@pytest.fixture
def sources(service, studies):
    from monai_app.lib.sources import Sources
    from monai_app.lib.uploads import Sessions

    return Sources(service, studies, Sessions(), 1 << 20)


@pytest.fixture
def client(service, studies, sources, scratch, store):
    """A client of the routes, without guard and without MONAI Label."""
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from monai_app.lib.routes import (
        inference_router,
        jobs_router,
        mount,
        session_router,
        studies_router,
    )

    app = FastAPI()
    app.add_middleware(Logins)
    mount(
        app,
        inference_router(service, sources, store),
        jobs_router(service, sources, store),
        session_router(sources),
        studies_router(studies),
    )
    with TestClient(app) as client:
        yield client


@pytest.fixture(scope="session")
def stock_server(tmp_path_factory) -> Iterator[str]:
    """The base URL of a stock MONAI Label, as it comes; its folders are its own."""
    from PIL import Image
    from samples import draw_knee

    folder = tmp_path_factory.mktemp("stock")
    for name in ("app", "data/studies"):
        (folder / name).mkdir(parents=True)
    (folder / "app" / "main.py").write_text(Path(__file__).with_name("stock_app.py").read_text())
    Image.fromarray(draw_knee()).save(folder / "data" / "studies" / "knee.png")
    server = LocalServer(folder / "app", folder / "data" / "studies", folder)
    try:
        yield server.wait().url
    finally:
        server.stop()


@pytest.fixture(scope="session")
def issuer_key(tmp_path_factory):
    """Private key of an issuer whose tokens `secured` takes, and the file of its public one."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, path = ec.generate_private_key(ec.SECP256R1()), tmp_path_factory.mktemp("issuer") / "k.pem"
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    path.write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, form))
    return key, path


@pytest.fixture(scope="session")
def secured(app_folder, studies_folder, issuer_key, tmp_path_factory) -> Iterator[LocalServer]:
    """The real server with users and an issuer, listening on every interface.

    Its audit log and the secret of its tokens are `audit.log` and `secret` beside its temp folder.
    """
    from security_support import AUDIENCE, ISSUER, make_users

    folder = tmp_path_factory.mktemp("secured")
    (secret := folder / "secret").touch(mode=0o600)
    secret.write_text("kept-by-the-server-" + "7" * 32)
    conf = {
        "users_file": make_users(folder),
        "token_secret_file": secret,
        "audit_file": folder / "audit.log",
        "issuer": ISSUER,
        "issuer_audience": AUDIENCE,
        "issuer_key_file": issuer_key[1],
    }
    options = [word for name, value in conf.items() for word in ("--conf", name, str(value))]
    server = LocalServer(app_folder, studies_folder, folder, "--host", "0.0.0.0", *options)
    try:
        yield server.wait()
    finally:
        server.stop()
