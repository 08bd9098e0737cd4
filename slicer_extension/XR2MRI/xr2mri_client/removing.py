"""Removes an installation: tens of thousands of files, with progress, until it is cancelled.

It is moved aside first, which takes a moment: from then on nothing of it can be taken for whole,
however long the rest takes, and whatever ends it. Folders go many at once, since on some systems
each takes its time: 5,500 of them took 37 s one by one (Linux 6.18, an idle disk, less than a
second of the processor), and minutes on a busy machine.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .alone import alone
from .errors import InstallFailed
from .events import Event, Final, Returned
from .installation import Installation
from .programs import WINDOWS
from .tasks import Task
from .texts import tr as _

_AT_ONCE = 32
_PAUSE = 0.1
"""Seconds between two words on how far it is."""


@dataclass(frozen=True, eq=False)
class Removal(Event):
    """How far it is.

    Attributes:
        done, total: files and folders.
    """

    done: int
    total: int


class RemoveWorker(Task):
    """Removes an installation; ends with Returned(None). Events: Removal. What a cancelled one has
    left, the next one removes, or the next installation.

    Args:
        installation: to be removed.
        first: what has to be done before, such as waiting for the server's end.
    """

    def __init__(
        self, installation: Installation, first: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__()
        self._place, self._first = installation, first

    def _work(self) -> Final:
        self._first()
        with alone(self._place.folder, self._check):
            self._check()
            remove(self._place, self._tell)
        return Returned(None)

    def _tell(self, done: int, total: int) -> None:
        self._check()
        self._emit(Removal(done, total))


def remove(place: Installation, progress: Callable[[int, int], None] = lambda *_: None) -> None:
    """Remove all that was installed; what else is in the folder stays, and all of a folder that was
    not made for this.

    Args:
        place: the installation.
        progress: called with how many files and folders are gone, of how many; ends it by raising.

    Raises:
        InstallFailed: something cannot be removed.
    """
    try:
        place.put_aside()
        if place.ours:
            remove_tree(place.aside, progress)
        place.let_go()
    except OSError as error:
        raise InstallFailed(
            _("{file} cannot be removed: {why}.").format(
                file=error.filename, why=error.strerror or error
            ),
            _("Stop every program that uses it, and uninstall again."),
        ) from None


def remove_tree(folder: Path, progress: Callable[[int, int], None] = lambda *_: None) -> None:
    """Remove a folder with all that is in it, where it is there; links, not what they lead to.

    Args:
        folder: to be removed.
        progress: as of `remove`.

    Raises:
        OSError: of the first that cannot be removed.
    """
    levels: dict[int, list[tuple[str, list[str]]]] = {}
    total = done = 0
    for where, below, names in os.walk(folder):
        links = [name for name in below if _is_link(os.path.join(where, name))]
        below[:] = [name for name in below if name not in links]
        levels.setdefault(where.count(os.sep), []).append((where, [*names, *links]))
        total += len(names) + len(links) + 1
    last = 0.0
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            for depth in sorted(levels, reverse=True):
                for gone in pool.map(_remove_folder, levels[depth]):
                    done += gone
                    if time.monotonic() >= last + _PAUSE:
                        progress(done, total)
                        last = time.monotonic()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _remove_folder(one: tuple[str, list[str]]) -> int:
    """Remove a folder whose folders have gone; how many files and folders that were."""
    folder, names = one
    for name in names:
        path = os.path.join(folder, name)
        try:
            _remove_file(path)
        except PermissionError:  # it is read-only, or on Windows a link to a folder
            os.chmod(folder, stat.S_IRWXU)
            if WINDOWS and _is_link(path):
                os.rmdir(path)
            else:
                if WINDOWS:
                    os.chmod(path, stat.S_IWRITE)
                _remove_file(path)
    with suppress(FileNotFoundError):
        os.rmdir(folder)
    return len(names) + 1


def _remove_file(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _is_link(path: str) -> bool:
    """Whether a folder is a link to one, or what Windows calls a junction."""
    if not WINDOWS:
        return os.path.islink(path)
    junction = 0x400  # FILE_ATTRIBUTE_REPARSE_POINT
    return bool(getattr(os.lstat(path), "st_file_attributes", 0) & junction)
