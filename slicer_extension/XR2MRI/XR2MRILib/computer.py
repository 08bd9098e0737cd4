"""The server on this computer: what there is of it, and installing, starting, removing it."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from functools import partial

import slicer

from xr2mri_client.errors import InstallFailed
from xr2mri_client.events import Event, Final, Returned
from xr2mri_client.installation import Installation, Installed
from xr2mri_client.installing import InstallWorker
from xr2mri_client.own_server import Access, OpenWorker, OwnServer, proves
from xr2mri_client.programs import same_name
from xr2mri_client.removing import RemoveWorker
from xr2mri_client.tasks import Computation, Task
from xr2mri_client.texts import tr as _

from . import settings
from .activity import Activity, Steps, at_once
from .signals import Signal
from .states import State

ASK_S, MISSES = 10.0, 2
"""Seconds between two questions to a server that runs whether it is there, and how many of them in
a row are without an answer before the user hears of it."""


class ThisComputer:
    """What there is on this computer. Quick to ask: files and processes are looked at, no more.

    Attributes:
        happened: signal (installing.Step, installing.Line or removing.Removal): how installing,
            starting or removing goes on.
    """

    def __init__(self) -> None:
        self.happened = Signal()
        self._asked: Access | None = None
        self._question: Computation | None = None
        self._ask_at, self._missed = 0.0, 0
        self.choose(settings.install_folder())

    def choose(self, folder: str) -> None:
        """Look at another folder; that of the user for programs where none is named."""
        self.installation = Installation(folder or None)
        self.server = OwnServer(self.installation, _variables())

    @property
    def folder(self) -> str:
        return str(self.installation.folder)

    @property
    def installed(self) -> Installed | None:
        return self.installation.installed()

    @property
    def access(self) -> Access | None:
        """Access to the server that was started or found; None while there is none."""
        return self.server.access

    def serves(self, url: str) -> bool:
        """Whether an address is that of the server that was started or found."""
        return self.access is not None and self.access.url == url

    @property
    def ours(self) -> bool:
        """Whether the server ends with this application, and not with another that started it."""
        return self.server.ours

    @property
    def silent(self) -> bool:
        """Whether the server does not answer any more, as far as `ask` has found out."""
        return self.access is not None and self.access == self._asked and self._missed >= MISSES

    def ask(self) -> Task | None:
        """Ask the server whether it is there, when it is time to; to be called every second or so.

        Returns:
            The thread that asks, where one was started.
        """
        now, question = time.monotonic(), self._question
        if self.access != self._asked:
            self._asked, self._question, self._missed = self.access, None, 0
            self._ask_at = now + ASK_S
        elif question is not None and question.over:
            answered = any(
                isinstance(event, Returned) and event.value for event in question.drain()
            )
            self._missed = 0 if answered else self._missed + 1
            self._question, self._ask_at = None, now + ASK_S
        elif question is None and self.access is not None and now >= self._ask_at:
            access = self.access
            self._question = Computation(lambda _check: proves(access))
            return self._question.start()
        return None


def _variables() -> dict[str, str]:
    """Those with which Slicer was started, without those for its own libraries."""
    variables = slicer.util.startupEnvironment()
    if "PATH" not in map(same_name, variables):
        variables["PATH"] = os.environ.get("PATH", "")
    return variables


def _python() -> str:
    """Slicer's own Python, as a program."""
    return shutil.which("PythonSlicer") or sys.executable


class _OnThisComputer(Activity):
    """Something that takes its time and needs no scene."""

    lasting = True

    def __init__(self, computer: ThisComputer) -> None:
        self.computer = computer

    def on_event(self, event: Event) -> None:
        self.computer.happened.emit(event)

    def steps(self, event: Final) -> Steps:
        assert isinstance(event, Returned)
        return at_once(event.value)


def _await_end(server: OwnServer, again: str, pause: Callable[[float], None]) -> None:
    """Wait in a thread until the server that was asked to end has ended.

    Args:
        server: the server.
        again: what mends it where the server is another Slicer's.
        pause: as of `OwnServer.wait`.
    """
    server.wait(pause=pause)
    if server.find() is not None:
        raise InstallFailed(_("The server is running: another Slicer has started it."), again)


class Install(_OnThisComputer):
    """Installs; returns Installed.

    Args:
        computer: where.
        source: see `xr2mri_client.installation.wheel_of`.
    """

    state = importing = State.INSTALLING

    def __init__(self, computer: ThisComputer, source: str) -> None:
        super().__init__(computer)
        end = partial(_await_end, computer.server, _("Stop it there, and install again."))
        self.worker = InstallWorker(computer.installation, source, _variables(), _python(), end)


class Uninstall(_OnThisComputer):
    """Removes all of it, unless another Slicer uses it."""

    state = importing = State.UNINSTALLING

    def __init__(self, computer: ThisComputer) -> None:
        super().__init__(computer)
        end = partial(_await_end, computer.server, _("Stop it there, and uninstall again."))
        self.worker = RemoveWorker(computer.installation, end, _python())


class Open(_OnThisComputer):
    """Starts the server, or finds the one that runs; returns Access."""

    state = importing = State.STARTING

    def __init__(self, computer: ThisComputer) -> None:
        super().__init__(computer)
        self.worker = OpenWorker(computer.server)
