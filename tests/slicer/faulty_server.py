"""A small XR2MRI server that does what a test tells it to, right or wrong."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from xr2mri_core.features import form_schema

SLICES, SIDE, SEED = 6, 8, 7
AFFINE = np.diag([2.5, 14.7, 2.5, 1.0])
AFFINE[:3, 3] = [-8.75, -39.75, -8.75]
JOB = "a1b2"


@dataclass
class Answer:
    """What a request gets.

    Args:
        body: bytes, or anything else as JSON.
        cut: bytes of the body after which the connection is closed.
        raw: sent instead of HTTP.
        hang_up: close the connection instead.
        pause, stall: seconds before it, and after it before the connection is closed.
    """

    status: int = 200
    body: Any = b""
    headers: dict = field(default_factory=dict)
    cut: int | None = None
    raw: bytes = b""
    hang_up: bool = False
    pause: float = 0.0
    stall: float = 0.0

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: str
    headers: Any
    body: bytes


def volume(slices: int = SLICES, done: int | None = None, dtype: Any = np.float32) -> np.ndarray:
    """Voxels that are all different, zero from slice `done` on."""
    count = SIDE * slices * SIDE
    array = (np.arange(1, count + 1) / count).reshape(SIDE, slices, SIDE)
    array[:, slices if done is None else done :] = 0
    return array.astype(dtype)


def npy(array: np.ndarray | None = None) -> bytes:
    """A volume as the server sends it."""
    buffer = io.BytesIO()
    np.save(buffer, volume() if array is None else array)
    return buffer.getvalue()


def state(name: str = "running", slices: int = 0, **more: Any) -> dict[str, Any]:
    """The answer to the question where the job stands."""
    return {
        "id": JOB,
        "model": "knee_xr2mri",
        "state": name,
        "done": slices,
        "total": SLICES,
        "slices": slices,
        "num_slices": SLICES,
        "queue_position": 0,
        "seconds": 1.5,
        "seconds_left": None if name == "done" else 2.0,
        "seed": SEED,
        "affine": AFFINE.tolist(),
        "warnings": [],
        "error": None,
        **more,
    }


def info(**more: Any) -> dict[str, Any]:
    """The answer of /info/."""
    slices = {"minimum": 1, "maximum": 2000, "default": 50, "type": "integer"}
    steps = {"anyOf": [{"minimum": 1, "maximum": 1000, "type": "integer"}, {"type": "null"}]}
    sampler = {"anyOf": [{"enum": ["ddim", "unipc"], "type": "string"}, {"type": "null"}]}
    properties = {"num_slices": slices, "steps": steps, "sampler": sampler}
    properties["kind"] = {"enum": ["sample", "mean"], "type": "string"}
    models = {
        "bare": {"description": "no weights", "parameters": {}, "weights": None},
        "knee_xr2mri": {
            "description": "Coronal knee MRI",
            "parameters": {"properties": properties},
            "weights": {"sha256": "0" * 64},
        },
    }
    return {
        "name": "XR2MRI",
        "version": "0.1.0",
        "api_version": 1,
        "notice": "synthetic, not for diagnosis",
        "form": form_schema(),
        "software": {"xr2mri": "0.1.0"},
        "queue": {"max": 8, "waiting": 1},
        "models": models,
        **more,
    }


def record(**more: Any) -> dict[str, Any]:
    return {
        "seed": SEED,
        "slices": SLICES,
        "spacing_mm": [2.5, 14.7, 2.5],
        "features": {"V00XRKL": 2},
        **more,
    }


def healthy() -> dict[str, Any]:
    """What a server answers that does everything right: three slices, then all."""
    job = f"/jobs/{JOB}"
    return {
        "GET /info/": Answer(body=info()),
        "GET /auth/": Answer(body={"enabled": False, "client_id": None, "realm": None}),
        "POST /auth/token": Answer(body={"access_token": None, "token_type": None}),
        "POST /jobs/infer/knee_xr2mri": Answer(202, state("queued")),
        f"GET {job}": [
            Answer(body=state("queued", queue_position=1)),
            Answer(body=state("running", 3)),
            Answer(body=state("done", SLICES)),
        ],
        f"GET {job}/volume": Answer(body=npy(volume(done=3)), headers={"X-Slices-Done": "3"}),
        f"GET {job}/result": Answer(body=npy()),
        f"GET {job}/record": Answer(body=record()),
        f"DELETE {job}": Answer(body=state("cancelled")),
    }


class FaultyServer:
    """A server in threads of this process, on the loopback interface.

    Attributes:
        plan: "METHOD /path" -> an `Answer`, a function from `Asked` to one, or a list of these of
            which the last stays. What is not there is 404.
        asked: the requests so far.
    """

    def __init__(self, tls: Any = None) -> None:
        self.plan: dict[str, Any] = healthy()
        self.asked: list[Asked] = []
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        if tls is not None:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> FaultyServer:
        poll = {"poll_interval": 0.02}
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs=poll, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def count(self, method: str, path: str = "") -> int:
        """How many requests of this kind have come."""
        return sum(a.method == method and path in a.path for a in self.asked)

    def answer(self, asked: Asked) -> Answer:
        with self._lock:
            self.asked.append(asked)
            planned = self.plan.get(f"{asked.method} {asked.path}")
            if isinstance(planned, list):
                planned = planned.pop(0) if len(planned) > 1 else planned[0]
        if planned is None:
            return Answer(404, {"detail": "not served here: /info/ tells what is"})
        return planned(asked) if isinstance(planned, Callable) else planned

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def handle(self) -> None:
                try:
                    super().handle()
                except OSError:  # the client has hung up
                    self.close_connection = True

            def serve(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length)
                url = urlsplit(self.path)
                if len(body) < length:
                    return
                answer = server.answer(Asked(self.command, url.path, url.query, self.headers, body))
                time.sleep(answer.pause)
                if answer.raw or answer.hang_up:
                    self.wfile.write(answer.raw)
                    self.close_connection = True
                    return
                content = answer.content
                self.send_response(answer.status)
                headers = {"Content-Length": str(len(content)), **answer.headers}
                for name, value in headers.items():
                    if value is not None:
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content if answer.cut is None else content[: answer.cut])
                self.wfile.flush()
                time.sleep(answer.stall)
                self.close_connection = answer.cut is not None

            do_GET = do_POST = do_PUT = do_DELETE = serve

        return Handler
