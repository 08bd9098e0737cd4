"""Slicer's event loop keeps Python's lock: a thread gets on only while Python runs on the GUI's.

PySide6 gives the lock away while it waits, so that the other tests cannot see it. Here a function
of C that is called without giving the lock away takes the event loop's place.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
import types
import weakref

import faulty_server as fake
import pytest
from faulty_server import Answer

pytestmark = pytest.mark.gui

JOB = f"/jobs/{fake.JOB}"


def loop(logic, seconds: float = 20) -> None:
    """Slicer's event loop with nothing but the logic's timer in it, until that is stopped."""
    limit = time.monotonic() + seconds
    while logic._driver._timer.isActive() and time.monotonic() < limit:
        ctypes.PyDLL(None).usleep(1000 * logic._driver._timer.interval)
        logic._driver._tick()
    assert not logic._driver._timer.isActive(), "it goes on for ever"


@pytest.fixture
def logic(slicer, user, faulty, radiograph):
    user.connect(faulty.url)
    user.choose(radiograph)
    logic = user.logic
    faulty.plan[f"GET {JOB}"] = Answer(body=fake.state("running", 2))
    return logic


def test_the_server_hears_of_a_cancellation(user, logic, faulty):
    user.press_generate()
    user.until(lambda: faulty.count("GET", JOB), "the job runs")
    first = iter([503])
    faulty.plan[f"DELETE {JOB}"] = lambda _asked: Answer(next(first, 200), fake.state("cancelled"))
    logic.cancel()
    assert logic.state == "idle", "at once"
    loop(logic)
    assert faulty.count("DELETE") == 2, "and once more, for it was busy"


def test_the_server_hears_of_a_deleted_volume(user, logic, faulty):
    user.press_generate()
    user.until(user.volumes, "the first slices")
    user.slicer.mrmlScene.RemoveNode(user.volumes()[0])
    loop(logic)
    assert faulty.count("DELETE") == 1


def test_a_volume_arrives(user, logic, faulty):
    faulty.plan[f"GET {JOB}"] = Answer(body=fake.state("done", fake.SLICES))
    user.press_generate()
    loop(logic)
    assert len(user.volumes()) == 1


def assert_rests(logic, monkeypatch, seconds: float = 3.0) -> None:
    """While Slicer's event loop runs, the GUI's thread neither polls nor sleeps."""
    module = sys.modules["XR2MRILib.driver"]
    slept, ticks = [], 0
    clock = types.SimpleNamespace(
        sleep=lambda seconds: (slept.append(seconds), time.sleep(seconds)), monotonic=time.monotonic
    )
    monkeypatch.setattr(module, "time", clock)
    began, used = time.monotonic(), time.thread_time()
    while time.monotonic() < began + seconds:
        ctypes.PyDLL(None).usleep(1000 * logic._driver._timer.interval)
        logic._driver._tick()
        ticks += 1
    took, used = time.monotonic() - began, time.thread_time() - used
    monkeypatch.setattr(module, "time", time)
    message = (
        f"{ticks} looks, {sum(slept):.2f} s asleep, {used:.2f} s of the processor in {took:.1f} s"
    )
    print(message)
    assert ticks < 20 * took and sum(slept) < 0.15 * took and used < 0.1 * took, message


def test_while_the_server_works_nobody_waits_for_the_thread(user, logic, faulty, monkeypatch):
    """Between two questions to the server."""
    user.press_generate()
    user.until(lambda: faulty.count("GET", JOB) >= 9, "the pauses have grown", 60)
    asked = faulty.count("GET", JOB)
    assert_rests(logic, monkeypatch)
    assert faulty.count("GET", JOB) > asked, "it is asked all the same"
    logic.cancel()
    loop(logic)
    assert faulty.count("DELETE") == 1, "a cancellation is sent at once"


@pytest.fixture
def here(user, tmp_path, monkeypatch):
    """A logic whose computer has its place in `tmp_path / "here"`, and a way to put a program in
    the place of another on the PATH."""
    logic = user.logic
    logic.computer.choose(str(tmp_path / "here"))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    def put(name: str, code: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{code}\n")
        (tmp_path / name).chmod(0o755)

    return logic, put


def test_an_installation_needs_nobody_who_waits_for_it(here, tmp_path, monkeypatch):
    logic, put = here
    put(
        "uv",
        '[ "$1" = --version ] && echo uv 0.13.9 && exit\n'
        "while true; do echo so far; sleep 0.05; done",
    )
    (tmp_path / "xr2mri-0.1.0-py3-none-any.whl").touch()
    lines = []
    logic.computer.happened.connect(lambda event: lines.append(getattr(event, "text", "")))
    logic.install(str(tmp_path))
    limit = time.monotonic() + 20
    while "so far" not in "".join(lines):
        assert time.monotonic() < limit
        ctypes.PyDLL(None).usleep(1000 * logic._driver._timer.interval)
        logic._driver._tick()
    lines.clear()
    assert_rests(logic, monkeypatch)
    assert "\n".join(lines).count("so far") > 20, "its lines come all the same"
    logic.cancel()
    loop(logic)
    assert logic.computer.installed is None


def test_nor_does_a_removal(here, monkeypatch):
    logic, put = here
    place = logic.computer.installation
    folders = [place.part("environment") / str(i) / str(j) for i in range(40) for j in range(20)]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "file").touch()
    place._claim()
    put("PythonSlicer", "while true; do echo 1 100; sleep 0.05; done")
    done = []
    logic.computer.happened.connect(lambda event: done.append(event.done))
    logic.uninstall()
    assert_rests(logic, monkeypatch)
    assert done and place.left
    logic.cancel()
    loop(logic)
    put("PythonSlicer", f'exec {sys.executable} "$@"')
    logic.uninstall()
    began = time.monotonic()
    loop(logic)
    print(f"{len(folders)} folders removed in {time.monotonic() - began:.1f} s")
    assert not place.folder.exists()


def test_nor_does_a_server_that_starts(here, monkeypatch):
    from xr2mri_client.own_server import OwnServer

    logic, _put = here
    words = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    logic.computer.server = OwnServer(logic.computer.installation, command=words)
    logic.startServer()
    assert_rests(logic, monkeypatch)
    logic.cancel()
    loop(logic)
    logic.computer.server.wait()


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("generated", None),
        ("connected", None),
        ("not connected", "Unreachable"),
        ("failed", "Refused"),
        ("spoilt", "BadReply"),
    ],
)
def test_nothing_keeps_a_logic_that_a_script_is_through_with(
    user, faulty, radiograph, monkeypatch, what, error
):
    from xr2mri_client.errors import BadReply, XR2MRIClientError

    def spoil(*_arguments):
        raise BadReply("spoilt")

    xray = user.choose(radiograph)
    logic = sys.modules["XR2MRI"].XR2MRILogic()
    if what == "failed":
        faulty.plan["POST /jobs/infer/knee_xr2mri"] = Answer(422, {"detail": "no"})
    if what == "spoilt":  # while it is imported
        monkeypatch.setattr(sys.modules["XR2MRILib.generation"].Generation, "_describe", spoil)
    told = None
    try:
        if what.endswith("connected"):
            logic.connectTo(faulty.url if what == "connected" else "http://127.0.0.1:9")
            logic.wait()
        else:
            assert logic.generate(xray, {"V00XRKL": 2}, faulty.url) is not None
    except XR2MRIClientError as caught:
        told = type(caught).__name__
    assert told == error
    driver = logic._driver
    user.until(lambda: not driver.busy, "its thread ends", 20)
    known = weakref.ref(logic)
    del logic
    assert known() is None
