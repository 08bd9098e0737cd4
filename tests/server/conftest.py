"""The app's routes in one process with a tiny model, and the real server as a user starts it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def service(tiny_bundle):
    """The generation service on the tiny bundle; beside it a bundle without weights."""
    from lib.service import GenerationService

    bare = tiny_bundle.with_name("bare")
    if not bare.exists():
        (bare / "configs").mkdir(parents=True)
        for config in (tiny_bundle / "configs").iterdir():
            (bare / "configs" / config.name).write_text(config.read_text())
    service = GenerationService({"knee_xr2mri": tiny_bundle, "bare": bare}, "cpu", max_queue=3)
    yield service
    service.close()


@pytest.fixture
def studies(tmp_path, radiograph):
    """A folder with one radiograph, read as the app reads it."""
    from lib.studies import Studies

    folder = tmp_path / "studies" / "case-7"
    folder.mkdir(parents=True)
    (folder / "radiograph.png").write_bytes(radiograph.read_bytes())
    return Studies(tmp_path / "studies")


@pytest.fixture
def scratch():
    from lib.uploads import ScratchFolder

    return ScratchFolder()


@pytest.fixture
def store(service):
    from lib.jobs import JobStore

    return JobStore(service.queue)


@pytest.fixture
def client(service, studies, scratch, store):
    """A client of the routes, without guard and without MONAI Label."""
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from lib.routes import inference_router, jobs_router, mount, session_router
    from lib.sources import Sources
    from lib.uploads import Sessions

    sources = Sources(
        service, lambda image, parameters: studies.find(image), Sessions(), scratch, 1 << 20
    )
    app = FastAPI()
    mount(
        app,
        inference_router(service, sources),
        jobs_router(service, sources, store),
        session_router(sources),
    )
    with TestClient(app) as client:
        yield client
    assert list(scratch.path.iterdir()) == [], "a request left a file behind"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """`monailabel start_server` in a process of its own.

    Attributes:
        url: where it answers.
        log: what it has printed.
    """

    def __init__(self, app: Path, studies: Path, folder: Path, *options: str, **environment: str):
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self.temp = folder / "tmp"
        self.temp.mkdir(parents=True)
        self._log = (folder / "server.log").open("w+")
        command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(app)]
        command += ["--studies", str(studies), "--port", str(port), *options]
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "TMPDIR": str(self.temp), "HOME": str(folder), **environment},
        )

    @property
    def log(self) -> str:
        return (Path(self._log.name)).read_text(errors="replace")

    def wait(self, seconds: float = 240) -> Server:
        """Wait until it answers.

        Raises:
            RuntimeError: it ended, or did not answer in time; with its log.
        """
        limit = time.monotonic() + seconds
        while time.monotonic() < limit and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/info/", timeout=5):
                    return self
            except urllib.error.HTTPError:
                return self
            except OSError:
                time.sleep(0.2)
        raise RuntimeError(f"the server does not answer:\n{self.log[-4000:]}")

    def stop(self, how: int = signal.SIGINT) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, how)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self._log.close()


@pytest.fixture(scope="session")
def app_folder(tmp_path_factory, tiny_bundle) -> Path:
    """The app as it ships, its model replaced by the tiny one."""
    app = tmp_path_factory.mktemp("app") / "monai_app"
    app.mkdir()
    for name in ("main.py", "lib"):
        (app / name).symlink_to(ROOT / "monai_app" / name)
    (app / "model").mkdir()
    (app / "model" / "knee_xr2mri").symlink_to(tiny_bundle)
    return app


@pytest.fixture(scope="session")
def studies_folder(tmp_path_factory) -> Path:
    """Studies of the running server: one knee as PNG."""
    from conftest import draw_knee
    from PIL import Image

    folder = tmp_path_factory.mktemp("studies")
    Image.fromarray(draw_knee()).save(folder / "knee.png")
    return folder


@pytest.fixture(scope="session")
def running(app_folder, studies_folder, tmp_path_factory) -> Iterator[Server]:
    """The real server under the plain command."""
    server = Server(app_folder, studies_folder, tmp_path_factory.mktemp("server"))
    try:
        yield server.wait()
    finally:
        server.stop()


@pytest.fixture
def server(running) -> str:
    """The base URL of the real server."""
    assert running.process.poll() is None, running.log[-4000:]
    return running.url


def without_paths(text: str) -> bool:
    """Whether a reply names no path of this machine and shows no traceback."""
    return "Traceback" not in text and not re.search(r"(/root|/home|/tmp|/usr|/work)/", text)
