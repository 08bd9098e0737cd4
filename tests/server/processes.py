"""The real server, started as a user starts it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path


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


def without_paths(text: str) -> bool:
    """Whether a reply names no path of this machine and shows no traceback."""
    return "Traceback" not in text and not re.search(r"(/root|/home|/tmp|/usr|/work)/", text)
