"""What a connection can take of a server without a login: each attack, on a real uvicorn."""

from __future__ import annotations

import http.client
import logging
import socket
import ssl
import time
from contextlib import ExitStack, contextmanager, suppress

import h11
import pytest
import requests
from security_support import NoAudit, make_users, serving
from waiting import until

from monai_app.lib.security import log_lines
from monai_app.lib.security.settings import SecuritySettings

HOST = b"Host: 127.0.0.1\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


@contextmanager
def bounded(monkeypatch, more=None, **bounds):
    """A server as the plain command starts it, but for some bounds; its audit keeps the lines."""
    settings = SecuritySettings(**bounds)
    with serving(settings, "127.0.0.1", [], monkeypatch, **(more or {})) as (server, port):
        server.audit = NoAudit()
        monkeypatch.setattr(server.config.app.state.guard.audit, "write", server.audit.write)
        yield server, port


def connected(port, source="127.0.0.1", buffer=None):
    one = socket.socket()
    if buffer:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    one.settimeout(10)
    one.bind((source, 0))
    one.connect(("127.0.0.1", port))
    return one


def read_all(one):
    """What comes until the connection ends, in whatever way."""
    reply = b""
    with suppress(OSError):
        while piece := one.recv(1 << 16):
            reply += piece
    return reply


def reply_to(one):
    """Status, headers and body of the next reply."""
    reply = http.client.HTTPResponse(one)
    reply.begin()
    return reply.status, reply.headers, reply.read()


# --- replies that nobody reads --------------------------------------------------------------------


def unread(server, port, last=b""):
    """A connection with replies that wait, fewer than would have the server stop answering it."""
    known = set(server.server_state.connections)
    one = connected(port, buffer=2048)
    until(lambda: len(server.server_state.connections) > len(known), seconds=5)
    (held,) = set(server.server_state.connections) - known
    sent = held.transport.get_extra_info("socket")  # the system's buffer is full sooner
    sent.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    asked, state = b"GET /docs HTTP/1.1\r\n" + HOST, server.server_state
    at_once = 10
    while (size := held.transport.get_write_buffer_size()) < 20_000:
        before = state.total_requests
        one.sendall((asked + b"\r\n") * at_once)
        answered = before + at_once
        until(lambda most=answered: state.total_requests >= most, seconds=10, pause=0.002)
    assert size < 256 << 10
    if last:
        one.sendall(asked + last + b"\r\n")
    return one


@pytest.mark.parametrize("last", [b"", b"Connection: close\r\n"], ids=["kept", "closed"])
def test_replies_that_nobody_reads_free_their_connection(monkeypatch, last):
    """asyncio waits without limit to close a connection with unsent bytes: 512 of them, a few
    hundred KB each, were the end of the server."""
    with bounded(monkeypatch, write_seconds=1) as (server, port), unread(server, port, last):
        until(lambda: not server.server_state.connections, seconds=8)


def test_replies_that_nobody_reads_make_room(monkeypatch):
    with ExitStack() as open_:
        server, port = open_.enter_context(bounded(monkeypatch, max_connections=3))
        for _ in range(3):
            open_.enter_context(unread(server, port))
        for _ in range(3):
            assert requests.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200


def test_one_address_makes_room_for_others(monkeypatch):
    """Whoever opens very many closes the own ones."""
    with ExitStack() as open_:
        _, port = open_.enter_context(bounded(monkeypatch, max_connections=10))
        quiet = open_.enter_context(connected(port, "127.0.0.3"))
        for _ in range(30):
            open_.enter_context(connected(port, "127.0.0.2"))
        quiet.sendall(b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n")
        assert quiet.recv(100).startswith(b"HTTP/1.1 200"), "it had to make room for another's"


# --- bodies in chunks of one byte -----------------------------------------------------------------


@pytest.fixture
def parsed(monkeypatch):
    """How many steps h11 has taken: 7 µs of the event loop each."""
    steps = [0]
    next_event = h11.Connection.next_event

    def counted(self):
        steps[0] += 1
        return next_event(self)

    monkeypatch.setattr(h11.Connection, "next_event", counted)
    return steps


@pytest.mark.parametrize(
    ("path", "status"), [("/infer/x", 401), ("/auth/token", 411), ("/none", 404)]
)
def test_what_is_refused_is_not_parsed_any_more(monkeypatch, tmp_path, parsed, path, status):
    users = make_users(tmp_path)
    with bounded(monkeypatch, users_file=users) as (_, port), connected(port) as one:
        one.sendall(b"POST " + path.encode() + b" HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n")
        for _ in range(35):  # 2 MB
            one.sendall(b"1\r\nx\r\n" * 10_000)
        replied, headers, _ = reply_to(one)
        assert replied == status and headers["connection"] == "close"
        assert parsed[0] < 10_000, "of 350,000"


def test_an_upload_comes_in_chunks_that_are_worth_it(monkeypatch, parsed):
    with bounded(monkeypatch) as (_, port):
        head = b"POST /infer/x HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n"
        with connected(port) as one:
            one.sendall(head)
            for _ in range(35):
                one.sendall(b"1\r\nx\r\n" * 10_000)
            status, _, body = reply_to(one)
            assert status == 400 and b"small chunks" in body
            assert parsed[0] < 10_000, "of 350,000"
        with connected(port) as one:
            one.sendall(head + b"3e8\r\n%b\r\n" % (b"x" * 1000) * 500 + b"0\r\n\r\n")
            assert reply_to(one)[::2] == (200, b'{"bytes":500000}')


@pytest.mark.parametrize("framing", [b"Content-Length: 8000000\r\n", CHUNKED])
def test_who_sends_all_before_reading_gets_the_reply(monkeypatch, tmp_path, framing):
    """A connection that is closed with bytes of its client unread loses what it has sent."""
    users = make_users(tmp_path)
    with bounded(monkeypatch, users_file=users) as (_, port), connected(port) as one:
        one.sendall(b"POST /infer/x HTTP/1.1\r\n" + HOST + framing + b"\r\n")
        time.sleep(0.2)  # it is answered by now
        body = b"x" * 8_000_000
        one.sendall(b"7a1200\r\n%b\r\n0\r\n\r\n" % body if framing is CHUNKED else body)
        status, headers, _ = reply_to(one)
        assert status == 401 and headers["connection"] == "close"


def test_a_body_that_goes_on_after_the_reply_ends_with_its_connection(monkeypatch, tmp_path):
    users = make_users(tmp_path)
    with bounded(monkeypatch, users_file=users, body_seconds=1) as (server, port):
        with connected(port) as one:
            head = b"POST /infer/x HTTP/1.1\r\n" + HOST + b"Content-Length: 999999999\r\n\r\n"
            one.sendall(head)
            began = time.monotonic()
            with pytest.raises(OSError):
                while time.monotonic() - began < 10:
                    one.sendall(b"x" * 10_000)
                    time.sleep(0.01)
        until(lambda: not server.server_state.connections, seconds=5)


def test_a_body_that_begins_behind_another_request_has_a_deadline(monkeypatch):
    """Who had sent both at once, and then no more, was waited for without end."""
    with bounded(monkeypatch, body_seconds=0.5) as (_, port), connected(port) as one:
        first = b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n"
        one.sendall(first + b"POST /infer/x HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\n")
        replies = read_all(one)
        assert replies.count(b"HTTP/1.1 200") == replies.count(b"HTTP/1.1 408") == 1


def test_a_refused_body_is_answered_by_the_guard(monkeypatch):
    with bounded(monkeypatch, body_seconds=0.5) as (server, port), connected(port) as one:
        one.sendall(b"POST /infer/x HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\n")
        reply = read_all(one).lower()
        assert reply.startswith(b"http/1.1 408") and b"x-request-id" in reply
        assert b"nosniff" in reply and b"server:" not in reply
        assert [line["status"] for line in server.audit.lines] == [408]


# --- TLS ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Files of a certificate of 127.0.0.1 and its key."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, folder = ec.generate_private_key(ec.SECP256R1()), tmp_path_factory.mktemp("tls")
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, plain, none))
    (folder / "certificate.pem").write_bytes(made.public_bytes(pem))
    return {
        "ssl_certfile": str(folder / "certificate.pem"),
        "ssl_keyfile": str(folder / "key.pem"),
    }


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01\x00"], ids=["silent", "begun"])
def test_handshakes_count_and_have_a_deadline(monkeypatch, certificate, sent):
    """Before their end, nobody knew of a connection: 200 lived for a minute where 4 may be."""
    with ExitStack() as open_:
        within = {"max_connections": 4, "header_seconds": 1.0}
        server, port = open_.enter_context(bounded(monkeypatch, certificate, **within))
        silent = [open_.enter_context(connected(port)) for _ in range(30)]
        for one in silent:
            with suppress(OSError):
                one.sendall(sent)
        url, most = f"https://127.0.0.1:{port}/health", 0
        with requests.Session() as session:
            for _ in range(3):
                reply = session.get(url, timeout=5, verify=certificate["ssl_certfile"])
                assert reply.json() == {"status": "ok"}
                most = max(most, len(server.server_state.connections))
        assert most <= 4
        time.sleep(1.5)
        for one in silent:
            one.settimeout(1)
            assert read_all(one) == b""  # a TimeoutError, too, would be of a connection that lives
            one.setblocking(False)
            with pytest.raises((ConnectionError, OSError)) as ended:
                one.send(b"x")
                time.sleep(0.05)
                one.send(b"x")
            assert not isinstance(ended.value, BlockingIOError)


def test_tls_serves_large_bodies_and_names_itself(monkeypatch, certificate, caplog):
    logged = {"log_config": None, "log_level": "info"}
    with bounded(monkeypatch, certificate | logged) as (_, port):
        body = b"x" * 3_000_000
        url = f"https://127.0.0.1:{port}/infer/x"
        reply = requests.post(url, body, verify=certificate["ssl_certfile"], timeout=20)
        assert reply.json() == {"bytes": len(body)}
        context = ssl.create_default_context(cafile=certificate["ssl_certfile"])
        with context.wrap_socket(connected(port), server_hostname="127.0.0.1") as one:
            one.sendall(b"GET /health HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
            assert read_all(one).startswith(b"HTTP/1.1 200")
        assert f"running on https://127.0.0.1:{port}" in caplog.text


# --- lines of the log -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /health HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: x\r\n" + HOST + b"\r\n",
        b"x\r\n\r\n",
    ],
    ids=["upgrade", "malformed"],
)
def test_strangers_write_few_lines(monkeypatch, caplog, request_):
    monkeypatch.setattr(log_lines._SELDOM, "_known", {})
    with bounded(monkeypatch, {"log_config": None, "log_level": "info"}) as (_, port):
        for _ in range(50):
            with connected(port) as one:
                one.sendall(request_)
                assert one.recv(100).startswith(b"HTTP/1.1 ")
        said = [record for record in caplog.records if record.name == "uvicorn.error"]
        warned = [record for record in said if record.levelno >= logging.WARNING]
        assert 1 <= len(warned) <= 2
        monkeypatch.setattr(log_lines, "SECONDS", 0.0)
        with connected(port) as one:
            one.sendall(request_)
            one.recv(100)
        assert "49 times more" in caplog.text, "what was left out is said"
