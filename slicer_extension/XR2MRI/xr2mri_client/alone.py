"""One program at a time in a folder: two windows of Slicer may install, or start it, at once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from .errors import InstallFailed, XR2MRIClientError
from .programs import WINDOWS
from .texts import tr as _
from .writing import why_not_written

BUSY = "busy"
"""The file that says so, which others pass over."""
_PAUSE = 0.2


@contextmanager
def alone(
    folder: Path,
    pause: Callable[[float], None] = time.sleep,
    seconds: float = 10.0,
    busy: XR2MRIClientError | None = None,
) -> Iterator[None]:
    """Keep others out of a folder meanwhile; it is made where it is missing, and removed where it
    is empty at the end. The system lets go of it for a program that was killed.

    Args:
        folder: the folder, by the same name for all who want it.
        pause: waits some seconds between two looks; ends it by raising.
        seconds: longest time to wait: one that was cancelled just now may need a moment.
        busy: what is raised where another one has it for longer; by default an InstallFailed.

    Raises:
        InstallFailed: the folder cannot be made.
    """
    limit = time.monotonic() + seconds
    while (file := _taken(folder)) is None:
        if time.monotonic() > limit:
            raise busy or InstallFailed(
                _("Another Slicer installs or removes it at the moment."),
                _("Wait until that one is done."),
            )
        pause(_PAUSE)
    try:
        yield
    finally:
        if WINDOWS:  # where an open file cannot go
            file.close()
        with suppress(OSError):
            (folder / BUSY).unlink()
        file.close()
        with suppress(OSError):  # something is in it
            folder.rmdir()


def _taken(folder: Path) -> IO[bytes] | None:
    """The file of a folder that is ours now, until it is closed; None where it is another's."""
    path = folder / BUSY
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    except OSError as error:
        raise InstallFailed(
            *why_not_written(error, folder)
            or (
                _("{folder} cannot be made: {why}.").format(
                    folder=folder, why=error.strerror or error
                ),
                _("Choose another folder."),
            )
        ) from None
    with suppress(OSError):
        if _locked(file) and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file  # and not one that its owner has removed meanwhile
    file.close()
    return None


def _locked(file: IO[bytes]) -> bool:
    """Whether the system has given us the lock of a file."""
    try:
        if WINDOWS:
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a file system without locks
        return True
    return True
