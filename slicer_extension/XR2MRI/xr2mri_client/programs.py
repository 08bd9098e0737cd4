"""Programs that run beside this one: in an environment of their own, with an end that is sure."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

_OF_ANOTHER_PYTHON = (
    "PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__",
    "VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV",
)  # fmt: skip
WINDOWS = os.name == "nt"


def environment_of_its_own(known: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variables for a Python that is not this one, which an application may have set up.

    Args:
        known: where to begin; those of this process when left out.
    """
    given = os.environ if known is None else known
    ours = {"PYTHONNOUSERSITE": "1", "PYTHONUNBUFFERED": "1"}
    others = {same_name(name) for name in (*_OF_ANOTHER_PYTHON, *ours)}
    kept = {name: value for name, value in given.items() if same_name(name) not in others}
    return {**kept, **ours}


def same_name(name: str) -> str:
    """The name of a variable as the system compares it: in Windows `Path` and `PATH` are one, and
    of two of them a program gets the first."""
    return name.upper() if WINDOWS else name


def start(
    words: Sequence[str], environment: Mapping[str, str], **more: Any
) -> subprocess.Popen[Any]:
    """Start a program without a window, as the first of a group that can be ended as one."""
    if WINDOWS:
        more["creationflags"] = 0x08000000 | 0x00000200  # CREATE_NO_WINDOW, _NEW_PROCESS_GROUP
    else:
        more["start_new_session"] = True
    return subprocess.Popen(list(words), env=dict(environment), **more)


def end(process: subprocess.Popen[Any]) -> None:
    """End a program that `start` started and all that it has started, by force."""
    if WINDOWS:
        if process.poll() is None:
            words = ["taskkill", "/T", "/F", "/PID", str(process.pid)]
            subprocess.run(words, capture_output=True, check=False, creationflags=0x08000000)
    else:
        _signal(process, signal.SIGKILL)


def stop(process: subprocess.Popen[Any], seconds: float, *asking: signal.Signals) -> None:
    """Ask a program that `start` started, and all that it has started, to end; then `end` it.

    On Windows nothing asks a program that has no window.

    Args:
        process: the program.
        seconds: that are waited after each signal.
        asking: signals, one after the other.
    """
    for how in () if WINDOWS else asking:
        if process.poll() is None:
            _signal(process, how)
            with suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
    if process.poll() is None:
        end(process)


def _signal(process: subprocess.Popen[Any], how: signal.Signals) -> None:
    """Send a signal to a program and all that it has started; not on Windows."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, how)


def free_port() -> int:
    """A TCP port of the loopback interface that is free now, for a server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Program:
    """A program that prints into a file, and ends with the `with` statement that it is for.

    It is looked at now and then, and needs nobody to go on. With a pipe somebody would have to read
    it, in a thread, and in Slicer a thread gets on only while the GUI's thread lets it
    (`XR2MRILib/driver.py`). Qt's QProcess needs no thread, but does not end what a program has
    started itself, and is not there without Slicer.

    Args:
        words: the command.
        environment: environment of the program.
        folder: folder in which it runs.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(
        self, words: Sequence[str], environment: Mapping[str, str], folder: Path | None = None
    ) -> None:
        written, name = tempfile.mkstemp(prefix="xr2mri-", suffix=".log")
        self._path, self._rest = Path(name), b""
        self._read = self._path.open("rb")
        try:
            self._process = start(
                words,
                environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
            )
        except BaseException:
            self._remove()
            raise
        finally:
            os.close(written)

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_exception: object) -> None:
        if self.status() is None:
            end(self._process)
            self._process.wait()
        self._remove()

    def status(self) -> int | None:
        """The exit status, negative for the signal that ended it; None while it runs."""
        return self._process.poll()

    def lines(self) -> list[str]:
        """Lines of either stream that have come since, without their ends; one that is not complete
        when `status` has told the end."""
        *whole, self._rest = (self._rest + self._read.read()).split(b"\n")
        if self._process.returncode is not None and self._rest:
            whole, self._rest = [*whole, self._rest], b""
        return [line.decode("utf-8", "replace").rstrip() for line in whole]

    def _remove(self) -> None:
        self._read.close()
        with suppress(OSError):  # Windows keeps it while something that was started has it
            self._path.unlink()
