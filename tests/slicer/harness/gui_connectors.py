"""Which widget can show which type, and how. As in Slicer, anything else is an error at binding:
a QPlainTextEdit, a plain QGroupBox or a class derived from one of these cannot be bound."""

from __future__ import annotations

import enum
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from .validators import Choice, Decimals, Maximum, Minimum, SingleStep, WithinRange


class Connector:
    """A widget and the parameter that it shows."""

    SIGNAL = ""

    def __init__(self, widget: Any, parameter: Any) -> None:
        self.widget, self.parameter, self._callback = widget, parameter, None

    def connect(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        if self.SIGNAL:
            getattr(self.widget, self.SIGNAL).connect(callback)

    def disconnect(self) -> None:
        if self.SIGNAL and self._callback is not None:
            getattr(self.widget, self.SIGNAL).disconnect(self._callback)
        self._callback = None

    def read(self) -> Any:
        raise NotImplementedError

    def write(self, value: Any) -> None:
        raise NotImplementedError

    def _annotation(self, kind: type) -> Any:
        return next((a for a in self.parameter.annotations if isinstance(a, kind)), None)


class Checked(Connector):
    SIGNAL = "toggled"

    def read(self) -> bool:
        return self.widget.checked

    def write(self, value: bool) -> None:
        self.widget.checked = value


class Number(Connector):
    SIGNAL = "valueChanged"
    LOWEST, HIGHEST = -(2**31), 2**31 - 1

    def __init__(self, widget: Any, parameter: Any) -> None:
        super().__init__(widget, parameter)
        bounds = self._annotation(WithinRange)
        low, high = self._annotation(Minimum), self._annotation(Maximum)
        decimals, step = self._annotation(Decimals), self._annotation(SingleStep)
        whole = parameter.kind is int
        if widget.className() in ("QDoubleSpinBox", "ctkSliderWidget") and whole:
            widget.decimals = 0
        elif decimals is not None:
            widget.decimals = decimals.value
        if step is not None:
            widget.singleStep = step.value
        is_slider = "Slider" in widget.className()
        if is_slider and bounds is None and (low is None or high is None):
            raise RuntimeError(f"a slider needs bounds: {parameter.name}")
        if bounds is not None:
            widget.setRange(bounds.minimum, bounds.maximum)
        else:
            widget.setMinimum(self.LOWEST if low is None else low.minimum)
            widget.setMaximum(self.HIGHEST if high is None else high.maximum)

    def read(self) -> float:
        value = self.widget.value
        return int(value) if self.parameter.kind is int else value

    def write(self, value: float) -> None:
        self.widget.value = value


class Chosen(Connector):
    """One of the choices of an annotation, or of an enum."""

    SIGNAL = "currentIndexChanged"

    def __init__(self, widget: Any, parameter: Any) -> None:
        super().__init__(widget, parameter)
        kind = parameter.kind
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            self.values = list(kind)
            label = getattr(kind, "label", lambda entry: entry.name)
        else:
            choice = self._annotation(Choice)
            if choice is None:
                raise RuntimeError(f"a combo box needs the annotation Choice: {parameter.name}")
            self.values, label = list(choice.choices), str
        widget.clear()
        for value in self.values:
            widget.addItem(label(value))

    def read(self) -> Any:
        return self.values[self.widget.currentIndex]

    def write(self, value: Any) -> None:
        self.widget.currentIndex = self.values.index(value)


class Line(Connector):
    SIGNAL = "textChanged"

    def read(self) -> str:
        return self.widget.text

    def write(self, value: str) -> None:
        if value != self.widget.text:
            self.widget.text = value


class Label(Line):
    SIGNAL = ""


class Text(Connector):
    SIGNAL = "textChanged"

    def read(self) -> str:
        return self.widget.toPlainText()

    def write(self, value: str) -> None:
        self.widget.setPlainText(value)


class PathLine(Connector):
    SIGNAL = "currentPathChanged"

    def read(self) -> Any:
        return self.parameter.kind(self.widget.currentPath)

    def write(self, value: Any) -> None:
        self.widget.currentPath = str(value)


class Node(Connector):
    """Slicer makes the type of the parameter the one that is listed, and needs an instance of it
    to know its name: an abstract class such as vtkMRMLVolumeNode is an error."""

    SIGNAL = "currentNodeChanged"

    def __init__(self, widget: Any, parameter: Any) -> None:
        super().__init__(widget, parameter)
        widget.nodeTypes = [kind().GetClassName() for kind in parameter.node_kinds]

    def read(self) -> Any:
        return self.widget.currentNode()

    def write(self, value: Any) -> None:
        self.widget.setCurrentNode(value)


KINDS: list[tuple[tuple[str, ...], Callable[[Any], bool], type[Connector]]] = [
    (("QCheckBox", "ctkCheckBox", "QPushButton"), lambda k: k is bool, Checked),
    (("QSlider", "QSpinBox"), lambda k: k is int, Number),
    (
        ("QDoubleSpinBox", "ctkSliderWidget", "qMRMLSliderWidget", "ctkDoubleSpinBox"),
        lambda k: k in (int, float),
        Number,
    ),
    (
        ("QComboBox", "ctkComboBox"),
        lambda k: k in (int, float, str, bool) or issubclass(k, enum.Enum),
        Chosen,
    ),
    (("QLineEdit",), lambda k: k is str, Line),
    (("QLabel",), lambda k: k is str, Label),
    (("QTextEdit",), lambda k: k is str, Text),
    (("ctkPathLineEdit",), lambda k: issubclass(k, PurePath), PathLine),
]


def connector_for(widget: Any, parameter: Any) -> Connector:
    """What binds this widget to this parameter; raises RuntimeError."""
    name = widget.className()
    if name == "qMRMLNodeComboBox" and parameter.is_node:
        return Node(widget, parameter)
    for names, fits, kind in KINDS:
        if name in names and isinstance(parameter.kind, type) and fits(parameter.kind):
            return kind(widget, parameter)
    raise RuntimeError(f"a {name} cannot be bound to {parameter.name}: {parameter.hint}")
