"""Foreign files and the process that reads them: what it may do, and what it can cost others.

The attacks go to a running server. `secured` has users, so that one of them can be in another's
way; each is refused in words, and the next file is read at once.
"""

from __future__ import annotations

import gzip
import io
import json
import mmap
import os
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pydicom
import pytest
import requests
import torch
from checks import without_paths
from dicom_samples import encoded, knee_pixels, write_dicom
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000, JPEGBaseline8Bit, RLELossless
from samples import draw_knee
from security_support import issued
from waiting import until

from monai_app.lib.reading_box import ClientGone, Crowded, ReadingBox, child
from monai_app.lib.reading_box.answer import packed, understood
from monai_app.lib.reading_box.pages import Pages
from monai_app.lib.reading_box.turns import SOON, Turns
from xr2mri_core.errors import RadiographError, UndecodableError
from xr2mri_core.geometry import Laterality
from xr2mri_core.localization.scale import scale_of
from xr2mri_core.reading import PreparedRadiograph, prepare_radiograph

# --- files that cost more than they look ----------------------------------------------------------


def png(pixels: np.ndarray) -> bytes:
    Image.fromarray(pixels).save(buffer := io.BytesIO(), "PNG")
    return buffer.getvalue()


def ramp(rows: int, columns: int) -> np.ndarray:
    return np.broadcast_to(np.linspace(0, 255, columns).astype(np.uint8), (rows, columns)).copy()


def dicom(folder: Path, pixels: np.ndarray | None = None, **tags) -> bytes:
    pixels = knee_pixels(64, 64) if pixels is None else pixels
    return write_dicom(folder / "x.dcm", pixels, **tags).read_bytes()


def deflated_without_preamble(folder: Path) -> bytes:
    """Inflates to a gigabyte."""
    plain = dicom(folder, BodyPartExamined="KNEE")[128 + 4 :]
    meta = pydicom.filereader.read_file_meta_info(folder / "x.dcm")
    head = plain[: 12 + meta.FileMetaInformationGroupLength]
    syntax = pydicom.uid.DeflatedExplicitVRLittleEndian
    old, new = meta.TransferSyntaxUID.encode(), str(syntax).encode()
    assert len(new) + 2 >= len(old)
    padded = new + b"\0" * (len(new) % 2)
    before = head.index(b"\x02\0\x10\0UI") + 6
    length = struct.unpack_from("<H", head, before)[0]
    head = head[:before] + struct.pack("<H", len(padded)) + padded + head[before + 2 + length :]
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
    rest = [squeezer.compress(bytes(1 << 20)) for _ in range(1024)] + [squeezer.flush()]
    return head + b"".join(rest)


def fake_size_in_a_box(folder: Path) -> bytes:
    """A JP2 whose first box says 64 x 64; its stream is 8,000 x 8,000."""
    small = encoded(knee_pixels(64, 64).astype(np.uint8), "JPEG2000")
    Image.new("L", (8000, 8000)).save(buffer := io.BytesIO(), "JPEG2000")
    large = buffer.getvalue()
    signature, rest = large[:12], large[12:]
    box = struct.pack(">I4s", 8 + 60, b"free") + small[:60]
    frame = signature + box + rest
    return dicom(folder, syntax=JPEG2000, PixelData=encapsulate([frame]), BitsAllocated=8)


def postscript_for_a_picture(folder: Path) -> bytes:
    """Pillow would hand it to Ghostscript."""
    frame = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%" + b"\xff\x4f\xff\x51"
    frame += encoded(knee_pixels(64, 64).astype(np.uint8), "JPEG2000")[4:]
    return dicom(folder, syntax=JPEG2000, PixelData=encapsulate([frame]), BitsAllocated=8)


def many_scans(side: int = 8000, scans: int = 90) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    shades = ramp(8, 8).repeat(side // 8, 0).repeat(side // 8, 1)
    Image.fromarray(shades).save(buffer := io.BytesIO(), "JPEG", progressive=True)
    whole = buffer.getvalue()
    last = whole.rindex(b"\xff\xda")
    return whole[:last] + whole[last:-2] * scans + b"\xff\xd9"


def two_frames(folder: Path) -> bytes:
    """A JPEG that says its size twice, the second time larger."""
    small, large = (encoded(ramp(side, side), "JPEG") for side in (64, 4096))
    head = small.index(b"\xff\xc0")
    frame = large[:2] + small[head : head + 13] + large[2:]
    tags = {"PixelData": encapsulate([frame]), "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    return dicom(folder, syntax=JPEGBaseline8Bit, **tags)


def stretched(folder: Path) -> bytes:
    frame = encoded(ramp(5000, 5000), "JPEG")
    tags = {"PixelData": encapsulate([frame]), "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    shape = {"Rows": 5000, "Columns": 5000, "PixelAspectRatio": ["5", "1"]}
    return dicom(folder, syntax=JPEGBaseline8Bit, **tags, **shape)


def endless_runs(folder: Path) -> bytes:
    segment = b"\x81\xff" * 200_000
    frame = struct.pack("<16I", 2, 64, 64 + len(segment), *([0] * 13)) + segment * 2
    return dicom(folder, syntax=RLELossless, PixelData=encapsulate([frame]))


def many_elements(folder: Path) -> bytes:
    whole = dicom(folder)
    at = whole.index(b"\xe0\x7f\x10\0")
    empty = b"".join(
        struct.pack("<HH2sH", 0x0029, 0x1000 + n % 0xE000, b"LO", 0) for n in range(57344)
    )
    return whole[:at] + empty * 7 + whole[at:]


def complex_volume() -> bytes:
    """A NIfTI of 32 x 32 complex numbers by its header, squeezed zeros without end."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 2, 8000, 8000, 1, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 1792, 128)
    struct.pack_into("<8f", header, 76, 1, 1, 1, 1, 1, 1, 1, 1)
    struct.pack_into("<f", header, 108, 352)
    header[344:348] = b"n+1\0"
    return gzip.compress(bytes(header) + bytes(64 << 20), 1)


LARGE = {
    "a strip whose square is large": (lambda _: png(ramp(32, 40000)), {"box": [0, 0, 32, 40000]}),
    "a strip of many windows": (lambda _: png(ramp(32, 51200)), {}),
    "a spacing that makes 100,000 rows": (
        lambda folder: dicom(folder, knee_pixels(200, 2000), PixelSpacing=[0.01, 0.5]),
        {"box": [0, 0, 200, 2000]},
    ),
    "inflated without a preamble": (deflated_without_preamble, {}),
    "another size in a box": (fake_size_in_a_box, {}),
    "no JPEG 2000 at all": (postscript_for_a_picture, {}),
    "a JPEG of two sizes": (two_frames, {}),
    "a JPEG of many scans": (lambda _: many_scans(64, 200), {}),
    "runs without end": (endless_runs, {}),
    "400,000 elements": (many_elements, {}),
    "complex numbers": (lambda _: complex_volume(), {}),
    "stretched to square pixels": (stretched, {}),
}


def ask(url, content, token=None, **params):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return requests.post(
        f"{url}/locate/knee_xr2mri",
        files={"file": ("knee", content)},
        data={"params": json.dumps(params)},
        headers=headers,
        timeout=300,
    )


def good(url, token=None) -> None:
    reply = ask(url, png(draw_knee()), token)
    assert reply.status_code == 200, reply.text


@pytest.mark.server
@pytest.mark.parametrize("name", LARGE)
def test_a_size_is_refused_before_it_is_allocated(server, running, tmp_path, name):
    make, params = LARGE[name]
    content, process = make(tmp_path), psutil.Process(running.process.pid)
    before = process.memory_info().rss
    reply = ask(server, content, **params)
    assert reply.status_code in (415, 422) and without_paths(reply.text), reply.text
    assert "\n" not in reply.json()["detail"]
    assert process.memory_info().rss < before + (100 << 20)


@pytest.mark.server
def test_a_finished_job_keeps_of_a_header_what_its_export_needs(server, running, tmp_path):
    """Private elements of 60 MB stayed with each result: 1.5 GB after 25 jobs."""
    whole, size = dicom(tmp_path), 16 << 20
    at = whole.index(b"\xe0\x7f\x10\0")
    content = whole[:at] + struct.pack("<HH2sHI", 0x29, 0x1010, b"UN", 0, size) + bytes(size)
    content += whole[at:]
    form = {"params": json.dumps({"num_slices": 2, "steps": 1, "box": [0, 0, 64, 64]})}
    process, jobs, held = psutil.Process(running.process.pid), [], []
    for _ in range(6):
        url = f"{server}/jobs/infer/knee_xr2mri"
        reply = requests.post(url, data=form, files={"file": ("knee", content)}, timeout=120)
        assert reply.status_code == 202, reply.text
        jobs.append(f"{server}/jobs/{reply.json()['id']}")
        until(lambda: requests.get(jobs[-1], timeout=20).json()["state"] == "done", 120)
        held.append(process.memory_info().rss)
    assert held[-1] - held[0] < 2 * size, "five more headers are held"
    for job in jobs:
        requests.delete(job, timeout=20)


# --- the process ----------------------------------------------------------------------------------


def box_of(server) -> psutil.Process:
    """The process that waits; its children are those that read."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    return next(child for child in children if "monai_app.lib.reading_box.child" in child.cmdline())


def readers(server) -> list[psutil.Process]:
    """Processes that have a file; one without waits for the next."""
    return [child for child in box_of(server).children() if _has_a_file(child.pid)]


def _has_a_file(pid: int) -> bool:
    with suppress(OSError):
        return any("memfd:" in os.readlink(one) for one in Path(f"/proc/{pid}/fd").iterdir())
    return False


@pytest.fixture(scope="module")
def slow_file() -> bytes:
    """Takes tens of seconds, with fewer scans than are refused."""
    return many_scans()


def in_background(*arguments, **params) -> list[requests.Response]:
    replies: list[requests.Response] = []
    threading.Thread(target=lambda: replies.append(ask(*arguments, **params)), daemon=True).start()
    return replies


@pytest.mark.server
def test_a_reader_holds_nothing_of_the_server(secured, slow_file, issuer_key):
    alice = issued(issuer_key[0], "alice")
    replies = in_background(secured.url, slow_file, alice)
    reader = until(lambda: readers(secured))[0]
    try:
        _check_confined(secured, reader)
    finally:
        reader.kill()
    until(lambda: replies)
    assert replies[0].status_code == 415 and "decoder failed" in replies[0].json()["detail"]
    good(secured.url, alice)


def _check_confined(secured, reader: psutil.Process) -> None:
    known = {"PYTHONPATH", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"}
    known |= {"GLIBC_TUNABLES", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ"}
    for process in (reader, box_of(secured)):
        found = {name for name in process.environ() if not name.startswith("glibc.malloc.")}
        assert found <= known  # glibc ends each of its tunables with a zero, where it stands
        named = [file.path for file in process.open_files()]
        assert [path for path in named if "memfd:" not in path] == []
    status = Path(f"/proc/{reader.pid}/status")
    until(lambda: "NoNewPrivs:\t1" in status.read_text())
    until(lambda: "Seccomp:\t2" in status.read_text())
    for limit in (psutil.RLIMIT_AS, psutil.RLIMIT_CPU, psutil.RLIMIT_FSIZE, psutil.RLIMIT_NOFILE):
        assert reader.rlimit(limit)[1] not in (psutil.RLIM_INFINITY, 1 << 20)


@pytest.mark.server
def test_a_client_that_hangs_up_frees_its_place(secured, slow_file, issuer_key):
    alice = issued(issuer_key[0], "alice")
    head = (
        "POST /locate/knee_xr2mri HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
        f"multipart/form-data; boundary=x\r\nAuthorization: Bearer {alice}\r\n"
    )
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    body += slow_file + b"\r\n--x--\r\n"
    port = int(secured.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        until(lambda: readers(secured))
    until(lambda: not readers(secured), 10)


@pytest.mark.server
def test_files_that_take_long_stop_no_third(secured, slow_file, issuer_key):
    """Two clients have all places with files that take long."""
    users = [issued(issuer_key[0], name) for name in ("alice", "bob")]
    blocking = [in_background(secured.url, slow_file, users[n % 2]) for n in range(4)]
    until(lambda: len(readers(secured)) == 4)
    third = issued(issuer_key[0], "carol")
    before = time.monotonic()
    good(secured.url, third)
    taken = time.monotonic() - before
    assert not all(blocking) and taken < 25, f"{taken:.1f} s"
    until(lambda: all(blocking), 120)
    statuses = {replies[0].status_code for replies in blocking}
    assert 429 in statuses and statuses <= {200, 415, 429}


# --- what a reader can do -------------------------------------------------------------------------

CONFINED = """
    import ctypes, fcntl, os, socket, subprocess, sys
    from monai_app.lib.reading_box import confinement
    from monai_app.lib.reading_box.confinement import Limits, confine, layers
    without_landlock = sys.argv[1] == "seccomp"
    if without_landlock:
        confinement._has_landlock = lambda: False
    secret, parent = sys.argv[2], os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    import json, numpy
    confine(Limits(memory_mb=64))
    def attempt(name, call):
        try:
            call()
        except (OSError, MemoryError, RuntimeError):
            return
        print("could", name)
    def native(number, *arguments):
        if libc.syscall(number, *arguments) < 0:
            raise OSError(ctypes.get_errno())
    attempt("read a secret", lambda: open(secret).read())
    attempt("read users", lambda: open("/etc/passwd").read())
    attempt("read the parent", lambda: open(f"/proc/{parent}/environ").read())
    attempt("list a folder", lambda: os.listdir(os.path.dirname(secret)))
    attempt("write a file", lambda: open(secret + ".new", "w"))
    attempt("change a file", lambda: os.chmod(secret, 0o777))
    attempt("remove a file", lambda: os.unlink(secret))
    attempt("open a socket", lambda: socket.socket())
    attempt("send a datagram", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    attempt("fork", os.fork)
    attempt("run a program", lambda: os.execv("/bin/true", ["true"]))
    attempt("run a program", lambda: subprocess.run(["/bin/true"]))
    attempt("signal the parent", lambda: os.kill(parent, 0))
    attempt("have the parent signalled", lambda: fcntl.fcntl(1, fcntl.F_SETOWN, parent))
    attempt("choose the signal", lambda: fcntl.fcntl(1, fcntl.F_SETSIG, 9))
    fcntl.fcntl(1, fcntl.F_SETFL, fcntl.fcntl(1, fcntl.F_GETFL))
    attempt("raise its limits", lambda: __import__("resource").prlimit(0, 7, (9999, 9999)))
    attempt("take memory", lambda: numpy.ones(256 << 20, numpy.uint8))
    if os.uname().machine == "x86_64":
        attempt("trace the parent", lambda: native(101, 16, parent, 0, 0))
        attempt("read the parent's memory", lambda: native(310, parent, 0, 0, 0, 0, 0))
        attempt("set up io_uring", lambda: native(425, 8, ctypes.create_string_buffer(120)))
        attempt("enter a namespace", lambda: native(272, 0x10000000))
    if without_landlock:
        attempt("open Python's own", lambda: open(json.__file__))
    else:
        open(json.__file__).read()
    print("ended", flush=True)
    os._exit(0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the box is Linux's")
@pytest.mark.parametrize("how", ["all layers", "seccomp"])
def test_a_reader_can_do_nothing_but_read(tmp_path, how):
    """Code of an attacker, with Landlock and without."""
    (tmp_path / "secret").write_text("x")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CONFINED), how, str(tmp_path / "secret")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == "ended\n", done.stderr[-2000:]
    assert (tmp_path / "secret").read_text() == "x"


@pytest.fixture(scope="module")
def box() -> ReadingBox:
    return ReadingBox.shared()


def test_a_file_is_the_same_in_the_box(box, tmp_path):
    turned = {"PatientOrientation": ["R", "F"], "PatientName": "Ωμέγα", "PatientWeight": "70.50"}
    files = {
        "a.dcm": dicom(tmp_path, SpecificCharacterSet="ISO_IR 192", **turned),
        "a.png": png(draw_knee()),
        "a.jpg": encoded(draw_knee(), "JPEG"),
    }
    asked = {"laterality": "L", "box": [2, 3, 60, 62]}
    for (name, content), options in zip(files.items(), ({}, {}, asked), strict=True):
        (tmp_path / name).write_bytes(content)
        here = prepare_radiograph(tmp_path / name, 64, **options)
        with (tmp_path / name).open("rb") as file:
            file.seek(99)  # wherever somebody has left it
            sent = box.prepare(file, 64, **options, name=name)
        for there in (
            sent,
            box.prepare(tmp_path / name, 64, **options),
            box.prepare(content, 64, **options, name=name),
        ):
            assert np.array_equal(here.picture, there.picture) and there.name == name
            assert json.dumps(there.info["localization"]) == json.dumps(
                here.info.get("localization")
            )
            for key in ("box", "laterality", "mirrored", "spacing_mm", "warnings", "format"):
                assert there.info[key] == here.info[key]
    there = box.prepare(tmp_path / "a.dcm", 64)
    assert str(there.header.PatientName) == "Ωμέγα"
    assert there.header.PatientWeight.original_string == "70.50"


def test_the_box_starts_again_after_its_process_was_killed(box):
    box.prepare(png(draw_knee()), 64)
    box._forks._process.kill()
    assert box.prepare(png(draw_knee()), 64).picture.shape == (1, 1, 64, 64)


def test_a_process_that_was_killed_while_it_waited_costs_no_file(box):
    """The one that is made ahead, by somebody who is short of memory."""
    box.prepare(png(draw_knee()), 64)
    waiting = psutil.Process(box._forks._process.pid)
    until(waiting.children)[0].kill()
    assert box.prepare(png(draw_knee()), 64).picture.shape == (1, 1, 64, 64)


def test_without_a_box_the_same_is_read_here(radiograph, box, monkeypatch, caplog):
    there = box.prepare(radiograph, 64)
    monkeypatch.setattr("sys.platform", "other")
    here = ReadingBox()
    assert "server's process" in caplog.text
    assert np.array_equal(here.prepare(radiograph, 64).picture, there.picture)
    assert np.array_equal(here.prepare(radiograph.read_bytes(), 64).picture, there.picture)
    with pytest.raises(RadiographError, match="not a radiograph"):
        here.prepare(b"nonsense", 64)


@pytest.mark.parametrize("box_given", [[10**400, 0, 1, 1], [10**4200] * 4, [float("inf")] * 4])
@pytest.mark.parametrize("turned", [True, False])
def test_a_box_beyond_any_picture_is_refused_in_words(box, tmp_path, turned, box_given):
    film = dicom(tmp_path, PatientOrientation=["R" if turned else "L", "F"])
    with pytest.raises(RadiographError, match="give top, left, bottom, right"):
        box.prepare(film, 64, box=box_given)


def test_a_scale_of_very_flat_pixels_is_told(box, tmp_path):
    """Of a joint that is some thousand such pixels wide, rounded to four places it was 0."""
    scale = scale_of((0, 0, 4600, 4600), (0.01, 5.0))
    row, column = scale.to_dict()["spacing_mm"]
    assert 0 < row < 1e-4 and column == pytest.approx(500 * row, rel=1e-3)
    told = {**INFO, "localization": {**FOUND, "scale": scale.to_dict()}}
    assert packed(PreparedRadiograph("a", torch.zeros(1, 1, 64, 64), told))


def test_a_reader_that_fails_answers_and_tells_nothing_of_the_file(monkeypatch, tmp_path, caplog):
    def fails(*_):
        raise OverflowError("patient Doe")

    monkeypatch.setattr(child, "prepare_radiograph", fails)
    (tmp_path / "a.png").write_bytes(png(draw_knee()))
    asked = {"name": "a.png", "size": 64, "laterality": "auto", "box": None}
    for request in (json.dumps(asked).encode(), b'{"name": "a.png"', b"[]"):
        file = os.open(tmp_path / "a.png", os.O_RDONLY)
        said = child._prepared(file, request)
        with pytest.raises(UndecodableError, match="a damaged file that cannot be decoded"):
            understood(said, "a.png", 64)
        with suppress(OSError):  # it was read, and closed
            os.close(file)
    assert "OverflowError in test_reading_box.py" in caplog.text and "Doe" not in caplog.text


def test_a_reader_without_memory_says_so(monkeypatch, tmp_path):
    def full(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9")

    monkeypatch.setattr(child, "prepare_radiograph", full)
    (tmp_path / "a.png").write_bytes(png(draw_knee()))
    asked = {"name": "a.png", "size": 64, "laterality": "auto", "box": None}
    said = child._prepared(os.open(tmp_path / "a.png", os.O_RDONLY), json.dumps(asked).encode())
    with pytest.raises(UndecodableError, match=r"a\.png: needs more memory .* reduce its size"):
        understood(said, "a.png", 64)


def memory_of(process: psutil.Process) -> int:
    """Bytes that are a process's own."""
    try:
        return process.memory_full_info().uss
    except psutil.Error:
        return 0


def test_large_files_are_read_one_at_a_time_and_small_ones_pass(box):
    """Together they would take all memory; none of them may have it before its turn."""
    box.prepare(png(draw_knee()), 64)
    origin, small = psutil.Process(box._forks._process.pid), []
    large = png(ramp(5000, 5000))
    threads = [threading.Thread(target=box.prepare, args=(large, 64)) for _ in range(3)]
    alone = threading.Thread(target=box.prepare, args=(large, 64))

    def watched(some: list[threading.Thread], meanwhile=lambda: None) -> int:
        most = 0
        for thread in some:
            thread.start()
        while any(thread.is_alive() for thread in some):
            most = max(most, sum(memory_of(child) for child in origin.children()))
            meanwhile()
            time.sleep(0.02)
        return most

    def pass_by() -> None:
        if not small:
            began = time.monotonic()
            box.prepare(png(draw_knee()), 64)
            small.append((time.monotonic() - began, sum(t.is_alive() for t in threads)))

    one = watched([alone])
    peak = watched(threads, pass_by)
    assert peak < 2 * one  # three of them at once had three times that
    assert small[0][1] >= 2  # was read while they were not


def test_a_reader_that_asks_for_no_room_has_little_memory():
    """Whatever has taken a reader over: it cannot raise its own limit."""
    program = textwrap.dedent("""
        import numpy as np, os, resource, sys
        from monai_app.lib.reading_box.confinement import Limits, confine, give_room
        limits = Limits(memory_mb=1024)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            confine(limits)
            def has(mb):
                try:
                    return np.empty(mb << 20, np.uint8) is not None
                except MemoryError:
                    return False
            said = [has(300), has(500)]
            try:
                resource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40))
                said.append("raised")
            except (OSError, ValueError):
                said.append("kept")
            os.write(writing, repr(said).encode())
            os.read(0, 1)
            os.write(writing, repr([has(900), has(1200)]).encode())
            os._exit(0)
        print(os.read(reading, 99).decode())
        give_room(child)
        sys.stdout.flush()
        os.write(go := int(sys.argv[1]), b"x")
        print(os.read(reading, 99).decode())
    """)
    reading, writing = os.pipe()
    done = subprocess.run(
        [sys.executable, "-c", program, str(writing)], stdin=reading, pass_fds=[writing],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    os.close(reading), os.close(writing)
    assert done.stdout.split("\n")[:2] == ["[True, False, 'kept']", "[True, False]"], done.stderr


def test_nobody_waits_for_a_client_that_has_gone(box):
    with pytest.raises(ClientGone):
        box.prepare(many_scans(2048), 64, gone=lambda: True)


# --- what comes back ------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
KNEE = {"side": "R", "score": 0.9, "source": "detector", "joint": [1, 2, 3, 4], "box": [1, 2, 3, 4]}
FOUND = {"kind": "single", "rows": 64, "columns": 64, "spacing_mm": None, "scale": None,
         "knees": [KNEE], "warnings": []}  # fmt: skip
INFO = {"spacing_mm": None, "laterality": "R", "mirrored": False, "box": (0, 0, 64, 64),
        "format": "PNG", "warnings": [], "localization": FOUND}  # fmt: skip
KEYS = [*INFO, "inverted", "refused", "undecodable", "patient", "pixels", *FOUND, *KNEE]


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(KEYS), VALUES | st.sampled_from([
    {"PatientName": {"a": 1}}, {"PatientID": "x" * 99}, {"PatientName": "a\nb"},
    {"IssuerOfPatientIDQualifiersSequence": [{}]}, {"IssuerOfPatientIDQualifiersSequence": "x"},
    {"StudyInstanceUID": "../x"}, [10**9, 10**9], [64, 65], [KNEE] * 3, "x" * 3000, ["x" * 3000],
    ["x"] * 65, b"", b"x", b"\xff" * 64 * 64 * 4, np.full((64, 64), 2, np.float32).tobytes(),
]))  # fmt: skip
def test_whatever_a_reader_says_is_checked(key, value):
    good = PreparedRadiograph("a", torch.zeros(1, 1, 64, 64), INFO)
    line, pixels = packed(good).split(b"\n", 1)
    plain = json.loads(line)
    if isinstance(value, bytes):
        pixels = value
    else:
        for part in (KNEE, FOUND, INFO):
            if key in part:
                found = plain["info"]["localization"]
                {id(KNEE): found["knees"][0], id(FOUND): found, id(INFO): plain["info"]}[id(part)][
                    key
                ] = value
                break
        else:
            plain[key] = value
    try:
        read = understood(json.dumps(plain).encode() + b"\n" + pixels, "a", 64)
    except RadiographError as error:
        assert len(str(error)) < 2100
    else:
        assert read.picture.shape == (1, 1, 64, 64) and float(read.picture.abs().max()) <= 1
        assert len(json.dumps(read.info)) < 10_000
        assert all(isinstance(warning, str) for warning in read.info["warnings"])


def test_what_was_prepared_is_understood():
    prepared = PreparedRadiograph("a", torch.linspace(-1, 1, 4096).reshape(1, 1, 64, 64), INFO)
    read = understood(packed(prepared), "a", 64)
    assert torch.equal(read.picture, prepared.picture) and read.side is Laterality.RIGHT
    assert json.loads(json.dumps(read.info)) == {**json.loads(json.dumps(INFO)), "inverted": False}


@pytest.mark.parametrize("answer", [b"", b"{", b"[]", b"7", b"[" * 100_000, b'"\xff"'])
def test_what_is_no_answer_is_refused(answer):
    with pytest.raises(RadiographError, match="damaged"):
        understood(answer, "a", 64)


# --- turns ----------------------------------------------------------------------------------------


def test_who_has_none_in_reading_comes_next():
    turns, order, hold = Turns(at_once=2, most_of_one=1), [], threading.Event()

    def read(owner):
        with turns.turn(owner, lambda: False):
            order.append(owner)
            hold.wait(20)

    for owner in ("ann", "ann", "ann", "bob"):
        threading.Thread(target=read, args=(owner,), daemon=True).start()
        time.sleep(0.05)
    until(lambda: len(order) == 2, 10)
    assert order == ["ann", "bob"]
    hold.set()
    until(lambda: len(order) == 4, 10)


def test_a_slow_file_gives_its_place_up_to_who_waits():
    turns = Turns(at_once=1, most_of_one=1)
    with turns.turn("ann", lambda: False) as first:
        waiting = threading.Thread(target=lambda: turns.turn("bob", lambda: False).__enter__())
        waiting.start()
        time.sleep(0.3)
        assert not first.revoked, "it is not slow yet"
        first.since -= SOON
        until(lambda: first.revoked, 10)
        assert isinstance(first.crowded_out(), Crowded)
    waiting.join(10)
    assert not waiting.is_alive()


def test_a_full_line_makes_room_for_who_has_less_in_it():
    """Two users whose files fill the line do not keep a third out."""
    turns, sent_away, gone = Turns(at_once=1, most_waiting=4), [], threading.Event()

    def wait(owner):
        try:
            with turns.turn(owner, gone.is_set):
                pass
        except Crowded:
            sent_away.append(owner)
        except ClientGone:
            pass

    with turns.turn("ann", lambda: False):
        threads = [threading.Thread(target=wait, args=(name,)) for name in ("ann", "bob") * 2]
        for count, thread in enumerate(threads, 1):
            thread.start()
            until(lambda count=count: len(turns._waiting) == count, 10)
        third = threading.Thread(target=wait, args=("carol",))
        third.start()
        until(lambda: sent_away, 10)
        assert sent_away in (["ann"], ["bob"])
        assert sorted(turn.owner for turn in turns._waiting if not turn.revoked)[-1] == "carol"
        with pytest.raises(Crowded), turns.turn("carol", lambda: False):
            pass  # all have as many now
        gone.set()
    for thread in (*threads, third):
        thread.join(10)


def test_a_fork_has_the_pages_that_another_has_touched():
    """Memory that was written before the fork, and is written in it."""
    memory = np.ones(64 * mmap.PAGESIZE, np.uint8)
    pages = Pages.of(lambda: memory.fill(2))
    first = memory.ctypes.data
    inside = [(a, n) for a, n in pages.written if a < first + memory.nbytes and a + n > first]
    if not Path("/proc/self/pagemap").exists():
        assert not inside
        return
    assert sum(n for _, n in inside) >= memory.nbytes - mmap.PAGESIZE and memory.max() == 1
    pages.ask_for()
    assert memory.min() == memory.max() == 1
    assert Pages.of(lambda: 1 / 0) == Pages(), "nothing where it failed"


def test_what_is_read_to_find_them_out_can_be_read():
    child._read_film()


def test_a_crowd_is_sent_away():
    turns = Turns(at_once=1, most_waiting=2)
    gone = threading.Event()

    def wait():
        with pytest.raises(ClientGone), turns.turn("ann", gone.is_set):
            pass

    with turns.turn("ann", lambda: False):
        thread = threading.Thread(target=wait)
        thread.start()
        until(lambda: turns._waiting, 10)
        with pytest.raises(Crowded, match="wait to be read"), turns.turn("ann", lambda: False):
            pass
        gone.set()
        thread.join(10)
        assert not thread.is_alive()
