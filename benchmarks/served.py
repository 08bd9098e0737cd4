"""The server of the benchmark, which may be killed and come back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import requests

from xr2mri_core.local_server import LocalServer
from xr2mri_core.shipped import app_folder

ATTACKER = ("mallory", "correct horse battery")


class Served:
    """The server, which may be killed and come back at another address with the same temp folder.

    Args:
        studies: folder of radiographs.
        folder: folder for the server's files.
    """

    def __init__(self, studies: Path, folder: Path) -> None:
        self.studies, self.folder = studies, folder
        self.temp = folder / "temp"
        self.temp.mkdir()
        self.server = self._started()
        self.idle = self.files()

    def _started(self) -> LocalServer:
        folder = self.folder / uuid.uuid4().hex
        options = ["--conf", "max_queue", "64", "--conf", "allow_anonymous_remote", "yes"]
        options += ["--conf", "users_file", str(self._users())]
        options += ["--conf", "max_seconds", "100000"]  # on a busy machine, too, nothing is refused
        server = LocalServer(app_folder(), self.studies, folder, *options, TMPDIR=str(self.temp))
        return server.wait(600)

    def _users(self) -> Path:
        """A file with the attacker; the others do not log in."""
        path = self.folder / "users.json"
        command = [sys.executable, "-m", "monai_app.lib.security.users", "--file", str(path), "add"]
        environment = {**os.environ, "PYTHONPATH": str(app_folder().parent)}
        name, password = ATTACKER
        subprocess.run([*command, name], input=password, env=environment, text=True, check=True)
        return path

    def kill(self) -> None:
        """`kill -9`, and start it again."""
        self.server.stop(signal.SIGKILL)
        self.server = self._started()

    def insist(self, ask: Callable[[str], Any], seconds: float = 900) -> Any:
        """What ``ask(url)`` returns, asked again while there is no server or its line is full."""
        limit = time.monotonic() + seconds
        while True:
            try:
                reply = ask(self.server.url)
                if not isinstance(reply, requests.Response) or reply.status_code != 429:
                    return reply
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
                if time.monotonic() > limit:
                    raise
            time.sleep(0.5)

    def most_memory(self, seconds: float = 0.5) -> Callable[[], int]:
        """Watches the MB of the server and of what reads files for it from now on.

        Counted are the resident memory of the server and the reading box's own: what its processes
        share with one another counts once. Call what is returned for the highest level.
        """
        levels, done = [0], threading.Event()
        process = psutil.Process(self.server.process.pid)

        def watch() -> None:
            while not done.wait(seconds):
                level = process.memory_info().rss
                for child in process.children(recursive=True):
                    with suppress(psutil.Error):
                        level += child.memory_full_info().uss
                levels.append(level >> 20)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()

        def highest() -> int:
            done.set()
            thread.join()
            return max(levels)

        return highest

    def files(self) -> set[str]:
        """Files in its temp folder, the log settings of MONAI Label left out."""
        found = (path for path in self.temp.rglob("*") if path.is_file())
        return {str(path) for path in found if path.suffix != ".json"}

    def memory(self) -> int:
        """Resident MB, after it had a moment to let go."""
        time.sleep(3)
        return psutil.Process(self.server.process.pid).memory_info().rss >> 20

    def cpu(self) -> float:
        """CPU seconds that it has used."""
        used = psutil.Process(self.server.process.pid).cpu_times()
        return used.user + used.system

    def cpu_of_threads(self) -> dict[int, float]:
        """The same of each thread."""
        threads = psutil.Process(self.server.process.pid).threads()
        return {thread.id: thread.user_time + thread.system_time for thread in threads}
