"""The audit log: who, what, when; never with whom."""

import asyncio
import json
import logging
import os
import shutil
import threading
import time
from contextlib import ExitStack, suppress
from logging.handlers import RotatingFileHandler

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from security_support import PASSWORD, ask, guarded, make_users, serving
from waiting import until

from monai_app.lib.security.audit import FIELDS, IN_FULL, AuditLog, _plain
from monai_app.lib.security.log_lines import write_in_a_thread
from monai_app.lib.security.settings import SecuritySettings, SettingsError


def lines_of(path, audit=None):
    if audit is not None:
        audit.close()  # all is written then
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_says_who_and_what(tmp_path):
    path = tmp_path / "audit.log"
    guard, _ = guarded(AuditLog(path), users_file=make_users(tmp_path))
    reply = ask(guard, "POST", "/infer/count?image=Doe-John", auth=("ada", PASSWORD), content=b"x")
    ask(guard, url="/info/", auth=("ada", "not the password"))
    ask(guard, url="/secret/Doe-John")
    first, second, third = lines_of(path, guard.audit)
    assert {name: first[name] for name in ("user", "address", "method", "route", "status")} == {
        "user": "ada",
        "address": "127.0.0.1",
        "method": "POST",
        "route": "/infer/{model}",
        "status": 200,
    }
    assert first["id"] == reply.headers["x-request-id"] and first["ms"] >= 0
    assert first["time"].endswith("Z") and len(first["time"]) == 24
    assert (second["user"], second["route"], second["status"]) == ("-", "/info/", 401)
    assert (third["route"], third["status"]) == ("-", 404)
    assert "Doe" not in path.read_text() and "password" not in path.read_text()


def test_handlers_add_plain_fields_only(tmp_path):
    path = tmp_path / "audit.log"
    guard, _ = guarded(AuditLog(path))
    ask(guard, url="/jobs")  # adds model, seed and the patient's name
    (line,) = lines_of(path, guard.audit)
    assert (line["model"], line["seed"]) == ("knee", 7) and "patient" not in line


@given(st.dictionaries(st.sampled_from([*FIELDS, "patient", "file"]), st.text() | st.integers()))
def test_no_text_gets_through_that_is_not_a_token(fields):
    for name, value in _plain(fields).items():
        assert name in FIELDS
        assert isinstance(value, int) or (value.isascii() and " " not in value and "^" not in value)


def test_a_method_is_not_free_text(tmp_path):
    path = tmp_path / "audit.log"
    guard, _ = guarded(AuditLog(path))
    ask(guard, "DOE-JOHN", "/info/")
    assert lines_of(path, guard.audit)[0]["method"] == "-"


def test_the_file_is_private_and_rotated(tmp_path):
    path = tmp_path / "audit.log"
    log = AuditLog(path, max_mb=1, keep=2)
    log._handler.target.maxBytes = 2000
    for number in range(60):
        log.write(
            request_id=str(number),
            user="ada",
            address=None,
            method="GET",
            route="/info/",
            status=None,
            milliseconds=1.4,
        )
    log.close()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["audit.log", "audit.log.1", "audit.log.2"]
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)
    assert lines_of(path)[-1] | {"time": ""} == {
        "time": "",
        "id": "59",
        "user": "ada",
        "address": "-",
        "method": "GET",
        "route": "/info/",
        "status": 499,
        "ms": 1,
    }


@pytest.mark.parametrize(
    ("user", "status"), [(None, 404), (None, 401), (None, 200), ("anonymous/10.0.0.9", 404)]
)
def test_nobody_without_a_login_pushes_out_what_the_log_tells_of_others(tmp_path, user, status):
    """Anybody can ask for what is not there some thousand times a second."""
    audit, now = AuditLog(path := tmp_path / "audit.log"), [0.0]
    audit._without_login.clock = lambda: now[0]

    def asked(user, address, status, generation=False):
        audit.write(
            request_id="1", user=user, address=address, method="GET", route=None,
            status=status, milliseconds=1, fields={"model": "knee"}, generation=generation,
        )  # fmt: skip

    for _ in range(500):
        asked(user, "10.0.0.9", status)
    asked("ada", "10.0.0.9", 404)
    asked(user, "10.0.0.9", 202, generation=True)
    for _ in range(500):
        asked(user, "10.0.0.9", 503)
    asked(user, "10.0.0.8", status)
    now[0] = 61.0
    asked(user, "10.0.0.9", status)
    for number in range(500):
        asked(user, f"2001:db8:0:{number:x}::1", status)
    lines = lines_of(path, audit)
    sums = [line for line in lines if "more" in line]
    assert [line["more"] for line in sums[:2]] == [500 - IN_FULL] * 2 and len(sums) == 3
    assert ["failed" in line for line in sums] == [False, True, False]
    of_first = [line for line in lines if line["address"] == "10.0.0.9" and "more" not in line]
    assert len(of_first) == 2 * IN_FULL + 2 + 1 and len(lines) < 110
    assert {line["status"] for line in of_first} == {status, 404, 202, 503}


def write_line(audit):
    audit.write(
        request_id="1",
        user="ada",
        address="10.0.0.1",
        method="GET",
        route="/info/",
        status=200,
        milliseconds=3,
    )


def test_without_a_file_lines_go_to_standard_error(capsys):
    audit = AuditLog()
    write_line(audit)
    audit.close()
    assert json.loads(capsys.readouterr().err)["user"] == "ada"


def test_a_standard_error_that_nobody_reads_holds_up_nobody(monkeypatch):
    """A pipe takes 64 KB; lines for which there is no room are counted, and said to be lost."""
    out, into = os.pipe()
    with ExitStack() as stack:
        full = stack.enter_context(open(into, "w", buffering=1))
        with monkeypatch.context() as started_with:
            started_with.setattr("sys.stderr", full)
            server, port = stack.enter_context(
                serving(SecuritySettings(), "127.0.0.1", [], started_with)
            )
        audit = server.config.app.state.guard.audit
        written = bytearray()

        def read():
            with open(out, "rb", buffering=0) as reader:
                while piece := reader.read(1 << 16):
                    written.extend(piece)

        reading = threading.Thread(target=read, daemon=True)
        stack.callback(lambda: reading.is_alive() or reading.start())  # else closing `full` waits
        session = stack.enter_context(requests.Session())

        def asked(route):
            return session.get(f"http://127.0.0.1:{port}{route}", timeout=60).status_code

        assert [asked("/docs") for _ in range(1800)] == [200] * 1800
        assert audit.lost > 0
        reading.start()
        until(lambda: b"\n" in written and audit._handler.idle)
        lost = audit.lost
        assert (asked("/jobs"), asked("/docs")) == (404, 200)
        until(lambda: b'"lost": %d' % lost in written)


def test_a_standard_error_that_has_ended_loses_lines_and_stops_nothing(monkeypatch):
    out, into = os.pipe()
    os.close(out)
    with open(into, "w", buffering=1) as ended, monkeypatch.context() as patched:
        patched.setattr("sys.stderr", ended)
        audit = AuditLog()
    write_line(audit)
    until(lambda: audit.lost == 1)
    assert asyncio.run(audit.ready())
    audit.close()


@pytest.mark.skipif(os.name != "posix", reason="a pipe with a name")
def test_a_disk_that_hangs_holds_up_nobody_and_nobody_is_served_unseen(tmp_path, monkeypatch):
    """As a drive of the network does that has gone: what is written there waits for ever."""
    path = tmp_path / "audit.log"
    os.mkfifo(path)
    hanging = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    monkeypatch.setattr("monai_app.lib.security.audit._PATIENCE_SECONDS", 0.3)
    with (
        serving(SecuritySettings(audit_file=path), "127.0.0.1", [], monkeypatch) as (server, port),
        requests.Session() as session,
        open(hanging, "rb", 0) as disk,
    ):
        audit = server.config.app.state.guard.audit
        audit._handler._lines.maxsize = 5

        def asked(route):
            return session.get(f"http://127.0.0.1:{port}{route}", timeout=10).status_code

        assert asked("/docs") == 200
        while True:
            with suppress(BlockingIOError):
                os.set_blocking(hanging, False)
                os.write(hanging, b"\n")
                continue
            break
        asked("/docs")  # its line waits for the disk
        until(lambda: asked("/docs") == 507)
        before = time.monotonic()
        assert {asked("/docs") for _ in range(20)} == {507}, "once it is known, nobody waits for it"
        assert asked("/health") == 200 and time.monotonic() - before < 5
        for _ in range(60):
            asked("/docs")
        assert audit.lost > 0
        read = bytearray()
        until(lambda: read.extend(disk.read(1 << 16) or b"") or asked("/docs") == 200)
        until(lambda: read.extend(disk.read(1 << 16) or b"") or b'"lost": ' in read)


@pytest.mark.skipif(os.name != "posix", reason="a pipe with a name")
def test_a_log_of_the_process_on_a_disk_that_hangs_holds_up_nobody(tmp_path, monkeypatch):
    """MONAI Label's program keeps one in the folder of the app."""
    os.mkfifo(path := tmp_path / "app.log")
    disk, read = os.open(path, os.O_RDWR | os.O_NONBLOCK), bytearray()
    logger = logging.getLogger("written to a disk that hangs")
    monkeypatch.setattr(logger, "propagate", False)
    logger.addHandler(handler := RotatingFileHandler(path))
    write_in_a_thread()
    assert handler not in logger.handlers
    for _ in range(100):
        logger.error("x" * 1000)
    with open(disk, "rb", 0) as goes_on:
        until(lambda: read.extend(goes_on.read(1 << 16) or b"") or read.count(b"\n") == 100)


def test_a_log_that_another_program_takes_away_is_made_anew(tmp_path):
    path, audit = tmp_path / "audit.log", AuditLog(tmp_path / "audit.log")
    for then in (lambda: path.rename(tmp_path / "audit.log-2025"), path.unlink, lambda: None):
        write_line(audit)
        assert asyncio.run(audit.ready()) and len(lines_of(path)) == 1
        assert path.stat().st_mode & 0o777 == 0o600
        then()
    shutil.rmtree(tmp_path)
    write_line(audit)
    assert not asyncio.run(audit.ready())
    tmp_path.mkdir()
    assert asyncio.run(audit.ready())
    assert [line["lost"] for line in lines_of(path, audit)] == [1]


def test_a_file_that_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(SettingsError, match="audit_file"):
        AuditLog(tmp_path / "missing" / "audit.log")
