"""What the server calls to have a file read."""

from __future__ import annotations

import io
import json
import logging
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from monai_app.lib.reading_box.answer import LONGEST, understood
from monai_app.lib.reading_box.confinement import Limits
from monai_app.lib.reading_box.turns import ClientGone, Turn, Turns
from xr2mri_core.errors import OutputError, UndecodableError, shown
from xr2mri_core.transforms.formats import FormatError, open_regular
from xr2mri_core.transforms.radiograph_file import RadiographFile, open_radiograph, read_stream

log = logging.getLogger("xr2mri")

_HOUSE = Path(__file__).parents[3]
_START_SECONDS = 120.0
_KEPT = ("LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ")
_PIECE = 1 << 16
_LOOK_MS = 100
_POLITE = 10  # the niceness of a slow file
_NO_MEMORY = "the server has no memory for this file now; send it later, or tell the administrator"


class ReadingBox:
    """Reads each file in a process of its own, which can be killed; see the package.

    Args:
        limits: for one file.
        turns: who may have files read.
    """

    def __init__(self, limits: Limits | None = None, turns: Turns | None = None) -> None:
        self.limits, self.turns = limits or Limits(), turns or Turns()
        self._forks = _Forks() if sys.platform == "linux" else None
        if self._forks is None:
            log.warning("no reading box on this system: files are read in the server's process")

    @classmethod
    @lru_cache(maxsize=1)
    def shared(cls) -> ReadingBox:
        """One with the usual limits."""
        return cls()

    def start(self) -> None:
        """Begin to load the readers, so that the first file need not wait for it."""
        if self._forks is not None:
            threading.Thread(target=self._forks.start, name="xr2mri-box", daemon=True).start()

    def close(self) -> None:
        """End its processes."""
        if self._forks is not None:
            self._forks.close()

    def read(
        self,
        source: bytes | Path,
        name: str = "radiograph",
        owner: str = "",
        gone: Callable[[], bool] = lambda: False,
    ) -> RadiographFile:
        """Read a radiograph, as `open_radiograph`.

        Args:
            source: the content of a file, or its path.
            name: of a content, for messages.
            owner: whose turn it is.
            gone: asked while it works, whether nobody waits for it any more.

        Raises:
            RadiographError: it cannot be used.
            Crowded: too many wait, or it took long while others waited.
            ClientGone: `gone` said so.
            OutputError: the box cannot be started.
        """
        if isinstance(source, Path):
            name = source.name
        with self.turns.turn(owner, gone) as turn:
            if self._forks is None:
                return _read_here(source, name)
            with ExitStack() as stack:
                file = stack.enter_context(_opened(source, name))
                pixels = stack.enter_context(_memory())
                fork = stack.enter_context(self._forks.fork(file.fileno(), pixels.fileno()))
                answer = fork.answer(self.limits, name, turn, gone)
                return understood(answer, pixels.fileno(), name)


def _read_here(source: bytes | Path, name: str) -> RadiographFile:
    if isinstance(source, Path):
        return open_radiograph(source)
    return read_stream(io.BytesIO(source), name)


def _opened(source: bytes | Path, name: str) -> BinaryIO:
    """A file that a process can read without a path."""
    if isinstance(source, Path):
        try:
            return open_regular(source)
        except (OSError, FormatError) as error:
            raise UndecodableError(f"{name}: cannot be read ({shown(error)})") from error
    memory = _memory()
    try:
        rest = memoryview(source)
        while rest:
            rest = rest[os.write(memory.fileno(), rest) :]
    except OSError as error:
        memory.close()
        raise OutputError(_NO_MEMORY) from error
    memory.seek(0)
    return memory


def _memory() -> BinaryIO:
    """A file in memory, without a name, which can be sealed."""
    try:
        file = os.memfd_create("radiograph", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except OSError as error:
        raise OutputError(_NO_MEMORY) from error
    return open(file, "w+b", 0)


class _Fork:
    """A process that reads one file; it is killed at the end of a `with`.

    Args:
        connection: to it.
        process: its number.
        descriptor: of the process, which cannot be another's as a number can.
    """

    def __init__(self, connection: socket.socket, process: int, descriptor: int) -> None:
        self._connection, self._process, self._descriptor = connection, process, descriptor

    def __enter__(self) -> _Fork:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)
        self._connection.close()
        os.close(self._descriptor)

    def answer(self, limits: Limits, name: str, turn: Turn, gone: Callable[[], bool]) -> bytes:
        """Tell it what to do, and hear what it says until it has no more to say.

        Raises:
            UndecodableError: it says nothing, or not in time.
            Crowded: its turn was revoked.
            ClientGone: `gone` said so.
        """
        said, end, polite = bytearray(), time.monotonic() + limits.seconds, False
        with suppress(BrokenPipeError):
            self._connection.sendall(json.dumps({"limits": asdict(limits), "name": name}).encode())
        while len(said) <= LONGEST:
            if _ready(self._connection.fileno(), _LOOK_MS):
                piece = b""
                with suppress(ConnectionResetError):  # it was killed before it had read all
                    piece = self._connection.recv(_PIECE)
                if not piece:
                    break
                said += piece
            if gone():
                raise ClientGone
            if turn.revoked:
                raise turn.crowded_out()
            if time.monotonic() > end:
                raise UndecodableError(
                    f"{name}: takes more than {limits.seconds:g} seconds to decode; export it "
                    "again, uncompressed"
                )
            if turn.slow and not polite:
                polite = True
                with suppress(OSError):
                    os.setpriority(os.PRIO_PROCESS, self._process, _POLITE)
        if not said:
            log.info("a process that read a file has died")
            raise UndecodableError(
                f"{name}: cannot be decoded: its decoder failed, or took more than "
                f"{limits.cpu_seconds} seconds or {limits.memory_mb} MB; export it again, "
                "uncompressed"
            )
        return bytes(said)


class _Forks:
    """The process that has loaded the readers and forks for every file; see `child`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def fork(self, file: int, pixels: int) -> _Fork:
        """A process that has these open; raises OutputError where there is none to be had."""
        for attempt in (1, 2):
            ours, its = socket.socketpair()
            try:
                with self._lock:
                    control = self._started()
                    socket.send_fds(control, [b"f"], [its.fileno(), file, pixels])
                    told, descriptors, _, _ = socket.recv_fds(control, 4, 1)
                if len(told) == 4 and descriptors:
                    return _Fork(ours, struct.unpack("<i", told)[0], descriptors[0])
                raise OSError("it has ended")
            except OSError as error:
                ours.close()
                log.error("the reading box: %s%s", error, "; once more" if attempt == 1 else "")
                self.close()
            finally:
                its.close()
        raise OutputError("the server cannot start its process that reads files; send it later")

    def start(self) -> None:
        """Load the readers, if nobody has begun to."""
        with self._lock, suppress(OSError):
            self._started()

    def close(self) -> None:
        """End the process: it does so when it finds nobody at the other end."""
        with self._lock:
            if self._control is not None:
                self._control.close()
                self._control = None
            if self._process is not None:
                self._process.kill()
                self._process.wait()
                self._process = None

    def _started(self) -> socket.socket:
        """The way to it; raises OSError."""
        if self._control is None:
            ours, its = socket.socketpair()
            with its:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "monai_app.lib.reading_box.child"],
                    stdin=its.fileno(),
                    stdout=subprocess.DEVNULL,
                    env=_environment(),
                    cwd="/",
                    start_new_session=True,  # Ctrl-C is the server's, which then lets it go
                )
            ours.settimeout(_START_SECONDS)
            self._control = ours
            layers = json.loads(ours.makefile("rb").readline(_PIECE) or b"null")
            if layers is None:
                raise OSError("it does not start")
            _tell(layers)
        return self._control


def _environment() -> dict[str, str]:
    """What it finds set: where Python's packages are, and nothing that the server knows."""
    folders = [str(_HOUSE), *(str(Path(folder).resolve()) for folder in sys.path if folder)]
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**kept, **threads, "PYTHONPATH": os.pathsep.join(folders)}


def _tell(layers: list[str]) -> None:
    if "Landlock" in layers and "seccomp" in layers:
        log.info("files are read in a box: %s, limits", ", ".join(layers))
    else:
        log.warning(
            "files are read in a box of fewer walls than there could be (%s): see security.md",
            ", ".join((*layers, "limits")),
        )


def _ready(descriptor: int, milliseconds: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(milliseconds))
