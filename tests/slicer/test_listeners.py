"""What a script may do as soon as it hears of something: cancel, start, wait, end its logic."""

from __future__ import annotations

import sys

import faulty_server as fake
import pytest
from faulty_server import Answer

pytestmark = pytest.mark.gui

POSTS = ("POST", "/jobs/infer")


@pytest.fixture
def script(slicer, user, faulty, radiograph):
    """A connected logic that no panel listens to, a radiograph, and a request."""
    from XR2MRILib.request import Request

    logic = sys.modules["XR2MRI"].XR2MRILogic()
    logic.connectTo(faulty.url)
    logic.wait()
    yield logic, user.choose(radiograph), Request()
    logic.close()


def once(signal, action) -> list:
    """Do something when a signal comes for the first time; what came of it, or the error."""
    came: list = []

    def listener(*arguments):
        signal.disconnect(listener)
        try:
            came.append(action(*arguments))
        except Exception as error:
            came.append(error)

    signal.connect(listener)
    return came


def test_what_has_just_begun_can_be_cancelled(user, script, faulty):
    from xr2mri_client.errors import UserCancelled

    logic, xray, request = script
    once(logic.stateChanged, lambda _state: logic.cancel())
    logic.start(xray, request)
    assert logic.state == "idle"
    with pytest.raises(UserCancelled):
        logic.wait()
    user.until(lambda: not logic._driver.busy, "its thread ends", 20)
    assert user.volumes() == [] and faulty.count(*POSTS) == faulty.count("DELETE")
    logic.start(xray, request)
    assert logic.wait().volume is not None, "and then it works"


def test_nothing_starts_beside_what_has_just_begun(user, script, faulty):
    logic, xray, request = script
    came = once(logic.stateChanged, lambda _state: logic.start(xray, request))
    logic.start(xray, request)
    logic.wait()
    assert "busy" in str(came[0]) and faulty.count(*POSTS) == len(user.volumes()) == 1


def test_what_begins_when_nothing_is_done_any_more_keeps_its_own_end(script):
    """Not that of what has ended before it."""
    logic, xray, request = script
    heard = []
    for signal in (logic.connected, logic.finished):
        signal.connect(lambda found: heard.append(type(found).__name__))

    def begin(state):
        if state == "idle":
            logic.stateChanged.disconnect(begin)
            logic.start(xray, request)

    logic.stateChanged.connect(begin)
    logic.connectTo(logic.url)
    logic.wait()
    assert heard == ["ServerInfo", "Result"]


@pytest.mark.parametrize("signal", ["connected", "finished", "failed", "progressed"])
def test_a_script_may_be_through_with_its_logic_whatever_it_hears(user, faulty, script, signal):
    kind, (_logic, xray, request) = sys.modules["XR2MRI"].XR2MRILogic, script
    if signal == "failed":
        faulty.plan[" ".join(POSTS) + "/knee_xr2mri"] = Answer(422, {"detail": "no"})
    held = [kind()]
    if signal == "connected":
        came = once(held[0].connected, lambda _info: held.pop().close())
        held[0].connectTo(faulty.url)
    else:
        held[0].connectTo(faulty.url)
        held[0].wait()
        came = once(getattr(held[0], signal), lambda _what: held.pop().close())
        held[0].start(xray, request)
    user.until(lambda: came, signal, 20)
    assert came == [None]  # and the fixture sees no error


def test_a_listener_may_generate_and_wait(slicer, script, faulty):
    import qt

    logic, xray, _request = script
    came = once(logic.connected, lambda _info: logic.generate(xray, {"V00XRKL": 2}).GetName())
    qt.QTimer.singleShot(20000, logic.cancel)
    logic.connectTo(faulty.url)
    logic.wait()
    assert came == ["knee synthetic MRI"]


def test_everybody_who_waits_hears_of_a_failure(script, faulty):
    from xr2mri_client.errors import Refused

    logic, xray, _request = script
    faulty.plan[" ".join(POSTS) + "/knee_xr2mri"] = Answer(422, {"detail": "no"})
    came = once(logic.failed, lambda _error: logic.generate(xray))
    with pytest.raises(Refused):
        logic.generate(xray)
    assert isinstance(came[0], Refused) and faulty.count(*POSTS) == 2


def test_a_cancellation_is_told_once(script):
    logic, xray, request = script
    told = []
    logic.cancelled.connect(lambda: told.append("cancelled"))
    logic.start(xray, request)
    once(logic.stateChanged, lambda _state: logic.cancel())
    logic.cancel()
    assert told == ["cancelled"] and logic.state == "idle"


def test_a_listener_may_cancel_and_generate_anew(slicer, user, script, faulty):
    import qt

    logic, xray, request = script

    def anew(_job):
        logic.cancel()
        return logic.generate(xray, {"V00XRKL": 2})

    came = once(logic.started, anew)
    qt.QTimer.singleShot(20000, logic.cancel)
    logic.start(xray, request)
    logic.wait()
    assert came == user.volumes() and faulty.count(*POSTS) == 2


def test_a_listener_is_not_let_wait_for_what_tells_it(slicer, script):
    import qt

    logic, xray, request = script
    came = once(logic.started, lambda _job: logic.wait())
    qt.QTimer.singleShot(20000, logic.cancel)
    logic.start(xray, request)
    logic.wait()
    assert "busy" in str(came[0])


def test_what_begins_with_the_connection_is_not_pushed_aside(slicer, user, script, faulty):
    """By the generation that the login is for."""
    from xr2mri_client.errors import LoginNeeded

    logic, xray, request = script
    job = f"GET /jobs/{fake.JOB}"
    rest = faulty.plan[job]
    faulty.plan[job] = [Answer(401, {"detail": "expired"}), *rest]
    logic.start(xray, request)
    with pytest.raises(LoginNeeded):
        logic.wait()
    faulty.plan["POST /locate/knee_xr2mri"] = Answer(422, {"detail": "no"})
    once(logic.connected, lambda _info: logic.locate(xray, request))
    errors = once(logic.failed, lambda error: error)
    logic.connectTo(faulty.url)
    user.until(lambda: errors, "the knee is looked for", 20)
    assert faulty.count("POST", "/locate") == 1
