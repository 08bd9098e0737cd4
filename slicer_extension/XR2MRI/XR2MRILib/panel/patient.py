"""Age, sex and body mass index, where the server's model asks for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import qt

from xr2mri_client.errors import FormError, one_line
from xr2mri_client.jobs import ServerInfo
from xr2mri_client.texts import tr as _

from ..logic import XR2MRILogic
from ..parameters import XR2MRIParameterNode
from ..patient import PatientField, Value, read_fields, sift
from .section import Section, plain_label, plain_tip, select_data, selected_data, tell


class PatientSection(Section):
    """Shows the fields and keeps them and the parameter node the same; hidden where there are none.

    Args:
        ui, logic: see `Section`.
        changed: called when `problem` is another one, which no parameter tells.

    Attributes:
        problem: what is wrong with what was typed last; empty where nothing is.
    """

    notes = ("patientNote",)

    def __init__(self, ui: Any, logic: XR2MRILogic, changed: Callable[[], None]) -> None:
        super().__init__(ui, logic)
        self._changed = changed
        self.problem = ""
        self._fields: tuple[PatientField, ...] = ()
        self._widgets: dict[str, Any] = {}
        self._filling: qt.QWidget | None = None
        self._committed: tuple[Any, ...] = ()
        self._updating = False
        self.listen(logic.connected, self._on_connected)
        ui.patientFrame.visible = False
        tell(ui.patientNote, "")

    def bind(self, node: XR2MRIParameterNode | None) -> None:
        super().bind(node)
        if node is None:
            self.problem = ""  # the next scene's fields are filled in from what it says

    @property
    def values(self) -> dict[str, Value]:
        """What is given of what the model asks for."""
        return sift(self._fields, self.node.demographics)[0] if self.bound else {}

    @property
    def summary(self) -> str:
        """What is given, in words; empty where nothing is."""
        values = self.values
        return ", ".join(f.text(values[f.name]) for f in self._fields if f.name in values)

    def update(self) -> None:
        self.ui.patientFrame.visible = bool(self._fields)
        if not self.bound:
            return
        if self.problem:
            if self._state() == self._committed:
                return  # what was typed stays, to be mended
            self.problem = ""
            tell(self.ui.patientNote, "")
        self._updating = True
        try:
            values = self.values
            for field in self._fields:
                self._show(field, values.get(field.name))
        finally:
            self._updating = False

    def commit(self) -> None:
        """Take what was typed, also in a field that still has the keyboard."""
        if not self.bound or self._updating:
            return
        given = dict(self.node.demographics)
        problem = ""
        for field in self._fields:
            try:
                value = field.parse(self._typed(field))
            except FormError as error:
                problem, value = problem or str(error), None
            given.pop(field.name, None)
            if value is not None:
                given[field.name] = str(value)
        self._committed = self._radiograph_id, given
        before, self.problem = self.problem, problem
        tell(self.ui.patientNote, problem, "bad")
        self.node.demographics = given
        if problem != before:
            self._changed()

    def _state(self) -> tuple[Any, ...]:
        """What changes when the form is filled in from elsewhere."""
        return self._radiograph_id, dict(self.node.demographics)

    @property
    def _radiograph_id(self) -> str:
        """Of the one that the fields are of."""
        shown = self.node.preparedFor
        return str(shown.GetID()) if shown is not None else ""

    def align(self, label_width: int) -> None:
        """Put the fields in line with those above."""
        if self._filling is not None:
            self._filling.layout().setColumnMinimumWidth(0, label_width)

    def take(self, given: Mapping[str, Any]) -> None:
        """Fill in values from elsewhere, as of a file, instead of all that were there; says which
        of them the model does not accept."""
        kept, refused = sift(self._fields, given)
        others = {name: str(value) for name, value in given.items() if not self._knows(name)}
        self.problem = ""
        self.node.demographics = {**others, **{name: str(value) for name, value in kept.items()}}
        message = _("Left out, since this server does not accept it: {x}.")
        note = message.format(x=one_line(", ".join(refused), 200)) if refused else ""
        tell(self.ui.patientNote, note, "attention")
        self.update()

    def _knows(self, name: str) -> bool:
        return any(field.name == name for field in self._fields)

    def _on_connected(self, info: ServerInfo) -> None:
        self._fields = read_fields(info.model.demographics if info.model is not None else None)
        self._build()
        if self.bound:
            self.take(dict(self.node.demographics))
        self.update()

    # --- the fields -----------------------------------------------------------------------------

    def _build(self) -> None:
        if self._filling is not None:
            self._filling.setParent(None)
            self._filling.deleteLater()
        self._filling, self._widgets = qt.QWidget(), {}
        grid = qt.QGridLayout(self._filling)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(3)
        grid.setHorizontalSpacing(10)
        grid.addWidget(plain_label(_("Patient"), bold=True), 0, 0)
        for row, field in enumerate(self._fields, 1):
            label = plain_label(field.title)
            label.indent = 10
            grid.addWidget(label, row, 0)
            self._widgets[field.name] = widget = self._widget(field)
            grid.addWidget(widget, row, 1)
            grid.addWidget(plain_label(field.unit), row, 2)
        grid.setColumnStretch(3, 1)
        self.ui.patientFrame.layout().addWidget(self._filling)

    def _widget(self, field: PatientField) -> qt.QWidget:
        if field.labels:
            widget: qt.QWidget = qt.QComboBox()
            widget.addItem(_("not given"), "")
            for choice, word in field.labels.items():
                widget.addItem(word, choice)
            widget.connect("currentIndexChanged(int)", lambda _index: self.commit())
        else:
            widget = qt.QLineEdit()
            widget.placeholderText = _("not given")
            widget.maxLength = 8
            widget.maximumWidth = 90
            widget.connect("editingFinished()", self.commit)
        widget.objectName = f"patient_{field.name}"
        widget.accessibleName = field.title
        widget.toolTip = plain_tip(f"{field.title}: {field.accepted}")
        return widget

    def _typed(self, field: PatientField) -> str:
        widget = self._widgets[field.name]
        return selected_data(widget) or "" if field.labels else widget.text

    def _show(self, field: PatientField, value: Value | None) -> None:
        widget, text = self._widgets[field.name], "" if value is None else str(value)
        if field.labels:
            select_data(widget, text)
        elif widget.text != text:
            widget.text = text
