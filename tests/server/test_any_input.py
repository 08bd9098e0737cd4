"""Nothing that can be sent, or met on the disk or in a PACS, is answered by a 500."""

from __future__ import annotations

import base64
import io
import json
import tempfile
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jwt
import numpy as np
import pydicom
import pytest
import requests
import torch
from checks import without_paths
from full_disk import full_disk
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from samples import draw_knee
from security_support import AUDIENCE, ISSUER
from waiting import until, until_state

from monai_app.lib.bounds import Bounds
from monai_app.lib.quotas import Quota
from xr2mri_core.phantom.dicom import write_radiograph_dicom

few = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
DEEP = "[" * 900 + "]" * 900
"""Python's reader takes it; what walks through it again may not."""


def held_off(reply, *statuses):
    """The reply is a refusal in one line that says what to mend."""
    assert reply.status_code in (statuses or range(400, 500)), (reply.status_code, reply.text[:300])
    detail = reply.json()["detail"]
    assert isinstance(detail, str) and detail and "\n" not in detail and len(detail) < 600
    assert without_paths(reply.text)
    return detail


# --- bodies ---------------------------------------------------------------------------------------

SURROGATE = '"\\ud800"'
FORM, JSON = "application/x-www-form-urlencoded", "application/json"


@pytest.mark.server
@pytest.mark.parametrize(
    "params",
    [
        SURROGATE,
        '{"\\ud800": 1}',
        '{"features": {"\\ud800": 1}}',
        '{"features": {"V00XRKL": "\\ud800"}}',
        '{"demographics": {"sex": "\\ud800"}}',
        '{"view_position": "\\ud800"}',
        '{"laterality": "\\ud800"}',
        '{"model": "\\ud800"}',
        "NaN",
        '{"steps": NaN}',
        '{"seed": NaN}',
        '{"guidance": -Infinity}',
        '{"depths": [NaN]}',
        '{"box": [NaN, 1, 2, 3]}',
        '{"features": NaN}',
        f'{{"demographics": {{"age": {"9" * 400}}}}}',
        f'{{"features": {{"V00XRKL": {"9" * 400}}}, "box": [0, 0, 9, {"9" * 400}]}}',
        f'{{"features": {DEEP}}}',
        f'{{"features": {{"V00XRKL": {DEEP}}}}}',
        f'{{"x": {DEEP}}}',
        DEEP,
        "9" * 5000,
        "x" * 70_000,
    ],
    ids=lambda text: text[:40],
)
@pytest.mark.parametrize("route", ["infer", "jobs/infer", "locate"])
def test_no_parameters_break_the_server(server, route, params):
    url = f"{server}/{route}/knee_xr2mri"
    held_off(requests.post(url, params={"image": "knee"}, data={"params": params}, timeout=60), 422)


@pytest.mark.server
@pytest.mark.parametrize("body", ["NaN", "[NaN]", '{"steps": NaN}', SURROGATE, "{", DEEP,
    '{"\\ud800": 1}', '{"precision": "\\ud800"}', f'{{"steps": {DEEP}}}', b"\xff",
    '{"steps": 1e999}', '{"model": "other"}', '{"steps": 1, "steps": 2}'])  # fmt: skip
def test_no_training_parameters_break_the_server(server, body):
    url = f"{server}/train/knee_xr2mri"
    held_off(requests.post(url, data=body, headers={"Content-Type": JSON}, timeout=60), 422)


@pytest.mark.server
@pytest.mark.parametrize("field", ["params", "file"])
@pytest.mark.parametrize("text", ["a\ud800", "NaN", "x" * 2000])
def test_a_text_instead_of_a_file_is_told_so(server, field, text):
    """A text in UTF-7 could hold half a character."""
    content = text.encode("utf-7", "surrogatepass")
    body = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n' % field.encode()
    body += content + b"\r\n--x--\r\n"
    for charset in ("", "; charset=utf-7", "; charset=UTF-8"):
        held_off(
            requests.post(
                f"{server}/infer/knee_xr2mri",
                data=body,
                headers={"Content-Type": f"multipart/form-data; boundary=x{charset}"},
                timeout=60,
            )
        )


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=8)  # lone surrogates, too
    | st.sampled_from(["R", "V00XRKL", "ddim"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=5,
)
texts = st.binary(max_size=60) | values.map(lambda value: json.dumps(value).encode())
KINDS = [JSON, FORM, "multipart/form-data; boundary=x", "multipart/form-data", "text/plain", ""]


@pytest.mark.server
@few
@given(
    st.sampled_from(
        [
            ("POST", "/infer/knee_xr2mri"),
            ("POST", "/jobs/infer/knee_xr2mri"),
            ("POST", "/locate/knee_xr2mri"),
            ("PUT", "/session/"),
            ("POST", "/train/knee_xr2mri"),
            ("POST", "/auth/token"),
        ]
    ),
    st.sampled_from(KINDS),
    st.sampled_from(["raw", "params", "file", "files", "username"]),
    texts,
)
def test_any_body(server, route, kind, field, content):
    if kind.endswith("=x") and field != "raw":
        part = f'--x\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n'.encode()
        content = part + content + b"\r\n--x--\r\n"
    reply = requests.request(
        route[0], server + route[1], data=content, headers={"Content-Type": kind}, timeout=60
    )
    if route[1] == "/auth/token" and reply.status_code == 200:
        return  # without users it answers as a stock server does
    assert reply.status_code != 202 and reply.status_code < 500, reply.text
    assert reply.status_code < 300 or isinstance(reply.json()["detail"], str)


# --- tokens ---------------------------------------------------------------------------------------


def token(key, **changes):
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "someone",
        "iat": now,
        "exp": now + 600,
        "realm_access": {"roles": ["xr2mri-user"]},
    }
    return jwt.encode(claims | changes, key, algorithm="ES256")


def bearer(secured, text, path="/auth/token/valid"):
    return requests.get(secured.url + path, headers={"Authorization": f"Bearer {text}"}, timeout=20)


@pytest.mark.server
def test_a_good_subject_is_told(secured, issuer_key):
    reply = bearer(secured, token(issuer_key[0], sub="f:7/Zoë"))
    assert reply.status_code == 200 and reply.json()["username"] == "external/f:7/Zoë"


@pytest.mark.server
@pytest.mark.parametrize(
    "subject", ["\ud800", "a\udcffb", "", "a\nb", "\x00", "a\u2028b", "x" * 256]
)
def test_a_subject_that_is_no_name_is_no_login(secured, issuer_key, subject):
    for path in ("/auth/token/valid", "/jobs", "/info/"):
        held_off(bearer(secured, token(issuer_key[0], sub=subject), path), 401)


claims = st.dictionaries(
    st.sampled_from(["iss", "aud", "sub", "iat", "exp", "nbf", "jti", "realm_access", "x"]),
    values | st.fixed_dictionaries({"roles": values}) | st.just("deep"),
    max_size=3,
)


@pytest.mark.server
@few
@given(claims)
@example({"exp": float("inf")})
@example({"iat": float("nan")})
@example({"realm_access": "deep"})
@example({"sub": "deep"})
def test_any_claims(secured, issuer_key, changes):
    deep = {"roles": [json.loads(DEEP)]}
    changes = {name: deep if value == "deep" else value for name, value in changes.items()}
    try:
        text = token(issuer_key[0], **changes)
    except (TypeError, RecursionError):  # what PyJWT does not even write
        return
    if len(text) > 12_000:
        return
    reply = bearer(secured, text)
    assert reply.status_code in (200, 401), reply.text


@pytest.mark.server
@pytest.mark.parametrize(
    "head", [DEEP, "NaN", '{"alg": "ES256", "alg": NaN}', '{"alg": {}}', '{"alg":"\\ud800"}', "1"]
)
def test_any_head_of_a_token(secured, head):
    text = base64.urlsafe_b64encode(head.encode()).decode().rstrip("=")
    held_off(bearer(secured, f"{text}.e30.AAAA"), 401)


@pytest.mark.server
def test_a_name_of_half_a_character_cannot_log_in(secured):
    body = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % pair
        for pair in [(b"username", b"+2AA-"), (b"password", b"+2AA-"), (b"grant_type", b"+2AA-")]
    )
    for charset in ("utf-7", "utf-8"):
        kind = {"Content-Type": f"multipart/form-data; boundary=x; charset={charset}"}
        url = f"{secured.url}/auth/token"
        held_off(requests.post(url, data=body + b"--x--\r\n", headers=kind, timeout=20))


# --- a full disk ----------------------------------------------------------------------------------


def start(server, **params):
    reply = requests.post(
        f"{server}/jobs/infer/knee_xr2mri",
        params={"image": "knee"},
        data={"params": json.dumps({"num_slices": 3, "seed": 1, **params})},
        timeout=60,
    )
    assert reply.status_code == 202, reply.text
    return f"{server}/jobs/{reply.json()['id']}"


@pytest.mark.server
def test_a_full_disk_costs_nobody_a_result(server, running):
    job = start(server, samples=2)
    until_state(lambda: requests.get(job, timeout=20), "done", pause=0.05)
    forms = [{"form": form} for form in ("nifti", "nrrd", "dicom")]
    forms += [{"form": "nrrd", "kind": kind} for kind in ("mean", "std")]
    before = [requests.get(f"{job}/result", params=form, timeout=60).content for form in forms]
    with full_disk(running.process):
        for form, content in zip(forms, before, strict=True):
            reply = requests.get(f"{job}/result", params=form, timeout=60)
            assert reply.status_code == 200 and reply.content == content
        assert requests.get(f"{job}/record", timeout=20).status_code == 200
        for form in ("nifti", "nrrd", "npy"):
            reply = requests.get(f"{job}/volume", params={"form": form}, timeout=20)
            assert reply.status_code == 200
        params = json.dumps({"num_slices": 3, "seed": 1, "output_format": "nrrd"})
        plain = requests.post(
            f"{server}/infer/knee_xr2mri",
            params={"image": "knee", "output": "image"},
            data={"params": params},
            timeout=60,
        )
        assert plain.status_code == 200 and plain.content[:4] == b"NRRD"
    assert requests.delete(job, timeout=20).status_code == 200


@pytest.mark.server
@pytest.mark.parametrize("route", ["infer", "jobs/infer", "locate", "session"])
@pytest.mark.parametrize("size", [60_000, 3 << 20])  # below and above what a form keeps in memory
def test_a_file_that_finds_no_room_is_told_what_to_mend(server, running, route, size):
    url = f"{server}/session/" if route == "session" else f"{server}/{route}/knee_xr2mri"
    name, method = ("files", "PUT") if route == "session" else ("file", "POST")
    with full_disk(running.process):
        reply = requests.request(method, url, files={name: ("a.png", bytes(size))}, timeout=60)
        if route == "session" and size < 1 << 20:
            assert reply.status_code == 200, "it stays in memory"
        else:
            assert "administrator" in held_off(reply, 507)
    assert requests.get(f"{server}/jobs", timeout=20).json() == []


@pytest.mark.server
def test_a_training_that_finds_no_room_is_told_so(client_of_training, tmp_path):
    (tmp_path / "runs").write_text("a file where the folder of trainings should be")
    held_off(client_of_training.post("/train/knee_xr2mri", json={}), 507)


@pytest.fixture
def client_of_training(service, small_datalist, tmp_path):
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from monai_app.lib.routes import mount, training_router
    from monai_app.lib.training import TrainingRuns

    app = FastAPI()
    mount(app, training_router(TrainingRuns(service, small_datalist.parent, tmp_path / "runs")))
    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize("text", ['{"step": 3, "losses": {"loss": NaN}}', '{"step": 3, "lo'])
def test_a_training_that_diverges_is_still_told(client_of_training, service, tmp_path, text):
    from monai_app.lib.training import TrainingParameters, TrainingRun

    run = TrainingRun.__new__(TrainingRun)
    run.service, run.model, run.folder = service, "knee_xr2mri", tmp_path
    run.state, run.error, run.started = "running", "", 0.0
    run.parameters = TrainingParameters()
    (tmp_path / "progress.json").write_text(text)
    assert json.dumps(run.describe(), allow_nan=False)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
    ids=["numpy", "CUDA", "CPU"],
)
def test_memory_that_does_not_suffice_is_told_so(client, service, radiograph, monkeypatch, error):
    def generate(*_, **__):
        raise error

    monkeypatch.setattr(service.generator("knee_xr2mri"), "generate", generate)
    files = {"file": ("a.png", radiograph.read_bytes())}
    assert "num_slices" in held_off(client.post("/infer/knee_xr2mri", files=files), 507)
    reply = client.post("/jobs/infer/knee_xr2mri", files=files)
    job = f"/jobs/{reply.json()['id']}"
    while client.get(job).json()["state"] != "failed":
        time.sleep(0.02)
    assert "num_slices" in client.get(job).json()["error"]
    held_off(client.get(f"{job}/result"), 507)


# --- a PACS ---------------------------------------------------------------------------------------


def answered(handler, kind, content):
    handler.send_response(200)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


class Answers(BaseHTTPRequestHandler):
    """A PACS that answers everything with the same."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if callable(self.server.answer):
            self.server.answer(self)
            return
        answered(self, *self.server.answer)

    do_POST = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def pacs():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def studies(pacs):
    """The routes of `client` ask the PACS."""
    from monai_app.lib.dicomweb import DicomWebStudies

    studies = DicomWebStudies(f"http://127.0.0.1:{pacs.server_address[1]}/dicom-web")
    studies._client.set_http_retry_params(retry=False)
    return studies


UIDS = {tag: {"vr": "UI", "Value": ["1.2.3"]} for tag in ("00080018", "0020000E", "0020000D")}
ODD = [
    [],
    {},
    [[]],
    [[UIDS]],
    ["x"],
    [None],
    "x",
    None,
    7,
    json.loads(DEEP),
    [json.loads(DEEP)],
    [UIDS | {"00080060": []}],
    [UIDS | {"00080060": {"Value": {}}}],
    [UIDS | {"00080018": {"Value": 5}}],
    [UIDS | {"0020000D": {"Value": ["../../x"]}}],
    [UIDS | {"0020000D": {"Value": ["\ud800"]}}],
    [UIDS | {"0020000D": {"Value": [float("nan")]}}],
    [UIDS],  # and then no DICOM file
]


@pytest.mark.parametrize("answer", ODD, ids=lambda answer: json.dumps(answer)[:40])
def test_an_odd_answer_of_a_pacs(client, pacs, answer):
    pacs.answer = "application/dicom+json", json.dumps(answer).encode()
    for route in ("infer", "jobs/infer", "locate"):
        reply = client.post(f"/{route}/knee_xr2mri", params={"image": "1.2.3"})
        held_off(reply, *((404,) if answer == [] else (502,)))
    reply = client.get("/datastore/", params={"output": "all"})
    if reply.status_code == 200:
        assert set(reply.json()["objects"]) <= {"1.2.3"}
    else:
        held_off(reply, 502)


@pytest.mark.parametrize("most", [1, 2])
def test_a_list_that_a_pacs_has_more_of_says_so(client, pacs, monkeypatch, caplog, most):
    """It ended at the bound as if that were all."""
    series, asked = [{"0020000E": {"Value": [uid]}} for uid in ("1.2", "1.3")], []

    def answer(handler):
        asked.append(handler.path)
        answered(handler, "application/dicom+json", json.dumps(series).encode())

    pacs.answer = answer
    monkeypatch.setattr("monai_app.lib.dicomweb._MOST_SERIES", most)
    listed = client.get("/datastore/", params={"output": "all"}).json()
    assert list(listed["objects"]) == ["1.2", "1.3"][:most]
    assert listed["complete"] is (most == 2)
    assert ("more than 1 series" in caplog.text) is (most == 1)
    assert all(f"limit={most + 1}" in path for path in asked)


@few
@given(
    st.sampled_from(["application/dicom+json", "application/json", "text/html",
                     'multipart/related; type="application/dicom"; boundary=x']),
    texts | st.lists(st.dictionaries(st.sampled_from(list(UIDS)), values), max_size=2).map(
        lambda value: json.dumps(value).encode()
    ) | st.binary(max_size=40).map(
        lambda inner: b"--x\r\nContent-Type: application/dicom\r\n\r\n" + inner + b"\r\n--x--"
    ),
)  # fmt: skip
def test_any_answer_of_a_pacs(client, pacs, studies, kind, content):
    from monai_app.lib.dicomweb import Unreachable

    pacs.answer = kind, content
    reply = client.post("/locate/knee_xr2mri", params={"image": "1.2.3"})
    held_off(reply, 404, 422, 502)
    with pytest.raises((Unreachable, TypeError), match=r"PACS|series"):
        studies.store([object()])
    with suppress(Unreachable), studies._answering():
        assert isinstance(studies._instance("1", "2", "3"), bytes)


def test_a_pacs_leaves_no_cookies(client, pacs, studies):
    """Each answer left 5 MB of them, which all later requests sent along."""
    asked = []

    def answer(handler):
        asked.append(handler.headers["Cookie"])
        handler.send_response(200)
        for number in range(90):
            handler.send_header("Set-Cookie", f"{len(asked)}-{number}={'x' * 60_000}; Path=/")
        handler.send_header("Content-Type", "application/dicom+json")
        handler.send_header("Content-Length", "2")
        handler.end_headers()
        handler.wfile.write(b"[]")

    pacs.answer = answer
    for _ in range(2):
        held_off(client.post("/locate/knee_xr2mri", params={"image": "1.2.3"}), 404)
    assert len(asked) == 6 and not any(asked) and len(studies._session.cookies) == 0


def trickle(handler):
    """An answer whose header never ends."""
    with suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Pad: ")
        for _ in range(200):
            handler.wfile.write(b"a")
            time.sleep(0.05)
    handler.close_connection = True


def test_a_pacs_that_trickles_a_header_is_left(client, pacs, studies, monkeypatch):
    monkeypatch.setattr(studies, "bounds", Bounds(pacs_find_seconds=1, pacs_store_seconds=1))
    from monai_app.lib.dicomweb import Unreachable

    pacs.answer = trickle
    began = time.monotonic()
    held_off(client.post("/locate/knee_xr2mri", params={"image": "1.2.3"}), 502)
    with pytest.raises(Unreachable):
        studies.store([knee_dicom()])
    assert time.monotonic() - began < 6, "of 10 s each"


def knee_dicom(uid=None):
    """A radiograph as a PACS has it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "knee.dcm"
        write_radiograph_dicom(path, draw_knee(256).astype(np.uint16) * 16, 0.6, patient_id="P-7")
        dataset = pydicom.dcmread(path)
    if uid:
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
    return dataset


def one_part(dataset):
    """How a PACS sends one image: type and content of the answer."""
    content = io.BytesIO()
    dataset.save_as(content, write_like_original=False)
    part = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + content.getvalue() + b"\r\n--x--"
    return 'multipart/related; type="application/dicom"; boundary=x', part


def with_one_image(pacs, uid):
    """Have the PACS answer whatever is asked with one image, and take what is stored."""
    kind, content = one_part(knee_dicom(uid))

    def answer(handler):
        if handler.command == "POST":
            handler.rfile.read(int(handler.headers["Content-Length"]))
            answered(handler, "application/dicom+json", b"{}")
        elif "/studies/" in handler.path:
            answered(handler, kind, content)
        else:
            answered(handler, "application/dicom+json", json.dumps([UIDS]).encode())

    pacs.answer = answer


@pytest.mark.parametrize(
    ("image", "file", "status"),
    [("1.2.3", "1.2.3", 200), ("9.9.9", "1.2.3", 404), ("1.2.3", "7.7.7", 502)],
    ids=["the one that was asked for", "every image, whatever is asked", "another file"],
)
def test_another_patients_image_is_never_taken(client, pacs, image, file, status):
    """A PACS may ignore a filter that it does not know."""
    with_one_image(pacs, file)
    reply = client.post("/locate/knee_xr2mri", params={"image": image})
    assert reply.status_code == status, reply.text


@pytest.mark.parametrize(
    ("who_may", "who", "status"),
    [
        ("user", "ann", 200),
        ("user", "root", 200),
        ("user", "anonymous/10.1.2.3", 403),
        ("admin", "ann", 403),
        ("admin", "root", 200),
        ("no", "root", 403),
    ],
)
def test_who_may_write_into_the_pacs(client, pacs, sources, monkeypatch, who_may, who, status):
    """Refused before the work; and the audit line tells where it went."""
    noted = {}
    monkeypatch.setattr("monai_app.lib.routes.note", lambda _, **fields: noted.update(fields))
    with_one_image(pacs, "1.2.3")
    sources.pacs_store = who_may
    if status == 403:
        monkeypatch.setattr(sources.service, "read", lambda *_: pytest.fail("it was read"))
    asked = {"params": json.dumps({"num_slices": 2, "steps": 1, "store": True})}
    for route in ("jobs/infer", "infer"):
        query = {"image": "1.2.3", **({} if "jobs" in route else {"output": "json"})}
        reply = client.post(
            f"/{route}/knee_xr2mri", params=query, data=asked, headers={"X-User": who}
        )
        assert reply.status_code == (202 if status == 200 and "jobs" in route else status)
    if status == 403:
        assert "pacs_store" in held_off(reply, 403) and not noted
    else:
        stored = reply.json()["stored"]
        assert (noted["study"], noted["series"]) == (stored["study"], stored["series"])


def test_what_is_stored_has_left_the_device_and_can_be_cancelled(client, pacs, radiograph):
    """A PACS that does not take a series held the device for two minutes."""
    release, storing, left = threading.Event(), threading.Event(), []
    kind, image = one_part(knee_dicom("1.2.3"))

    def answer(handler):
        if handler.command == "POST":
            storing.set()
            with suppress(OSError):
                while not release.is_set() and handler.rfile.read(1):
                    pass
            left.append(handler)
            handler.close_connection = True
        elif "/studies/" in handler.path:
            answered(handler, kind, image)
        else:
            answered(handler, "application/dicom+json", json.dumps([UIDS]).encode())

    pacs.answer = answer
    small = {"num_slices": 2, "steps": 1}
    try:
        asked = {"params": json.dumps(small | {"store": True})}
        job = client.post("/jobs/infer/knee_xr2mri", params={"image": "1.2.3"}, data=asked)
        assert job.status_code == 202, job.text
        assert storing.wait(30)
        with radiograph.open("rb") as file:
            files, asked = {"file": file}, {"params": json.dumps(small)}
            other = client.post("/jobs/infer/knee_xr2mri", files=files, data=asked).json()
        until_state(lambda: client.get(f"/jobs/{other['id']}"), "done", seconds=30)
        stored = f"/jobs/{job.json()['id']}"
        assert client.get(stored).json()["state"] == "running"
        volume = client.get(f"{stored}/volume", params={"form": "npy"})
        assert volume.status_code == 200 and volume.headers["X-Slices-Done"] == "2"
        assert np.load(io.BytesIO(volume.content)).std() > 0, "made, and being stored"
        assert client.delete(stored).json()["state"] == "cancelled"
        until(lambda: left, seconds=10)
    finally:
        release.set()


def test_images_of_a_pacs_are_counted_while_they_are_read(client, pacs, studies, monkeypatch):
    held = Quota("images of the PACS", 3 << 20, 2 << 20)
    monkeypatch.setattr(studies, "_held", held)
    seen = []

    def answer(handler):
        if "/studies/" in handler.path:
            seen.append(held.held())
            answered(handler, "application/dicom", bytes(2 << 20))
            return
        answered(handler, "application/dicom+json", json.dumps([UIDS]).encode())

    pacs.answer = answer
    ask = {"params": {"image": "1.2.3"}, "headers": {"X-User": "ann"}}
    held_off(client.post("/locate/knee_xr2mri", **ask), 415, 422)
    assert held.held() == 0, "given back"
    taken = held.claim("bob", 2 << 20)
    held_off(client.post("/locate/knee_xr2mri", **ask), 429)
    taken.release()
    held_off(client.post("/locate/knee_xr2mri", **ask), 415, 422)
    assert len(seen) == 3


@pytest.mark.parametrize("route", ["/locate/knee_xr2mri?image=1.2.3", "/datastore/?output=all"])
def test_a_pacs_that_hangs_holds_up_nobody_else(client, pacs, radiograph, route):
    release, asked, at_once = threading.Event(), [], Bounds.pacs_requests

    def hang(handler):
        asked.append(handler)
        release.wait(60)
        handler.close_connection = True

    def ask(who):
        headers = {"X-User": who}
        client.request("GET" if "datastore" in route else "POST", route, headers=headers)

    pacs.answer = hang
    waiting = []
    try:
        for who, most in (("ann", at_once // 2), ("bob", at_once)):
            more = [threading.Thread(target=ask, args=(who,), daemon=True) for _ in range(22)]
            waiting += more
            for thread in more:
                thread.start()
            until(lambda most=most: len(asked) >= most)
            time.sleep(0.5)
            assert len(asked) == most, "one user has half of the threads for the PACS"
        replies = []
        files = {"file": ("a.png", radiograph.read_bytes())}
        other = threading.Thread(
            target=lambda: replies.append(client.post("/locate/knee_xr2mri", files=files)),
            daemon=True,
        )
        other.start()
        other.join(40)
        assert replies and replies[0].status_code == 200 and len(asked) == at_once
    finally:
        release.set()
        for thread in waiting:
            thread.join(60)


def test_a_pacs_that_trickles_has_a_deadline(client, pacs, studies):
    studies.bounds = Bounds(pacs_find_seconds=1)

    def trickle(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "application/dicom+json")
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b" ")
            time.sleep(0.2)

    pacs.answer = trickle
    before = time.monotonic()
    held_off(client.post("/locate/knee_xr2mri", params={"image": "1.2.3"}), 502)
    assert time.monotonic() - before < 15, "the whole answer takes 20 s"


@pytest.mark.parametrize("level", ["list", "image"])
def test_an_answer_of_a_pacs_is_read_up_to_a_bound(client, pacs, studies, level):
    studies.bounds = Bounds(pacs_list_mb=1)
    studies.most_bytes, sent = 1 << 20, []

    def flood(handler):
        if level == "image" and "/instances/" not in handler.path:
            pacs.answer = "application/dicom+json", json.dumps([UIDS]).encode()
            handler.do_GET()
            pacs.answer = flood
            return
        kind = 'multipart/related; type="application/dicom"; boundary=x'
        handler.send_response(200)
        handler.send_header("Content-Type", kind if level == "image" else "application/dicom+json")
        handler.send_header("Content-Length", str(64 << 20))
        handler.end_headers()
        handler.close_connection = True
        try:
            for _ in range(64):
                handler.wfile.write(bytes(1 << 20))
                sent.append(1)
        except OSError:
            pass

    pacs.answer = flood
    reply = client.post("/locate/knee_xr2mri", params={"image": "1.2.3"})
    assert "more than 1 MB" in held_off(reply, 413)
    assert len(sent) < 32, "MB that it got rid of"


def test_a_redirect_of_a_pacs_is_not_followed(client, pacs):
    def elsewhere(handler):
        assert handler.path.startswith("/dicom-web"), "credentials would go along"
        handler.send_response(302)
        handler.send_header("Location", "/elsewhere")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    pacs.answer = elsewhere
    assert "302" in held_off(client.post("/locate/knee_xr2mri", params={"image": "1.2.3"}), 502)


# --- grades and models ----------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["NaN", '"nan"', '" NaN "', '"-nan"'])
@pytest.mark.parametrize("group", [("features", "V00XRKL"), ("demographics", "age"),
                                   ("demographics", "bmi")])  # fmt: skip
def test_nan_is_no_grade(client, radiograph, group, value):
    params = f'{{"num_slices": 2, "{group[0]}": {{"{group[1]}": {value}}}}}'
    files = {"file": ("a.png", radiograph.read_bytes())}
    reply = client.post("/infer/knee_xr2mri", data={"params": params}, files=files)
    assert "leave out what is not known" in held_off(reply, 422) and group[1] in reply.text


@pytest.mark.parametrize("route", ["infer", "jobs/infer", "locate"])
def test_parameters_for_another_model_are_refused(client, radiograph, route):
    def ask(model):
        files = {"file": ("a.png", radiograph.read_bytes())}
        data = {"params": json.dumps({"num_slices": 2, "model": model})}
        if route == "locate":
            data = {"params": json.dumps({"model": model})}
        return client.post(f"/{route}/knee_xr2mri", data=data, files=files)

    for other in ("bare", "", "KNEE_XR2MRI", 1, ["knee_xr2mri"]):
        assert "route names 'knee_xr2mri'" in held_off(ask(other), 422)
    assert ask("knee_xr2mri").status_code in (200, 202) and ask(None).status_code in (200, 202)


@pytest.mark.parametrize(
    "params",
    [
        '{"num_slices": 2, "num_slices": 3}',
        '{"features": {"V00XRKL": 1, "V00XRKL": 2}}',
        '{"num_slices": 2, "x": [{"a": 1, "a": 1}]}',
    ],
)
def test_a_name_given_twice_is_refused(client, radiograph, params):
    """Whatever checked it before may have read the other value."""
    files = {"file": ("a.png", radiograph.read_bytes())}
    reply = client.post("/jobs/infer/knee_xr2mri", data={"params": params}, files=files)
    assert "is given twice" in held_off(reply, 422)
