"""The button, and what happens after it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import qt
import slicer

from xr2mri_client.errors import (
    InstallFailed,
    NotOffered,
    PermissionNeeded,
    ServerEnded,
    XR2MRIClientError,
)
from xr2mri_client.events import Progress
from xr2mri_client.jobs import JobHandle, ServerInfo
from xr2mri_client.texts import tr as _

from ..compare import Compared
from ..dicom_export import Exported
from ..generation import Result
from ..logic import XR2MRILogic
from ..parameters import XR2MRIParameterNode
from ..request import Request
from ..states import State
from .computer import ComputerSection
from .features import FeatureSection
from .options import OptionsSection
from .patient import PatientSection
from .radiograph import RadiographSection
from .section import Section, plain_tip, tell

_BUSY = {
    State.CONNECTING: _("Connecting..."),
    State.INSTALLING: _("Installing..."),
    State.UNINSTALLING: _("Removing..."),
    State.STARTING: _("Starting the server..."),
    State.LOCATING: _("Looking for the knee..."),
    State.IMPORTING: _("Importing..."),
    State.CANCELLING: _("Cancelling..."),
    State.COMPARING: _("Comparing..."),
    State.EXPORTING: _("Exporting..."),
}


SHORTCUT = "Ctrl+Return"
"""Of the button, while the panel is open; none of Slicer's main window's."""
FORM_MS = 10
"""Between two looks at whether the form of a server that was just started is whole."""


class GenerateSection(Section):
    """Starts, shows the progress of, and cancels whatever the module does."""

    notes = ("messageLabel",)

    def __init__(
        self,
        ui: Any,
        logic: XR2MRILogic,
        computer: ComputerSection,
        radiograph: RadiographSection,
        features: FeatureSection,
        patient: PatientSection,
        options: OptionsSection,
    ) -> None:
        super().__init__(ui, logic)
        self._computer = computer
        self._waiting = ""  # id of the radiograph to generate from once the server here runs
        self._radiograph, self._features = radiograph, features
        self._patient, self._options = patient, options
        keys = qt.QKeySequence(SHORTCUT)
        shown = keys.toString(qt.QKeySequence.NativeText)
        if shown == SHORTCUT:  # this Qt has no words of the language for keys
            shown = _("Ctrl+Return")
        ui.generateButton.text = _("Generate MRI ({keys})").format(keys=shown)
        ui.generateButton.setShortcut(keys)  # a new text takes the one before away
        ui.generateButton.connect("clicked(bool)", self._on_generate)
        ui.cancelButton.connect("clicked(bool)", self._on_cancel)
        self.listen(logic.stateChanged, self._on_state)
        self.listen(logic.connected, self._on_connected)
        self.listen(logic.started, self._on_started)
        self.listen(logic.progressed, self._on_progress)
        self.listen(logic.finished, self._on_finished)
        self.listen(logic.failed, self._on_failed)
        self.listen(logic.cancelled, self._on_cancelled)
        tell(ui.messageLabel, "")

    def bind(self, node: XR2MRIParameterNode | None) -> None:
        super().bind(node)
        if node is None:
            self._waiting = ""  # the next scene gives the id of this radiograph to another

    def update(self) -> None:
        idle = self.logic.state is State.IDLE
        missing = self._missing()
        self.ui.generateButton.enabled = idle and not missing
        what = missing or _("Send the radiograph and draw the volume")
        self.ui.generateButton.toolTip = plain_tip(what)
        self.ui.cancelButton.enabled = not idle and self.logic.state is not State.CANCELLING
        self.ui.progressBar.visible = not idle
        if idle:
            tell(self.ui.progressNote, missing)

    def close(self) -> None:
        self._waiting = ""
        super().close()

    def permitted(self, whole: bool) -> bool:
        """Whether radiographs may go to the server: asks once for each that is not this machine,
        and again before the first DICOM file goes where pixels alone were agreed to.

        Args:
            whole: whether DICOM files may be among them.
        """
        if self.logic.uploadAllowed(whole):
            return True
        what = (
            _("The radiograph and its DICOM header, with the patient's name and ID,")
            if whole
            else _("The pixels of the radiograph, without the patient's name,")
        )
        question = _("{what} will be sent to\n\n{url}\n\nMay XR2MRI send radiographs there?")
        agreed = slicer.util.confirmYesNoDisplay(
            question.format(what=what, url=self.logic.url),
            windowTitle=_("Send a radiograph"),
            textFormat=qt.Qt.PlainText,
        )
        if agreed:
            self.logic.allowUpload(whole)
        return agreed

    def attempt(self, action: Callable[[], None]) -> bool:
        """Start something, once the user has agreed to what it sends, or say why not; whether it
        was started."""
        try:
            tell(self.ui.messageLabel, "")
            action()
            return True
        except PermissionNeeded as error:
            return self.permitted(error.whole) and self.attempt(action)
        except XR2MRIClientError as error:
            tell(self.ui.messageLabel, str(error), "bad")
            return False

    def request(self) -> Request:
        """What the panel asks for."""
        return Request(
            features=self._features.form.values,
            demographics=self._patient.values,
            laterality=self.node.laterality,
            box=self._radiograph.box,
            **self._options.asked(),
        )

    def _missing(self) -> str:
        """What is to be done before anything can be generated."""
        if self.logic.info is None and not self._computer.can_start:
            if self._computer.here:
                return _("Install the server, or connect to one.")
            return _("Connect to a server.")
        if self.logic.info is not None and self.logic.info.model is None:
            return _("The server has no model that can generate.")
        if self._radiograph.radiograph is None:
            return _("Choose a radiograph.")
        return self._patient.problem

    # --- what happens ---------------------------------------------------------------------------

    def _on_generate(self, _checked: bool = False) -> None:
        self._patient.commit()
        radiograph = self._radiograph.radiograph
        if self._missing() or radiograph is None:
            return
        if self.logic.info is None:
            self._waiting = radiograph.GetID() if self._computer.start() else ""
            return
        request = self.request()
        if self.attempt(lambda: self.logic.start(radiograph, request)):
            self._options.remember()

    def _on_connected(self, _info: ServerInfo) -> None:
        """Go on with what waited for the server, once the form is there."""
        if self._waiting:
            qt.QTimer.singleShot(FORM_MS, self._go_on)

    def _go_on(self) -> None:
        wanted = self._waiting
        if not wanted or not self.bound:
            return
        if not self._features.settled:
            qt.QTimer.singleShot(FORM_MS, self._go_on)
            return
        chosen, self._waiting = self._radiograph.radiograph, ""
        if chosen is not None and chosen.GetID() == wanted:
            self._on_generate()

    def _on_cancel(self, _checked: bool = False) -> None:
        self.logic.cancel()

    def _on_state(self, state: State) -> None:
        if state in _BUSY:
            self._bar(None)
            tell(self.ui.progressNote, _BUSY[state])
        elif state is State.RUNNING:
            tell(self.ui.messageLabel, "")

    def _on_started(self, job: JobHandle) -> None:
        tell(self.ui.messageLabel, "\n".join(job.warnings), "attention")

    def _on_progress(self, progress: Progress) -> None:
        self._bar(progress.fraction if progress.phase in ("uploading", "running") else None)
        tell(self.ui.progressNote, _progress_text(progress))

    def _bar(self, fraction: float | None) -> None:
        """Show a fraction, or a busy bar where it is unknown."""
        self.ui.progressBar.maximum = 0 if fraction is None else 100
        if fraction is not None:
            self.ui.progressBar.value = round(100 * fraction)

    def _on_finished(self, outcome: Any) -> None:
        tell(self.ui.messageLabel, _outcome(outcome), "good")
        warnings = outcome.warnings if isinstance(outcome, Result) else []
        if warnings:
            text = "\n".join([_outcome(outcome), *warnings])
            tell(self.ui.messageLabel, text, "attention")

    def _on_failed(self, error: XR2MRIClientError) -> None:
        """Show an error here, unless the server's section does or it was not started here."""
        self._waiting = ""
        if isinstance(error, (InstallFailed, ServerEnded)):
            return
        if self.logic.info is not None and not isinstance(error, NotOffered):
            tell(self.ui.messageLabel, str(error), "bad")

    def _on_cancelled(self) -> None:
        self._waiting = ""
        tell(self.ui.messageLabel, _("Cancelled."))


def _progress_text(progress: Progress) -> str:
    """Progress of a generation, in a line."""
    if progress.phase == "uploading":
        return _("Sending the radiograph...")
    if progress.phase == "queued":
        before = _("{n} before yours").format(n=progress.queue_position)
        return _with_time(_("Waiting in the line: {before}").format(before=before), progress)
    if progress.phase == "running":
        done = _("{n} of {m} slices").format(n=progress.slices, m=progress.num_slices)
        return _with_time(done, progress)
    if progress.phase == "fetching":
        return _("Fetching the volume...")
    if progress.phase == "waiting":
        return _("Waiting for the server: {why}").format(why=progress.message)
    return _("Connecting...")


def _with_time(text: str, progress: Progress) -> str:
    left = progress.seconds_left
    if left is None:
        return text
    if left < 90:
        return _("{text}, {n} s left").format(text=text, n=max(1, math.ceil(left)))
    return _("{text}, {n} min left").format(text=text, n=math.ceil(left / 60))


def _outcome(outcome: Any) -> str:
    if isinstance(outcome, Result):
        seconds = sum(outcome.record.get("seconds", {}).values())
        message = _("{name}: seed {seed}, {n:.0f} s on the server.")
        message = message if seconds else _("{name}: seed {seed}.")
        return message.format(name=outcome.volume.GetName(), seed=outcome.seed, n=seconds)
    if isinstance(outcome, Compared):
        message = _("{name}: PSNR {x:.2f} dB, SSIM {y:.3f}.")
        return message.format(name=outcome.volume.GetName(), x=outcome.psnr, y=outcome.ssim)
    if isinstance(outcome, Exported):
        message = _("{name}: {n} images are in the DICOM database.")
        return message.format(name=outcome.name, n=outcome.images)
    return ""
