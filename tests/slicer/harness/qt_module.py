"""The module `qt`: Qt's classes as PythonQt shows them, made when they are asked for."""

from __future__ import annotations

import types
import xml.etree.ElementTree as xml
from typing import Any

from PySide6 import QtCore, QtGui, QtNetwork, QtUiTools, QtWidgets

from .dialogs import FileDialog, InputDialog, MessageBox, exec_dialog
from .pythonqt import PythonQt, loading, plain, trimmed

LIBRARIES = (QtCore, QtGui, QtWidgets, QtUiTools, QtNetwork)
ABSENT = ("Signal", "Slot", "Property", "SIGNAL", "SLOT", "QtCore", "QtGui", "QtWidgets")
"""Of PySide6 or PyQt, not of PythonQt."""


class Qt(types.ModuleType):
    """`import qt`."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in ABSENT:
            raise AttributeError(f"PythonQt has no qt.{name}")
        for library in LIBRARIES:
            found = getattr(library, name, None)
            if found is not None:
                value = _as_pythonqt(name, found)
                setattr(self, name, value)
                return value
        raise AttributeError(f"module 'qt' has no attribute {name!r}")


def _as_pythonqt(name: str, found: Any) -> Any:
    if not (isinstance(found, type) and issubclass(found, QtCore.QObject)):
        return found
    extra: dict[str, Any] = {}
    if issubclass(found, QtWidgets.QDialog):
        extra = {"exec_": exec_dialog, "exec": exec_dialog}
    mixins = MIXINS.get(name, ())
    return plain(type(found)(name, (*mixins, PythonQt, found), extra))


class _Timer:
    @staticmethod
    def singleShot(milliseconds: int, callback: Any) -> None:
        QtCore.QTimer.singleShot(int(milliseconds), trimmed(callback))


class UiLoader(PythonQt, QtUiTools.QUiLoader):
    """Makes the widgets of a `.ui` file, those of CTK and Slicer too."""

    def createWidget(self, class_name: str, parent: Any = None, name: str = "") -> Any:
        import ctk
        import qt
        import slicer

        for module in (ctk, slicer, qt):
            kind = getattr(module, class_name, None)
            if kind is not None and issubclass(kind, QtWidgets.QWidget):
                widget = kind(parent) if parent is not None else kind()
                widget.setObjectName(name)
                return widget
        raise LookupError(f"the harness has no widget {class_name}: add it to ctk or qMRML")

    def createLayout(self, class_name: str, parent: Any = None, name: str = "") -> Any:
        import qt

        kind = getattr(qt, class_name)
        free = isinstance(parent, QtWidgets.QWidget) and parent.layout() is None
        layout = kind(parent) if free else kind()
        layout.setObjectName(name)
        return layout

    def load(self, file: QtCore.QIODevice, parent: Any = None) -> Any:
        form = xml.fromstring(bytes(file.readAll().data()))
        carried = _take_scene_connections(form)
        buffer = QtCore.QBuffer()
        buffer.setData(xml.tostring(form))
        loading.append(True)
        try:
            widget = super().load(buffer, parent)
        finally:
            loading.pop()
        if widget is None:
            raise RuntimeError(self.errorString())
        for child in widget.findChildren(QtWidgets.QWidget):
            getattr(child, "watch_children", lambda: None)()  # before anybody shows or hides one
        for sender, signal, receiver, slot in carried:
            _named(widget, sender).connect(signal, _named(widget, receiver), slot)
        return widget


def _take_scene_connections(form: xml.Element) -> list[tuple[str, ...]]:
    """The connections that carry MRML objects, which Qt alone cannot make; they are cut out."""
    taken = []
    for group in form.iter("connections"):
        for element in list(group):
            if "vtkMRML" in element.findtext("signal", ""):
                parts = ("sender", "signal", "receiver", "slot")
                taken.append(tuple(element.findtext(part, "") for part in parts))
                group.remove(element)
    return taken


def _named(root: Any, name: str) -> Any:
    found = root if root.objectName == name else root.findChild(QtCore.QObject, name)
    if found is None:
        raise LookupError(f"a connection of the .ui file names {name}, which is not in it")
    return found


class _ComboBox:
    def lineEdit(self) -> Any:
        """The line of an editable box, as PythonQt shows it."""
        import qt

        line = QtWidgets.QComboBox.lineEdit(self)
        if line is not None and not isinstance(line, PythonQt):
            text = line.text()
            self.setLineEdit(qt.QLineEdit(self))
            line = QtWidgets.QComboBox.lineEdit(self)
            line.setText(text)
        return line


MIXINS: dict[str, tuple[type, ...]] = {
    "QTimer": (_Timer,),
    "QComboBox": (_ComboBox,),
    "QFileDialog": (FileDialog,),
    "QInputDialog": (InputDialog,),
    "QMessageBox": (MessageBox,),
}


def make() -> Qt:
    module = Qt("qt", __doc__)
    module.QUiLoader = plain(UiLoader)
    module.QString = str
    return module
