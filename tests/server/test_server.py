"""The server as it really runs: `monailabel start_server`, talked to over HTTP."""

import json
import os
import signal
import socket
import statistics
import threading
import time
import urllib.parse

import nibabel as nib
import numpy as np
import pytest
import requests
from checks import without_paths
from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelUtils
from waiting import until_state

from xr2mri_core.geometry import volume_affine
from xr2mri_core.local_server import LocalServer

pytestmark = pytest.mark.server

SMALL = {"num_slices": 4, "seed": 3, "features": {"V00XRKL": 2}}
LONG = {"num_slices": 400, "steps": 50}


def left_in(folder):
    """Files below the server's temp folder."""
    return [path for path in folder.rglob("*") if path.is_file()]


# --- information ----------------------------------------------------------------------------------


def test_info_is_enough_to_build_a_form(server):
    reply = requests.get(f"{server}/info/", timeout=20)
    info = reply.json()
    assert info["api_version"] == 1 and info["notice"] == "synthetic, not for diagnosis"
    assert len(info["form"]["properties"]) == 19
    model = info["models"]["knee_xr2mri"]
    assert model["parameters"]["properties"]["num_slices"]["maximum"] == 2000
    assert len(model["weights"]["sha256"]) == 64
    assert info["software"]["xr2mri"] == info["version"]
    assert info["max_upload_bytes"] == 64 << 20 and info["queue"]["max"] == 8
    assert info["max_seconds"] == 3600 and info["pace"]["seconds_a_pass"] > 0
    assert without_paths(reply.text)


def test_the_stock_client_gets_a_float_volume_with_its_affine(server, studies_folder, tmp_path):
    client = MONAILabelClient(server, tmpdir=str(tmp_path))
    assert "knee_xr2mri" in client.info()["models"]
    path, record = client.infer("knee_xr2mri", "knee", dict(SMALL))
    image = nib.load(path)
    assert image.get_data_dtype() == np.float32 and image.shape == (64, 4, 64)
    np.testing.assert_allclose(image.affine, volume_affine(4, 2.5, 64), atol=1e-5)
    assert record["features"] == {"V00XRKL": 2} and record["seed"] == 3
    sent, _ = client.infer("knee_xr2mri", "", dict(SMALL), file=str(studies_folder / "knee.png"))
    np.testing.assert_array_equal(nib.load(sent).dataobj, image.dataobj)


@pytest.mark.parametrize("output", ["image", "json", "all"])
def test_every_output_is_read_by_the_stock_client(server, output):
    fields = {"params": json.dumps(SMALL)}
    path = f"/infer/knee_xr2mri?image=knee&output={output}"
    status, body, files, _ = MONAILabelUtils.http_multipart("POST", server, path, fields, {})
    assert status == 200
    volume = {"image": body, "all": (files or {}).get("mri.nii")}.get(output)
    if output != "json":
        image = nib.Nifti1Image.from_bytes(volume)
        assert image.get_data_dtype() == np.float32
        np.testing.assert_allclose(image.affine, volume_affine(4, 2.5, 64), atol=1e-5)
    if output != "image":
        record = json.loads(body if output == "json" else body["params"])
        assert record["seed"] == 3 and record["notice"] == "synthetic, not for diagnosis"


def test_the_stock_clients_session(server, studies_folder, tmp_path):
    client = MONAILabelClient(server, tmpdir=str(tmp_path))
    session = client.create_session(str(studies_folder / "knee.png"))["session_id"]
    path, _ = client.infer("knee_xr2mri", "", dict(SMALL), session_id=session)
    assert nib.load(path).shape == (64, 4, 64)
    client.remove_session(session)
    assert requests.get(f"{server}/session/{session}", timeout=20).status_code == 404


def test_the_studies_are_listed_without_a_path(server):
    reply = requests.get(f"{server}/datastore/", params={"output": "all"}, timeout=20)
    assert "knee" in reply.json()["objects"] and without_paths(reply.text)


def test_a_study_can_be_looked_at_and_its_knee_located(server, studies_folder):
    reply = requests.get(f"{server}/datastore/image", params={"image": "knee"}, timeout=20)
    assert reply.content == (studies_folder / "knee.png").read_bytes()
    located = requests.post(f"{server}/locate/knee_xr2mri", params={"image": "knee"}, timeout=60)
    box = located.json()["box"]
    params = json.dumps(SMALL | {"box": box})
    record = requests.post(
        f"{server}/infer/knee_xr2mri",
        params={"image": "knee", "output": "json"},
        data={"params": params},
        timeout=60,
    )
    assert record.json()["box"] == box


# --- while it works -------------------------------------------------------------------------------


def start(server, **params):
    reply = requests.post(
        f"{server}/jobs/infer/knee_xr2mri",
        params={"image": "knee"},
        data={"params": json.dumps(params)},
        timeout=60,
    )
    assert reply.status_code == 202, reply.text
    return reply.json()["id"]


def state(server, job):
    return requests.get(f"{server}/jobs/{job}", timeout=20).json()


def until_seen(server, job, *states, seconds=60):
    url = f"{server}/jobs/{job}"
    return until_state(lambda: requests.get(url, timeout=20), *states, seconds=seconds, pause=0.05)


def test_info_answers_at_once_while_a_volume_is_generated(server):
    job = start(server, **LONG)
    try:
        until_seen(server, job, "running")
        seconds = []
        with requests.Session() as session:
            for _ in range(30):
                before = time.perf_counter()
                session.get(f"{server}/info/", timeout=20)
                seconds.append(time.perf_counter() - before)
        assert state(server, job)["state"] == "running"
        assert statistics.median(seconds) < 0.05, seconds
    finally:
        requests.delete(f"{server}/jobs/{job}", timeout=20)


def test_deleting_a_job_ends_it_at_once(server):
    job = start(server, **LONG)
    until_seen(server, job, "running")
    before = time.monotonic()
    assert requests.delete(f"{server}/jobs/{job}", timeout=20).json()["state"] == "cancelled"
    assert time.monotonic() - before < 5
    other = start(server, **SMALL)
    assert until_seen(server, other, "done", seconds=30)["queue_position"] == 0


def test_a_client_that_hangs_up_stops_its_work(server):
    body = urllib.parse.urlencode({"params": json.dumps(LONG)}).encode()
    host, port = server.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"POST /infer/knee_xr2mri?image=knee HTTP/1.1\r\nHost: {host}:{port}\r\n"
        head += "Content-Type: application/x-www-form-urlencoded\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        time.sleep(1.0)
    job = start(server, **SMALL)  # waits in line behind what is no longer wanted
    before = time.monotonic()
    until_seen(server, job, "done", seconds=30)
    assert time.monotonic() - before < 15


def test_nothing_stays_in_the_temp_folder(running, server, studies_folder):
    good, before = (studies_folder / "knee.png").read_bytes(), left_in(running.temp)
    for content in (good, good[:100], b"", b"text"):
        requests.post(
            f"{server}/infer/knee_xr2mri",
            data={"params": json.dumps(SMALL)},
            files={"file": ("Doe^Jane.png", content)},
            timeout=60,
        )
    assert left_in(running.temp) == before
    assert "Doe" not in running.log


def test_many_clients_get_their_own_volumes(server):
    answers = {}

    def ask(seed):
        while True:
            reply = requests.post(
                f"{server}/infer/knee_xr2mri",
                params={"image": "knee", "output": "json"},
                data={"params": json.dumps(SMALL | {"seed": seed})},
                timeout=120,
            )
            if reply.status_code != 429:
                answers[seed] = reply.json()["seed"]
                return
            time.sleep(min(0.3, float(reply.headers["retry-after"])))

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert answers == {seed: seed for seed in range(16)}


def test_a_killed_server_leaves_nothing_behind_for_the_next(app_folder, studies_folder, tmp_path):
    server = LocalServer(app_folder, studies_folder, tmp_path).wait()
    job = start(server.url, **LONG)
    until_seen(server.url, job, "running")
    server.stop(9)
    again = LocalServer(app_folder, studies_folder, tmp_path / "again", TMPDIR=str(server.temp))
    try:
        again.wait()
        assert not [path for path in left_in(server.temp) if path.suffix != ".json"]  # log settings
        assert requests.get(f"{again.url}/jobs/{job}", timeout=20).status_code == 404
        assert len(os.listdir(studies_folder)) == 1, "the studies are only read"
        _ends_when_asked(again)
    finally:
        again.stop()


def _ends_when_asked(server):
    """Within 10 s, although it generates, sends what nobody reads, and waits for half a form."""
    host, port = server.url.removeprefix("http://").split(":")

    def send(method, path, body=b"", length=None):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((host, int(port)))
        kind = "Content-Type: application/x-www-form-urlencoded\r\n"
        kind += f"Content-Length: {len(body) if length is None else length}\r\n"
        head = f"{method} {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{kind if body else ''}\r\n"
        connection.sendall(head.encode() + body)
        return connection

    job = start(server.url, **LONG)
    until_seen(server.url, job, "running")
    asked = urllib.parse.urlencode({"params": json.dumps(LONG)}).encode()
    connections = [
        send("POST", "/infer/knee_xr2mri?image=knee", asked),
        send("POST", "/infer/knee_xr2mri?image=knee", asked, len(asked) + 1),
        send("GET", f"/jobs/{job}/volume?form=npy"),  # 6 MB
    ]
    time.sleep(1.0)
    before = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(30)
    assert time.monotonic() - before < 10
    for connection in connections:
        connection.close()
