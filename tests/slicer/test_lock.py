"""Slicer's event loop keeps Python's lock: a thread gets on only while Python runs on the GUI's.

PySide6 gives the lock away while it waits, so that the other tests cannot see it. Here a function
of C that is called without giving the lock away takes the event loop's place.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import time
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
