"""Slicer's event loop keeps Python's lock: a thread gets on only while Python runs on the GUI's.

PySide6 gives the lock away while it waits, so that the other tests cannot see it. Here a function
of C that is called without giving the lock away takes the event loop's place.
"""

from __future__ import annotations

import ctypes
import gc
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
    while logic._timer.isActive() and time.monotonic() < limit:
        ctypes.PyDLL(None).usleep(1000 * logic._timer.interval)
        logic._tick()
    assert not logic._timer.isActive(), "it goes on for ever"


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


def test_while_the_server_works_nobody_waits_for_the_thread(user, logic, faulty, monkeypatch):
    """The GUI's thread neither polls nor sleeps between two questions to the server."""
    module = sys.modules["XR2MRILib.logic"]
    slept, ticks = [], 0
    user.press_generate()
    user.until(lambda: faulty.count("GET", JOB) >= 9, "the pauses have grown", 60)
    clock = types.SimpleNamespace(
        sleep=lambda seconds: (slept.append(seconds), time.sleep(seconds)), monotonic=time.monotonic
    )
    monkeypatch.setattr(module, "time", clock)
    asked, began, used = faulty.count("GET", JOB), time.monotonic(), time.thread_time()
    while time.monotonic() < began + 3:
        ctypes.PyDLL(None).usleep(1000 * logic._timer.interval)
        logic._tick()
        ticks += 1
    took, used = time.monotonic() - began, time.thread_time() - used
    monkeypatch.undo()
    assert faulty.count("GET", JOB) > asked, "it is asked all the same"
    message = (
        f"{ticks} looks, {sum(slept):.2f} s asleep, {used:.2f} s of the processor in {took:.1f} s"
    )
    assert ticks < 20 * took and sum(slept) < 0.15 * took and used < 0.1 * took, message
    logic.cancel()
    loop(logic)
    assert faulty.count("DELETE") == 1, "a cancellation is sent at once"


def test_nothing_keeps_a_logic_that_a_script_is_through_with(slicer, user, faulty, radiograph):
    kind = sys.modules["XR2MRI"].XR2MRILogic
    xray = user.choose(radiograph)
    logic = kind()
    assert logic.generate(xray, {"V00XRKL": 2}, faulty.url) is not None
    slicer.app.processEvents()
    known = weakref.ref(logic)
    del logic
    gc.collect()
    assert known() is None
