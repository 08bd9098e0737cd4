"""What the panel says and does when the server, or whoever answers in its place, goes wrong."""

from __future__ import annotations

import subprocess
import sys

import faulty_server as fake
import numpy as np
import pytest
from faulty_server import Answer

pytestmark = pytest.mark.gui

HTML = Answer(body=b"<html>It works!</html>", headers={"Content-Type": "text/html"})
JOB = f"/jobs/{fake.JOB}"
POST = "POST /jobs/infer/knee_xr2mri"

UNCLEAR = Answer(body={"state": "so so"})

CONNECTING = {
    "another service": (HTML, "is not an XR2MRI server. Check host and port", "bad"),
    "another service without that page": (Answer(404), "is not an XR2MRI server", "bad"),
    "no HTTP at all": (Answer(raw=b"220 mail.example ESMTP\r\n"), "does not speak HTTP", "bad"),
    "a stock MONAI Label": (
        Answer(body={"name": "Radiology", "models": {}}),
        "MONAI Label server without XR2MRI",
        "bad",
    ),
    "a newer server": (Answer(body=fake.info(api_version=2)), "Update the extension", "bad"),
    "an older server": (Answer(body=fake.info(api_version=0)), "Update the server", "bad"),
    "a crashed server": (Answer(500, {"detail": "oops"}), "tell the administrator", "bad"),
    "a gateway without server": (Answer(503), "ry again", "bad"),
    "a hang-up": (Answer(hang_up=True), "broke", "bad"),
    "half an answer": (Answer(body=fake.info(), cut=40), "cut off", "bad"),
    "no models": (Answer(body=fake.info(models={})), "no model that can generate", "good"),
}


def test_every_way_in_which_connecting_fails_is_told(user, faulty):
    said, wrong = {}, []
    for name, (answer, text, colour) in CONNECTING.items():
        faulty.plan["GET /info/"] = answer
        user.connect(faulty.url)
        if text not in user.ui.serverStatus.text or user.colour("serverStatus") != colour:
            wrong.append((name, user.ui.serverStatus.text))
        assert not user.ui.generateButton.enabled and user.ui.connectButton.enabled, name
        said[name] = user.ui.serverStatus.text
    assert not wrong
    assert len(set(said.values())) > len(said) - 3, said
    faulty.plan["GET /info/"] = Answer(body=fake.info())
    user.connect(faulty.url)
    assert user.colour("serverStatus") == "good", "and then it works"
    assert "Choose a radiograph" in user.ui.progressNote.text


@pytest.mark.parametrize(
    ("typed", "text"),
    [("", "is empty"), ("ftp://a", "cannot start with ftp"), ("me:secret@host", "does not belong")],
)
def test_what_is_no_address_is_told_at_once(user, typed, text):
    user.connect(typed)
    assert text in user.ui.serverStatus.text and user.colour("serverStatus") == "bad"
    assert "secret" not in user.says()


def test_an_address_where_nobody_is(user, faulty):
    from xr2mri_client.programs import free_port

    user.connect(f"http://127.0.0.1:{free_port()}")
    assert "Start the server there, or check host and port" in user.ui.serverStatus.text


def test_connecting_can_be_stopped(user, faulty):
    faulty.plan["GET /info/"] = Answer(body=fake.info(), pause=3)
    user.ui.serverComboBox.setEditText(faulty.url)
    user.ui.connectButton.click()
    assert user.ui.serverStatus.text == "Connecting..." and user.ui.connectButton.text == "Stop"
    user.ui.connectButton.click()
    assert user.logic.state == "idle" and user.ui.connectButton.text == "Connect"
    assert not user.ui.generateButton.enabled


@pytest.mark.parametrize("ca_file", ["", __file__], ids=["usual", "own"])
def test_a_server_that_asks_for_a_login_gets_one(user, faulty, ca_file):
    def info(asked):
        known = asked.headers.get("Authorization") == "Bearer t0ken"
        return Answer(body=fake.info()) if known else Answer(401, {"detail": "who?"})

    def token(asked):
        right = b"username=eva&password=geheim" in asked.body
        return Answer(body={"access_token": "t0ken"}) if right else Answer(401, {"detail": "no"})

    faulty.plan["GET /auth/"] = Answer(body={"enabled": True, "client_id": "x", "realm": None})
    faulty.plan["GET /auth/token/valid"] = Answer(body={"username": "eva"})
    faulty.plan["GET /info/"], faulty.plan["POST /auth/token"] = info, token
    user.ui.caFileEdit.currentPath = ca_file
    user.connect(faulty.url)
    assert user.shown("loginFrame") and user.colour("serverStatus") == "attention"
    assert "Log in" in user.ui.serverStatus.text
    for password, text in (("falsch", "Name or password are wrong"), ("geheim", "as eva")):
        user.ui.userEdit.text, user.ui.passwordEdit.text = "eva", password
        user.ui.loginButton.click()
        user.until_idle()
        assert text in user.ui.serverStatus.text
        assert user.ui.passwordEdit.text == "", "the password stays nowhere"
    assert not user.shown("loginFrame")
    user.connect(faulty.url)
    assert "as eva" in user.ui.serverStatus.text, "once is enough"
    stored = user.slicer.app.settings()
    kept = " ".join(str(stored.value(key)) for key in stored.allKeys())
    assert "t0ken" not in kept and "geheim" not in kept


@pytest.mark.parametrize("stays", [None, __file__])
def test_a_ca_file_that_is_taken_back_is_trusted_no_more(user, faulty, stays):
    def connect(ca_file):
        user.logic.connectTo(faulty.url, caFile=ca_file)
        user.until_idle()
        return user.logic._client

    first = connect(__file__)
    assert first.ca_file == __file__
    assert connect(stays) is first, "of the same server and the same trust login and token stay"
    assert connect("") is not first and user.logic._client.ca_file is None


def test_an_emptied_field_takes_the_ca_file_back(user, faulty):
    for ca_file in (__file__, ""):
        user.ui.caFileEdit.currentPath = ca_file
        user.connect(faulty.url)
        assert user.logic._client.ca_file == (ca_file or None)


def test_a_script_trusts_what_it_is_given_else_what_the_panel_was(user, faulty, radiograph):
    from xr2mri_client.errors import XR2MRIClientError
    from XR2MRILib import settings

    settings.set_ca_file("/gone.pem")  # of another server; without TLS nobody needs it
    node = user.slicer.util.loadVolume(str(radiograph))
    own = {"caFile": __file__}
    for given, trusted in (({}, None), (own, __file__), ({}, __file__), ({"caFile": ""}, None)):
        made = user.logic.generate(node, {}, serverUrl=faulty.url, num_slices=fake.SLICES, **given)
        assert made is not None and user.logic._client.ca_file == trusted
    user.logic.disconnect()
    with pytest.raises(XR2MRIClientError, match="There is no CA file"):
        user.logic.generate(node, {}, serverUrl=faulty.url, caFile="/none.pem")
    with pytest.raises(XR2MRIClientError, match="There is no CA file"):
        user.logic.generate(node, {}, serverUrl="mri.example")


GENERATING = {
    "too large": ({POST: Answer(413, {"detail": "At most 64 MiB."})}, "Send a smaller file"),
    "wrong type": ({POST: Answer(415, {"detail": "Not an image."})}, "Choose another radiograph"),
    "line is full": (
        {POST: Answer(429, {"detail": "8 wait already."}, {"Retry-After": "7"})},
        "Try again in 7 s",
    ),
    "refused": ({POST: Answer(422, {"detail": "steps: 0 is below 1"})}, "steps: 0 is below 1"),
    "crashed": (
        {POST: Answer(500, {"detail": "oops"}, {"X-Request-Id": "r17"})},
        "tell the administrator",
    ),
    "hang-up": ({POST: Answer(hang_up=True)}, "check address, network"),
    "garbage for a job": ({POST: Answer(202, b"\x00\x01")}, "not JSON"),
    "garbage for a state": (
        {f"GET {JOB}": Answer(body={"state": "so so"})},
        "where the job stands",
    ),
    "lost job": ({f"GET {JOB}": Answer(404, {"detail": "no job"})}, "Generate again"),
    "cancelled by another": (
        {f"GET {JOB}": Answer(body=fake.state("cancelled"))},
        "was cancelled on the server",
    ),
    "failed job": (
        {
            f"GET {JOB}": Answer(body=fake.state("failed", error="out of memory")),
            f"GET {JOB}/record": Answer(500, {"detail": "out of memory"}),
        },
        "out of memory",
    ),
    "garbage for a volume": ({f"GET {JOB}/result": Answer(body=bytes(4000))}, "not a NumPy file"),
    "whole numbers": (
        {f"GET {JOB}/result": Answer(body=fake.npy(fake.volume(dtype=np.int16)))},
        "not float32",
    ),
    "a slice missing": (
        {f"GET {JOB}/result": Answer(body=fake.npy(fake.volume(slices=5)))},
        "slices",
    ),
    "no numbers": (
        {f"GET {JOB}/result": Answer(body=fake.npy(fake.volume() * np.float32(np.nan)))},
        "no numbers",
    ),
    "nowhere": (
        {
            f"GET {JOB}": Answer(body=fake.state("done", affine=None)),
            POST: Answer(202, fake.state("queued", affine=None)),
        },
        "where the volume lies",
    ),
    "another voxel size": (
        {f"GET {JOB}/record": Answer(body=fake.record(spacing_mm=[1, 1, 1]))},
        "another voxel size",
    ),
}


def test_every_way_in_which_generating_fails_is_told_and_leaves_nothing(ready, faulty):
    wrong = []
    for name, (plan, text) in GENERATING.items():
        faulty.plan = fake.healthy() | plan
        faulty.asked.clear()
        ready.press_generate()
        ready.until_idle()
        message = ready.ui.messageLabel.text
        if text not in message or ready.colour("messageLabel") != "bad" or len(message) > 400:
            wrong.append((name, message))
        assert ready.volumes() == [], f"{name}: no half of a volume stays"
        assert ready.ui.generateButton.enabled and not ready.ui.cancelButton.enabled, name
        keys = [a.headers["Idempotency-Key"] for a in faulty.asked if a.method == "POST"]
        assert len(set(keys)) == 1 and keys[0], f"{name}: one job, however often it was sent"
    assert not wrong
    faulty.plan = fake.healthy()
    assert ready.generate() is not None and ready.colour("messageLabel") == "good"


def test_a_connection_that_breaks_while_it_generates_is_waited_for(ready, faulty):
    faulty.plan[f"GET {JOB}"] = [
        Answer(body=fake.state("running", 2)),
        Answer(hang_up=True),
        Answer(body=fake.state("running", 3)),
        Answer(body=fake.state("done", fake.SLICES)),
    ]
    whole = Answer(body=fake.npy())
    faulty.plan[f"GET {JOB}/result"] = [Answer(body=whole.content, cut=700), whole]
    heard = []
    ready.logic.progressed.connect(lambda progress: heard.append(progress.phase))
    volume = ready.generate()
    assert np.array_equal(ready.slicer.util.arrayFromVolume(volume).T, fake.volume())
    assert "waiting" in heard


def test_a_server_of_this_computer_that_dies_meanwhile_is_told_as_that(ready, faulty):
    """And not as a cancellation."""
    from xr2mri_client.own_server import Access

    server = ready.logic.computer.server
    server.access = Access(faulty.url, "")
    server._process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    faulty.plan[f"GET {JOB}"] = Answer(body=fake.state("running", 3))
    ready.press_generate()
    ready.until(ready.volumes, "the first slices")
    server._process.kill()
    ready.until(lambda: ready.colour("computerStatus") == "bad", "its end is noticed")
    assert "The server was killed" in ready.ui.computerStatus.text
    assert ready.logic.state == "idle" and ready.logic.info is None and ready.volumes() == []
    assert ready.ui.messageLabel.text == "", "it is said once"


def test_a_server_of_another_slicer_that_has_gone_is_given_up(ready, faulty):
    """So that the next generation starts one."""
    from xr2mri_client.own_server import Access

    computer = ready.logic.computer
    computer.server.access = Access(faulty.url, "")
    faulty.plan[POST] = Answer(hang_up=True)
    ready.press_generate()
    ready.until_idle()
    assert "has gone with the Slicer that had started it" in ready.ui.computerStatus.text
    assert ready.colour("computerStatus") == "bad" and ready.ui.messageLabel.text == ""
    assert computer.access is None and ready.logic.info is None


def test_progress_is_shown_from_the_line_to_the_volume(ready, faulty):
    faulty.plan[f"GET {JOB}"] = [
        Answer(body=fake.state("queued", queue_position=2, seconds_left=300.0)),
        Answer(body=fake.state("running", 3, seconds_left=2.0)),
        Answer(body=fake.state("done", fake.SLICES)),
    ]
    notes, bars = [], []

    def look(_progress):
        notes.append(ready.ui.progressNote.text)
        bars.append((ready.ui.progressBar.value, ready.ui.progressBar.maximum))
        assert ready.ui.cancelButton.enabled and not ready.ui.generateButton.enabled
        assert ready.shown("progressBar")

    ready.logic.progressed.connect(look)
    ready.generate()
    assert "Sending the radiograph..." in notes
    assert "Waiting in the line: 2 before yours, 5 min left" in notes
    assert "3 of 6 slices, 2 s left" in notes and (50, 100) in bars
    assert not ready.shown("progressBar")


def test_slices_appear_while_the_job_runs(ready, faulty):
    grown = []

    def look(node, slices):
        grown.append((slices, ready.slicer.util.arrayFromVolume(node).any(axis=(0, 2)).sum()))

    ready.logic.grown.connect(look)
    running = [Answer(body=fake.state("running", 3))] * 3
    faulty.plan[f"GET {JOB}"] = [*running, Answer(body=fake.state("done", fake.SLICES))]
    ready.generate()
    assert grown == [(3, 3)], "three slices came before the rest, and only those are filled"


def test_a_login_that_expires_during_a_job_is_renewed_and_the_job_goes_on(ready, faulty):
    login = Answer(401, {"detail": "expired"})
    faulty.plan["GET /auth/"] = Answer(body={"enabled": True, "client_id": "x", "realm": None})
    faulty.plan["GET /auth/token/valid"] = Answer(body={"username": "eva"})
    faulty.plan["POST /auth/token"] = Answer(body={"access_token": "fresh"})
    states = faulty.plan[f"GET {JOB}"]
    faulty.plan[f"GET {JOB}"] = [login, *states]
    ready.press_generate()
    ready.until_idle()
    assert ready.shown("loginFrame"), ready.says()
    ready.ui.userEdit.text, ready.ui.passwordEdit.text = "eva", "geheim"
    ready.ui.loginButton.click()
    ready.until(lambda: ready.node.result is not None, "the job goes on")
    ready.until_idle()
    assert faulty.count("POST", "/jobs/infer") == 1


@pytest.mark.parametrize("weights", ["same", "other"])
def test_a_what_if_goes_on_after_a_new_login_as_it_began(ready, faulty, weights):
    """With what is to be subtracted from it, and only if both are of the same weights."""
    faulty.plan[f"GET {JOB}/record"] = Answer(body=fake.record(model={"sha256": "0" * 64}))
    first = ready.generate()
    faulty.plan["GET /auth/"] = Answer(body={"enabled": True, "client_id": "x", "realm": None})
    faulty.plan["GET /auth/token/valid"] = Answer(body={"username": "eva"})
    faulty.plan["POST /auth/token"] = Answer(body={"access_token": "fresh"})
    done = Answer(body=fake.state("done", fake.SLICES))
    faulty.plan[f"GET {JOB}"] = [Answer(401, {"detail": "expired"}), done]
    if weights == "other":
        faulty.plan[f"GET {JOB}/record"] = Answer(body=fake.record(model={"sha256": "1" * 64}))
    made, failed = [], []
    ready.logic.whatIf(first, {"V00XRKL": 3})
    ready.until_idle()
    ready.logic.finished.connect(made.append)
    ready.logic.failed.connect(lambda error: failed.append(type(error).__name__))
    ready.ui.userEdit.text, ready.ui.passwordEdit.text = "eva", "geheim"
    ready.ui.loginButton.click()
    ready.until(lambda: made or failed, "the job goes on")
    ready.until_idle()
    if weights == "other":
        assert failed == ["OtherWeights"]
    else:
        assert made[0].difference is not None


def test_cancel_works_at_once_and_on_the_server(ready, faulty):
    faulty.plan[f"GET {JOB}"] = Answer(body=fake.state("running", 3), pause=2)
    ready.press_generate()
    ready.until(lambda: faulty.count("GET", JOB), "the job runs")
    ready.ui.cancelButton.click()
    assert ready.logic.state == "idle" and ready.ui.messageLabel.text == "Cancelled."
    assert ready.ui.generateButton.enabled
    ready.until(lambda: faulty.count("DELETE"), "the server hears of it")
    assert ready.volumes() == []


def test_cancel_while_the_radiograph_is_on_its_way(ready, faulty):
    faulty.plan[POST] = Answer(202, fake.state("queued"), pause=1)
    ready.press_generate()
    ready.until(lambda: faulty.count("POST"), "it is sent")
    ready.ui.cancelButton.click()
    assert ready.logic.state == "idle"
    ready.until(lambda: faulty.count("DELETE"), "no job is left on the server")


def test_cancel_while_the_knee_is_looked_for_and_while_the_volume_is_imported(ready, faulty):
    faulty.plan["POST /locate/knee_xr2mri"] = Answer(body={}, pause=1)
    ready.ui.cropButton.click()
    ready.until(lambda: faulty.count("POST", "/locate"), "it is asked")
    assert ready.logic.state == "locating"
    ready.ui.cancelButton.click()
    assert ready.logic.state == "idle" and "The middle" in ready.ui.cropNote.text

    def cancel(state):
        if state == "importing":
            ready.ui.cancelButton.click()

    ready.logic.stateChanged.connect(cancel)
    ready.press_generate()
    ready.until(lambda: ready.ui.messageLabel.text == "Cancelled.", "it is cancelled")
    assert ready.logic.state == "idle" and ready.volumes() == []
    ready.logic.stateChanged.disconnect(cancel)
    assert ready.generate() is not None, "and then it works"
