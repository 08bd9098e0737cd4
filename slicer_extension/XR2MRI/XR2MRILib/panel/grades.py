"""One feature of the form: a row of buttons, a button a grade, and one for "not read"."""

from __future__ import annotations

from collections.abc import Callable

import qt

from ..form import Field

NOT_READ = "\u2013"


class GradeField:
    """The grade of one feature.

    Tab goes from field to field; a digit sets the grade, arrows step through the grades, Delete
    and minus mean "not read".

    Args:
        field: of the form.
        changed: told the name and the grade that the user has chosen; None is "not read".

    Attributes:
        widget: to place in a layout.
    """

    def __init__(self, field: Field, changed: Callable[[str, int | None], None]) -> None:
        self._field, self._changed = field, changed
        self._values: list[int | None] = [None, *field.grades]
        self.widget = qt.QFrame()
        self.widget.objectName = f"field_{field.name}"
        self.widget.toolTip = field.tip
        box = qt.QHBoxLayout(self.widget)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        self._buttons = {value: self._button(value) for value in self._values}
        for button in self._buttons.values():
            box.addWidget(button)
        self._shortcuts = self._make_shortcuts()
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
        button.toolTip = f"{self._field.title}\n{self._field.told(value)}"
        button.accessibleName = f"{self._field.title}: {self._field.told(value)}"
        button.connect("clicked(bool)", lambda _checked, value=value: self._choose(value))
        return button

    def _choose(self, value: int | None) -> None:
        had_focus = any(button.hasFocus() for button in self._buttons.values())
        self.show(value)
        if had_focus:
            self._buttons[value].setFocus()
        self._changed(self._field.name, value)

    def _step(self, by: int) -> None:
        current = next(i for i, v in enumerate(self._values) if self._buttons[v].checked)
        self._choose(self._values[min(max(current + by, 0), len(self._values) - 1)])

    def _make_shortcuts(self) -> list[qt.QShortcut]:
        made = [self._shortcut(str(g), lambda g=g: self._choose(g)) for g in self._field.grades]
        made += [
            self._shortcut(key, lambda: self._choose(None)) for key in ("Del", "Backspace", "-")
        ]
        made += [self._shortcut("Left", lambda: self._step(-1))]
        return [*made, self._shortcut("Right", lambda: self._step(1))]

    def _shortcut(self, key: str, act: Callable[[], None]) -> qt.QShortcut:
        shortcut = qt.QShortcut(qt.QKeySequence(key), self.widget)
        shortcut.setContext(qt.Qt.WidgetWithChildrenShortcut)
        shortcut.connect("activated()", act)
        return shortcut
