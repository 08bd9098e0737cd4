"""What orchestrators and monitoring ask, and an end that lets work come to its end first."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
import yaml
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from security_support import NoAudit, ask
from waiting import until

from monai_app.lib.device_queue import DeviceLost, DeviceQueue, LineClosed
from monai_app.lib.metrics import metrics_of, text_of
from monai_app.lib.operations import operations_router
from monai_app.lib.security.auth import Authenticator
from monai_app.lib.security.guard import Guard
from monai_app.lib.security.routes import Role, Served
from monai_app.lib.security.settings import SecuritySettings
from monai_app.lib.security.users import StoredUser, hash_password, write_users
from monai_app.lib.service import GenerationService
from xr2mri_core.errors import InputError

PAGE = Path(__file__).parents[2] / "monai_app" / "docs" / "server.md"


def values(text: str) -> dict[str, float]:
    """Name with labels -> value."""
    return {
        sample.name + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_count_what_the_line_and_its_devices_did():
    queue = DeviceQueue(("cuda:0", "cuda:1"), max_waiting=5)
    registry = metrics_of(queue)
    try:
        lost_on = []

        def lost(job):
            lost_on.append(job.device)
            if len(lost_on) == 1:
                raise DeviceLost("ended")

        for work in (lambda job: 1, lost, lambda job: 1 / 0):
            assert queue.submit(work, 20).wait(10)
    finally:
        queue.close()
    metrics = values(text_of(registry).decode())
    assert metrics["xr2mri_jobs_ended_total state=done"] == 2
    assert metrics["xr2mri_jobs_ended_total state=failed"] == 1
    assert metrics["xr2mri_slices_total"] == 40 and metrics["xr2mri_device_seconds_total"] > 0
    assert metrics["xr2mri_jobs_waiting"] == 0 and metrics["xr2mri_jobs_waiting_most"] == 5
    name = f" device=cuda:{lost_on[0]} place={lost_on[0]}"
    assert metrics["xr2mri_device_jobs_lost_total" + name] == 1
    assert metrics["xr2mri_device_busy" + name] == 0
    assert metrics["process_resident_memory_bytes"] > 0


def test_readiness_follows_the_service():
    queue = DeviceQueue("cpu")
    service = SimpleNamespace(queue=queue, why="loading", not_ready=lambda: service.why)
    app = FastAPI()
    app.include_router(operations_router(service))
    calls = []
    with TestClient(app) as client:
        for service.why in ("loading", "", "ending"):
            reply = client.get("/ready")
            calls.append((reply.status_code, reply.json()["status"]))
        assert "xr2mri_jobs_waiting 0.0" in client.get("/metrics").text
    queue.close()
    assert calls == [(503, "loading"), (200, "ready"), (503, "ending")]


def test_a_service_that_can_load_nothing_is_not_ready(tiny_bundle, tmp_path, monkeypatch):
    for bundle, why in ((tiny_bundle, ""), (tmp_path / "bare", "no model")):
        service = GenerationService({"m": bundle}, "cpu")
        assert service.not_ready() == "loading"
        service.preload()
        until(lambda service=service: service.not_ready() != "loading")
        assert service.not_ready() == why
        service.close()

    def broken(name):
        raise InputError(f"device '{name}' cannot be used")

    monkeypatch.setattr("monai_app.lib.service.usable_device", broken)
    with pytest.raises(InputError, match="device 'cpu' cannot be used"):
        GenerationService({"m": tiny_bundle}, "cpu")


def test_monitoring_as_documented_still_comes_in_after_a_day(tmp_path):
    """The page had a bearer token, which is good for an hour."""
    page = PAGE.read_text("utf-8")
    config = yaml.safe_load(page[page.index("      scrape_configs:") :].partition("\n\n")[0])
    job, file, now = config["scrape_configs"][0], tmp_path / "users.json", [0.0]
    assert "authorization" not in job
    name, password = job["basic_auth"]["username"], "correct horse battery"
    write_users(file, {name: StoredUser(name, Role.USER, hash_password(password))})
    settings = SecuritySettings(users_file=file)
    authenticator = Authenticator(settings, lambda: now[0])
    app, queue = FastAPI(), DeviceQueue("cpu")
    router = operations_router(SimpleNamespace(queue=queue))
    app.include_router(router)
    guard = Guard(app, settings, Served.by(router), authenticator=authenticator, audit=NoAudit())
    try:
        for now[0] in (0.0, 86_400.0):
            reply = ask(guard, url="/metrics", auth=(name, password))
            assert reply.status_code == 200 and "xr2mri_jobs_waiting" in reply.text
        assert ask(guard, url="/metrics").status_code == 401
    finally:
        queue.close()


def test_the_page_tells_of_every_status():
    code = "".join(path.read_text("utf-8") for path in PAGE.parents[1].glob("lib/**/*.py"))
    answered = set(re.findall(r"(?:Refusal|HTTPException)\(\s*(\d{3})", code))
    answered |= set(re.findall(r"^    \(\w+, (\d{3})\),$", code, re.MULTILINE))
    rows = re.findall(r"^\| (\d{3}(?:, \d{3})*) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    told = {status for row in rows for status in row.split(", ")}
    assert told == answered - {"204"} and len(told) > 15  # 204 answers a browser's preflight


def test_the_server_tells_orchestrators_and_monitoring(server):
    limit = time.monotonic() + 120
    while (ready := requests.get(f"{server}/ready", timeout=10)).status_code == 503:
        assert ready.json() == {"status": "loading"} and time.monotonic() < limit
        time.sleep(0.2)
    assert ready.status_code == 200 and ready.json() == {"status": "ready"}
    reply = requests.get(f"{server}/metrics", timeout=10)
    assert reply.headers["Content-Type"].startswith("text/plain; version=")
    assert "xr2mri_device_busy device=cpu place=0" in values(reply.text)
    assert requests.get(f"{server}/info/", timeout=10).json()["devices"][0]["name"] == "cpu"


ENDING = """
import signal, sys, threading, time
from monai_app.lib.ending import when_asked_to_end
over = threading.Event()
signal.signal(signal.SIGTERM, lambda *arguments: over.set())
signal.signal(signal.SIGINT, lambda *arguments: over.set())
when_asked_to_end(lambda: print("work ends", flush=True), at_last=20,
                 drain=lambda: (print("drains", flush=True), time.sleep(float(sys.argv[1]))))
print("runs", flush=True)
while not over.wait(0.05):
    pass
time.sleep(0.2)
print("gone", flush=True)
"""


@pytest.mark.parametrize(
    ("drain", "signals", "said"),
    [
        (0.3, ["TERM"], ["drains", "work ends", "gone"]),
        (60, ["TERM", "TERM"], ["drains", "work ends", "gone"]),
        (60, ["INT"], ["work ends", "gone"]),
    ],
)
def test_a_first_sigterm_lets_work_end_and_a_second_does_not_wait(drain, signals, said):
    words = [sys.executable, "-c", ENDING, str(drain)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "runs\n"
        calls = []
        for name in signals:
            process.send_signal(signal.Signals[f"SIG{name}"])
            calls.append(process.stdout.readline().strip())
        rest, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert calls + rest.split("\n")[:-1] == said


def test_a_closed_line_says_so():
    queue = DeviceQueue("cpu")
    queue.close()
    with pytest.raises(LineClosed, match="the server is about to end") as refused:
        queue.submit(lambda job: 1, 1)
    assert refused.value.retry_after == 60


@pytest.mark.slow
def test_a_server_that_is_told_to_end_finishes_its_jobs(app_folder, studies_folder, tmp_path):
    """Its client gets the volume; new work is refused; then it is gone, long before its bound."""
    from xr2mri_core.local_server import LocalServer

    options = ("--conf", "drain_seconds", "600")
    server = LocalServer(app_folder, studies_folder, tmp_path, *options)
    try:
        server.wait()
        params = {"params": '{"num_slices": 200, "steps": 100}'}
        start = f"{server.url}/jobs/infer/knee_xr2mri?image=knee"
        job = requests.post(start, data=params, timeout=60).json()
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert requests.get(f"{server.url}/ready", timeout=10).json() == {"status": "ending"}
        refused = requests.post(start, data=params, timeout=60)
        assert refused.status_code == 429 and "about to end" in refused.json()["detail"]
        state = f"{server.url}/jobs/{job['id']}"
        while (now := requests.get(state, timeout=10).json())["state"] in ("queued", "running"):
            time.sleep(0.2)
        assert now["state"] == "done"
        assert requests.get(f"{state}/result?form=npy", timeout=60).status_code == 200
        server.process.wait(30)
    finally:
        server.stop()
