"""Attacks on the running server, each one also on a stock MONAI Label to show that it is real.

An attack returns what it has got, and an empty text when it was held off. Against ours every attack
has to come back with nothing, no reply may be a 5xx, and none may name a path of the machine.

`server` is ours under the plain command; `stock_server` is the base URL of an unguarded stock app
on this machine, whose studies folder lies inside a temporary folder of its own (an attack writes
beside it) and which has, for the attacks through inference, a model that reads its image.
"""

from __future__ import annotations

import gzip
import http.client
import io
import json
import os
import pickle
import re
import socket
import struct
import tarfile
import time
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

import jwt
import psutil
import pytest
from checks import without_paths
from samples import draw_knee
from security_support import PASSWORD

from monai_app.lib.security.auth import FAILURES_OF_A_USER
from xr2mri_core.local_server import LocalServer, ServerError

pytestmark = pytest.mark.server

HELD_OFF = range(400, 500)
NOT_THERE = (403, 404, 405)
PATH = re.compile(r"(?<![\w.{:/-])/(?:root|home|tmp|usr|var|etc|opt|srv|mnt|work)/[\w.-]+")
Attack = Callable[["Target"], str]
ATTACKS: list[Attack] = []
THROUGH_INFERENCE: list[Attack] = []


def attack(function: Attack) -> Attack:
    """An attack that needs nothing of the other side."""
    ATTACKS.append(function)
    return function


def through_inference(function: Attack) -> Attack:
    """An attack that needs a model."""
    THROUGH_INFERENCE.append(function)
    return function


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")


@dataclass
class Target:
    """A server, and files of its machine that nobody may get at over HTTP.

    Args:
        url: of the server.
        picture: a radiograph outside the studies.
        voxels: its pixels, 64 x 64 bytes.
    """

    url: str
    picture: Path
    voxels: Path
    replies: list[Reply] = field(default_factory=list)

    def send(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """A request that no client library tidies up; a cut connection counts as 413."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=120)
        try:
            chunked = body is not None and not isinstance(body, bytes)
            connection.request(method, path, body, headers or {}, encode_chunked=chunked)
            answer = connection.getresponse()
            fields = {name.lower(): value for name, value in answer.getheaders()}
            reply = Reply(answer.status, fields, answer.read())
        except (BrokenPipeError, ConnectionResetError):
            reply = Reply(413, {}, b"")
        finally:
            connection.close()
        self.replies.append(reply)
        return reply

    def post(
        self,
        method: str,
        path: str,
        files: Iterable[tuple[str, str, bytes]] = (),
        headers: dict[str, str] | None = None,
        **texts: str,
    ) -> Reply:
        """A form with files (field, file name, content) and texts."""
        boundary = uuid.uuid4().hex
        start = f"--{boundary}\r\nContent-Disposition:"
        parts = [
            f'{start} form-data; name="{name}"\r\n\r\n{text}\r\n'.encode()
            for name, text in texts.items()
        ]
        for name, file, content in files:
            disposition = f'form-data; name="{name}"; filename="{file}"'
            parts += [
                f"{start} {disposition}\r\n".encode(),
                b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n",
            ]
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        body = b"".join(parts) + f"--{boundary}--\r\n".encode()
        return self.send(method, path, body, kind | (headers or {}))

    @property
    def model(self) -> str:
        """The first model that is offered."""
        return next(iter(json.loads(self.send("GET", "/info/").body)["models"]), "")

    def infer(self, name: str, content: bytes) -> Reply:
        """Generate from a file of that name."""
        return self.post("POST", f"/infer/{self.model}?output=json", [("file", name, content)])


@pytest.fixture(scope="module")
def loot(tmp_path_factory) -> tuple[Path, Path]:
    """Files of the machine, outside everything that is served."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("private")
    knee = draw_knee(64)
    Image.fromarray(knee).save(folder / "picture.png")
    (folder / "voxels.raw").write_bytes(knee.tobytes())
    return folder / "picture.png", folder / "voxels.raw"


def got(reply: Reply, what: str) -> str:
    """What an attack has got: nothing if it was refused."""
    return "" if reply.status in HELD_OFF else f"{what}: {reply.status} {reply.text[:200]}"


def reached(reply: Reply, what: str) -> str:
    """As `got`, for routes that must not be there at all, whatever they would answer."""
    return "" if reply.status in NOT_THERE else f"{what}: {reply.status} {reply.text[:200]}"


# --- the studies and the app --------------------------------------------------------------------


@attack
def overwrites_code_beside_the_studies(target: Target) -> str:
    path = "/datastore/?image=" + quote("../xr2mri_attack", safe="")
    return reached(target.post("PUT", path, [("file", "main.py", b"# attack\n")]), "written")


@attack
def adds_an_image_under_a_path(target: Target) -> str:
    path = "/datastore/image?image=../../xr2mri_attack"
    return reached(target.post("PUT", path, [("file", "x.png", b"x")]), "written")


@attack
def deletes_an_image(target: Target) -> str:
    return reached(target.send("DELETE", "/datastore/?id=../xr2mri_attack"), "deleted")


@attack
def writes_a_label_outside_the_studies(target: Target) -> str:
    target.post(
        "PUT", "/datastore/?image=probe", [("file", "probe.png", target.picture.read_bytes())]
    )
    path = "/datastore/label?image=probe&tag=" + quote("../../xr2mri_attack", safe="")
    return reached(target.post("PUT", path, [("label", "x.nii.gz", b"x")], params="{}"), "written")


@attack
def takes_all_patients_at_once(target: Target) -> str:
    return reached(target.send("GET", "/datastore/dataset"), "archive")


@attack
def reloads_the_app(target: Target) -> str:
    return reached(target.send("POST", "/reload"), "reloaded")


@attack
def uploads_a_pickle_as_weights(target: Target) -> str:
    content = pickle.dumps({"weights": print})
    path = f"/model/{target.model or 'knee_xr2mri'}"
    return reached(target.post("PUT", path, [("file", "model.pt", content)]), "taken")


# --- files of the server as images --------------------------------------------------------------


@through_inference
def reads_a_file_by_the_image_parameter(target: Target) -> str:
    image = quote(str(target.picture), safe="")
    return got(
        target.post("POST", f"/infer/{target.model}?output=json&image={image}", x="y"), "read"
    )


@through_inference
def reads_a_file_by_the_image_of_the_form(target: Target) -> str:
    params = json.dumps({"image": str(target.picture)})
    path = f"/infer/{target.model}?output=json&image=x"
    return got(target.post("POST", path, params=params), "read")


@through_inference
def reads_a_file_by_forged_session_information(target: Target) -> str:
    forged = {
        "name": "x",
        "path": "x",
        "image": str(target.picture),
        "meta": {},
        "create_ts": int(time.time()),
        "last_access_ts": int(time.time()),
        "expiry": 3600,
    }
    files = [
        ("files", "a.png", target.picture.read_bytes()),
        ("files", "meta.info", json.dumps(forged).encode()),
    ]
    reply = target.post("PUT", "/session/", files)
    if reply.status != 200:
        return ""
    session = json.loads(reply.body)
    inner = f"{session['session_id']}/{Path(session['session_info'].get('image', 'x')).name}"
    path = f"/infer/{target.model}?output=json&session_id={quote(inner, safe='')}"
    return got(target.post("POST", path, x="y"), "read")


def headers_that_name(voxels: Path) -> dict[str, bytes]:
    """Image files that consist of a header only, which says that the pixels are elsewhere."""
    meta = (
        "ObjectType = Image\nNDims = 2\nDimSize = 64 64\nElementType = MET_UCHAR\n"
        f"ElementDataFile = {voxels}\n"
    )
    nrrd = (
        f"NRRD0004\ntype: uint8\ndimension: 2\nsizes: 64 64\nencoding: raw\ndata file: {voxels}\n\n"
    )
    many = "# nothing to see\n" * 70_000  # more than a guard would look through
    return {
        "a.nhdr": nrrd.encode(),
        "a.nrrd": nrrd.encode(),
        "late.nrrd": nrrd.replace("data file", f"{many}data file").encode(),
        "a.mhd": meta.encode(),
        "a.mha": meta.encode(),
    }


def names_pixels_elsewhere(file: str) -> None:
    def run(target: Target) -> str:
        return got(target.infer(file, headers_that_name(target.voxels)[file]), "read")

    run.__name__ = f"reads_a_file_that_a_header_names_{file}"
    through_inference(run)


for _file in headers_that_name(Path("x")):
    names_pixels_elsewhere(_file)


# --- archives, bombs and size -------------------------------------------------------------------


def tar_of(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@attack
def slips_out_of_a_tar(target: Target) -> str:
    content = tar_of(f"../xr2mri_attack_{uuid.uuid4().hex}", b"slipped")
    path = "/session/?uncompress=true"
    return got(target.post("PUT", path, [("files", "a.tar", content)]), "unpacked")


@attack
def unpacks_a_zip_bomb(target: Target) -> str:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(64 << 20))
    path = "/session/?uncompress=true"
    return got(target.post("PUT", path, [("files", "a.zip", buffer.getvalue())]), "unpacked")


@through_inference
def inflates_a_nifti_bomb(target: Target) -> str:
    shape = (2, 20000, 20000, 1, 1, 1, 1, 1)  # 400 MB of bytes in 400 KB
    header = struct.pack("<i36x8h14x2h2xff", 348, *shape, 2, 8, 0.0, 1.0)
    header = header.ljust(108, b"\0") + struct.pack("<f", 352.0)
    header = header.ljust(344, b"\0") + b"n+1\0" + bytes(4)
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1) as file:
        file.write(header)
        for _ in range(400):
            file.write(bytes(1_000_000))
    return got(target.infer("a.nii.gz", buffer.getvalue()), "inflated")


@through_inference
def inflates_a_png_bomb(target: Target) -> str:
    side = 30000

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((side // 8 + 1) * side), 1)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return got(target.infer("a.png", png), "inflated")


@attack
def uploads_without_limit(target: Target) -> str:
    boundary = uuid.uuid4().hex

    def body() -> Iterable[bytes]:
        disposition = 'form-data; name="files"; filename="a.png"'
        yield f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n".encode()
        for _ in range(96):
            yield bytes(1 << 20)
        yield f"\r\n--{boundary}--\r\n".encode()

    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return got(target.send("PUT", "/session/", body(), kind), "taken")


# --- web pages ----------------------------------------------------------------------------------


@attack
def rebinds_a_name(target: Target) -> str:
    port = urlsplit(target.url).port
    return got(target.send("GET", "/info/", headers={"Host": f"evil.example:{port}"}), "read")


@attack
def reads_from_a_page_of_another_origin(target: Target) -> str:
    reply = target.send("GET", "/info/", headers={"Origin": "https://evil.example"})
    return reply.headers.get("access-control-allow-origin", "")


@attack
def asks_for_permission_from_a_page_of_another_origin(target: Target) -> str:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "PUT"}
    reply = target.send("OPTIONS", "/session/", headers=asked)
    return reply.headers.get("access-control-allow-origin", "")


@attack
def sends_a_form_from_a_page_of_another_origin(target: Target) -> str:
    files = [("files", "a.png", target.picture.read_bytes())]
    return got(target.post("PUT", "/session/", files, {"Origin": "https://evil.example"}), "taken")


# --- what is stated, and what is there ----------------------------------------------------------


@attack
def reads_the_log(target: Target) -> str:
    return reached(target.send("GET", "/logs/?text=true"), "log")


@attack
def learns_paths_of_the_server(target: Target) -> str:
    target.post("PUT", "/session/", [("files", "a.png", target.picture.read_bytes())])
    target.send("GET", "/datastore/?output=all")
    target.send("GET", "/datastore/?output=train")
    target.send("GET", "/info/")
    return " ".join({path for reply in target.replies for path in PATH.findall(reply.text)})


@attack
def runs_inference_on_whole_slides(target: Target) -> str:
    path = f"/infer/wsi/{target.model or 'knee_xr2mri'}?image=" + quote("/etc/passwd", safe="")
    kind = {"Content-Type": "application/json"}
    return reached(target.send("POST", path, b"{}", kind), "run")


@attack
def finds_a_route_that_is_not_needed(target: Target) -> str:
    routes = [
        ("GET", "/favicon.ico"),
        ("GET", "/logs/gpu"),
        ("DELETE", "/batch/infer"),
        ("DELETE", "/scoring/"),
        ("POST", "/activelearning/random"),
        ("GET", "/proxy/dicom/qido/studies"),
        ("GET", "/ohif/"),
        ("POST", "/train/"),
        ("PUT", "/datastore/updatelabelinfo?label=x&tag=y"),
        ("GET", "/model/info/x"),
        ("TRACE", "/info/"),
    ]
    found = (reached(target.send(method, path), f"{method} {path}") for method, path in routes)
    return "; ".join(filter(None, found))


# --- ours and the stock one ---------------------------------------------------------------------


def named(function: Attack) -> str:
    return function.__name__


@pytest.mark.parametrize("run", [*ATTACKS, *THROUGH_INFERENCE], ids=named)
def test_the_server_holds_off(run, server, loot):
    target = Target(server, *loot)
    assert run(target) == ""
    for reply in target.replies:
        kind = reply.headers.get("content-type", "")
        assert reply.status < 500, reply.text
        assert "json" not in kind or without_paths(reply.text), reply.text
        assert "server" not in reply.headers
    assert target.send("GET", "/info/").status == 200, "the server has survived"


def test_no_refusal_tells_what_a_file_holds(server, loot, tmp_path):
    """Two bytes of a file, repeated, made a picture whose refusal named their value."""
    secret, pipe = tmp_path / "secret", tmp_path / "pipe"
    secret.write_bytes(b"pa" * 64 * 64)
    os.mkfifo(pipe)
    target = Target(server, *loot)
    value = str(int.from_bytes(b"pa", "little"))
    head = "NRRD0004\ntype: ushort\nendian: little\ndimension: 2\nsizes: 64 64\nencoding: raw\n"
    many = "# nothing to see\n" * 70_000
    attached = f"{head}\n".encode() + secret.read_bytes()
    pieces = "byte skip: 2\ndata file: LIST 1\n" + f"{secret}\n" * 64
    for content in (
        attached,
        f"{head}{many}{pieces}".encode(),
        *(f"{head}{many}data file: {path}\n\n".encode() for path in (secret, pipe, pipe)),
        headers_that_name(pipe)["a.mha"],
        headers_that_name(pipe)["a.nrrd"],
    ):
        reply = target.infer("a.nrrd", content)
        assert reply.status in (415, 422) and value not in reply.text, reply.text
        assert str(tmp_path) not in reply.text
    picture = target.picture.read_bytes()
    assert target.infer("a.png", picture).status == 200, "no slot is blocked by a pipe"


@pytest.mark.parametrize("run", ATTACKS, ids=named)
def test_a_stock_server_falls_to(run, stock_server, loot):
    assert run(Target(stock_server, *loot)) != ""


@pytest.mark.parametrize("run", THROUGH_INFERENCE, ids=named)
def test_a_stock_server_falls_through_inference_to(run, stock_server, loot):
    target = Target(stock_server, *loot)
    if not target.model:
        pytest.skip("the stock server has no model")
    assert run(target) != ""


# --- binding and login of the real server -------------------------------------------------------


def test_the_plain_command_listens_on_loopback_only(running):
    sockets = [
        connection.laddr.ip
        for process in [running.process, *psutil.Process(running.process.pid).children(True)]
        for connection in psutil.Process(process.pid).net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert sockets == ["127.0.0.1"]


def test_others_are_not_served_without_a_login(app_folder, studies_folder, tmp_path):
    server = LocalServer(app_folder, studies_folder, tmp_path, "--host", "0.0.0.0")
    try:
        with pytest.raises(ServerError, match="allow_anonymous_remote yes"):
            server.wait()
    finally:
        server.stop()


@pytest.mark.parametrize("how", ["option", "variable"])
def test_several_workers_do_not_start(how, app_folder, studies_folder, tmp_path):
    """And at once: uvicorn kills a process that loads for long, and starts it again and again."""
    options = ("--workers", "2") if how == "option" else ()
    variables = {} if how == "option" else {"WEB_CONCURRENCY": "2"}
    server = LocalServer(app_folder, studies_folder, tmp_path, *options, **variables)
    try:
        with pytest.raises(ServerError, match="--workers 2"):
            server.wait(120)
    finally:
        server.stop()


def test_every_route_asks_for_a_login_but_health_and_login(secured, loot):
    target = Target(secured.url, *loot)
    described = ("/", "/docs", "/openapi.json")
    for path in ("/info/", "/jobs", "/datastore/", "/train/", "/session/x", *described):
        assert target.send("GET", path).status == 401, path
    assert target.post("POST", "/infer/knee_xr2mri?image=knee", x="y").status == 401
    assert target.send("POST", "/reload").status == 404
    assert target.send("GET", "/health").status == target.send("GET", "/auth/").status == 200


def test_the_stock_client_logs_in(secured):
    from monailabel.client import MONAILabelClient

    client = MONAILabelClient(secured.url)
    assert client.auth_enabled()
    client.update_auth(client.auth_token("ada", PASSWORD))
    assert client.auth_valid_token()
    assert "knee_xr2mri" in client.info()["models"]


def test_forged_tokens_are_refused(secured, loot):
    target = Target(secured.url, *loot)
    now = int(time.time())
    claims = {"iss": "xr2mri", "aud": "xr2mri", "sub": "root", "iat": now, "exp": now + 60}
    for token in (
        jwt.encode(claims, "secret" * 8, algorithm="HS256"),
        jwt.encode(claims, None, algorithm="none"),
    ):
        reply = target.send("GET", "/info/", headers={"Authorization": f"Bearer {token}"})
        assert reply.status == 401


def test_roles_are_checked(secured, loot):
    from base64 import b64encode

    target = Target(secured.url, *loot)

    def status(name: str) -> int:
        basic = b64encode(f"{name}:{PASSWORD}".encode()).decode()
        return target.send("GET", "/train/", headers={"Authorization": f"Basic {basic}"}).status

    assert status("ada") == 403
    assert status("root") != 403


def test_one_user_takes_half_of_the_line_and_an_administrator_ends_it(secured, loot):
    from base64 import b64encode

    target = Target(secured.url, *loot)

    def ask(method: str, path: str, name: str, **texts: str) -> Reply:
        basic = b64encode(f"{name}:{PASSWORD}".encode()).decode()
        return target.post(method, path, headers={"Authorization": f"Basic {basic}"}, **texts)

    def start(name: str) -> Reply:
        params = json.dumps({"num_slices": 400, "steps": 50})
        return ask("POST", "/jobs/infer/knee_xr2mri?image=knee", name, params=params)

    started = []
    while (reply := start("ada")).status == 202:
        started.append(json.loads(reply.body)["id"])
    try:
        assert reply.status == 429 and "of yours" in reply.text and len(started) in (4, 5)
        assert int(reply.headers["retry-after"]) >= 1
        other = start("root")
        assert other.status == 202, "there is room for others"
        of_root = json.loads(other.body)["id"]
        for name, seen in (("ada", started), ("root", [*started, of_root])):
            jobs = json.loads(ask("GET", "/jobs", name).body)
            assert [job["id"] for job in jobs] == seen
        assert {job["owner"] for job in jobs} == {"ada", "root"}
        assert ask("DELETE", f"/jobs/{of_root}", "ada").status == 404
        started.append(of_root)
    finally:
        for job in started:
            assert ask("DELETE", f"/jobs/{job}", "root").status == 200


def test_guessing_is_slow_and_ends(secured, loot):
    target = Target(secured.url, *loot)
    kind = {"Content-Type": "application/x-www-form-urlencoded"}

    def guess(number: int) -> Reply:
        form = f"username=eve&password=guess{number}&grant_type=password"
        return target.send("POST", "/auth/token", form.encode(), kind)

    started = time.monotonic()
    replies = [guess(number) for number in range(FAILURES_OF_A_USER + 1)]
    assert [reply.status for reply in replies] == [401] * FAILURES_OF_A_USER + [429]
    assert int(replies[-1].headers["retry-after"]) >= 1
    assert time.monotonic() - started > FAILURES_OF_A_USER * 0.5


def test_another_address_serves_the_name_that_it_is(secured, loot):
    """An address in `Host` is let through only where the connection came in by it."""
    target = Target(secured.url, *loot)
    assert target.send("GET", "/health", headers={"Host": "192.0.2.7"}).status == 400
    own = socket.gethostbyname(socket.gethostname())
    if own.startswith("127."):
        pytest.skip("this machine has no other address")
    target.url = target.url.replace("127.0.0.1", own)
    assert target.send("GET", "/health").status == 200
    assert target.send("GET", "/info/").status == 401
