"""The server on this computer: what there is of it, Install, Start, Uninstall, the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ctk
import qt
import slicer

from xr2mri_client import machine
from xr2mri_client.errors import InstallFailed, ServerEnded, XR2MRIClientError
from xr2mri_client.installation import MOST_GB, VERSION, has_gpu, needed_gb, wheel_of
from xr2mri_client.installing import Line, Step
from xr2mri_client.jobs import ServerInfo
from xr2mri_client.removing import Removal
from xr2mri_client.texts import tr as _

from .. import settings
from ..logic import XR2MRILogic
from ..states import State
from .section import Section, tell

LOOK_MS = 1000
"""Between two looks at whether a server that was started or found still runs."""
_OWN = (State.INSTALLING, State.UNINSTALLING, State.STARTING)


class ComputerSection(Section):
    """Installs, starts, stops and removes, and says in a sentence how that went."""

    def __init__(self, ui: Any, logic: XR2MRILogic, changed: Callable[[], None]) -> None:
        super().__init__(ui, logic)
        self._changed = changed
        self._error: XR2MRIClientError | None = None
        self._step: Step | None = None
        self._removal: Removal | None = None
        ui.installFolderEdit.filters = ctk.ctkPathLineEdit.Dirs
        ui.installFolderEdit.currentPath = logic.computer.folder
        ui.sourceEdit.filters = ctk.ctkPathLineEdit.Dirs  # with files, folders could not be browsed
        ui.hereRadio.checked = settings.on_this_computer()
        ui.elsewhereRadio.checked = not ui.hereRadio.checked
        ui.hereRadio.connect("toggled(bool)", self._on_where)
        ui.installFolderEdit.connect("currentPathChanged(QString)", self._on_folder)
        ui.installFolderEdit.comboBox().lineEdit().connect("editingFinished()", self._take_folder)
        ui.installButton.connect("clicked(bool)", self._on_install)
        ui.startButton.connect("clicked(bool)", self._on_start)
        ui.uninstallButton.connect("clicked(bool)", self._on_uninstall)
        ui.logButton.connect("toggled(bool)", self._on_log)
        ui.serverSection.connect("contentsCollapsed(bool)", self._on_folded)
        self.listen(logic.computer.happened, self._on_happened)
        self.listen(logic.stateChanged, self._on_state)
        self.listen(logic.connected, self._on_connected)
        self.listen(logic.failed, self._on_failed)
        self._timer = qt.QTimer()
        self._timer.setInterval(LOOK_MS)
        self._timer.connect("timeout()", self._on_timer)
        self.update()

    @property
    def here(self) -> bool:
        """Whether the user wants to generate on this computer."""
        return self.ui.hereRadio.checked

    @property
    def can_start(self) -> bool:
        """Whether nothing is missing but the start of the server, or the connection to it."""
        return self.here and self.logic.computer.installed is not None

    @property
    def outdated(self) -> bool:
        """Whether the installed server is of another version than this module."""
        installed = self.logic.computer.installed
        return installed is not None and installed.version != VERSION

    def update(self) -> None:
        computer, state = self.logic.computer, self.logic.state
        idle, installed = state is State.IDLE, computer.installed
        running = computer.access is not None
        ui = self.ui
        ui.computerFrame.visible, ui.elsewhereFrame.visible = self.here, not self.here
        for radio in (ui.hereRadio, ui.elsewhereRadio):
            radio.enabled = idle
        ui.sourceFrame.visible = installed is None or self.outdated
        ui.sourceFrame.enabled = idle
        installing, starting = state is State.INSTALLING, state is State.STARTING
        removing = state is State.UNINSTALLING
        install = _("Update...") if self.outdated else _("Install...")
        ui.installButton.text = _("Cancel") if installing else install
        ui.installButton.visible = installed is None or self.outdated
        ui.installButton.enabled = installing or (idle and not running)
        ui.startButton.text = _("Cancel") if starting else _("Stop") if running else _("Start")
        ui.startButton.visible = installed is not None
        ui.startButton.enabled = idle or starting
        ui.uninstallButton.text = _("Cancel") if removing else _("Uninstall...")
        ui.uninstallButton.visible = removing or computer.installation.left
        ui.uninstallButton.enabled = idle or removing
        ui.logEdit.visible = ui.logButton.checked
        tell(ui.computerStatus, *self._status())
        if running:
            self._timer.start()
        else:
            self._timer.stop()

    def close(self) -> None:
        self._timer.stop()
        super().close()

    def _status(self) -> tuple[str, str]:
        """What there is, and how that is to be shown."""
        computer, state = self.logic.computer, self.logic.state
        if state is State.INSTALLING:
            step = self._step
            return _step_text(step) if step is not None else _("Installing..."), "plain"
        if state is State.UNINSTALLING:
            return _removal_text(self._removal), "plain"
        if state is State.STARTING:
            return _("Starting the server, which takes some 15 s..."), "plain"
        if computer.silent:
            text = _("The server does not answer any more. Stop it, and start it again.")
            return text, "bad"
        if self._error is not None:
            return str(self._error), "bad"
        installed = computer.installed
        if installed is None and computer.installation.left:
            text = _("Not all of it is there. Install it to go on, or uninstall what is there.")
            return text, "attention"
        if installed is None:
            return _("Not installed. Once it is, nothing leaves this computer."), "attention"
        text = _("Installed: XR2MRI {version}, {gb:.1f} GB, {device}.").format(
            version=installed.version, gb=installed.bytes / 1e9, device=installed.device
        )
        if self.outdated:
            note = _("This module is of {version}: stop the server, and update it.")
            text += " " + note.format(version=VERSION)
        if computer.access is None:
            return text + " " + _("Not running; Generate starts it."), "plain"
        whose = _("Running.") if computer.ours else _("Running, started by another Slicer.")
        return f"{text} {whose}", "good"

    # --- what happens ---------------------------------------------------------------------------

    def _on_where(self, here: bool) -> None:
        """Leave the server of the other place: radiographs go where the user sees that they go."""
        settings.set_on_this_computer(here)
        self.logic.disconnect()
        if here and self.logic.computer.access is not None:
            self.start()
        self._changed()

    def _on_folded(self, folded: bool) -> None:
        if not folded:  # which shows again what was shown before, and it may be another place now
            self.update()

    def _on_folder(self, _folder: str) -> None:
        if not self.ui.installFolderEdit.comboBox().lineEdit().modified:  # and not being typed
            self._take_folder()

    def _take_folder(self) -> None:
        folder = self.ui.installFolderEdit.currentPath
        if self.logic.state is State.IDLE and folder != self.logic.computer.folder:
            self.logic.computer.choose(folder)
            self.ui.installFolderEdit.currentPath = self.logic.computer.folder  # without a ~
            settings.set_install_folder(self.logic.computer.folder)
            self._error = None
            self._changed()

    def _on_install(self, _checked: bool = False) -> None:
        if self.logic.state is State.INSTALLING:
            self.logic.cancel()
            return
        self._take_folder()  # a button does not take the keyboard everywhere
        self._forget()
        source = self.ui.sourceEdit.currentPath
        can = self._do(machine.request) and self._do(lambda: wheel_of(source))
        if can and self._agreed(wheel_of(source)[1]):
            self.ui.logEdit.clear()
            self._do(lambda: self.logic.install(source))
        self.update()

    def _agreed(self, wheels: str) -> bool:
        """Whether the user wants it, knowing what will come, from where, how large, and where to.

        Args:
            wheels: a folder that all of it comes from; empty where it is downloaded.
        """
        download, disk = needed_gb()
        torch = _("for the NVIDIA GPU") if has_gpu() else _("for the processor: no GPU was found")
        what = _(
            "XR2MRI with the weights of its model, MONAI Label, PyTorch ({torch}), and what they"
            " need; where missing, Python 3.11 and uv, which installs the rest."
        ).format(torch=torch)
        if wheels:
            come = _("Nothing is downloaded; all of it comes from\n{x}").format(x=wheels)
        else:
            come = _(
                "About {n:.1f} GB will be downloaded from the Python Package Index, PyTorch and"
                " GitHub, or from the index that your administrator has set for uv or pip."
            ).format(n=download)
            if not has_gpu():
                come += " " + _(
                    "It is {n:.1f} GB, and {m:.1f} GB on the disk, where PyTorch's own index is not"
                    " reached."
                ).format(n=MOST_GB[0], m=MOST_GB[1])
        where = _("It takes about {n:.0f} GB in\n{folder}\nand nothing of it is in Slicer.").format(
            n=disk, folder=self.logic.computer.folder
        )
        question = _("Install the server on this computer?")
        return slicer.util.confirmYesNoDisplay(
            "\n\n".join((question, what, come, where)),
            windowTitle=_("Install"),
            textFormat=qt.Qt.PlainText,
        )

    def _on_start(self, _checked: bool = False) -> None:
        if self.logic.state is State.STARTING:
            self.logic.cancel()
        elif self.logic.computer.access is not None:
            self.logic.stopServer()
            self._changed()
        else:
            self.start()

    def start(self) -> bool:
        """Start the server, or say why not; whether it is being started."""
        self._forget()
        return self._do(self.logic.startServer)

    def _on_uninstall(self, _checked: bool = False) -> None:
        if self.logic.state is State.UNINSTALLING:
            self.logic.cancel()
            return
        question = _("Stop the server and remove all of it from\n{folder}?")
        if slicer.util.confirmYesNoDisplay(
            question.format(folder=self.logic.computer.folder),
            windowTitle=_("Uninstall"),
            textFormat=qt.Qt.PlainText,
        ):
            self._forget()
            self._do(self.logic.uninstall)

    def _do(self, action) -> bool:
        try:
            action()
            return True
        except XR2MRIClientError as error:
            self._error = error
            self.update()
            return False

    def _forget(self) -> None:
        self._error = self._step = self._removal = None

    def _on_log(self, _checked: bool) -> None:
        if self.logic.computer.access is not None:
            self.ui.logEdit.setPlainText(self.logic.computer.server.log())
        self.update()
        self.ui.logEdit.moveCursor(qt.QTextCursor.End)

    def _on_happened(self, event: Any) -> None:
        if isinstance(event, Step):
            self._step = event
            tell(self.ui.computerStatus, *self._status())
            self.ui.progressBar.maximum = event.total
            self.ui.progressBar.value = event.index - 1
            tell(self.ui.progressNote, _step_text(event))
        elif isinstance(event, Removal):
            self._removal = event
            self.ui.progressBar.maximum, self.ui.progressBar.value = event.total, event.done
            tell(self.ui.progressNote, _removal_text(event))
            if self.logic.state is State.UNINSTALLING:
                tell(self.ui.computerStatus, *self._status())
        elif isinstance(event, Line):
            kept = event.text.split("\n")[-self.ui.logEdit.maximumBlockCount :]  # it keeps no more
            self.ui.logEdit.appendPlainText("\n".join(kept))

    def _on_state(self, state: State) -> None:
        if state in _OWN:
            self._forget()

    def _on_connected(self, info: ServerInfo) -> None:
        """Show the place of the server, which a script may have connected to."""
        self._error = None
        here, elsewhere = self.ui.hereRadio, self.ui.elsewhereRadio
        blocked = here.blockSignals(True)  # it is not what the user has chosen
        (here if self.logic.computer.serves(info.url) else elsewhere).checked = True
        here.blockSignals(blocked)

    def _on_failed(self, error: XR2MRIClientError) -> None:
        if isinstance(error, (InstallFailed, ServerEnded)):
            self._error = error
            if isinstance(error, ServerEnded):
                self.ui.logEdit.setPlainText(self.logic.computer.server.log())
            self.ui.logButton.checked = True  # with the end of the log below
            self.ui.serverSection.collapsed = False
        self.update()

    def _on_timer(self) -> None:
        before = self.logic.computer.silent
        self.logic.checkServer()
        silent = self.logic.computer.silent
        if silent is not before:
            if silent:
                self.ui.serverSection.collapsed = False
            self._changed()


def _removal_text(removal: Removal | None) -> str:
    if removal is None:
        return _("Removing...")
    text = _("Removing: {n} of {m} files...")
    return text.format(n=removal.done, m=removal.total)


def _step_text(step: Step) -> str:
    text = _("Installing, step {n} of {m}: {title}...")
    return text.format(n=step.index, m=step.total, title=step.title)
