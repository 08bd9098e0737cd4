"""The server on this computer: for one user alone, found again, ended with who started it."""

from __future__ import annotations

import http.server
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial, partialmethod
from pathlib import Path

import pytest
from own_server import LIGHT, ROOT, command

from xr2mri_client import errors, own_server
from xr2mri_client.client import XR2MRIClient
from xr2mri_client.events import Returned
from xr2mri_client.installation import Installation
from xr2mri_client.own_server import OwnServer, why_it_ended
from xr2mri_client.writing import write_whole

MODULE = ROOT / "slicer_extension" / "XR2MRI"


@pytest.fixture(scope="module")
def slicer(tmp_path_factory, tiny_bundle):
    """The process that has started a server, and its installation. It is killed by the last test
    that needs it."""
    folder = tmp_path_factory.mktemp("own") / "Eva M\u00fcller's knees, 50 %"  # as homes are called
    folder.mkdir()
    words = command(tiny_bundle, folder)
    code = (
        f"import sys, time; sys.path.insert(0, {str(MODULE)!r})\n"
        "from xr2mri_client.installation import Installation\n"
        "from xr2mri_client.own_server import OwnServer\n"
        f"server = OwnServer(Installation({str(folder)!r}), command={words!r})\n"
        "server.open(); print(server._process.pid, flush=True); time.sleep(3600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(process.stdout.readline())
    yield process, pid, Installation(folder)
    process.kill()
    process.wait()


@pytest.fixture
def opened(slicer):
    """The server, found by another program of the same user."""
    server = OwnServer(slicer[2], command=["no such program"])
    server.open()
    assert not server.ours
    return server


@pytest.mark.server
def test_whoever_has_the_secret_generates_and_nobody_else(opened, radiograph):
    client = XR2MRIClient(opened.access.url)
    for stranger in ("", "x" * 43):
        if stranger:
            client.use_token(stranger)
        with pytest.raises(errors.LoginNeeded):
            client.connect()
        with pytest.raises(errors.LoginNeeded):
            client.start("knee_xr2mri", radiograph, {"num_slices": 2})
    client.use_token(opened.access.token)
    assert client.connect().model.name == "knee_xr2mri"
    job = client.start("knee_xr2mri", radiograph, {"num_slices": 2, "steps": 1, "seed": 1})
    limit = time.monotonic() + 240
    while not client.state(job).final:
        assert time.monotonic() < limit
        time.sleep(0.1)
    assert client.result(job).array.shape[1] == 2
    client.close()


@pytest.mark.server
def test_the_secret_is_in_no_command_line_log_or_file_of_others(opened):
    token = opened.access.token
    assert token not in repr(opened.access) and token not in opened.log()
    words = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, check=True).stdout
    assert b"session_token_file" in words and token.encode() not in words
    assert stat.S_IMODE(opened.folder.stat().st_mode) == 0o700
    for path in opened.folder.rglob("*"):
        if path.is_file() and token in path.read_text(errors="replace"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


@pytest.mark.server
def test_one_that_was_found_is_not_ended_with_who_found_it(opened):
    access = opened.access
    opened.stop()
    assert opened.find() == access and opened.ended() is None
    session = opened.folder / "session.json"
    session.chmod(0o644)
    assert opened.find() is None, "somebody else may have written or read it"
    session.chmod(0o600)


def test_one_that_has_taken_its_port_learns_nothing(tmp_path):
    heard: list[str] = []

    class Yes(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            heard.append(self.requestline + str(self.headers))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status": "ok", "proof": "00"}')

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Yes) as impostor:
        threading.Thread(target=impostor.serve_forever, daemon=True).start()
        server = OwnServer(Installation(tmp_path))
        server.folder.mkdir()
        session = {"port": impostor.server_port, "token": "secret of a session"}
        write_whole(server.folder / "session.json", json.dumps(session), private=True)
        assert server.find() is None
        impostor.shutdown()
    assert len(heard) == 1 and session["token"] not in heard[0]


@pytest.mark.server
def test_it_ends_when_who_started_it_is_killed(slicer, opened):
    process, pid, installation = slicer
    process.kill()
    process.wait()
    limit = time.monotonic() + 60
    while _runs(pid):
        assert time.monotonic() < limit, "it goes on for ever"
        time.sleep(0.1)
    assert OwnServer(installation).find() is None


def _runs(pid: int) -> bool:
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE  # nobody may bury it
    except psutil.NoSuchProcess:
        return False


def test_a_server_that_is_killed_is_told_and_stopping_is_no_crash(tmp_path):
    server = OwnServer(Installation(tmp_path), command=[sys.executable, "-c", LIGHT])
    server.open()
    process = server._process
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    error = server.ended()
    assert "was killed, probably for want of memory" in str(error)
    assert server.access is None and not (server.folder / "session.json").exists()
    assert server.ended() is None, "it is reported once"
    server.open()
    process = server._process
    server.stop()
    server.open()
    assert process.returncode == 0, "it has gone before another one starts"
    assert server.ended() is None and server.ours
    server.stop()
    server.wait()


def test_one_that_does_not_start_says_why(tmp_path):
    words = [
        sys.executable,
        "-c",
        "import sys; sys.exit('xr2mri: error: the model has no weights')",
    ]
    server = OwnServer(Installation(tmp_path), command=words)
    with pytest.raises(errors.ServerEnded, match="weights of the model are missing"):
        server.open()
    server = OwnServer(Installation(tmp_path / "empty"))
    with pytest.raises(errors.ServerEnded, match=r"cannot be started.*install it again"):
        server.open()


@pytest.mark.parametrize("name", ["studies", "token", "server.log", "session.json"])
@pytest.mark.parametrize(
    ("number", "said"), [(28, "The disk of .*server is full. Make room"), (13, "Allow yourself")]
)
def test_a_disk_that_is_full_or_forbidden_is_told_and_nothing_runs_on(
    tmp_path, monkeypatch, name, number, said
):
    server = OwnServer(Installation(tmp_path), command=[sys.executable, "-c", LIGHT])
    started, start = [], own_server.start
    monkeypatch.setattr(
        own_server, "start", lambda *a, **more: started.append(start(*a, **more)) or started[-1]
    )
    opened, made, real = Path.open, Path.mkdir, os.open

    def refused(path, *arguments, do, **more):
        if Path(path).name.startswith(name):
            raise OSError(number, os.strerror(number), str(path))
        return do(path, *arguments, **more)

    monkeypatch.setattr(Path, "open", partialmethod(refused, do=opened))
    monkeypatch.setattr(Path, "mkdir", partialmethod(refused, do=made))
    monkeypatch.setattr(os, "open", partial(refused, do=real))
    with pytest.raises(errors.ServerEnded, match=said):
        server.open()
    assert len(started) == (name == "session.json")
    assert all(process.returncode is not None for process in started) and not server.ours


def test_nobody_waits_for_one_that_was_cancelled(tmp_path):
    words = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    server = OwnServer(Installation(tmp_path), command=words)
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        if len(pauses) == 2:
            raise errors.UserCancelled

    with pytest.raises(errors.UserCancelled):
        server.open(pause)
    server.wait()
    assert not server.ours
    with pytest.raises(errors.ServerEnded, match="did not answer within 0 s"):
        server.open(seconds=0.3)


def test_one_that_was_cancelled_takes_no_other_along(tmp_path):
    """Start, Cancel, Start, as quickly as one can click."""
    first = tmp_path / "first"
    hang = f"import os, sys\nif not os.path.exists({str(first)!r}):\n"
    hang += f"    open({str(first)!r}, 'w').close()\n    sys.stdin.read()\n    sys.exit()\n"
    server = OwnServer(
        Installation(tmp_path / "here"), command=[sys.executable, "-c", hang + LIGHT]
    )
    one, two = own_server.OpenWorker(server), own_server.OpenWorker(server)
    one.start()
    limit = time.monotonic() + 60
    while not first.exists():
        assert time.monotonic() < limit
        time.sleep(0.01)
    hung = server._process
    one.cancel()
    two.start()
    assert two.join(60) and isinstance(two.drain()[-1], Returned)
    assert hung.returncode is not None and server.find() == server.access is not None
    server.stop()
    server.wait()


def test_two_that_open_it_at_once_share_one(tmp_path):
    """The one reads its secret seconds after it was started: the other must not write a new one."""
    slowly = [sys.executable, "-c", f"import time; time.sleep(1)\n{LIGHT}"]
    first, second = (OwnServer(Installation(tmp_path), command=slowly) for _ in range(2))
    with ThreadPoolExecutor(2) as pool:
        began = pool.submit(first.open, seconds=60)
        while not (tmp_path / "server" / "session.json").exists():
            time.sleep(0.01)
        assert pool.submit(second.open, seconds=60).result() == began.result()
    assert (first.ours, second.ours) == (True, False)
    assert not (tmp_path / "server" / "opening").exists()
    first.stop()
    first.wait()


def test_one_that_has_died_takes_no_other_s_session_along(tmp_path):
    first, second = (OwnServer(Installation(tmp_path), command=[sys.executable, "-c", LIGHT])
                     for _ in range(2))  # fmt: skip
    first.open()
    first._process.kill()
    first._process.wait()
    access = second.open()
    first.stop()
    assert second.find() == access
    second.stop()
    second.wait()


def test_a_port_that_was_taken_meanwhile_is_changed_for_another(tmp_path):
    words = [sys.executable, "-c", "import sys; sys.exit('port 1 of 127.0.0.1 is taken: ...')"]
    server = OwnServer(Installation(tmp_path), command=words)
    started = []
    launched = server._launched
    server._launched = lambda: started.append(1) or launched()
    with pytest.raises(errors.ServerEnded, match="Another program has taken the port"):
        server.open()
    assert len(started) == 2


@pytest.mark.parametrize(
    ("status", "log", "said"),
    [
        (-9, "", "killed, probably for want of memory"),
        (1, "torch.OutOfMemoryError: CUDA out of memory. Tried", "ran out of memory"),
        (1, "RuntimeError: [enforce fail] DefaultCPUAllocator: not enough memory", "out of memory"),
        (2, "xr2mri: error: port 8000 of 127.0.0.1 is taken: does a server", "taken the port"),
        (1, "ModuleNotFoundError: No module named 'torch'", "damaged: .*No module named 'torch'"),
        (-11, "Fatal", "ended by signal 11"),
        (3, "a\nValueError: odd\nb", "status 3: ValueError: odd"),
        (1, "bind: [Errno 13]: error\nxr2mri: error: not started; the log above says why", "13"),
        (3, "", "status 3"),
    ],
)
def test_why_it_ended_is_told_in_words(status, log, said):
    import re

    error = why_it_ended(status, log)
    assert re.search(said, error.message) and error.remedy


def test_variables_of_this_python_are_not_the_servers():
    from xr2mri_client.programs import environment_of_its_own

    known = {"PYTHONHOME": "/slicer", "PYTHONPATH": "/slicer/lib", "HOME": "/home/eva"}
    made = environment_of_its_own(known)
    assert made["HOME"] == "/home/eva" and not {"PYTHONHOME", "PYTHONPATH"} & set(made)


def test_where_the_case_of_names_does_not_matter_no_variable_comes_twice(monkeypatch):
    from xr2mri_client import programs

    known = {"Path": "a", "PythonPath": "/slicer/lib", "PythonUnbuffered": ""}
    assert "PythonPath" in programs.environment_of_its_own(known), "another one, on Linux"
    monkeypatch.setattr(programs, "WINDOWS", True)
    made = programs.environment_of_its_own(known)
    assert made == {"Path": "a", "PYTHONNOUSERSITE": "1", "PYTHONUNBUFFERED": "1"}
