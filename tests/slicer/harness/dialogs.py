"""Modal dialogs: a test answers them before they come up; one that nobody answers is an error.

dialogs.answer(qt.QMessageBox.Yes)              the button that is clicked
dialogs.answer("/tmp/form.json")                the file that is chosen
dialogs.answer(lambda dialog: dialog.accept())  anything else
dialogs.shown                                   the texts that came up
"""

from __future__ import annotations

from typing import Any

from PySide6 import QtWidgets

shown: list[str] = []
_answers: list[Any] = []


class Unanswered(AssertionError):
    """A modal dialog came up that no test expected: in Slicer it would wait for a user."""


def answer(value: Any) -> None:
    """What the next dialog gets."""
    _answers.append(value)


def reset() -> list[Any]:
    """Forget what was shown; returns the answers that nobody asked for."""
    left = list(_answers)
    _answers.clear()
    shown.clear()
    return left


def _next(text: str) -> Any:
    shown.append(text)
    if not _answers:
        raise Unanswered(text)
    return _answers.pop(0)


def exec_dialog(dialog: Any) -> int:
    """`exec_()` of any dialog."""
    is_box = isinstance(dialog, QtWidgets.QMessageBox)
    given = _next(dialog.text if is_box else dialog.windowTitle or dialog.className())
    if not callable(given) or isinstance(given, QtWidgets.QMessageBox.StandardButton):
        return int(given)
    result = given(dialog)
    return int(dialog.result() if result is None else result)


class FileDialog:
    """The static functions, which PythonQt lets return a name alone."""

    @staticmethod
    def _ask(*arguments: Any) -> Any:
        return _next(" ".join(str(a) for a in arguments[1:2]) or "file dialog")

    getOpenFileName = getSaveFileName = getExistingDirectory = getOpenFileNames = _ask


class InputDialog:
    @staticmethod
    def _ask(*arguments: Any) -> Any:
        return _next(" ".join(str(a) for a in arguments[1:3]))

    getText = getMultiLineText = getItem = getInt = getDouble = _ask


class MessageBox:
    @staticmethod
    def _ask(*arguments: Any) -> Any:
        return _next(" ".join(str(a) for a in arguments[1:3]))

    question = information = warning = critical = _ask
