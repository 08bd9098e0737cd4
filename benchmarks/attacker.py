"""An attacker for the server's benchmark: each attack in turn, until it is stopped.

Every one of them once took the server's memory, disk, connections or time from everybody else. The
attacker is a user like others, and means harm; its process is its own (`Attacking`), so that what
it does to prepare an attack holds up no client of the benchmark.
"""

from __future__ import annotations

import io
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import cache
from itertools import cycle
from typing import Any

import numpy as np
import requests

Login = tuple[str, str]
_PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'


class Attacker:
    """One user at one server.

    Args:
        url: address of the server.
        login: name and password.
        model: name of the model that is asked for.
        image: id of an image of the studies.
    """

    def __init__(self, url: str, login: Login, model: str, image: str) -> None:
        self.url, self.login, self.model, self.image = url, login, model, image
        self.done: Counter[str] = Counter()
        self.job = "none"

    def attack_until(self, over: threading.Event) -> None:
        """Each attack in turn."""
        for attack in cycle(ATTACKS):
            if over.is_set():
                return
            with suppress(OSError):  # being cut off is what it has to expect
                attack(self)
            self.done[attack.__name__] += 1

    def ask(self, method: str, path: str, **more: object) -> requests.Response:
        """One request with the login."""
        options: dict[str, Any] = {"auth": self.login, "timeout": 60, **more}
        return requests.request(method, self.url + path, **options)

    def infer(self, content: bytes) -> requests.Response:
        """Locate the knee in a file."""
        return self.ask("POST", f"/locate/{self.model}", files={"file": ("a", content)})

    def connect(self, deaf: bool = False) -> socket.socket:
        """A bare connection; deaf: that takes next to nothing of what is sent to it."""
        one = socket.socket()
        if deaf:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.settimeout(5)
        host, _, port = self.url.removeprefix("http://").partition(":")
        one.connect((host, int(port)))
        return one

    def head(self, method: str, path: str, *headers: str) -> bytes:
        """The beginning of a request."""
        basic = b64encode(":".join(self.login).encode()).decode()
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Basic {basic}"]
        return "\r\n".join([*lines, *headers, "", ""]).encode()


def deaf_readers(me: Attacker) -> None:
    """A large volume is asked for 16 times, and not read."""
    if me.ask("GET", f"/jobs/{me.job}").status_code != 200:
        asked = {"params": json.dumps({"num_slices": 60, "steps": 1})}
        path = f"/jobs/infer/{me.model}?image={me.image}"
        me.job = job = me.ask("POST", path, data=asked).json().get("id", "none")
        limit = time.monotonic() + 120
        while time.monotonic() < limit:
            if me.ask("GET", f"/jobs/{job}").json().get("state") not in ("queued", "running"):
                break
            time.sleep(0.5)
    with ExitStack() as open_:
        for number in range(16):
            one = open_.enter_context(me.connect(deaf=True))
            form = ("nifti", "dicom", "nrrd", "nifti")[number % 4]
            one.sendall(me.head("GET", f"/jobs/{me.job}/result?form={form}"))
        time.sleep(5)


def unfinished_uploads(me: Attacker) -> None:
    """40 uploads of 60 MB, none of which ends."""
    size = 60 << 20
    kind = "Content-Type: multipart/form-data; boundary=x"
    with ExitStack() as open_:
        for _ in range(40):
            one = open_.enter_context(me.connect())
            path = f"/infer/{me.model}"
            one.sendall(me.head("POST", path, kind, f"Content-Length: {size}") + _PART)
            with suppress(OSError):
                for _ in range(8):
                    one.sendall(bytes(1 << 20))
        time.sleep(2)


def padded_forms(me: Attacker) -> None:
    """40 forms of 2 MB, all of them blanks behind a boundary, which are parsed one by one."""
    form = (_PART + b"\r\n--x").ljust(2 << 20)
    kind = "Content-Type: multipart/form-data; boundary=x"
    head = me.head("POST", f"/locate/{me.model}", kind, f"Content-Length: {len(form)}")

    def send(_: int) -> None:
        with me.connect() as one, suppress(OSError):
            one.sendall(head + form)
            one.recv(100)

    with ThreadPoolExecutor(40) as pool:
        list(pool.map(send, range(40)))


def sessions(me: Attacker) -> None:
    """Session after session, to push out those of others."""
    for _ in range(8):
        me.ask("PUT", "/session/", files={"files": ("a", os.urandom(40 << 20))})


def jobs(me: Attacker) -> None:
    """As many jobs as there are places in the line, and the largest that may be asked for."""
    for slices in (2000, 900, 400, 400, 400, 400):
        asked = {"params": json.dumps({"num_slices": slices, "steps": 1})}
        me.ask("POST", f"/jobs/infer/{me.model}?image={me.image}", data=asked)
    time.sleep(1)
    for job in me.ask("GET", "/jobs").json():
        if job["id"] != me.job:
            me.ask("DELETE", f"/jobs/{job['id']}")


def guessers(me: Attacker) -> None:
    """80 guesses at passwords, from one address."""
    with ThreadPoolExecutor(80) as pool:
        for number in range(80):
            form = {"username": f"u{number}", "password": "guess", "grant_type": "password"}
            address = {"X-Forwarded-For": "203.0.113.66"}
            pool.submit(me.ask, "POST", "/auth/token", data=form, headers=address, auth=None)


def silence(me: Attacker) -> None:
    """600 connections that say nothing, and 60 that say half of something."""
    with ExitStack() as open_:
        for number in range(660):
            one = open_.enter_context(me.connect())
            if number % 11 == 0:
                one.sendall(me.head("POST", f"/infer/{me.model}", "Content-Length: 99") + b"-")
        time.sleep(3)


def codecs(me: Attacker) -> None:
    """A form whose text takes Python 20 s to decode."""
    body = b'--x\r\nContent-Disposition: form-data; name="params"\r\n\r\n' + b"a" * 10**6
    kind = "multipart/form-data; boundary=x; charset=punycode"
    for path in (f"/infer/{me.model}", "/auth/token"):
        content = body + b"-" + b"9" * 10**6 + b"\r\n--x--\r\n"
        me.ask("POST", path, data=content, headers={"Content-Type": kind})


def pictures(me: Attacker) -> None:
    """Files that are small and become large."""
    for width, height in ((40_000, 40_000), (32, 51_200), (8_000, 8_000), (7_000, 9_000)):
        me.infer(_png(width, height))
    me.infer(b"NRRD0004\n" + b"# x\n" * (1 << 18) + b"data file: /etc/passwd\n\n")
    for _ in range(4):
        me.infer(os.urandom(20 << 20))


def unknown_ids(me: Attacker) -> None:
    """Images that are not there, each of which may have the folder looked through."""
    for number in range(40):
        me.ask("POST", f"/locate/{me.model}", params={"image": f"nobody-{number}"})


ATTACKS: tuple[Callable[[Attacker], None], ...] = (
    deaf_readers, unfinished_uploads, sessions, jobs, guessers, silence, codecs, pictures,
    unknown_ids, padded_forms,
)  # fmt: skip


@cache
def _png(width: int, height: int) -> bytes:
    """A PNG that is one grey, but for a line of noise."""
    rows, packer = io.BytesIO(), zlib.compressobj(1)
    noise = np.random.default_rng(0).integers(0, 255, width, np.uint8).tobytes()
    for row in range(height):
        rows.write(packer.compress(b"\0" + (noise if row % 50 == 0 else bytes(width))))
    rows.write(packer.flush())

    def chunk(name: bytes, content: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + crc

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", rows.getvalue()), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


# --- the process ----------------------------------------------------------------------------------


class Attacking:
    """An attacker who is at it while one is in a `with`; see `Attacker`.

    Attributes:
        done: how often each attack came, at the end.
    """

    def __init__(self, url: str, login: Login, model: str, image: str) -> None:
        self.done: dict[str, int] = {}
        self._words = [sys.executable, __file__, url, *login, model, image]

    def __enter__(self) -> Attacking:
        self._process = subprocess.Popen(
            self._words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.done = json.loads(self._process.communicate()[0])


def main() -> None:
    """Attack until standard input ends, and tell what was done."""
    url, name, password, model, image = sys.argv[1:]
    over, attacker = threading.Event(), Attacker(url, (name, password), model, image)

    def listen() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=listen, daemon=True).start()
    attacker.attack_until(over)
    print(json.dumps(attacker.done))


if __name__ == "__main__":
    main()
