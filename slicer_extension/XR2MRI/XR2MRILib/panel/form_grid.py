"""The fields of the form as a grid: a column for each compartment, a row for each finding."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import qt

from xr2mri_client.texts import tr as _

from ..form import FeatureForm, Field, Group
from .grades import GradeField, Keys
from .section import plain_label

STYLE = """
QToolButton { border: 1px solid palette(mid); border-radius: 0px; padding: 2px 0px;
  min-width: 20px; margin: 0px -1px 0px 0px; background: palette(base); color: palette(text); }
QToolButton:checked { background: palette(highlight); color: palette(highlighted-text); }
QToolButton[text="\u2013"]:checked { background: palette(midlight); color: palette(text); }
QToolButton:focus { border: 2px solid palette(highlight); }
QToolButton:checked:focus { border: 2px solid palette(text); }
QToolButton:disabled { color: palette(mid); }
"""


class FormGrid:
    """Groups with many fields side by side, a row for each finding; other groups on top.

    Args:
        form: the form to show.
        changed: called with the name and the grade that the user has chosen; None is "not read".

    Attributes:
        widget: widget to place in a layout once `build` is through.
        fields: fields by name, as far as there are any yet.
    """

    def __init__(self, form: FeatureForm, changed: Callable[[str, int | None], None]) -> None:
        self._form, self._changed = form, changed
        self.widget = qt.QWidget()
        self.fields: dict[str, GradeField] = {}
        self._keys: Keys | None = None

    @property
    def label_width(self) -> int:
        """Width of the widest label, with which what stands below is aligned."""
        labels = self.widget.findChildren(qt.QLabel)
        return max((label.sizeHint.width() for label in labels), default=0)

    def build(self) -> Iterator[None]:
        """Make the fields a few at a time: all at once would hold Slicer up."""
        grid = qt.QGridLayout(self.widget)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(3)
        grid.setHorizontalSpacing(10)
        columns = [group for group in self._form.groups if len(group.fields) > 1]
        row = 0
        for group in self._form.groups:
            if group not in columns:
                row = self._add_single(grid, row, group, len(columns))
        row = self._add_heads(grid, row, columns)
        for part in {item.part: None for group in columns for item in group.fields}:
            yield
            row = self._add_part(grid, row, part, columns)
        grid.setColumnStretch(len(columns) + 1, 1)
        yield
        fields = [self.fields[name] for name in self._form.fields]
        _order_tabs(fields)
        self._keys = Keys(self.widget, fields)

    def remove(self) -> None:
        """Take it out of its layout for good."""
        self.widget.setParent(None)
        self.widget.deleteLater()

    def _add_single(self, grid: qt.QGridLayout, row: int, group: Group, span: int) -> int:
        for item in group.fields:
            grid.addWidget(plain_label(item.short_title), row, 0)
            grid.addWidget(self._field(item), row, 1, 1, max(span, 1), qt.Qt.AlignLeft)
            row += 1
        return row

    def _add_heads(self, grid: qt.QGridLayout, row: int, columns: list[Group]) -> int:
        for index, group in enumerate(columns):
            grid.addWidget(plain_label(group.title, bold=True), row, index + 1)
        return row + 1

    def _add_part(self, grid: qt.QGridLayout, row: int, part: str, columns: list[Group]) -> int:
        """The rows of a bone, or of the joint."""
        titles = {"femur": _("Femur"), "tibia": _("Tibia"), "": _("Joint")}
        heading = plain_label(titles.get(part, part.capitalize()), bold=True)
        grid.addWidget(heading, row, 0)
        findings = {
            item.short_title: None for group in columns for item in group.parts.get(part, ())
        }
        for finding in findings:
            row += 1
            label = plain_label(finding)
            label.indent = 10
            grid.addWidget(label, row, 0)
            for index, group in enumerate(columns):
                for item in group.parts.get(part, ()):
                    if item.short_title == finding:
                        grid.addWidget(self._field(item), row, index + 1, qt.Qt.AlignLeft)
        return row + 1

    def _field(self, item: Field) -> qt.QWidget:
        self.fields[item.name] = GradeField(item, self._changed)
        return self.fields[item.name].widget


def _order_tabs(fields: list[GradeField]) -> None:
    """Tab goes down one column and then the next, as the form is read."""
    for before, after in zip(fields, fields[1:]):
        qt.QWidget.setTabOrder(before.last, after.first)
