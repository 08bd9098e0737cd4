"""Programs that run beside this one: in an environment of their own, with an end that is sure."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
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


def start(words: Sequence[str], environment: Mapping[str, str], **more: Any) -> subprocess.Popen:
    """Start a program without a window, as the first of a group that can be ended as one."""
    if WINDOWS:
        more["creationflags"] = 0x08000000 | 0x00000200  # CREATE_NO_WINDOW, _NEW_PROCESS_GROUP
    else:
        more["start_new_session"] = True
    return subprocess.Popen(list(words), env=dict(environment), **more)


def end(process: subprocess.Popen) -> None:
    """End a program that `start` started and all that it has started, by force."""
    if WINDOWS:
        if process.poll() is None:
            words = ["taskkill", "/T", "/F", "/PID", str(process.pid)]
            subprocess.run(words, capture_output=True, check=False, creationflags=0x08000000)
    else:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


class Program:
    """A program whose lines are read as they come.

    Args:
        words: the command.
        environment: environment of the program.
        folder: folder in which it runs.
    """

    def __init__(
        self, words: Sequence[str], environment: Mapping[str, str], folder: Path | None = None
    ) -> None:
        self._process = start(
            words,
            environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )

    def lines(self) -> Iterator[str]:
        """Each line of either stream, without its end."""
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for line in stream:
                yield line.rstrip()

    def status(self) -> int:
        """Wait for its end; the exit status, negative for the signal that ended it."""
        return self._process.wait()

    def end(self) -> None:
        """End it now, with all that it has started."""
        end(self._process)
