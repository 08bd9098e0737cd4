"""Installs the server on this computer, in a thread: step by step, each of which may be repeated.

The work is uv's (https://docs.astral.sh/uv): it finds or brings Python 3.11, and chooses the torch
that suits the machine. A step that was done is done again in a moment, so that whoever installs
after a failure or a cancellation goes on where it ended.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import Distribution
from itertools import groupby
from pathlib import Path

from . import errors, machine
from .alone import alone
from .events import Event, Final, Returned
from .install_faults import why_it_failed
from .installation import Installation, Installed, needed_gb, wheel_of
from .machine import PYTHON
from .programs import WINDOWS, environment_of_its_own
from .removing import Clearing
from .tasks import Task
from .texts import tr as _
from .writing import why_not_written

UV = (0, 9, 4)
"""The oldest uv that will do: the first that knows CUDA 13.0, for which the PyTorch of
`constraints.txt` is built. Those before 0.6.9 cannot choose a PyTorch at all."""


@dataclass(frozen=True, eq=False)
class Step(Event):
    """A step begins.

    Attributes:
        index: number of the step, from 1.
        total: steps in all.
        title: what the step does, in words.
    """

    index: int
    total: int
    title: str


@dataclass(frozen=True, eq=False)
class Line(Event):
    """A line of a log, or several."""

    text: str


class Narrator(Task):
    """A task whose events include the lines of a log."""

    def drain(self) -> list[Event]:
        """As `Task.drain`, with lines that follow each other in one: a program may print hundreds
        at once, and a user interface is to show them in one go."""
        gathered: list[Event] = []
        for _of_lines, events in groupby(super().drain(), lambda event: isinstance(event, Line)):
            together = list(events)
            lines = [event.text for event in together if isinstance(event, Line)]
            gathered += [Line("\n".join(lines))] if lines else together
        return gathered


def places_of_uv(installation: Installation) -> list[str]:
    """Programs that may be uv, the preferred first: where `InstallWorker` puts it, on the PATH, in
    a Python package of this process."""
    name = "uv.exe" if WINDOWS else "uv"
    places = [installation.part("tools") / "bin" / name]
    places += [Path(shutil.which("uv") or ""), Path(sys.executable or "").parent / name]
    places += [Path(sys.prefix) / folder / name for folder in ("bin", "Scripts")]
    return [str(place) for place in places if place.is_file()]


class InstallWorker(Narrator, Clearing):
    """Installs; ends with Returned(Installed). Events: Step, Line, Removal.

    Args:
        installation: the place where it is installed.
        source: see `installation.wheel_of`.
        environment: variables to begin with: inside an application those that it was started with.
        python: an interpreter with pip, which fetches uv where there is none, and which removes
            folders.
        first: as of `removing.RemoveWorker`.
    """

    def __init__(
        self,
        installation: Installation,
        source: str = "",
        environment: Mapping[str, str] | None = None,
        python: str = sys.executable,
        first: Callable[[Callable[[float], None]], None] = lambda _pause: None,
    ) -> None:
        Clearing.__init__(self, python)
        self._place, self._source, self._first = installation, source, first
        self._environment = environment_of_its_own(environment)
        self._offline, self._request = False, ""

    def _work(self) -> Final:
        wheel, folder = wheel_of(self._source)
        self._offline, self._request = bool(folder), machine.request()
        self._first(self._wait)
        with alone(self._place.folder, self._wait):
            try:
                self._place.claim()
                self._clear()
                self._make_room()
                return Returned(self._installed(wheel, folder))
            except OSError as error:  # of what is written here, not by a program
                why = why_not_written(error, self._place.folder)
                failed = errors.InstallFailed(*why) if why else why_it_failed([str(error)], 1)
                raise failed from None

    def _installed(self, wheel: str, folder: str) -> Installed:
        """Do all steps, and return what is installed.

        Args:
            wheel: path or address of the wheel of xr2mri.
            folder: folder with all other wheels; empty where they are downloaded.
        """
        place = self._place
        variables = self._environment
        variables["UV_PYTHON_INSTALL_DIR"] = str(place.part("python"))
        variables.setdefault("UV_CACHE_DIR", str(place.part("cache")))
        variables["SAM2_BUILD_CUDA"] = "0"  # an extension of MONAI Label's that nobody here uses
        if not folder:
            self._take_from_pip(variables)
        only = ["--no-index", "--find-links", folder] if folder else []
        package = f"xr2mri[server] @ {wheel if '://' in wheel else Path(wheel).as_uri()}"

        self._step(1, _("Looking for uv, which installs the rest"))
        uv = self._usable_uv() or self._fetched_uv(only)
        self._step(2, _("Python {v}").format(v=PYTHON))
        self._first(self._wait)  # again, for a download has taken its time
        with self._marked_again_if_untouched():
            if not self._has_python():
                offline = ["--offline"] if folder else []
                words = [uv, "venv", "--clear", "--python", self._request, *offline]
                self._execute([*words, str(place.part("environment"))])
            pip = [uv, "pip", "install", "--python", str(place.python), *only]
            self._step(3, _("XR2MRI, with the weights of its model"))
            self._execute([*pip, "--no-deps", "--reinstall-package", "xr2mri", package])
        pip += ["--constraints", str(self._constraints())]
        self._step(4, _("PyTorch, which is large"))
        pip = self._with_torch(pip)
        self._step(5, _("All other packages"))
        # sam2 has no wheel, and builds against torch: against that of step 4, not one of its own
        self._execute([*pip, "--no-build-isolation-package", "sam2", package])
        self._step(6, _("Trying it"))
        found = self._tried()
        with suppress(OSError):
            place.put_aside("cache")
        self._clear()
        installed = Installed(*found, place.size())
        self._check()
        place.mark(installed)
        return installed

    @contextmanager
    def _marked_again_if_untouched(self) -> Iterator[None]:
        """Unmark an installation that is updated, and mark it again where what ends the update
        comes before anything of it has changed: a download that fails, say."""
        place = self._place
        earlier, before = place.installed(), self._own_files()
        place.unmark()
        try:
            yield
        except BaseException:
            if earlier is not None and before and self._own_files() == before:
                with suppress(OSError):  # on a full disk
                    place.mark(earlier)
            raise

    def _own_files(self) -> dict[str, int]:
        """When the files of the installed xr2mri were changed; empty where one is missing."""
        environment, record = self._place.part("environment"), "xr2mri-*.dist-info/RECORD"
        try:
            (found,) = (
                *environment.glob(f"lib/python*/site-packages/{record}"),
                *environment.glob(f"Lib/site-packages/{record}"),  # in Windows
            )
            files = Distribution.at(found.parent).files or []
            return {str(file): os.stat(file.locate()).st_mtime_ns for file in files}
        except (OSError, ValueError):
            return {}

    def _clear(self) -> None:
        """Remove what was put aside, now or by an earlier removal that did not come to its end."""
        if self._place.aside.exists():
            with suppress(OSError):  # it is in nobody's way
                self._remove_tree(self._place.aside)

    def _make_room(self) -> None:
        folder = self._place.folder
        free = shutil.disk_usage(folder).free / 1e9
        needed = needed_gb()[1]
        if free < needed and not self._place.python.exists():
            message = _("{folder} has {free:.1f} GB free; {needed:.0f} GB are needed.")
            raise errors.InstallFailed(
                message.format(folder=folder, free=free, needed=needed),
                _("Make room, or choose another folder."),
            )

    def _usable_uv(self) -> str:
        """A uv that is new enough; empty where there is none."""
        for place in places_of_uv(self._place):
            with suppress(errors.InstallFailed):  # it does not even start
                said = " ".join(self._execute([place, "--version"]))
                version = re.search(r"uv (\d+)\.(\d+)\.(\d+)", said)
                if version and tuple(map(int, version.groups())) >= UV:
                    return place
                self._say(_("{file} is too old.").format(file=place))
        return ""

    def _fetched_uv(self, only: Sequence[str]) -> str:
        tools = self._place.part("tools")
        words = [self._python, "-m", "pip", "install", "--disable-pip-version-check", "--no-deps"]
        words += [*only, "--upgrade", "--target", str(tools), f"uv>={'.'.join(map(str, UV))}"]
        self._execute(words, embedding=True)
        found = self._usable_uv()
        if not found:
            raise errors.InstallFailed(_("uv was installed, but is not in {x}.").format(x=tools))
        return found

    def _has_python(self) -> bool:
        """Whether an earlier attempt has left a Python that works."""
        if not self._place.python.exists():
            return False
        try:
            (said,) = self._execute([str(self._place.python), "-I", "-c", machine.SAY])
        except (errors.InstallFailed, ValueError):
            return False
        return machine.will_do(said)

    def _take_from_pip(self, variables: dict[str, str]) -> None:
        """Tell uv what is set for pip, which it does not ask, unless it is told otherwise."""
        words = [self._python, "-m", "pip", "--disable-pip-version-check", "config", "list"]
        try:
            said = self._execute(words, said=False, embedding=True)
        except errors.InstallFailed:
            return
        found = machine.way_of_pip(said)
        if not machine.index_of_uv(variables):
            found |= machine.indexes_of_pip(said)
        for name, value in found.items():
            if not (variables.get(name) or variables.get(name.lower())):  # https_proxy, too
                variables[name] = value

    def _constraints(self) -> Path:
        """The versions that were tested together; the wheel has them."""
        (found,) = self._place.part("environment").glob("**/xr2mri_core/constraints.txt")
        return found

    def _with_torch(self, pip: list[str]) -> list[str]:
        """Install torch; returns the command with the place that it came from."""
        if not self._offline:
            suited = [*pip, "--torch-backend", "auto"]
            try:
                self._execute([*suited, "torch", "setuptools"])
                return suited
            except errors.InstallFailed as error:
                self._check()
                if not error.passing:
                    raise
                self._say(_("PyTorch's own index is not reached; trying the usual one."))
        self._execute([*pip, "torch", "setuptools"])
        return pip

    def _tried(self) -> tuple[str, str]:
        """Version and device, as the installed program tells them."""
        words = [str(self._place.python), "-I", "-m", "xr2mri_core.cli", "info"]
        lines = self._execute(words, said=False)
        try:
            info = json.loads("\n".join(lines[lines.index("{") :]))
            if not info["bundle"]["weights"]:
                raise errors.InstallFailed(_("The weights of the model are missing."))
            return str(info["versions"]["xr2mri"]), str(info["device"])
        except (ValueError, KeyError, TypeError):
            last = errors.one_line(" ".join(lines[-3:]))
            raise errors.InstallFailed(_("What was installed says {x}.").format(x=last)) from None

    # --- programs -------------------------------------------------------------------------------

    def _step(self, index: int, title: str) -> None:
        self._check()
        self._emit(Step(index, 6, title))
        self._say(f"[{index}/6] {title}")

    def _say(self, line: str) -> None:
        self._emit(Line(line))

    def _execute(
        self, words: Sequence[str], said: bool = True, embedding: bool = False
    ) -> list[str]:
        """The lines of a program that ended well.

        Args:
            words: the command.
            said: whether its lines go to the log.
            embedding: whether it is this process's own Python, with the variables of that.
        """
        lines: list[str] = []

        def printed(line: str) -> None:
            lines.append(line)
            if said:
                self._say(line)

        variables = dict(os.environ) if embedding else self._environment
        try:
            status = self._run_program(words, variables, self._place.folder, printed)
        except OSError as error:
            message = _("{program} cannot be started: {why}.")
            raise errors.InstallFailed(
                message.format(program=words[0], why=error.strerror or error)
            ) from None
        if status != 0:
            raise why_it_failed(lines, status, self._offline)
        return lines
