"""The MONAI Label server as a process on this machine: for the demo, tests and benchmarks."""

from __future__ import annotations

import errno
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

from xr2mri_client import programs
from xr2mri_core.errors import XR2MRIError
from xr2mri_core.shipped import app_folder


class ServerError(XR2MRIError):
    """The server could not be started."""


def app_with(bundle: Path, folder: Path) -> Path:
    """A folder of our app whose one model is a bundle; made of links, in `folder`.

    MONAI Label writes its logs there, and not where the package is installed.
    """
    (folder / "model").mkdir(parents=True)
    (folder / "main.py").symlink_to(app_folder() / "main.py")
    (folder / "model" / "knee_xr2mri").symlink_to(Path(bundle).resolve())
    return folder


def is_taken(host: str, port: int) -> bool:
    """Whether another process listens at an address of this machine."""
    try:
        with socket.create_server((host, port)):
            return False
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    except OverflowError:  # no port
        return False


class LocalServer:
    """`monailabel start_server` in a process of its own, on a free port of the loopback interface.

    Args:
        app: folder of the app, e.g. `app_folder`.
        studies: folder of radiographs, or the DICOMweb address of a PACS.
        folder: its working folder, with its log and its temporary files.
        options: more words of the command.
        environment: more environment variables.

    Attributes:
        url: where it answers.
        temp: its folder for temporary files.
    """

    def __init__(
        self, app: Path, studies: Path | str, folder: Path, *options: str, **environment: str
    ) -> None:
        self.url = f"http://127.0.0.1:{(port := programs.free_port())}"
        self.temp = folder / "tmp"
        self.temp.mkdir(parents=True)
        self._log = (folder / "server.log").open("w+")
        # -P: the app in its working folder, which has this package's name, is not to be imported
        command = [sys.executable, "-P", "-m", "xr2mri_core.server_command", "start_server"]
        command += ["--app", str(app), "--studies", str(studies), "--port", str(port), *options]
        self.process = programs.start(
            command,
            {**os.environ, "TMPDIR": str(self.temp), "HOME": str(folder), **environment},
            cwd=folder,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> LocalServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def log(self) -> str:
        """What it has printed so far."""
        return (Path(self._log.name)).read_text(errors="replace")

    def wait(self, seconds: float = 600) -> LocalServer:
        """Wait until it answers.

        Raises:
            ServerError: it ended, or did not answer in time; the message says why.
        """
        limit = time.monotonic() + seconds
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy answers too
        while time.monotonic() < limit and self.process.poll() is None:
            try:
                with direct.open(f"{self.url}/info/", timeout=5):
                    return self
            except urllib.error.HTTPError:
                return self
            except OSError:
                time.sleep(0.2)
        status = self.process.poll()
        what = "does not answer" if status is None else f"has ended with status {status}"
        raise ServerError(f"the server {what}: {_cause(self.log)} (log: {self._log.name})")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it, by force if it does not end by itself."""
        programs.stop(self.process, 20, how)
        self.process.wait()
        self._log.close()


def _cause(log: str) -> str:
    """The last exception in a log, else its last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"[\w.]+(Error|Exception): ", line)]
    return (named or lines or ["it has printed nothing"])[-1][-400:]
