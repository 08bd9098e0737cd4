"""Removes an installation: tens of thousands of files, with progress, until it is cancelled.

It is moved aside first, which takes a moment: from then on nothing of it can be taken for whole,
however long the rest takes, and whatever ends it. Folders go many at once, since on some systems
each takes its time: 5,500 of them took 37 s one by one (Linux 6.18, an idle disk, less than a
second of the processor), and minutes on a busy machine. A program of its own does it: threads of
Slicer get on only while its GUI's thread waits for them, a third of the time, and took 1.9 s for
3,100 folders and 15,000 files where the program took 1.6 s.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import folders
from .alone import alone
from .errors import InstallFailed
from .events import Event, Final, Returned
from .installation import Installation
from .tasks import Task
from .texts import tr as _


@dataclass(frozen=True, eq=False)
class Removal(Event):
    """How far it is.

    Attributes:
        done: files and folders that are gone.
        total: files and folders that there were.
    """

    done: int
    total: int


class Clearing(Task):
    """A task that removes folders. Events: Removal.

    Args:
        python: an interpreter for the program that does it.
    """

    def __init__(self, python: str = sys.executable) -> None:
        super().__init__()
        self._python = python

    def _remove_tree(self, folder: Path) -> None:
        """As `folders.remove_tree`."""
        last = ""

        def printed(line: str) -> None:
            nonlocal last
            last = line
            numbers = line.split()
            if len(numbers) == 2 and all(map(str.isdigit, numbers)):
                self._emit(Removal(*map(int, numbers)))

        words = [self._python, folders.__file__, str(folder)]
        status = self._run_program(words, dict(os.environ), line=printed)
        if status != 0:
            told = json.loads(last) if last.startswith("[") else [0, last or f"{status}", folder]
            raise OSError(*told)


class RemoveWorker(Clearing):
    """Removes an installation; ends with Returned(None). Events: Removal. What a cancelled one has
    left, the next one removes, or the next installation.

    Args:
        installation: the installation to remove.
        first: does what has to be done before, such as waiting for the server's end; called with a
            function that waits some seconds, which raises once the user has cancelled.
        python: an interpreter for the program that does it.
    """

    def __init__(
        self,
        installation: Installation,
        first: Callable[[Callable[[float], None]], None] = lambda _pause: None,
        python: str = sys.executable,
    ) -> None:
        super().__init__(python)
        self._place, self._first = installation, first

    def _work(self) -> Final:
        self._first(self._wait)
        with alone(self._place.folder, self._wait):
            self._check()
            remove(self._place, self._remove_tree)
        return Returned(None)


def remove(place: Installation, remove_tree: Callable[[Path], None] = folders.remove_tree) -> None:
    """Remove all that was installed; what else is in the folder stays, and all of a folder that was
    not made for this.

    Args:
        place: the installation.
        remove_tree: removes a folder.

    Raises:
        InstallFailed: something cannot be removed.
    """
    try:
        place.put_aside()
        if place.ours:
            remove_tree(place.aside)
        place.let_go()
    except OSError as error:
        raise InstallFailed(
            _("{file} cannot be removed: {why}.").format(
                file=error.filename, why=error.strerror or error
            ),
            _("Stop every program that uses it, and uninstall again."),
        ) from None
