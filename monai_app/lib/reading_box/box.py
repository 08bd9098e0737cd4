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
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import monai_app
import xr2mri_core
from monai_app.lib.reading_box.answer import ROOM, Request, length, understood
from monai_app.lib.reading_box.confinement import Limits, give_room
from monai_app.lib.reading_box.turns import ClientGone, OneAtATime, Turn, Turns
from xr2mri_core.errors import OutputError, UndecodableError, shown
from xr2mri_core.export import patient_and_study
from xr2mri_core.geometry import edges_of
from xr2mri_core.reading import PreparedRadiograph, prepare_radiograph
from xr2mri_core.transforms.formats import FormatError, open_regular
from xr2mri_core.transforms.radiograph_file import open_radiograph, read_stream

log = logging.getLogger("xr2mri")

Source = bytes | Path | BinaryIO
_START_SECONDS = 120.0
_KEPT = ("LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ")
_SET = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "GLIBC_TUNABLES": ":".join(
        (
            "glibc.malloc.hugetlb=1",
            f"glibc.malloc.mmap_threshold={32 << 20}",
            f"glibc.malloc.trim_threshold={1 << 30}",
        )
    ),
}
"""One thread, which forks well. Large pages, where the system has them, and memory that is kept
once it was asked for: what a new process costs are its page faults (see `child`)."""
_PIECE = 1 << 18
_LOOK_MS = 100
_SAME_TIME = 0.2  # seconds in which a process and what it has forked are seen to have ended
_POLITE = 10  # the niceness of a slow file
_NO_MEMORY = "the server has no memory for this file now; send it later, or tell the administrator"


class ReadingBox:
    """Prepares each file in a process of its own, which can be killed; see the package.

    Args:
        limits: limits for one file.
        turns: line of those who wait for a file to be read.
    """

    def __init__(self, limits: Limits | None = None, turns: Turns | None = None) -> None:
        self.limits, self.turns = limits or Limits(), turns or Turns()
        self._large = OneAtATime()
        self._forks = _Forks(self.limits) if sys.platform == "linux" else None
        if self._forks is None:
            log.warning("no reading box on this system: files are read in the server's process")

    @classmethod
    @lru_cache(maxsize=1)
    def shared(cls) -> ReadingBox:
        """One with the usual limits."""
        return cls()

    def start(self) -> None:
        """Begin to load readers and detector, so that the first file need not wait for it."""
        if self._forks is not None:
            threading.Thread(target=self._forks.start, name="xr2mri-box", daemon=True).start()

    def close(self) -> None:
        """End its processes."""
        if self._forks is not None:
            self._forks.close()

    def prepare(
        self,
        source: Source,
        size: int,
        laterality: str = "auto",
        box: Sequence[int] | None = None,
        *,
        name: str = "radiograph",
        owner: str = "",
        gone: Callable[[], bool] = lambda: False,
    ) -> PreparedRadiograph:
        """Read and prepare a radiograph, as `prepare_radiograph`.

        Its ``info`` has what records and replies tell; its header what an export takes over.

        Args:
            source: the content of a file, its path, or the file itself, open, which stays open.
            size, laterality, box: see `prepare_radiograph`.
            name: name of a content, for messages.
            owner: user whose turn it is.
            gone: asked while it works, whether nobody waits for it any more.

        Raises:
            RadiographError: it cannot be used.
            Crowded: too many wait, or it took long while others waited.
            ClientGone: `gone` said so.
            OutputError: the box cannot be started.
        """
        if isinstance(source, Path):
            name = source.name
        if box is not None:
            edges_of(box)  # refused here: what a process is asked has a greatest length
        with self.turns.turn(owner, gone) as turn:
            if self._forks is None:
                return _prepared_here(source, name, size, laterality, box)
            request = Request(name=name, size=size, laterality=laterality, box=box)
            with _opened(source, name) as file:
                answer = self._answer(self._forks, file.fileno(), request, turn, gone)
            return understood(answer, name, size)

    def _answer(
        self, forks: _Forks, file: int, request: Request, turn: Turn, gone: Callable[[], bool]
    ) -> bytes:
        """What a process says; where all of them were ended from outside, one more is asked."""
        for _ in range(2):
            os.lseek(file, 0, os.SEEK_SET)  # the place is shared, with one that has died, too
            try:
                with self._large.place() as place, forks.fork() as fork:
                    said = fork.answer(file, request, self.limits, turn, gone, place.asks)
            finally:
                forks.order()
            if said:
                return said
            if not fork.origin_has_died():
                break
        log.info("a process that read a file has died")
        raise UndecodableError(
            f"{request['name']}: cannot be decoded: its decoder failed, or took more than "
            f"{self.limits.cpu_seconds} seconds or {self.limits.memory_mb} MB; export it again, "
            "uncompressed"
        )


def _prepared_here(
    source: Source, name: str, size: int, laterality: str, box: Sequence[int] | None
) -> PreparedRadiograph:
    if isinstance(source, Path):
        read = open_radiograph(source)
    else:
        read = read_stream(io.BytesIO(source) if isinstance(source, bytes) else source, name)
    prepared = prepare_radiograph(read, size, laterality, box)
    header = None if prepared.header is None else patient_and_study(prepared.header)
    return replace(prepared, header=header)


def _opened(source: Source, name: str) -> BinaryIO:
    """A file that a process can read without a path; whose it is may close its own meanwhile."""
    if not isinstance(source, bytes | Path):
        return open(os.dup(source.fileno()), "rb", 0)
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
    """A file in memory, without a name."""
    try:
        file = os.memfd_create("radiograph", os.MFD_CLOEXEC)
    except OSError as error:
        raise OutputError(_NO_MEMORY) from error
    return open(file, "w+b", 0)


class _Fork:
    """A process that prepares one file; it is killed at the end of a `with`.

    Args:
        connection: connection to it.
        process: number of the process.
        descriptor: file descriptor of the process, which cannot be another's as a number can.
        origin: process that forked it.
    """

    def __init__(
        self,
        connection: socket.socket,
        process: int,
        descriptor: int,
        origin: subprocess.Popen[bytes],
    ) -> None:
        self._connection, self._process, self._descriptor = connection, process, descriptor
        self._origin = origin

    def __enter__(self) -> _Fork:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)
        self._connection.close()
        os.close(self._descriptor)

    def origin_has_died(self) -> bool:
        """Whether what has forked it is gone, with which it goes, too."""
        try:
            self._origin.wait(_SAME_TIME)
        except subprocess.TimeoutExpired:
            return False
        return True

    def answer(
        self,
        file: int,
        request: Request,
        limits: Limits,
        turn: Turn,
        gone: Callable[[], bool],
        may_be_large: Callable[[], bool],
    ) -> bytes:
        """Tell it what to do, and hear what it says until it has no more to say; b"" for nothing.

        A large picture is read once ``may_be_large`` says so; its time begins then.

        Raises:
            UndecodableError: it does not answer in time.
            Crowded: its turn was revoked.
            ClientGone: `gone` said so.
        """
        said, end, polite = bytearray(), time.monotonic() + limits.seconds, False
        granted = False
        with suppress(BrokenPipeError):
            socket.send_fds(self._connection, [json.dumps(request).encode()], [file])
        while len(said) <= length(request["size"]):
            if _ready(self._connection.fileno(), _LOOK_MS):
                piece = b""
                with suppress(ConnectionResetError):  # it was killed before it had read all
                    piece = self._connection.recv(_PIECE)
                if not piece:
                    break
                said += piece
            if said == ROOM and not granted and may_be_large():
                granted, end = True, time.monotonic() + limits.seconds
                said.clear()
                self._give_room()
            if gone():
                raise ClientGone
            if turn.revoked:
                raise turn.crowded_out()
            if time.monotonic() > end and (granted or said != ROOM):
                raise UndecodableError(
                    f"{request['name']}: takes more than {limits.seconds:g} seconds to decode; "
                    "export it again, uncompressed"
                )
            if turn.slow and not polite:
                polite = True
                with suppress(OSError):
                    os.setpriority(os.PRIO_PROCESS, self._process, _POLITE)
        return bytes(said)

    def _give_room(self) -> None:
        with suppress(OSError):  # it has died, or keeps to the memory that all may have
            give_room(self._process)
        with suppress(OSError):
            self._connection.sendall(ROOM)


class _Forks:
    """The process that has loaded readers and detector and forks for every file; see `child`.

    One fork is ordered ahead, confines itself and waits, so that no file does.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits, self._lock = limits, threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._ordered: socket.socket | None = None

    def fork(self) -> _Fork:
        """A process that waits for its file; raises OutputError where there is none to be had."""
        for attempt in (1, 2):
            try:
                with self._lock:
                    return self._collected(self._order())
            except OSError as error:
                log.error("the reading box: %s%s", error, "; once more" if attempt == 1 else "")
                self.close()
        raise OutputError("the server cannot start its process that reads files; send it later")

    def start(self) -> None:
        """Load readers and detector, if nobody has begun to."""
        with self._lock, suppress(OSError):
            self._order()

    def order(self) -> None:
        """Order the next fork, if the process that makes forks runs."""
        with self._lock, suppress(OSError):
            if self._control is not None:
                self._order()

    def close(self) -> None:
        """End the process: it does so when it finds nobody at the other end."""
        with self._lock:
            for connection in (self._control, self._ordered):
                if connection is not None:
                    connection.close()
            self._control = self._ordered = None
            if self._process is not None:
                self._process.kill()
                self._process.wait()
                self._process = None

    def _order(self) -> socket.socket:
        """Ask for a fork, if none is on its way; returns the way to what makes it."""
        control = self._started()
        if self._ordered is None:
            ours, its = socket.socketpair()
            with its:
                socket.send_fds(control, [b"f"], [its.fileno()])
            self._ordered = ours
        return control

    def _collected(self, control: socket.socket) -> _Fork:
        """The fork that was ordered; raises OSError."""
        connection, self._ordered = self._ordered, None
        message, descriptors, _, _ = socket.recv_fds(control, 4, 1)
        if len(message) != 4 or not descriptors or connection is None or self._process is None:
            raise OSError("it has ended")
        return _Fork(connection, struct.unpack("<i", message)[0], descriptors[0], self._process)

    def _started(self) -> socket.socket:
        """The way to it; raises OSError."""
        if self._control is None:
            ours, its = socket.socketpair()
            with its:
                limits = json.dumps(asdict(self._limits))
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "monai_app.lib.reading_box.child", limits],
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
    """The environment of the process: where Python's packages are, and no other variable of the
    server's than those of `_KEPT`."""
    ours = [str(Path(p.__path__[0]).parent) for p in (monai_app, xr2mri_core)]
    folders = dict.fromkeys(str(Path(folder).resolve()) for folder in (*ours, *sys.path) if folder)
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, **_SET, "PYTHONPATH": os.pathsep.join(folders)}


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
