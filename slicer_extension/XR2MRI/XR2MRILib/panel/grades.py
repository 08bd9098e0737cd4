"""A feature of the form: a row of buttons, a button a grade, and one for "not read"."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import qt

from ..form import Field
from .section import plain_tip

NOT_READ = "\u2013"


class GradeField:
    """The grade of one feature.

    Tab goes from field to field; see `Keys` for what the others do.

    Args:
        field: field of the form.
        changed: called with the name and the grade that the user has chosen; None is "not read".

    Attributes:
        widget: widget to place in a layout.
    """

    def __init__(self, field: Field, changed: Callable[[str, int | None], None]) -> None:
        self._field, self._changed = field, changed
        self._values: list[int | None] = [None, *field.grades]
        self.widget = qt.QFrame()
        self.widget.objectName = f"field_{field.name}"
        self.widget.toolTip = plain_tip(field.tip)
        box = qt.QHBoxLayout(self.widget)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        self._buttons = {value: self._button(value) for value in self._values}
        for button in self._buttons.values():
            box.addWidget(button)
        self.show(None)

    @property
    def first(self) -> qt.QToolButton:
        return self._buttons[self._values[0]]

    @property
    def last(self) -> qt.QToolButton:
        return self._buttons[self._values[-1]]

    def show(self, grade: int | None) -> None:
        """Show a grade without telling anybody."""
        for value, button in self._buttons.items():
            chosen = value == grade
            button.checked = chosen
            # one stop for the Tab key a field, at the grade that it has
            button.focusPolicy = qt.Qt.StrongFocus if chosen else qt.Qt.ClickFocus

    def _button(self, value: int | None) -> qt.QToolButton:
        button = qt.QToolButton(self.widget)
        name = "none" if value is None else value
        button.objectName = f"grade_{self._field.name}_{name}"
        button.text = NOT_READ if value is None else str(value)
        button.checkable = True
        button.toolTip = plain_tip(f"{self._field.title}\n{self._field.grade_text(value)}")
        button.accessibleName = f"{self._field.title}: {self._field.grade_text(value)}"
        button.connect("clicked(bool)", lambda _checked, value=value: self.choose(value))
        return button

    @property
    def focused(self) -> bool:
        """Whether the keyboard is here."""
        return any(button.hasFocus() for button in self._buttons.values())

    def choose(self, value: int | None) -> None:
        """Set the grade as the user does; nothing if the feature has no such grade."""
        if value not in self._buttons:
            return
        had_focus = self.focused
        self.show(value)
        if had_focus:
            self._buttons[value].setFocus()
        self._changed(self._field.name, value)

    def step(self, by: int) -> None:
        """Go to a grade beside the chosen one."""
        current = next(i for i, v in enumerate(self._values) if self._buttons[v].checked)
        self.choose(self._values[min(max(current + by, 0), len(self._values) - 1)])


class Keys:
    """The keys of a whole form: a digit sets the grade of the field that has the keyboard, arrows
    step through its grades, Delete and minus mean "not read".

    Args:
        parent: the widget that holds the fields.
        fields: fields of the form.
    """

    def __init__(self, parent: qt.QWidget, fields: list[GradeField]) -> None:
        self._parent, self._fields = parent, fields
        self._shortcuts = [
            self._shortcut(str(digit), partial(_choose, digit)) for digit in range(10)
        ]
        for key in ("Del", "Backspace", "-"):
            self._shortcuts.append(self._shortcut(key, partial(_choose, None)))
        for key, by in (("Left", -1), ("Right", 1)):
            self._shortcuts.append(self._shortcut(key, partial(_step, by)))

    def _shortcut(self, key: str, act: Callable[[GradeField], None]) -> qt.QShortcut:
        shortcut = qt.QShortcut(qt.QKeySequence(key), self._parent)
        shortcut.setContext(qt.Qt.WidgetWithChildrenShortcut)
        shortcut.connect("activated()", lambda: self._apply(act))
        return shortcut

    def _apply(self, act: Callable[[GradeField], None]) -> None:
        for field in self._fields:
            if field.focused:
                act(field)
                return


def _choose(grade: int | None, field: GradeField) -> None:
    field.choose(grade)


def _step(by: int, field: GradeField) -> None:
    field.step(by)
