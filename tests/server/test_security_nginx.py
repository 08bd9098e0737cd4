"""The example of a reverse proxy, run as an administrator would run it, but for ports and names."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from security_support import PASSWORD, make_certificate, make_users, serving

from monai_app.lib.security.settings import SecuritySettings
from xr2mri_client.programs import free_port

EXAMPLE = Path(__file__).parents[2] / "monai_app" / "docs" / "deploy" / "nginx.conf"
NAME = "mri.hospital.example"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin") or (
    shutil.which("nginx")
)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Base URL of nginx with the example's configuration before a real uvicorn; a TLS client.

    Where a server does not say otherwise its requests are written down, as distributions have it.
    """
    if NGINX is None:
        pytest.skip("nginx is not installed")
    certificate = make_certificate(tmp_path, NAME)
    settings = SecuritySettings(
        public_host=NAME, users_file=make_users(tmp_path), audit_file=tmp_path / "audit.log"
    )
    with serving(settings, "0.0.0.0", [], monkeypatch) as (_, upstream):
        port = free_port()
        text = EXAMPLE.read_text("utf-8")
        for old, new in {
            "listen 443": f"listen 127.0.0.1:{port}",
            "listen 80": f"listen 127.0.0.1:{free_port()}",
            "127.0.0.1:8000": f"127.0.0.1:{upstream}",
            "/etc/ssl/xr2mri": str(tmp_path),
            "/var/log/nginx": str(tmp_path),
        }.items():
            assert old in text
            text = text.replace(old, new)
        temporary = "\n".join(
            f"{kind}_temp_path {tmp_path / kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        whole = tmp_path / "nginx.conf"
        whole.write_text(
            f"daemon off; worker_processes 1; pid {tmp_path / 'pid'};\n"
            f"error_log stderr; events {{}}\nhttp {{\n"
            f"access_log {tmp_path / 'access.log'};\n{temporary}\n{text}\n}}\n"
        )
        process = subprocess.Popen([NGINX, "-p", str(tmp_path), "-c", str(whole)])
        context = ssl.create_default_context(cafile=str(certificate))
        base = f"https://127.0.0.1:{port}"
        client = httpx.Client(
            base_url=base, verify=context, headers={"Host": NAME}, timeout=20, trust_env=False
        )
        try:
            for _ in range(200):
                try:
                    get(client, "/health")
                    break
                except httpx.TransportError:
                    assert process.poll() is None
                    time.sleep(0.05)
            yield client
        finally:
            client.close()
            process.terminate()
            process.wait(10)


def get(client, url, **more):
    return client.get(url, extensions={"sni_hostname": NAME}, **more)


def refused_by_length(site) -> int:
    """The status that an upload gets by its announced length alone."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    address = (site.base_url.host, site.base_url.port)
    with (
        socket.create_connection(address, 10) as plain,
        context.wrap_socket(plain, server_hostname=NAME) as connection,
    ):
        length = 66 << 20
        head = f"POST /infer/x HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: {length}\r\n\r\n"
        connection.sendall(head.encode())
        return int(connection.recv(100).split()[1])


def test_every_server_of_the_example_writes_no_request_down():
    servers = re.split(r"^server \{$", EXAMPLE.read_text("utf-8"), flags=re.MULTILINE)[1:]
    assert len(servers) == 2
    for server in servers:
        block = server.partition("\n}")[0]
        assert re.search(r"^    access_log off;", block, re.MULTILINE)
        assert re.search(r"^    error_log \S+ crit;", block, re.MULTILINE)


def test_tls_login_limits_and_addresses_and_no_name_in_a_log(site, tmp_path):
    sni = {"sni_hostname": NAME}
    reply = get(site, "/health")
    assert reply.json() == {"status": "ok"}
    assert "max-age" in reply.headers["strict-transport-security"]
    assert reply.headers["server"] == "nginx"

    assert get(site, "/auth/token/valid").status_code == 401
    form = {"username": "ada", "password": PASSWORD, "grant_type": "password"}
    token = site.post("/auth/token", data=form, extensions=sni).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": "192.0.2.1"}
    assert get(site, "/auth/token/valid", headers=headers).json()["username"] == "ada"
    assert '"192.0.2.1"' not in (tmp_path / "audit.log").read_text()  # what a client claims

    upload = site.post("/infer/x", content=b"x" * (8 << 20), headers=headers, extensions=sni)
    assert upload.json() == {"bytes": 8 << 20}
    assert refused_by_length(site) == 413

    site.headers["Host"] = "evil.example"
    assert get(site, "/health").status_code == 400

    del site.headers["Host"]
    port = re.search(r"listen 127\.0\.0\.1:(\d+);", (tmp_path / "nginx.conf").read_text())[1]
    path = "/datastore/image?image=ADA-LOVELACE"
    for address in (site.base_url, f"http://127.0.0.1:{port}"):
        reply = get(site, f"{address}{path}", headers={"Host": NAME})
    assert reply.status_code == 308 and reply.headers["location"] == f"https://{NAME}{path}"
    logs = [log.read_text() for log in tmp_path.glob("*.log")]
    assert len(logs) > 1 and not any("ADA" in log for log in logs)
