"""The module's panel: its sections, each with its widgets of the .ui file."""

from __future__ import annotations

from typing import Any

import qt
import slicer

from ..logic import XR2MRILogic
from ..parameters import XR2MRIParameterNode
from ..scene import layout
from .batch import BatchSection
from .compare import CompareSection
from .computer import ComputerSection
from .features import FeatureSection
from .generate import GenerateSection
from .options import OptionsSection
from .patient import PatientSection
from .radiograph import RadiographSection
from .result import ResultSection
from .section import Section
from .server import ServerSection
from .turns import Turns


class Panel:
    """All sections, kept up to date with the logic and the parameter node.

    Args:
        ui: the widgets of the .ui file by name.
        logic: what does the work.
    """

    def __init__(self, ui: Any, logic: XR2MRILogic) -> None:
        self.logic = logic
        self.server = ServerSection(ui, logic)
        self.computer = ComputerSection(ui, logic, self.update)
        self._turns = Turns()
        self._ui = ui
        self.radiograph = RadiographSection(ui, logic, self._turns)
        self.patient = PatientSection(ui, logic, self.update)
        self.features = FeatureSection(ui, logic, self.patient)
        self.options = OptionsSection(ui, logic)
        self.generate = GenerateSection(
            ui, logic, self.computer, self.radiograph, self.features, self.patient, self.options
        )
        self.result = ResultSection(ui, logic, self.generate, self._turns)
        self.compare = CompareSection(ui, logic, self.generate)
        self.batch = BatchSection(ui, logic, self.generate)
        self._sections: tuple[Section, ...] = (
            self.server,
            self.computer,
            self.radiograph,
            self.patient,
            self.features,
            self.options,
            self.generate,
            self.result,
            self.compare,
            self.batch,
        )
        self._updating = False
        self._layouts = slicer.app.layoutManager()
        if self._layouts is not None:
            self._layouts.connect("layoutChanged(int)", self._on_layout)
        self._signals = (logic.stateChanged, logic.connected, logic.disconnected, logic.failed)
        for signal in self._signals:
            signal.connect(self.update)
        self.features.placed.connect(self._fit_width)
        self.update()
        self._fit_width()

    @property
    def settled(self) -> bool:
        """Whether the form is whole, and the views show all that the panel has for them."""
        return self.features.settled and not self._turns.busy

    def enter(self) -> None:
        """The user looks at the panel now."""
        self.radiograph.enter()
        self.batch.enter()

    def leave(self) -> None:
        """The user looks at another module; a job goes on."""
        self.radiograph.leave()

    def setParameterNode(self, node: XR2MRIParameterNode | None) -> None:
        """Show another parameter node; None while the scene is being closed."""
        self._turns.clear()
        for section in self._sections:
            section.bind(node)
        if node is None:
            self.batch.scene_closes()
        else:
            self.batch.enter()  # whose folders may be others by now
        with self.radiograph.opening():
            if node is not None and not node.recalled:
                self.options.recall()
                node.recalled = True
            self.update()

    def update(self, *_arguments: Any) -> None:
        """Bring every section up to date; what they change meanwhile brings no second round. While
        a scene is being read its nodes refer to others' ids, and the panel is bound anew after."""
        if self._updating or slicer.mrmlScene.IsImporting():
            return
        self._updating = True
        try:
            for section in self._sections:
                section.update()
        finally:
            self._updating = False

    def _fit_width(self) -> None:
        """Make the panel as wide as its widest section: what scrolls has no least width of its own,
        and would be cut off at the right."""
        area = self._ui.sectionsArea
        bar = area.style().pixelMetric(qt.QStyle.PM_ScrollBarExtent)
        area.minimumWidth = self._ui.sections.minimumSizeHint.width() + bar
        if layout.is_shown():
            layout.settle()  # the views beside it may have become narrower

    def _on_layout(self, chosen: int) -> None:
        """Fill the views of the layout when the user takes it from Slicer's menu; who has it shown
        from here fills them next."""
        if chosen == layout.LAYOUT_ID and not self._turns.busy:
            self._turns.add(self.radiograph.show)
            self.result.show()

    def close(self) -> None:
        """Look at the scene and touch the widgets no more."""
        self._turns.clear()
        if self._layouts is not None:
            self._layouts.disconnect("layoutChanged(int)", self._on_layout)
        for section in self._sections:
            section.close()
        for signal in self._signals:
            signal.disconnect(self.update)
        self._sections = ()
