"""The server on this computer: started for one user, found again, and ended with who started it.

    server = OwnServer(Installation())
    access = server.open()           # finds the one that runs, or starts one; takes some 15 s
    client = XR2MRIClient(access.url)
    client.use_token(access.token)

Other users of the computer reach its port, too. So it takes a secret that is made for it and lies
in files that only this user can read, never in a command line; and before it is sent the secret or
sent a radiograph, it has to prove that it knows it: another program may have taken its port.

It ends when its standard input does: when `stop` closes the pipe, and also when the process that
holds the pipe is killed.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import re
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from .alone import alone
from .errors import ServerEnded, UserCancelled, one_line
from .events import Final, Returned
from .installation import Installation
from .installing import Line, Narrator
from .programs import WINDOWS, end, environment_of_its_own, free_port, start
from .texts import tr as _
from .writing import why_not_written, write_whole

SECONDS_TO_START = 300.0
SECONDS_TO_END = 10.0
SECONDS_TO_ANSWER = 5.0
_PAUSE = 0.2
_MOST_LOG = 64 << 10


@dataclass(frozen=True)
class Access:
    """How to reach a server.

    Attributes:
        url: address on the loopback interface.
        token: secret of the session, to be sent as a bearer token.
    """

    url: str
    token: str = field(repr=False)


class OwnServer:
    """The server of an installation.

    Args:
        installation: installation whose server it is.
        environment: variables to begin with: inside an application those that it was started with.
        command: command that starts the server, without its options; that of the installation by
            default.
    """

    def __init__(
        self,
        installation: Installation,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] | None = None,
    ) -> None:
        self._installation = installation
        self._environment = environment_of_its_own(environment)
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._ending: subprocess.Popen[bytes] | None = None
        self._opening = threading.Lock()
        self.access: Access | None = None
        self._launched_as: Access | None = None

    @property
    def folder(self) -> Path:
        return self._installation.part("server")

    @property
    def ours(self) -> bool:
        """Whether this process has started it, so that it ends with this process."""
        return self._process is not None

    def log(self, most: int = _MOST_LOG) -> str:
        """The end of what it has printed."""
        with suppress(OSError), (self.folder / "server.log").open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - most))
            return file.read().decode("utf-8", "replace")
        return ""

    def open(
        self,
        pause: Callable[[float], None] = time.sleep,
        seconds: float = SECONDS_TO_START,
    ) -> Access:
        """The server that runs already, or one that is started now, once it answers.

        Args:
            pause: waits some seconds between two looks; when it raises `errors.UserCancelled`, a
                server that was being started ends.
            seconds: longest time to wait.

        Raises:
            ServerEnded: the server does not start; the message says why.
            InstallFailed: its folder cannot be written.
            UserCancelled: the user has cancelled.
        """
        with self._opening:  # one that was cancelled just now has to end its own server first
            self.access = self.find()
            if self.access is None:
                busy = ServerEnded(
                    _("Another Slicer starts the server at the moment."),
                    _("Wait until that one is done."),
                )
                with alone(self.folder / "opening", pause, seconds, busy):
                    self.access = self.find() or self._started(pause, seconds)
            return self.access

    def find(self) -> Access | None:
        """The running server of this user, started here or elsewhere; None if there is none."""
        access = self._session()
        return access if access is not None and proves(access) else None

    def ended(self) -> ServerEnded | None:
        """Why the server that this process started has ended by itself; None while it runs."""
        if self._process is None or self._process.poll() is None:
            return None
        error = why_it_ended(self._process.returncode, self.log())
        self._forget()
        return error

    def stop(self) -> None:
        """Tell the server that this process started to end, which takes it some seconds."""
        process = self._process
        if process is not None and process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
        self._forget()
        self._ending = process or self._ending

    def wait(
        self, seconds: float = SECONDS_TO_END, pause: Callable[[float], None] = time.sleep
    ) -> None:
        """Wait until a stopped server is gone; by force if it does not go by itself.

        Args:
            seconds: longest time to wait.
            pause: waits some seconds between two looks; ends it by raising.
        """
        process, limit = self._ending, time.monotonic() + seconds
        while process is not None and process.poll() is None:
            if time.monotonic() >= limit:
                end(process)
                process.wait()
            else:
                pause(_PAUSE)
        self._ending = None

    def _forget(self) -> None:
        if self._process is not None and self._session() == self._launched_as:
            with suppress(OSError):  # else it is another Slicer's by now
                (self.folder / "session.json").unlink()
        self._process = self.access = None

    def _session(self) -> Access | None:
        """The server that the folder tells of; None if it tells of none."""
        path = self.folder / "session.json"
        try:
            if not _is_private(path):
                return None
            session = json.loads(path.read_text(encoding="utf-8"))
            return Access(f"http://127.0.0.1:{int(session['port'])}", str(session["token"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _started(self, pause: Callable[[float], None], seconds: float) -> Access:
        """Start a server, on another port if the first was taken meanwhile."""
        self.wait(pause=pause)  # for one that was stopped just now: both would write to the log
        for last in (False, True):
            access = self._launched()
            try:
                self._await(access, pause, seconds)
                break
            except ServerEnded:
                if last or " is taken" not in self.log():
                    raise
            except UserCancelled:
                self.stop()
                raise
        return access

    def _launched(self) -> Access:
        self._forget()
        try:
            return self._launch()
        except OSError as error:
            self.stop()  # it may have started, and nobody could find it
            self.wait(0)
            raise ServerEnded(
                *why_not_written(error, self.folder)
                or (
                    _("The server cannot be started: {why}.").format(why=error.strerror or error),
                    _("Uninstall it, and install it again."),
                )
            ) from None

    def _launch(self) -> Access:
        """Start a server and note how to reach it; raises OSError."""
        folder = self.folder
        (folder / "studies").mkdir(parents=True, exist_ok=True)
        os.chmod(folder, 0o700)
        port, token = free_port(), secrets.token_urlsafe(32)
        write_whole(folder / "token", token, private=True)
        command = self._command or [
            str(self._installation.python), "-I", "-m", "xr2mri_core.cli", "serve",
        ]  # fmt: skip
        options = ["--studies", str(folder / "studies"), "--port", str(port), "--end_with_stdin"]
        options += ["--conf", "session_token_file", str(folder / "token")]
        options += ["--conf", "audit_file", str(folder / "audit.log")]  # not among what is printed
        with (folder / "server.log").open("wb") as log:
            self._process = start(
                [*command, *options],
                self._environment,
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        session = json.dumps({"port": port, "token": token})
        write_whole(folder / "session.json", session, private=True)
        self._launched_as = Access(f"http://127.0.0.1:{port}", token)
        return self._launched_as

    def _await(self, access: Access, pause: Callable[[float], None], seconds: float) -> None:
        limit = time.monotonic() + seconds
        while not proves(access):
            error = self.ended()
            if error is not None:
                raise error
            if time.monotonic() > limit:
                self.stop()
                self.wait(0)
                message = _("The server did not answer within {n:.0f} s.").format(n=seconds)
                raise ServerEnded(message)
            pause(_PAUSE)


def proves(access: Access) -> bool:
    """Whether a server answers that knows the secret; who does not know it does not learn it."""
    nonce, address = secrets.token_hex(16), access.url.split("//")[1]
    connection = http.client.HTTPConnection(address, timeout=SECONDS_TO_ANSWER)  # by no proxy
    try:
        connection.request("GET", f"/health?nonce={nonce}")
        reply = connection.getresponse()
        given = json.loads(reply.read(4096))["proof"]
        right = hmac.new(access.token.encode(), nonce.encode(), hashlib.sha256).hexdigest()
        return reply.status == 200 and hmac.compare_digest(str(given), right)
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return False
    finally:
        connection.close()


def why_it_ended(status: int, log: str) -> ServerEnded:
    """Why a server has ended by itself.

    Args:
        status: exit status; negative for the signal that ended it.
        log: the end of what it has printed.
    """
    low = log.lower()
    if re.search(r"out of memory|memoryerror|cannot allocate memory|not enough memory", low):
        return ServerEnded(
            _("The server ran out of memory and has ended."),
            _("Close other programs, ask for fewer slices, and start it again."),
        )
    if status == -9 or status == 137:
        return ServerEnded(
            _("The server was killed, probably for want of memory."),
            _("Close other programs, ask for fewer slices, and start it again."),
        )
    if " is taken" in log or "address already in use" in low:
        return ServerEnded(
            _("Another program has taken the port of the server."), _("Start it again.")
        )
    if re.search(r"no weights|weights .*missing|safetensors'?.*(not found|no such file)", low):
        return ServerEnded(
            _("The weights of the model are missing."), _("Uninstall it, and install it again.")
        )
    if re.search(r"no module named|is not installed|no such file or directory: .*python", low):
        return ServerEnded(
            _("The installation is damaged: {x}").format(x=_cause(log)),
            _("Uninstall it, and install it again."),
        )
    if status < 0:
        message = _("The server was ended by signal {n}.").format(n=-status)
        return ServerEnded(message)
    cause = _cause(log)
    message = _("The server has ended with status {n}: {x}").format(n=status, x=cause)
    return ServerEnded(message if cause else message.rstrip(": "))


def _cause(log: str) -> str:
    """The last line of a log that names an error, else its last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    lines = [line for line in lines if "the log above says why" not in line] or lines
    named = [line for line in lines if re.search(r"\berror\b|[a-z]Error\b", line)]
    return one_line((named or lines or [""])[-1], 200)


class OpenWorker(Narrator):
    """Opens the server; ends with Returned(Access). Events: Line, of its log.

    Args:
        server: the server to open.
    """

    def __init__(self, server: OwnServer) -> None:
        super().__init__()
        self._server, self._shown = server, 0

    def _work(self) -> Final:
        try:
            return Returned(self._server.open(self._pause))
        finally:
            self._look()

    def _pause(self, seconds: float) -> None:
        self._look()
        self._wait(seconds)

    def _look(self) -> None:
        """Report what has been printed since."""
        lines = self._server.log().splitlines()
        for line in lines[self._shown :]:
            self._emit(Line(line))
        self._shown = max(self._shown, len(lines))


def _is_private(path: Path) -> bool:
    """Whether only its owner, who is this user, can read a file."""
    if WINDOWS:
        return True  # the folders of a user are closed to others there
    state = path.stat()
    return state.st_uid == os.getuid() and not state.st_mode & 0o077
