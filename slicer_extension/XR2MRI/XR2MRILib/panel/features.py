"""The form of the features, made from the server's schema; files, tables, summary."""

from __future__ import annotations

from typing import Any

import qt
import slicer

from ..errors import FormError
from ..form import FeatureForm, Field, Group
from ..jobs import ServerInfo
from ..logic import XR2MRILogic
from ..texts import tr as _
from .grades import GradeField
from .section import Section, tell

_STYLE = """
QToolButton { border: 1px solid palette(mid); border-radius: 0px; padding: 2px 0px;
  min-width: 20px; margin: 0px -1px 0px 0px; background: palette(base); color: palette(text); }
QToolButton:checked { background: palette(highlight); color: palette(highlighted-text); }
QToolButton[text="\u2013"]:checked { background: palette(midlight); color: palette(text); }
QToolButton:focus { border: 2px solid palette(highlight); }
QToolButton:checked:focus { border: 2px solid palette(text); }
QToolButton:disabled { color: palette(mid); }
"""


class FeatureSection(Section):
    """Shows the form and keeps it and the parameter node the same."""

    def __init__(self, ui: Any, logic: XR2MRILogic) -> None:
        super().__init__(ui, logic)
        self.form: FeatureForm | None = None
        self._fields: dict[str, GradeField] = {}
        self._filling: qt.QWidget | None = None
        ui.formFrame.styleSheet = _STYLE
        ui.loadFormButton.connect("clicked(bool)", self._on_load)
        ui.saveFormButton.connect("clicked(bool)", self._on_save)
        ui.pasteRowButton.connect("clicked(bool)", self._on_paste)
        ui.clearFormButton.connect("clicked(bool)", self._on_clear)
        self.listen(logic.connected, self._on_connected)
        tell(ui.formNote, "")

    def update(self) -> None:
        ready = self.form is not None and self.node is not None
        for name in ("loadFormButton", "saveFormButton", "pasteRowButton", "clearFormButton"):
            getattr(self.ui, name).enabled = ready
        if not ready:
            tell(self.ui.summaryLabel, _("Connect to a server: it has the form."))
            return
        if dict(self.node.features) != self.form.values:
            try:
                self.form.replace(self.node.features)
            except FormError as error:  # the scene is from a server with another form
                tell(self.ui.formNote, str(error), "bad")
        for name, field in self._fields.items():
            field.show(self.form.get(name))
        tell(self.ui.summaryLabel, self._summary())

    def _on_connected(self, info: ServerInfo) -> None:
        known = self.form.values if self.form is not None else {}
        self.form = FeatureForm(info.form)
        try:
            self.form.replace(known)
        except FormError:
            self.form.clear()
        self._build()
        self.update()

    # --- the form -------------------------------------------------------------------------------

    def _build(self) -> None:
        """Groups with many fields side by side, a row for each finding; others on top."""
        if self._filling is not None:
            self._filling.setParent(None)
            self._filling.deleteLater()
        self._filling, self._fields = qt.QWidget(), {}
        grid = qt.QGridLayout(self._filling)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(3)
        grid.setHorizontalSpacing(10)
        columns = [group for group in self.form.groups if len(group.fields) > 1]
        row = 0
        for group in self.form.groups:
            if group not in columns:
                row = self._add_single(grid, row, group, len(columns))
        row = self._add_heads(grid, row, columns)
        for part in {item.part: None for group in columns for item in group.fields}:
            row = self._add_part(grid, row, part, columns)
        grid.setColumnStretch(len(columns) + 1, 1)
        self.ui.formFrame.layout().addWidget(self._filling)
        _order_tabs([self._fields[name] for name in self.form.fields])

    def _add_single(self, grid: qt.QGridLayout, row: int, group: Group, span: int) -> int:
        for item in group.fields:
            grid.addWidget(qt.QLabel(_("{title}").format(title=item.short_title)), row, 0)
            grid.addWidget(self._field(item), row, 1, 1, max(span, 1), qt.Qt.AlignLeft)
            row += 1
        return row

    def _add_heads(self, grid: qt.QGridLayout, row: int, columns: list[Group]) -> int:
        for index, group in enumerate(columns):
            grid.addWidget(_heading(group.title), row, index + 1)
        return row + 1

    def _add_part(self, grid: qt.QGridLayout, row: int, part: str, columns: list[Group]) -> int:
        """The rows of a bone, or of the joint."""
        titles = {"femur": _("Femur"), "tibia": _("Tibia"), "": _("Joint")}
        grid.addWidget(_heading(titles.get(part, part.capitalize())), row, 0)
        findings = {
            item.short_title: None for group in columns for item in group.parts.get(part, ())
        }
        for finding in findings:
            row += 1
            label = qt.QLabel(finding)
            label.indent = 10
            grid.addWidget(label, row, 0)
            for index, group in enumerate(columns):
                for item in group.parts.get(part, ()):
                    if item.short_title == finding:
                        grid.addWidget(self._field(item), row, index + 1, qt.Qt.AlignLeft)
        return row + 1

    def _field(self, item: Field) -> qt.QWidget:
        self._fields[item.name] = GradeField(item, self._on_grade)
        return self._fields[item.name].widget

    def _on_grade(self, name: str, grade: int | None) -> None:
        tell(self.ui.formNote, "")
        self.form.set(name, grade)
        self._store()

    def _store(self) -> None:
        if self.node is not None:
            self.node.features = self.form.values
        self.update()

    def _summary(self) -> str:
        read = self.form.summary()
        if not read:
            return _("Nothing was read: the radiograph alone decides.")
        count = _("{n} of {m} read").format(n=len(read), m=len(self.form.fields))
        present = [
            line for line, grade in zip(read, self.form.values.values()) if grade > 0
        ]  # fmt: skip
        if not present:
            return _("{count}, all of them 0.").format(count=count)
        return f"{count}: {'; '.join(present)}."

    # --- files and tables -----------------------------------------------------------------------

    def _on_load(self, _checked: bool = False) -> None:
        path = qt.QFileDialog.getOpenFileName(
            slicer.util.mainWindow(), _("Load features"), "", _("Features (*.json)")
        )
        if path:
            self._change(lambda: self.form.load(path))

    def _on_save(self, _checked: bool = False) -> None:
        path = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(), _("Save features"), "features.json", _("Features (*.json)")
        )
        if path:
            self._change(lambda: self.form.save(path))

    def _on_paste(self, _checked: bool = False) -> None:
        text = qt.QApplication.clipboard().text()
        self._change(lambda: self._take_row(text))

    def _take_row(self, text: str) -> None:
        row = self.form.parse_row(text)
        if row.laterality and self.node is not None:
            self.node.laterality = row.laterality  # first: it shows the form as the node has it
        self.form.replace(row.features)

    def _on_clear(self, _checked: bool = False) -> None:
        self._change(self.form.clear)

    def _change(self, change) -> None:
        """Change the form, or say why not."""
        try:
            tell(self.ui.formNote, "")
            change()
            self._store()
        except FormError as error:
            tell(self.ui.formNote, str(error), "bad")


def _heading(text: str) -> qt.QLabel:
    label = qt.QLabel(f"<b>{text}</b>")
    label.textFormat = qt.Qt.RichText
    return label


def _order_tabs(fields: list[GradeField]) -> None:
    """Tab goes down one column and then the next, as the form is read."""
    for before, after in zip(fields, fields[1:]):
        qt.QWidget.setTabOrder(before.last, after.first)
