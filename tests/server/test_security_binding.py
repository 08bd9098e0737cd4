"""Where a real uvicorn listens once the app is protected, and what a real connection gets."""

from __future__ import annotations

import http.client
from pathlib import Path

import pytest
from fastapi import FastAPI
from security_support import PASSWORD, make_users, serving
from served_routes import everything

from monai_app.lib.security.protect import protect
from monai_app.lib.security.settings import SecuritySettings, SettingsError


def exchange(port: int, method: str, path: str, **more):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, **more)
    reply = connection.getresponse()
    return reply.status, reply.read(), reply.headers


def test_the_plain_command_listens_on_loopback(monkeypatch):
    with serving(SecuritySettings(), "0.0.0.0", ["--app", "a"], monkeypatch) as (server, port):
        assert server.servers[0].sockets[0].getsockname() == ("127.0.0.1", port)
        status, body, headers = exchange(port, "GET", "/auth/")
        assert status == 200 and b"stock" not in body  # the login's own routes come first
        assert "server" not in headers
        assert exchange(port, "GET", "/health")[1] == b'{"status":"ok"}'
        assert exchange(port, "POST", "/reload")[0] == 404
        assert exchange(port, "GET", "/health", headers={"Host": "evil.example"})[0] == 400
        described = exchange(port, "GET", "/openapi.json")[1]
        assert b"/infer/{model}" in described and b"reload" not in described
        assert exchange(port, "POST", "/infer/x", body=b"abc")[1] == b'{"bytes":3}'


def test_large_uploads_get_their_reply(monkeypatch):
    settings = SecuritySettings(max_upload_mb=1)
    with serving(settings, "0.0.0.0", [], monkeypatch) as (_, port):
        status, body, _ = exchange(port, "POST", "/infer/x", body=b"x" * (8 << 20))
        assert status == 413 and b"too large" in body
        chunks = (b"x" * (1 << 16) for _ in range(64))
        status, _, _ = exchange(port, "POST", "/infer/x", body=chunks, encode_chunked=True)
        assert status == 413


def test_an_explicit_host_is_kept(monkeypatch, tmp_path):
    settings = SecuritySettings(users_file=make_users(tmp_path))
    arguments = ["--host", "0.0.0.0"]
    with serving(settings, "0.0.0.0", arguments, monkeypatch) as (server, port):
        assert server.servers[0].sockets[0].getsockname()[0] == "0.0.0.0"
        assert exchange(port, "GET", "/openapi.json")[0] == 401
        form = f"username=ada&password={PASSWORD.replace(' ', '+')}&grant_type=password"
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        assert exchange(port, "POST", "/auth/token", body=form, headers=kind)[0] == 200


def test_others_without_a_login_do_not_start(monkeypatch):
    with (
        pytest.raises(SettingsError, match="without a login"),
        serving(SecuritySettings(), "0.0.0.0", ["-i", "0.0.0.0"], monkeypatch),
    ):
        pass


def test_the_stock_login_is_refused(monkeypatch):
    monkeypatch.setenv("MONAI_LABEL_AUTH_ENABLE", "True")
    with pytest.raises(SettingsError, match="MONAI_LABEL_AUTH_ENABLE"):
        protect(FastAPI(), SecuritySettings())


def test_the_documentation_names_every_route():
    text = (Path(__file__).parents[2] / "monai_app" / "docs" / "security.md").read_text("utf-8")
    for route in everything().routes:
        assert f"`{route.path}`" in text, route.path
