"""What one client can take of a server that answers others: each attack, on a real uvicorn."""

from __future__ import annotations

import http.client
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import time
from base64 import b64encode
from contextlib import ExitStack, suppress

import pytest
import requests
from full_disk import full_disk
from security_support import PASSWORD, ask, guarded, make_users, serving

from monai_app.lib.security import binding
from monai_app.lib.security.connections import BoundedConnection, most_connections
from monai_app.lib.security.settings import SecuritySettings, SettingsError
from monai_app.lib.security.throttle import network_of


def plain(monkeypatch):
    """A server as the plain command starts it."""
    return serving(SecuritySettings(), "127.0.0.1", [], monkeypatch)


# --- bodies ---------------------------------------------------------------------------------------

FORM = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n--x--\r\n'


def post(port, path, body, *kinds):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.putrequest("POST", path)
    for kind in kinds:
        connection.putheader("Content-Type", kind)
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders()
    with suppress(OSError):  # refused before all of it was sent
        connection.send(body)
    reply = connection.getresponse()
    reply.read()
    return reply.status


@pytest.mark.parametrize(
    "charset", ["punycode", '"punycode"', "PUNYCODE", "idna", "utf-7", "unicode_escape", "cp1252"]
)
@pytest.mark.parametrize("path", ["/auth/token", "/infer/x"])
def test_no_codec_of_a_client_holds_up_the_others(monkeypatch, tmp_path, path, charset):
    """1 MB of punycode takes some 20 s to decode; 20 KB already show it."""
    users = make_users(tmp_path)
    with serving(SecuritySettings(users_file=users), "127.0.0.1", [], monkeypatch) as (_, port):
        body = FORM % (b"username", b"a" * 20_000 + b"-" + b"9" * 20_000)
        before = time.perf_counter()
        for name in ("charset", "Charset", " CHARSET"):
            kind = f"multipart/form-data; boundary=x; {name}={charset}"
            assert post(port, path, body, kind) in (401, 415)
        assert time.perf_counter() - before < 2
        login = f"username=ada&password={PASSWORD.replace(' ', '+')}&grant_type=password".encode()
        kind = "application/x-www-form-urlencoded; charset=UTF-8"
        assert post(port, "/auth/token", login, kind) == 200
        assert post(port, "/auth/token", login, kind, f"{kind}; charset={charset}") == 400


def test_a_form_without_files_is_small(monkeypatch):
    """Each `&` costs time, and an upload's limit of them would be many."""
    with plain(monkeypatch) as (_, port):
        body = b"&" * (1 << 20)
        assert post(port, "/infer/x", body, "application/x-www-form-urlencoded") == 413
        assert post(port, "/infer/x", body, "multipart/form-data; boundary=x") == 200


# --- connections ----------------------------------------------------------------------------------


def silent(port, count):
    return [socket.create_connection(("127.0.0.1", port), 5) for _ in range(count)]


def test_silent_connections_make_room(monkeypatch, caplog):
    monkeypatch.setattr(binding, "most_connections", lambda: 20)
    monkeypatch.setattr(BoundedConnection, "_told", -1e9)
    with ExitStack() as open_:
        server, port = open_.enter_context(plain(monkeypatch))
        for one in silent(port, 100):
            open_.enter_context(one)
        for _ in range(3):
            assert requests.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200
        assert len(server.server_state.connections) <= 20
    told = [record for record in caplog.records if "silent ones are closed" in record.message]
    assert len(told) == 1 and not [r for r in caplog.records if r.levelno >= logging.ERROR]


def test_connections_that_all_work_are_left_alone(monkeypatch):
    monkeypatch.setattr(binding, "most_connections", lambda: 4)
    with ExitStack() as open_:
        _, port = open_.enter_context(plain(monkeypatch))
        working = [open_.enter_context(one) for one in silent(port, 4)]
        head = f"POST /infer/x HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 3\r\n\r\n"
        for one in working:
            one.sendall(head.encode())
        time.sleep(0.5)
        (late,) = silent(port, 1)
        with late:
            late.settimeout(5)
            assert late.recv(10) == b""
        for one in working:
            one.sendall(b"abc")
            assert one.recv(1000).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("sent", [b"", b"GET /he", b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n"])
@pytest.mark.parametrize("before", [False, True])
def test_headers_have_a_deadline(monkeypatch, sent, before):
    monkeypatch.setattr(BoundedConnection, "header_seconds", 0.6)
    with plain(monkeypatch) as (_, port):
        (one,) = silent(port, 1)
        with one:
            one.settimeout(10)
            if before:  # an earlier request does not win time for the next
                one.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                reply = b""
                while b"}" not in reply:
                    reply += one.recv(5000)
            one.sendall(sent)
            started = time.monotonic()
            assert one.recv(10) == b""
            assert time.monotonic() - started < (3 if sent or not before else 8)


def test_the_bound_lies_below_what_the_process_may_open():
    import resource

    most = most_connections()
    assert 0 < most <= resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200


def test_half_a_form_does_not_hold_up_the_end(monkeypatch):
    with plain(monkeypatch) as (server, port):
        (one,) = silent(port, 1)
        head = f"POST /infer/x HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 9\r\n\r\nabc"
        one.sendall(head.encode())
        time.sleep(0.3)
        server.should_exit = True
        before = time.monotonic()
        while server.started and time.monotonic() - before < 9:
            if not server.servers[0].sockets and not server.server_state.tasks:
                break
            time.sleep(0.1)
        assert time.monotonic() - before < 8
        one.close()


def test_several_workers_are_refused(monkeypatch):
    """As `--workers 2` and this variable say it to uvicorn, whose socket then is everybody's."""
    monkeypatch.setenv("WEB_CONCURRENCY", "2")
    with pytest.raises(SettingsError, match="--workers 2"), plain(monkeypatch):
        pass


# --- who is who -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1%eth0", "2001:db8:1:2::/64"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("10.0.0.7", "10.0.0.7"),
        ("local", "local"),
    ],
)
def test_an_address_stands_for_whom_one_client_can_be(address, network):
    assert network_of(address) == network


def test_a_guesser_with_many_addresses_is_slowed_like_one(tmp_path):
    guard, _ = guarded(users_file=make_users(tmp_path), host="::")
    replies = [
        ask(
            guard,
            base="http://[2001:db8::1]:8000",
            client=(f"2001:db8:0:7::{number:x}", 1),
            headers={"Authorization": "Basic " + b64encode(b"u%d:x" % number).decode()},
        ).status_code
        for number in range(25)
    ]
    assert replies.count(401) == 20 and replies[-1] == 429
    other = {"base": "http://[2001:db8::1]:8000", "client": ("2001:db8:0:8::1", 1)}
    assert ask(guard, auth=("ada", PASSWORD), **other).status_code == 200


def test_strangers_are_not_one_another_nor_the_administrator():
    guard, _ = guarded(allow_anonymous_remote=True, host="0.0.0.0")
    base = "http://10.0.0.7"
    users = [
        ask(guard, base=base, client=(ip, 1)).json()["user"] for ip in ("10.1.2.3", "10.1.2.4")
    ]
    local = ask(guard).json()
    behind_proxy = ask(guard, headers={"X-Forwarded-For": "10.1.2.5"}).json()
    names = {*users, local["user"], behind_proxy["user"]}
    assert len(names) == 4 and local["role"] > behind_proxy["role"]


# --- the pages that describe the API --------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_the_description_loads_nothing_from_elsewhere(monkeypatch, path):
    with plain(monkeypatch) as (_, port):
        reply = requests.get(f"http://127.0.0.1:{port}{path}", timeout=20)
        policy = reply.headers["content-security-policy"]
        assert reply.status_code == 200 and policy.startswith("default-src 'none'; style-src 'sha")
        assert "<script" not in reply.text and "://" not in reply.text and "src=" not in reply.text
        assert "/infer/{model}" in reply.text and "role: user" in reply.text
        assert "/reload" not in reply.text
        other = requests.get(f"http://127.0.0.1:{port}/health", timeout=20)
        assert other.headers["content-security-policy"].startswith("default-src 'none'; frame")


# --- the audit log --------------------------------------------------------------------------------


@pytest.mark.server
def test_nobody_is_served_while_the_audit_log_cannot_be_written(secured):
    path, root = secured.temp.parent / "audit.log", ("root", PASSWORD)

    def status(path):
        return requests.get(secured.url + path, auth=root, timeout=20).status_code

    assert status("/jobs") == 200
    before = path.read_text()
    with full_disk(secured.process):
        served = [status("/jobs") for _ in range(6)]
        assert served[0] in (200, 507) and set(served[1:]) == {507}
        assert status("/health") == 200
        form = {"username": "eve", "password": "guess", "grant_type": "password"}
        reply = requests.post(f"{secured.url}/auth/token", data=form, timeout=20)
        assert reply.status_code == 507, "nobody guesses unseen"
        assert path.read_text() == before, "no half line"
    assert status("/jobs") == 200
    lines = [json.loads(line) for line in path.read_text()[len(before) :].splitlines()]
    assert lines[0]["lost"] >= 6 and lines[-1]["route"] == "/jobs"


# --- files that a killed server left --------------------------------------------------------------

KILLED = (
    "from monai_app.lib.uploads import ScratchFolder; import os\n"
    "with ScratchFolder().file(b'patient') as path:\n"
    "    os._exit(137)"  # the first process of a container cannot kill itself
)


@pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run(["unshare", "-pf", "true"], check=False, capture_output=True).returncode != 0,
    reason="needs a new process namespace, as a container is",
)
def test_a_container_that_was_killed_leaves_nothing(tmp_path):
    """In each container the server is the first process."""
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    inside = ["unshare", "-pf", "--mount-proc", sys.executable, "-c"]
    killed = subprocess.run([*inside, KILLED], env=environment, check=False, capture_output=True)
    assert len(list(tmp_path.rglob("radiograph"))) == 1, killed.stderr
    again = "from monai_app.lib.uploads import ScratchFolder; ScratchFolder()"
    subprocess.run([*inside, again], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []


def test_files_of_a_server_that_lives_stay(tmp_path, monkeypatch):
    from monai_app.lib.uploads import ScratchFolder

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with ScratchFolder().file(b"pixels") as path:
        ScratchFolder()
        assert path.read_bytes() == b"pixels" and path.parent.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == []
