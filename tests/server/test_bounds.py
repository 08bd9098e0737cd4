"""What one client can take of a server that answers others: each attack, on a real uvicorn."""

from __future__ import annotations

import http.client
import json
import logging
import os
import shutil
import socket
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest
import requests
from full_disk import full_disk
from security_support import PASSWORD, ask, guarded, make_users, serving
from waiting import until, until_state

from monai_app.lib.security.connections import (
    _FILES_OF_ONE,
    BoundedConnection,
    most_connections,
)
from monai_app.lib.security.routes import Role
from monai_app.lib.security.settings import SecuritySettings, SettingsError
from monai_app.lib.security.throttle import network_of
from xr2mri_core.local_server import LocalServer


def plain(monkeypatch, **bounds):
    """A server as the plain command starts it, but for some bounds."""
    return serving(SecuritySettings(**bounds), "127.0.0.1", [], monkeypatch)


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
    monkeypatch.setattr(BoundedConnection, "_logged", -1e9)
    with ExitStack() as open_:
        server, port = open_.enter_context(plain(monkeypatch, max_connections=20))
        (known,) = silent(port, 1)
        open_.enter_context(known)
        for _ in range(2):  # of a client that comes back, although it is the oldest
            known.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            reply = b""
            while b"}" not in reply:
                piece = known.recv(5000)
                assert piece, "it had to make room for those that say nothing"
                reply += piece
            for one in silent(port, 50):
                open_.enter_context(one)
        for _ in range(3):
            assert requests.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200
        assert len(server.server_state.connections) <= 20
    logged = [record for record in caplog.records if "silent ones are closed" in record.message]
    assert len(logged) == 1 and not [r for r in caplog.records if r.levelno >= logging.ERROR]


def test_connections_that_all_work_are_left_alone(monkeypatch):
    with ExitStack() as open_:
        _, port = open_.enter_context(plain(monkeypatch, max_connections=4))
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
    with plain(monkeypatch, header_seconds=0.6) as (_, port):
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
    with (
        pytest.raises(SettingsError, match=r"--workers 2: .* device cuda:0,cuda:1"),
        plain(monkeypatch),
    ):
        pass


# --- what one user takes --------------------------------------------------------------------------

BIG = {"num_slices": 400, "steps": 1, "features": {}}  # 6.8 MB of a user's 8
ADA, ROOT = ("ada", PASSWORD), ("root", PASSWORD)


@pytest.fixture(scope="module")
def bounded(app_folder, studies_folder, tmp_path_factory):
    """The real server with narrow bounds, users, and strangers; and which address a stranger has
    is identified by the header that a proxy on this machine would send."""
    folder = tmp_path_factory.mktemp("bounded")
    conf = {
        "users_file": make_users(folder),
        "allow_anonymous_remote": "yes",
        "max_upload_mb": 1,
        "uploads_user_mb": 2,
        "uploads_mb": 4,
        "sessions_user_mb": 2,
        "sessions_mb": 5,
        "results_user_mb": 8,
        "results_mb": 15,
        "requests_user": 24,
        "body_seconds": 4,
        "write_seconds": 3,
    }
    options = [word for name, value in conf.items() for word in ("--conf", name, str(value))]
    with LocalServer(app_folder, studies_folder, folder, *options) as server:
        yield server.wait()


def stranger(address, session=None):
    headers = {"X-Forwarded-For": address}
    return {"headers": headers | ({"X-Session": session} if session else {})}


def big(server, asked=BIG, **who):
    return requests.post(
        f"{server.url}/jobs/infer/knee_xr2mri",
        params={"image": "knee"},
        data={"params": json.dumps(asked)},
        timeout=60,
        **who,
    )


def fetched(server, job, part="", **who):
    return requests.get(f"{server.url}/jobs/{job}{part}", timeout=60, **who)


def until_kept(server, job, **who):
    until_state(lambda: fetched(server, job, **who), "done", seconds=120, pause=0.1)
    return job


def memory(server):
    return psutil.Process(server.process.pid).memory_info().rss / 2**20


def until_nobody_is_connected(server):
    process, gone = psutil.Process(server.process.pid), ("LISTEN", "TIME_WAIT")
    until(lambda: all(one.status in gone for one in process.net_connections("tcp")))


def files_in(server):
    """Bytes of the files that it has open in its temp folder; most have no name there."""
    held = 0
    for descriptor in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with suppress(OSError):
            if os.readlink(descriptor).startswith(str(server.temp)):
                held += descriptor.stat().st_size
    return held


@pytest.mark.server
def test_a_result_that_somebody_waits_for_is_not_evicted_for_others(bounded):
    """The own ones go first; others' only when they have been fetched."""
    mine = until_kept(bounded, big(bounded, auth=ADA).json()["id"], auth=ADA)
    others = [until_kept(bounded, big(bounded, auth=ROOT).json()["id"], auth=ROOT)]
    others += [until_kept(bounded, big(bounded, auth=ROOT).json()["id"], auth=ROOT)]
    statuses = [fetched(bounded, job, auth=ROOT).status_code for job in others]
    assert statuses == [404, 200], "of one's own, the older one goes"
    who = stranger("198.51.100.7")
    full = big(bounded, **who)
    assert full.status_code == 429 and "results of all users" in full.json()["detail"]
    assert 1 <= int(full.headers["retry-after"]) <= 60
    reply = fetched(bounded, mine, "/result", auth=ADA)
    assert reply.status_code == 200 and len(reply.content) == 352 + 64 * 64 * 400 * 4
    long = big(bounded, BIG | {"steps": 50}, **who)
    assert long.status_code == 202, "what has been fetched makes room"
    assert fetched(bounded, mine, auth=ADA).status_code == 404
    assert fetched(bounded, others[1], auth=ROOT).status_code == 200
    again = big(bounded, **stranger("198.51.100.7", "another-session-of-mine"))
    assert again.status_code == 429 and "results of yours" in again.json()["detail"]
    assert requests.delete(f"{bounded.url}/jobs/{long.json()['id']}", **who).status_code == 200
    huge = json.dumps(BIG | {"num_slices": 600})
    url, asked = f"{bounded.url}/infer/knee_xr2mri?image=knee", {"params": huge}
    reply = requests.post(url, data=asked, auth=ADA, timeout=60)
    assert reply.status_code == 422 and "lower num_slices" in reply.json()["detail"]


@pytest.mark.server
def test_a_result_is_fetched_once_all_of_its_volumes_are(bounded):
    """Mean and deviation went between two requests of their owner, for another's new job."""
    for job in requests.get(f"{bounded.url}/jobs", auth=ROOT, timeout=60).json():
        requests.delete(f"{bounded.url}/jobs/{job['id']}", auth=ROOT, timeout=60)
    several, who = BIG | {"num_slices": 130, "samples": 2}, stranger("198.51.100.8")
    mine = until_kept(bounded, big(bounded, several, auth=ADA).json()["id"], auth=ADA)
    until_kept(bounded, big(bounded, auth=ROOT).json()["id"], auth=ROOT)
    for kind in ("volume", "std", "mean"):
        assert big(bounded, **who).status_code == 429, f"before its {kind}"
        reply = fetched(bounded, mine, f"/result?kind={kind}", auth=ADA)
        assert reply.status_code == 200 and len(reply.content) == 352 + 64 * 64 * 130 * 4
    assert big(bounded, **who).status_code == 202
    assert fetched(bounded, mine, auth=ADA).status_code == 404


@pytest.mark.server
def test_replies_that_nobody_reads_hold_one_volume_and_end(bounded):
    job = until_kept(bounded, big(bounded, auth=ROOT).json()["id"], auth=ROOT)
    basic = b64encode(f"root:{PASSWORD}".encode()).decode()
    before, deaf = memory(bounded), []
    for number in range(16):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(("127.0.0.1", int(bounded.url.rpartition(":")[2])))
        form = ("nifti", "nrrd", "dicom")[number % 3]
        one.sendall(
            f"GET /jobs/{job}/result?form={form} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Basic {basic}\r\n\r\n".encode()
        )
        deaf.append(one)
    time.sleep(2)
    assert memory(bounded) - before < 16 * 6.5 / 2, "each has a copy"
    until_nobody_is_connected(bounded)
    for one in deaf:
        one.settimeout(30)
        received = 0
        with suppress(ConnectionError), one:
            while piece := one.recv(1 << 20):
                received += len(piece)
        if deaf.index(one) % 3 == 0:  # the others may be small enough for the system's buffers
            assert received < 64 * 64 * 400 * 4, "it waited for ever"
    assert fetched(bounded, job, "/result", auth=ROOT).status_code == 200


@pytest.mark.server
def test_a_users_sessions_never_push_out_anothers(bounded):
    def put(size, **who):
        files = {"files": ("a.png", os.urandom(size))}
        return requests.put(f"{bounded.url}/session/", files=files, timeout=60, **who)

    def there(session, **who):
        return requests.get(f"{bounded.url}/session/{session}", timeout=60, **who).status_code

    mine = put(1 << 20, auth=ADA).json()["session_id"]
    others = [put(1 << 20, auth=ROOT).json()["session_id"] for _ in range(4)]
    assert [there(session, auth=ROOT) for session in others] == [404, 404, 200, 200]
    assert put(1 << 20, **stranger("198.51.100.1")).status_code == 200
    assert put(1 << 20, **stranger("198.51.100.2")).status_code == 200
    full = put(1 << 20, **stranger("198.51.100.3"))
    assert full.status_code == 429 and "sessions of all users" in full.json()["detail"]
    assert there(mine, auth=ADA) == 200


@pytest.mark.server
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks at open files")
def test_unfinished_uploads_are_bounded_and_end(bounded, studies_folder):
    """40 of them held all the room that the folder for temporary files had."""
    head = (
        "POST /infer/knee_xr2mri HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: 198.51.100.{}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n{}\r\n\r\n"
    )
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    upload, idle = part + os.urandom(1_060_000), files_in(bounded)  # more than memory takes
    waiting = silent(int(bounded.url.rpartition(":")[2]), 40)
    before = time.monotonic()
    for number, one in enumerate(waiting):
        one.setblocking(False)
        address = 9 if number < 20 else number  # half of them are one stranger's
        if number % 2:
            length = "Transfer-Encoding: chunked"
            content = b"%x\r\n%b" % (len(upload) + 9, upload)
        else:
            length, content = f"Content-Length: {len(upload) + 9}", upload
        with suppress(OSError):
            one.setblocking(True)
            one.settimeout(10)
            one.sendall(head.format(address, length).encode() + content)
    time.sleep(0.5)
    assert 1 << 20 < files_in(bounded) - idle <= 4 << 20
    refused = 0
    for one in waiting:
        one.settimeout(0.2)
        with suppress(TimeoutError, ConnectionError):
            refused += b"429" in one.recv(100)[:20]
    assert refused >= 37
    knee = (studies_folder / "knee.png").read_bytes()
    url, files = f"{bounded.url}/locate/knee_xr2mri", {"file": knee}
    reply = requests.post(url, files=files, auth=ADA, timeout=60)
    assert reply.status_code == 200, "a small file is not counted"
    while files_in(bounded) > idle:
        assert time.monotonic() - before < 60, "unfinished bodies stay"
        time.sleep(0.2)
    for one in waiting:
        one.close()


@pytest.mark.server
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files")
def test_every_connection_has_the_files_that_it_may_open(bounded, studies_folder):
    """512 clients that took an image slowly had the process open more files than it may."""
    basic = b64encode(f"ada:{PASSWORD}".encode()).decode()
    (image := studies_folder / "large.dcm").write_bytes(bytes(8 << 20))
    opened = psutil.Process(bounded.process.pid).num_fds
    try:
        requests.get(f"{bounded.url}/jobs", auth=ADA, timeout=60)
        until_nobody_is_connected(bounded)
        before = opened()
        with ExitStack() as stack:
            for _ in range(20):
                one = stack.enter_context(socket.socket())
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                one.connect(("127.0.0.1", int(bounded.url.rpartition(":")[2])))
                one.sendall(
                    "GET /datastore/image?image=large HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                    f"Authorization: Basic {basic}\r\n\r\n".encode()
                )
                one.settimeout(30)
                assert one.recv(12).endswith(b"200")
            until(lambda: opened() >= before + 2 * 20)
            assert opened() <= before + _FILES_OF_ONE * 20
    finally:
        image.unlink()


def cpu_seconds(server):
    return sum(psutil.Process(server.process.pid).cpu_times()[:2])


@pytest.mark.server
def test_ids_that_nobody_knows_cost_little_among_many_studies(bounded, studies_folder):
    """Each had all files looked at again: of 30,000, 20 unknown ids took 36 s of the processor."""
    ask = {"auth": ADA, "timeout": 120}
    many = studies_folder / "many"
    try:
        for number in range(3_000):
            (folder := many / f"{number}").mkdir(parents=True)
            (folder / "knee.png").touch()
        before = cpu_seconds(bounded)
        listed = requests.get(f"{bounded.url}/datastore/", {"output": "all"}, **ask)
        once = cpu_seconds(bounded) - before
        assert listed.status_code == 200 and len(listed.json()["objects"]) > 3_000
        for number in range(20):
            unknown = {"image": f"unknown-{number}"}
            reply = requests.post(f"{bounded.url}/infer/knee_xr2mri", params=unknown, **ask)
            assert reply.status_code == 404, reply.text
        assert cpu_seconds(bounded) - before - once < 3 * once, "all are looked at each time"
    finally:
        shutil.rmtree(many, ignore_errors=True)


@pytest.mark.server
def test_one_user_leaves_connections_for_others(bounded):
    basic = b64encode(f"root:{PASSWORD}".encode()).decode()
    waiting = silent(int(bounded.url.rpartition(":")[2]), 24)
    requests.get(f"{bounded.url}/jobs", auth=ROOT, timeout=60)  # its password is compared
    for one in waiting:
        one.sendall(
            f"POST /infer/knee_xr2mri HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n"
            f"Authorization: Basic {basic}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            "\r\n--x".encode()
        )
    time.sleep(1)
    reply = requests.get(f"{bounded.url}/jobs", auth=ROOT, timeout=60)
    assert reply.status_code == 429 and "24 requests of yours" in reply.json()["detail"]
    assert requests.get(f"{bounded.url}/jobs", auth=ADA, timeout=60).status_code == 200
    for one in waiting:  # and not for long
        one.settimeout(30)
        assert b" 408 " in one.recv(100)[:20]
        one.close()
    assert requests.get(f"{bounded.url}/jobs", auth=ROOT, timeout=60).status_code == 200


@pytest.mark.server
def test_guessers_do_not_hold_up_a_login(bounded):
    """64 comparisons in a line took 7 s."""

    def log_in(name, password, address):
        form = {"username": name, "password": password, "grant_type": "password"}
        before = time.monotonic()
        reply = requests.post(
            f"{bounded.url}/auth/token", data=form, timeout=120, **stranger(address)
        )
        return reply.status_code, time.monotonic() - before

    alone = min(log_in(*ADA, "203.0.113.1")[1] for _ in range(3))
    with ThreadPoolExecutor(80) as pool:
        guesses = [pool.submit(log_in, f"u{n}", "guess", "203.0.113.2") for n in range(80)]
        time.sleep(alone)
        status, seconds = log_in(*ADA, "203.0.113.3")
        statuses = [guess.result()[0] for guess in guesses]
    assert status == 200 and seconds < 12 * alone + 1, (alone, seconds)
    assert statuses.count(429) >= 60 and set(statuses) == {401, 429}


@pytest.mark.server
def test_a_strangers_jobs_are_those_of_address_and_session(bounded):
    """And the administrator of this machine is none of them."""
    small = {"params": json.dumps({"num_slices": 2, "steps": 1})}
    one, other = stranger("192.0.2.1", "s" * 16), stranger("192.0.2.1", "t" * 16)
    elsewhere, nameless = stranger("192.0.2.2", "s" * 16), stranger("192.0.2.1")
    url = f"{bounded.url}/jobs/infer/knee_xr2mri?image=knee"
    job = until_kept(bounded, requests.post(url, data=small, timeout=60, **one).json()["id"], **one)
    theirs = requests.post(url, data=small, timeout=60, auth=ROOT).json()["id"]
    for who in (other, elsewhere, nameless):
        assert requests.get(f"{bounded.url}/jobs", timeout=60, **who).json() == []
        for each in (job, theirs):
            assert fetched(bounded, each, **who).status_code == 404
            assert fetched(bounded, each, "/result", **who).status_code == 404
            deleted = requests.delete(f"{bounded.url}/jobs/{each}", timeout=60, **who)
            assert deleted.status_code == 404
    assert fetched(bounded, theirs, **one).status_code == 404
    assert fetched(bounded, job, "/result", auth=ROOT).status_code == 403
    assert fetched(bounded, job, "/result", **one).status_code == 200
    listed = requests.get(f"{bounded.url}/jobs", timeout=60, **one).json()
    assert [each["id"] for each in listed] == [job] and "s" * 16 not in listed[0]["owner"]
    for wrong in ("short", "x" * 65, "a b" * 8):
        assert fetched(bounded, job, **stranger("192.0.2.1", wrong)).status_code == 400


@pytest.mark.parametrize("trickle", [b"", b"a"])
def test_bodies_have_a_deadline(monkeypatch, trickle):
    """Whoever sends on at a fair rate has more time."""
    with plain(monkeypatch, body_seconds=1) as (_, port):
        head = "POST /infer/x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 240001\r\n\r\n"
        slow, fair = silent(port, 2)
        with slow, fair:
            for one in (slow, fair):
                one.sendall(head.encode() + b"a")
            before, reply, left = time.monotonic(), b"", 240_000
            slow.settimeout(0.2)
            while not reply and time.monotonic() - before < 10:
                with suppress(OSError):
                    slow.sendall(trickle)
                if left > 20_000:  # one is enough for a second: this machine may stop for a while
                    fair.sendall(b"a" * 20_000)
                    left -= 20_000
                with suppress(TimeoutError):
                    reply = slow.recv(1000)
            slow.settimeout(5)
            while b"too slowly" not in reply and (piece := slow.recv(1000)):
                reply += piece
            assert reply.startswith(b"HTTP/1.1 408 ") and b"too slowly" in reply
            assert time.monotonic() - before < 5
            fair.sendall(b"a" * left)
            fair.settimeout(10)
            assert fair.recv(1000).startswith(b"HTTP/1.1 200")


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


def test_strangers_are_not_one_another_and_nobody_is_administrator_without_a_login():
    """A relay that adds no headers (stunnel, ssh -L) makes everybody look as if at this machine."""
    guard, _ = guarded(allow_anonymous_remote=True, host="0.0.0.0")
    base = "http://10.0.0.7"
    users = [ask(guard, base=base, client=(ip, 1)).json() for ip in ("10.1.2.3", "10.1.2.4")]
    users.append(ask(guard, headers={"Host": "localhost"}).json())
    users.append(ask(guard, headers={"X-Forwarded-For": "10.1.2.5"}).json())
    assert {user["role"] for user in users} == {Role.USER}
    assert len({user["user"] for user in users[:3]}) == 3


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

    def status(route):
        return requests.get(secured.url + route, auth=root, timeout=20).status_code

    def written(since: int) -> str:
        """What the log has gained, with the line of `/jobs`, which comes after its reply."""
        deadline = time.monotonic() + 20
        while '"/jobs"' not in (added := path.read_text()[since:]):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return added

    start = len(path.read_text())
    assert status("/jobs") == 200
    written(start)
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
    lines = [json.loads(line) for line in written(len(before)).splitlines()]
    lost = [line["lost"] for line in lines if "lost" in line]  # the last one's came after its reply
    assert sum(lost) >= 6 and lines[-1]["route"] == "/jobs"
