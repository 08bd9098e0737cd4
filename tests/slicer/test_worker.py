"""The worker thread: what it tells, in which order, and what it does when things go wrong."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from faulty_server import JOB, SLICES, Answer, info, npy, record, state, volume
from waiting import until

import xr2mri_client
from xr2mri_client import errors, worker
from xr2mri_client.client import XR2MRIClient, check_record
from xr2mri_client.events import (
    Failed,
    Final,
    Finished,
    Partial,
    Progress,
    Returned,
    Started,
    Stopped,
)
from xr2mri_client.jobs import JobHandle
from xr2mri_client.worker import CallWorker, ConnectionWorker, GenerationWorker

MODULE = Path(xr2mri_client.__file__).parents[1]
STATE = f"GET /jobs/{JOB}"
START = "POST /jobs/infer/knee_xr2mri"
HANDLE = JobHandle(JOB, "knee_xr2mri", SLICES, seed=7)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No test waits as long as a user may."""
    monkeypatch.setattr(worker, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(worker, "LONGEST_PAUSE", 0.1)
    monkeypatch.setattr(worker, "FIRST_RETRY", 0.05)
    monkeypatch.setattr(worker, "PARTIAL_PAUSE", 0.0)
    monkeypatch.setattr(worker, "PARTIAL_SHARE", 0.0)


def until_over(working, seconds=20):
    """All events of a worker."""
    events, limit = [], time.monotonic() + seconds
    while not (events and isinstance(events[-1], Final)):
        assert time.monotonic() < limit, events
        events += working.drain()
        time.sleep(0.005)
    assert working.over
    return events


def generate(client, **more):
    return GenerationWorker(client, "knee_xr2mri", b"content", {"num_slices": SLICES}, **more)


# --- when all goes well ---------------------------------------------------------------------------


def test_a_generation_tells_its_way_from_the_radiograph_to_the_volume(client, faulty):
    events = until_over(generate(client).start())
    kinds = [type(event) for event in events if not isinstance(event, Progress)]
    assert kinds == [Started, Partial, Finished]
    phases = list(dict.fromkeys(event.phase for event in events if isinstance(event, Progress)))
    assert phases == ["connecting", "uploading", "queued", "running", "fetching"]
    queued, running = (
        next(e for e in events if isinstance(e, Progress) and e.phase == phase)
        for phase in ("queued", "running")
    )
    assert queued.queue_position == 1 and queued.seconds_left == 2.0
    assert running.slices == 3 and running.fraction == 0.5 and running.num_slices == SLICES
    partial = next(event for event in events if isinstance(event, Partial))
    assert partial.slices_done == 3
    np.testing.assert_array_equal(partial.volume.array, volume(done=3))
    finished = events[-1]
    np.testing.assert_array_equal(finished.volume.array, volume())
    assert finished.record["seed"] == 7 and finished.extras == {} and finished.job.id == JOB
    assert faulty.count("POST") == 1 and faulty.count("DELETE") == 0


def test_several_samples_bring_mean_and_deviation(client, faulty):
    working = GenerationWorker(client, "knee_xr2mri", b"content", {"samples": 3}).start()
    finished = until_over(working)[-1]
    assert sorted(finished.extras) == ["mean", "std"]
    kinds = [asked.query for asked in faulty.asked if asked.path.endswith("/result")]
    assert kinds == [f"kind={kind}&form=npy" for kind in ("volume", "mean", "std")]


def test_the_record_tells_what_was_made_where_that_was_left_to_the_model(client, faulty):
    faulty.plan[f"GET /jobs/{JOB}/record"] = Answer(body=record(kind="mean"))
    working = GenerationWorker(client, "knee_xr2mri", b"content", {"samples": 3}).start()
    finished = until_over(working)[-1]
    assert finished.job.kind == "mean" and sorted(finished.extras) == ["std"]


def test_partial_volumes_come_as_plain_voxels(client, faulty):
    running = [Answer(body=state("running", n)) for n in (2, 2, 4, 5)]
    faulty.plan[STATE] = [*running, Answer(body=state("done", SLICES))]
    events = until_over(generate(client).start())
    asked = [a.query for a in faulty.asked if a.path.endswith("/volume")]
    assert set(asked) == {"form=npy"}
    assert 1 <= sum(isinstance(event, Partial) for event in events) <= len(asked) <= 3


def test_a_panel_that_comes_late_gets_the_last_partial_volume_only(client):
    working = generate(client)
    for count in (1, 2, 3):
        working._emit(Progress("running", slices=count))
        working._emit(Partial(None, count))
    drained = working.drain()
    assert [event.slices_done for event in drained if isinstance(event, Partial)] == [3]
    assert len(drained) == 4


def test_nothing_that_the_panel_calls_takes_long(faulty):
    """50 ms at most on the GUI's thread; the first import of requests takes longer."""
    code = (
        "import sys, time; from xr2mri_client.worker import *\n"
        "began = time.thread_time()\n"
        f"client = XR2MRIClient({faulty.url!r})\n"
        "worker = ConnectionWorker(client)\n"
        "assert 'requests' not in sys.modules\n"
        "worker.start(); worker.drain(); worker.cancel()\n"
        "print(time.thread_time() - began)"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=MODULE, capture_output=True, text=True, check=True)
    assert float(result.stdout) < 0.05


def test_partial_volumes_are_not_fetched_all_the_time(client, faulty, monkeypatch):
    monkeypatch.setattr(worker, "PARTIAL_PAUSE", 60.0)
    faulty.plan[STATE] = [Answer(body=state("running", n)) for n in range(1, 6)]
    faulty.plan[STATE].append(Answer(body=state("done", SLICES)))
    until_over(generate(client).start())
    assert faulty.count("GET", "/volume") == 1
    faulty.plan[STATE] = [Answer(body=state("running", 3)), Answer(body=state("done", SLICES))]
    until_over(generate(client, partials=False).start())
    assert faulty.count("GET", "/volume") == 1


def test_questions_become_rarer_while_nothing_changes(client, faulty):
    faulty.plan[STATE] = Answer(body=state("queued", queue_position=2))
    working = generate(client).start()
    time.sleep(1.0)
    working.cancel()
    assert 5 < faulty.count("GET", JOB) < 25


def test_a_job_is_taken_up_again_without_sending_anything(client, faulty):
    finished = until_over(GenerationWorker(client, job=HANDLE).start())[-1]
    assert isinstance(finished, Finished) and faulty.count("POST") == 0


def test_connecting_and_calling_in_the_background(client, faulty):
    connected = until_over(ConnectionWorker(client).start())[-1]
    assert isinstance(connected, Returned) and connected.value.model.ready
    returned = until_over(CallWorker(client, lambda c: c.record(HANDLE)).start())[-1]
    assert isinstance(returned, Returned) and returned.value["seed"] == 7
    faulty.plan["POST /auth/token"] = Answer(body={"access_token": "t0k3n"})
    until_over(ConnectionWorker(client, "ada", "right one").start())
    assert client.token, "the login is the panel's client's, too"


# --- when it does not -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "answer", "kind"),
    [
        ("GET /info/", Answer(body={"models": {}}), errors.WrongServer),
        ("GET /info/", Answer(body=info(api_version=2)), errors.VersionMismatch),
        ("GET /info/", Answer(hang_up=True), errors.Unreachable),
        (START, Answer(401), errors.LoginNeeded),
        (START, Answer(413), errors.Refused),
        (START, Answer(429, {"detail": "8 wait"}, {"Retry-After": "3"}), errors.Busy),
        (START, Answer(500), errors.ServerFault),
        (START, Answer(502), errors.ServerFault),
        (START, Answer(502, {"detail": "no model"}), errors.ServerFault),
        (START, Answer(202, b"garbage"), errors.BadReply),
        (START, Answer(202, state(), cut=9), errors.BadReply),
        (START, Answer(hang_up=True), errors.Unreachable),
    ],
)
def test_what_fails_at_the_start_fails_at_once(client, faulty, request_, answer, kind):
    faulty.plan[request_] = answer
    failed = until_over(generate(client).start(), seconds=5)[-1]
    assert isinstance(failed, Failed) and type(failed.error) is kind and failed.job is None
    by_a_proxy = answer.status in (502, 503, 504) and not answer.body
    # the server may have a job without our knowing
    twice = answer.hang_up or answer.cut is not None or by_a_proxy
    assert faulty.count("POST") == (request_ == START) * (2 if twice else 1)


@pytest.mark.parametrize(
    "lost",
    [
        Answer(hang_up=True),
        Answer(202, state(), cut=9),
        *(Answer(status, b"<html>of a proxy</html>") for status in (502, 503, 504)),
    ],
    ids=["hung up", "cut off", "502", "503", "504"],
)
def test_a_lost_reply_is_asked_for_under_the_same_key(client, faulty, lost):
    faulty.plan[START] = [lost, Answer(202, state("queued"))]
    assert isinstance(until_over(generate(client).start())[-1], Finished)
    posts = [asked for asked in faulty.asked if asked.method == "POST"]
    keys = {asked.headers["Idempotency-Key"] for asked in posts}
    assert len(posts) == 2 and len(keys) == 1 and len(keys.pop()) == 32


@pytest.mark.parametrize(
    ("part", "answer", "kind"),
    [
        ("", Answer(401), errors.LoginNeeded),
        ("", Answer(404, {"detail": "no such job"}), errors.JobLost),
        ("", Answer(body=b"garbage"), errors.BadReply),
        ("", Answer(500, {"detail": "failed"}), errors.ServerFault),
        ("", Answer(body=state("cancelled")), errors.JobLost),
        ("/result", Answer(body=npy(volume(dtype=np.int16))), errors.BadReply),
        ("/result", Answer(body=npy(volume(4))), errors.BadReply),
        ("/result", Answer(410, {"detail": "the job was cancelled"}), errors.JobLost),
        ("/record", Answer(body=record(seed=8)), errors.BadReply),
        ("/record", Answer(body=record(spacing_mm=[1, 1, 1])), errors.BadReply),
        ("/record", Answer(body=[]), errors.BadReply),
    ],
)
def test_what_fails_later_tells_which_job_it_was(client, faulty, part, answer, kind):
    faulty.plan[STATE] = Answer(body=state("done", SLICES))
    faulty.plan[STATE + part] = answer
    failed = until_over(generate(client).start(), seconds=5)[-1]
    assert isinstance(failed, Failed) and type(failed.error) is kind and failed.job.id == JOB
    assert failed.error.message and faulty.count("POST") == 1


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (Answer(500, {"detail": "the generation failed"}), errors.ServerFault, "generation failed"),
        (Answer(502, {"detail": "the PACS does not answer"}), errors.ServerFault, "the PACS"),
        (Answer(422, {"detail": "no knee in it"}), errors.Refused, "no knee in it"),
    ],
)
def test_a_failed_job_says_why(client, faulty, answer, kind, message):
    faulty.plan[STATE] = Answer(body=state("failed", error="see the log"))
    faulty.plan[STATE + "/record"] = answer
    failed = until_over(generate(client).start(), seconds=5)[-1]
    assert type(failed.error) is kind and message in failed.error.message


def test_a_failed_job_without_a_reason_is_a_fault_of_the_server(client, faulty):
    faulty.plan[STATE] = Answer(body=state("failed", error="see the log"))
    failed = until_over(generate(client).start())[-1]
    assert isinstance(failed.error, errors.ServerFault) and "see the log" in str(failed.error)


def test_a_network_that_drops_is_waited_for(client, faulty):
    good, cut = Answer(body=state("running", 2)), Answer(body=state("running", 2), cut=9)
    done = Answer(body=state("done", SLICES))
    busy = Answer(429, headers={"Retry-After": "1"})
    faulty.plan[STATE] = [good, Answer(hang_up=True), cut, busy, Answer(502), good, done]
    faulty.plan[STATE + "/result"] = [Answer(body=npy(), cut=99), Answer(body=npy())]
    faulty.plan[STATE + "/volume"] = Answer(hang_up=True)
    events = until_over(generate(client).start())
    assert isinstance(events[-1], Finished)
    waits = [e.message for e in events if isinstance(e, Progress) and e.phase == "waiting"]
    assert len(waits) == 5 and all(waits)
    assert faulty.count("POST") == 1, "the radiograph is sent once"


def test_a_server_that_stays_away_is_given_up_but_not_its_job(client, faulty):
    faulty.plan[STATE] = [Answer(body=state()), Answer(hang_up=True)]
    failed = until_over(generate(client, patience=1.2).start())[-1]
    assert isinstance(failed.error, errors.Unreachable) and failed.job.id == JOB
    faulty.plan[STATE] = Answer(body=state("done", SLICES))
    again = until_over(GenerationWorker(client, job=failed.job).start())[-1]
    assert isinstance(again, Finished)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=npy(volume(dtype=np.float64)), headers={"X-Slices-Done": "3"}),
        Answer(body=npy(volume(4)), headers={"X-Slices-Done": "3"}),
        Answer(body=npy()),
        Answer(500),
        Answer(409, {"detail": "no slice has come yet"}),
    ],
)
def test_a_partial_volume_that_is_wrong_is_not_shown_and_stops_nothing(client, faulty, answer):
    faulty.plan[STATE + "/volume"] = answer
    events = until_over(generate(client).start())
    assert isinstance(events[-1], Finished)
    assert not any(isinstance(event, Partial) for event in events)


def test_a_fault_of_this_program_is_told_too(client, caplog):
    def broken(client):
        raise ZeroDivisionError("oh")

    error = until_over(CallWorker(client, broken).start())[-1].error
    assert isinstance(error, errors.Unexpected) and "ZeroDivisionError: oh" in str(error)
    assert "Traceback" in caplog.text


# --- cancelling -----------------------------------------------------------------------------------


def cancel_and_check(working, faulty, deletes=1):
    """Cancel: here at once, on the server soon, and then nothing more."""
    began = time.monotonic()
    working.cancel()
    assert time.monotonic() - began < 0.05
    events = working.drain()
    assert isinstance(events[-1], Stopped) and working.over
    assert working.join(10)
    assert faulty.count("DELETE") == deletes and working.drain() == []


def test_cancelling_a_running_job_ends_it_on_the_server(client, faulty):
    faulty.plan[STATE] = Answer(body=state("running", 2))
    working = generate(client).start()
    until(lambda: faulty.count("GET", JOB) > 2)
    cancel_and_check(working, faulty)
    working.cancel()
    assert faulty.count("DELETE") == 1 and working.drain() == [], "once is enough"


def test_cancelling_does_not_wait_for_a_server_that_is_slow(client, faulty):
    faulty.plan[STATE] = Answer(body=state(), pause=2)
    working = generate(client).start()
    until(lambda: faulty.count("GET", JOB))
    working.cancel()
    until(lambda: faulty.count("DELETE"), seconds=1)
    assert isinstance(working.drain()[-1], Stopped)


def test_cancelling_before_the_server_has_answered_leaves_no_orphan(client, faulty):
    faulty.plan[START] = Answer(202, state("queued"), pause=0.5)
    working = generate(client).start()
    until(lambda: faulty.count("POST"))
    cancel_and_check(working, faulty)


def test_who_waits_while_the_server_is_about_to_hear_of_it_is_not_harmed(
    client, faulty, monkeypatch
):
    """As the GUI's thread does, which looks now and then whether a cancelled one has ended."""
    looked, real = [], threading.Thread

    class Looked(real):
        def start(self):
            if self.name == "XR2MRI cancelling":
                gui = real(target=lambda: looked.append(working.join(0)))
                gui.start()
                gui.join()
            super().start()

    faulty.plan[START] = Answer(202, state("queued"), pause=0.5)
    working = generate(client).start()
    until(lambda: faulty.count("POST"))
    monkeypatch.setattr(threading, "Thread", Looked)
    cancel_and_check(working, faulty)
    assert looked == [False]


def test_cancelling_an_upload_starts_nothing(faulty):
    client = XR2MRIClient(faulty.url)
    working = GenerationWorker(client, "knee_xr2mri", bytes(64 << 20))
    uploading = threading.Event()
    emit = working._emit

    def listening(event):
        emit(event)
        if isinstance(event, Progress) and event.phase == "uploading":
            uploading.set()
            time.sleep(0.01)

    working._emit = listening
    working.start()
    assert uploading.wait(5)
    cancel_and_check(working, faulty, deletes=0)
    assert faulty.count("POST") == 0, "no whole request came"


def test_cancelling_before_the_start_does_nothing(client, faulty):
    working = generate(client)
    working.cancel()
    working.start()
    assert working.join(5) and isinstance(working.drain()[-1], Stopped) and faulty.asked == []


def test_the_server_is_told_again_if_it_does_not_hear(client, faulty):
    faulty.plan[STATE] = Answer(body=state())
    faulty.plan[f"DELETE /jobs/{JOB}"] = [Answer(hang_up=True), Answer(body=state("cancelled"))]
    working = generate(client).start()
    until(lambda: faulty.count("GET", JOB))
    cancel_and_check(working, faulty, deletes=2)


def test_what_has_finished_stays_on_the_server(client, faulty):
    working = generate(client).start()
    until_over(working)
    working.cancel()
    assert working.join(5) and faulty.count("DELETE") == 0 and working.drain() == []


def test_giving_up_after_a_failure_forgets_the_job(client, faulty):
    faulty.plan[STATE] = Answer(401)
    working = generate(client).start()
    assert isinstance(until_over(working)[-1], Failed)
    working.cancel()
    assert working.join(5) and faulty.count("DELETE") == 1 and working.drain() == []


def test_nothing_comes_after_the_last_event_whenever_it_is_cancelled(client, faulty):
    for index in range(20):
        faulty.plan[STATE] = [Answer(body=state("running", 3)), Answer(body=state("done", SLICES))]
        working = generate(client).start()
        time.sleep(index * 0.002)
        working.cancel()
        assert working.join(10)
        finals = [event for event in working.drain() if isinstance(event, Final)]
        assert len(finals) == 1


# --- the real server ------------------------------------------------------------------------------


@pytest.mark.server
def test_slices_come_from_the_real_server(server, radiograph):
    asked = {"num_slices": 24, "seed": 3, "features": {"V00XRKL": 2}, "steps": 8}
    working = GenerationWorker(XR2MRIClient(server), "knee_xr2mri", radiograph, asked).start()
    events = until_over(working, seconds=90)
    finished = events[-1]
    assert isinstance(finished, Finished), finished
    check_record(finished.job, finished.volume, finished.record)
    assert finished.volume.array.shape == (64, 24, 64)
    for partial in (event for event in events if isinstance(event, Partial)):
        done = partial.slices_done
        np.testing.assert_array_equal(
            partial.volume.array[:, :done], finished.volume.array[:, :done]
        )
        np.testing.assert_array_equal(partial.volume.affine, finished.volume.affine)


@pytest.mark.server
def test_cancelling_ends_the_work_of_the_real_server(server, radiograph):
    client = XR2MRIClient(server)
    asked = {"num_slices": 400, "steps": 50, "seed": 3}
    working = GenerationWorker(client, "knee_xr2mri", radiograph, asked).start()
    until(lambda: any(isinstance(e, Started) for e in working.drain()), seconds=60)
    working.cancel()
    assert working.join(20)
    assert client.connect().waiting == 0
    working = GenerationWorker(client, "knee_xr2mri", radiograph, {"num_slices": 2}).start()
    assert isinstance(until_over(working, seconds=30)[-1], Finished), "the line is free again"


@pytest.mark.parametrize("told, refused", [("0" * 64, False), ("1" * 64, True), (None, False)])
def test_it_generates_with_the_weights_that_were_asked_for(client, faulty, told, refused):
    """Also where they change while the job waits in the line."""
    model = {} if told is None else {"model": {"sha256": told}}
    faulty.plan[f"{STATE}/record"] = Answer(body=record(**model))
    last = until_over(generate(client, weights="0" * 64).start())[-1]
    if refused:
        assert isinstance(last, Failed) and isinstance(last.error, errors.OtherWeights)
    else:
        assert isinstance(last, Finished), last
