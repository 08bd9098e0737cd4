"""Somebody who works with the panel: clicks its buttons, waits, reads what it says."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODULE = Path(__file__).resolve().parents[2] / "slicer_extension" / "XR2MRI" / "XR2MRI.py"


class User:
    """In front of the module XR2MRI.

    Args:
        slicer: with its application.

    Attributes:
        ui: the panel's widgets by name.
        logic: of the module, for what no widget shows.
    """

    def __init__(self, slicer: Any) -> None:
        self.slicer = slicer
        self.manager = slicer.app.moduleManager()
        self.manager.load(MODULE)
        slicer.util.selectModule("XR2MRI")
        self.ui.elsewhereRadio.click()  # somebody who has a server

    @property
    def widget(self) -> Any:
        return getattr(self.slicer.modules, "XR2MRIWidget", None)

    @property
    def ui(self) -> Any:
        return self.widget.ui

    @property
    def logic(self) -> Any:
        return self.widget.logic

    @property
    def node(self) -> Any:
        """The parameters."""
        return self.logic.getParameterNode()

    def leave(self) -> None:
        """End Slicer, as far as the module can tell."""
        self.slicer.util.selectModule("")
        self.manager.unload("XR2MRI")
        self.events()

    @property
    def settled(self) -> bool:
        """Whether the views show what the panel has for them."""
        panel = getattr(self.widget, "panel", None)
        return panel is None or panel.settled

    # --- waiting --------------------------------------------------------------------------------

    def events(self, times: int = 5) -> None:
        """Let the application live for some turns of its event loop, and until the views show
        what the panel has for them."""
        for _ in range(times):
            self.slicer.app.processEvents()
        while not self.settled:
            self.slicer.app.processEvents()

    def until(self, condition: Callable[[], Any], what: str = "", seconds: float = 240) -> None:
        """Let the application live until something is so."""
        limit = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < limit, f"not within {seconds} s: {what}; {self.says()}"
            self.slicer.app.processEvents()
            time.sleep(0.005)
        self.events(2)

    def until_idle(self) -> None:
        """Until nothing is being done, and the views show what came of it."""
        self.until(lambda: self.logic.state == "idle" and self.settled, "idle")

    # --- what the panel says --------------------------------------------------------------------

    def says(self) -> str:
        """All texts of the panel that tell how things are."""
        labels = (
            "computerStatus",
            "serverStatus",
            "radiographNote",
            "formNote",
            "progressNote",
            "messageLabel",
        )
        return " | ".join(f"{name}: {getattr(self.ui, name).text}" for name in labels)

    def colour(self, name: str) -> str:
        """Of a label: `good`, `bad`, `attention` or `plain`."""
        style = getattr(self.ui, name).styleSheet
        colours = sys.modules["XR2MRILib.panel.section"]._COLOURS
        return next(
            (kind for kind, colour in colours.items() if colour and colour in style), "plain"
        )

    def shown(self, name: str) -> bool:
        """Whether a widget is there for the user, though its window may not be."""
        return not getattr(self.ui, name).isHidden()

    # --- doing ----------------------------------------------------------------------------------

    def connect(self, url: str) -> None:
        self.ui.serverComboBox.setEditText(url)
        self.ui.connectButton.click()
        self.until_idle()

    def rehearse(self) -> None:
        """Connect to the double of the module's self-test: no server, no network."""
        from rehearsal import RehearsalClient

        self.logic._clientFactory = RehearsalClient
        self.connect("rehearsal")

    def choose(self, picture: Any) -> Any:
        """Load a picture file, or take a node, as the radiograph."""
        node = picture
        if isinstance(picture, (str, Path)):
            node = self.slicer.util.loadVolume(str(picture), {"show": False})
        self.ui.radiographSelector.setCurrentNode(node)
        self.events()
        return node

    def grade_button(self, name: str, grade: int | str) -> Any:
        import qt

        return self.ui.formFrame.findChild(qt.QToolButton, f"grade_{name}_{grade}")

    def grade(self, **grades: int) -> None:
        for name, grade in grades.items():
            self.grade_button(name, grade).click()

    def patient_field(self, name: str) -> Any:
        import qt

        kind = qt.QComboBox if name == "sex" else qt.QLineEdit
        return self.ui.patientFrame.findChild(kind, f"patient_{name}")

    def tell(self, **values: str) -> None:
        """Type age and BMI, and leave each field; choose the sex by its word."""
        for name, value in values.items():
            widget = self.patient_field(name)
            if name == "sex":
                widget.setCurrentIndex(widget.findText(value))
            else:
                widget.text = value
                widget.editingFinished.emit()
        self.events()

    def set_slices(self, count: int) -> None:
        self.ui.slicesSpinBox.value = count

    def volumes(self) -> list[Any]:
        """All that the scene holds of generated anatomy."""
        nodes = self.slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        return [node for node in nodes if node.GetAttribute("XR2MRI.Synthetic")]

    def press_generate(self) -> None:
        assert self.ui.generateButton.enabled, self.says()
        self.ui.generateButton.click()

    def generate(self) -> Any:
        """Generate, wait, and return the volume's node."""
        self.press_generate()
        self.until_idle()
        return self.node.result

    def come_to_the_front(self) -> None:
        """Show the window and give it the keyboard."""
        from PySide6.QtTest import QTest

        window = self.slicer.util.mainWindow()
        if window.windowHandle() is not None:  # without a screen only a new window becomes active
            window.hide()
            window.windowHandle().destroy()
        window.show()
        window.activateWindow()
        assert QTest.qWaitForWindowActive(window, 20000)
        self.events()

    def picture(self, path: Path) -> None:
        """The window as it is."""
        self.slicer.util.mainWindow().grab().save(str(path))
