"""The module `ctk`: the widgets of CTK that scripted modules use most, with their properties."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import qt
from PySide6.QtCore import Property, QEvent, Qt, QTimer, Signal

from .pythonqt import plain


class ctkCollapsibleButton(qt.QWidget):
    """A heading that folds what is below it away. As CTK's, it knows which of its children were
    hidden by others, and leaves them so."""

    contentsCollapsed = Signal(bool)
    clicked = Signal(bool)
    toggled = Signal(bool)
    HEIGHT = 22

    def __init__(self, *arguments: Any) -> None:
        text = arguments[0] if arguments and isinstance(arguments[0], str) else ""
        super().__init__(*(a for a in arguments if not isinstance(a, str)))
        self._h_text, self._h_collapsed = text, False
        self._h_forcing, self._h_hidden, self._h_watched = False, set(), set()
        self.setContentsMargins(2, self.HEIGHT + 2, 2, 2)

    def _collapse(self, collapsed: bool) -> None:
        changed = collapsed != self._h_collapsed
        if changed and collapsed:
            hidden = (c for c in self.children() if c.isWidgetType() and c.isHidden())
            self._h_hidden = {id(child) for child in hidden}
        self._h_collapsed = collapsed
        for child in self.children():
            if child.isWidgetType():
                self._show(child)
        self.setMaximumHeight(self.HEIGHT if collapsed else 16777215)
        self.updateGeometry()
        if changed:
            self.contentsCollapsed.emit(collapsed)
            self.toggled.emit(not collapsed)

    def _show(self, child: Any) -> None:
        self._h_forcing = True
        child.setVisible(not self._h_collapsed and id(child) not in self._h_hidden)
        self._h_forcing = False

    def childEvent(self, event: Any) -> None:
        child = event.child()
        if event.added() and child.isWidgetType():
            if self._h_collapsed:
                child.setVisible(False)
            QTimer.singleShot(0, self.watch_children)  # it is still being made

    def watch_children(self) -> None:
        """See who is shown and hidden by others from now on."""
        for child in self.children():
            if child.isWidgetType() and id(child) not in self._h_watched:
                self._h_watched.add(id(child))
                child.installEventFilter(self)

    def eventFilter(self, child: Any, event: Any) -> bool:
        kind = event.type()
        if not self._h_forcing and kind in (QEvent.ShowToParent, QEvent.HideToParent):
            if kind == QEvent.HideToParent:
                self._h_hidden.add(id(child))
            else:
                self._h_hidden.discard(id(child))
                if self._h_collapsed:
                    self._show(child)
        return False

    def setCollapsed(self, collapsed: bool) -> None:
        self.setProperty("collapsed", collapsed)

    def setText(self, text: str) -> None:
        self.setProperty("text", text)

    def click(self) -> None:
        self._collapse(not self._h_collapsed)
        self.clicked.emit(not self._h_collapsed)

    def mousePressEvent(self, event: Any) -> None:
        if event.position().y() <= self.HEIGHT:
            self.click()

    def sizeHint(self) -> Any:
        bar = qt.QSize(120, self.HEIGHT)
        return bar if self._h_collapsed else super().sizeHint().expandedTo(bar)

    def minimumSizeHint(self) -> Any:
        bar = qt.QSize(60, self.HEIGHT)
        return bar if self._h_collapsed else super().minimumSizeHint().expandedTo(bar)

    def paintEvent(self, event: Any) -> None:
        painter = qt.QPainter(self)
        bar = qt.QRect(0, 0, self.width, self.HEIGHT)
        painter.fillRect(bar, self.palette.color(qt.QPalette.Button))
        painter.setPen(self.palette.color(qt.QPalette.ButtonText))
        arrow = "\u25b8" if self._h_collapsed else "\u25be"
        inside = bar.adjusted(6, 0, -6, 0)
        text = self._h_text.replace("&&", "&")
        painter.drawText(inside, Qt.AlignVCenter | Qt.AlignLeft, f"{arrow}  {text}")
        painter.end()

    def _get_text(self) -> str:
        return self._h_text

    def _set_text(self, text: str) -> None:
        self._h_text = text
        self.update()

    def _get_collapsed(self) -> bool:
        return self._h_collapsed

    text = Property(str, _get_text, _set_text)
    collapsed = Property(bool, _get_collapsed, _collapse)
    checked = Property(
        bool, lambda self: not self._h_collapsed, lambda self, v: self._collapse(not v)
    )


class ctkCollapsibleGroupBox(qt.QGroupBox):
    """A group box that folds."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.setCheckable(True)
        self.toggled.connect(self._fold)

    def _fold(self, opened: bool) -> None:
        for child in self.children():
            if child.isWidgetType():
                child.setVisible(opened)

    def setCollapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    collapsed = Property(
        bool, lambda self: not self.isChecked(), lambda self, v: self.setChecked(not v)
    )


class ctkSliderWidget(qt.QWidget):
    """A slider and a spin box that show one number."""

    valueChanged = Signal(float)
    valueIsChanging = Signal(float)
    SCALE = 1000

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._h_spin, self._h_slider = qt.QDoubleSpinBox(), qt.QSlider(Qt.Horizontal)
        self._h_spin.setRange(0.0, 99.0)
        self._h_slider.setRange(0, self.SCALE)
        row = qt.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._h_slider)
        row.addWidget(self._h_spin)
        self._h_spin.valueChanged.connect(self._spun)
        self._h_slider.valueChanged.connect(self._slid)

    def _spun(self, value: float) -> None:
        low, high = self._h_spin.minimum, self._h_spin.maximum
        share = (value - low) / (high - low) if high > low else 0.0
        blocked = self._h_slider.blockSignals(True)
        self._h_slider.setValue(round(share * self.SCALE))
        self._h_slider.blockSignals(blocked)
        self.valueChanged.emit(value)

    def _slid(self, position: int) -> None:
        low, high = self._h_spin.minimum, self._h_spin.maximum
        self._h_spin.setValue(low + position / self.SCALE * (high - low))

    def setValue(self, value: float) -> None:
        self._h_spin.setValue(value)

    def setMinimum(self, value: float) -> None:
        self._h_spin.setMinimum(value)

    def setMaximum(self, value: float) -> None:
        self._h_spin.setMaximum(value)

    def setRange(self, low: float, high: float) -> None:
        self._h_spin.setRange(low, high)

    def setDecimals(self, count: int) -> None:
        self._h_spin.setDecimals(count)

    def setSingleStep(self, step: float) -> None:
        self._h_spin.setSingleStep(step)

    def setSuffix(self, text: str) -> None:
        self._h_spin.setSuffix(text)

    value = Property(float, lambda self: self._h_spin.value, setValue)
    minimum = Property(float, lambda self: self._h_spin.minimum, setMinimum)
    maximum = Property(float, lambda self: self._h_spin.maximum, setMaximum)
    decimals = Property(int, lambda self: self._h_spin.decimals, setDecimals)
    singleStep = Property(float, lambda self: self._h_spin.singleStep, setSingleStep)
    suffix = Property(str, lambda self: self._h_spin.suffix, setSuffix)
    pageStep = Property(float, lambda self: self._h_spin.singleStep, lambda self, v: None)
    tracking = Property(bool, lambda self: True, lambda self, v: None)


class ctkPathLineEdit(qt.QWidget):
    """A path, with a button that browses."""

    Dirs, Files = 1, 2
    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._h_edit, self._h_key = qt.QComboBox(), ""
        self._h_filters = self.Dirs | self.Files
        self._h_edit.setEditable(True)
        row = qt.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._h_edit, 1)
        self._h_browse = qt.QPushButton("...")
        row.addWidget(self._h_browse)
        self._h_browse.clicked.connect(self.browse)
        self._h_edit.editTextChanged.connect(self.currentPathChanged.emit)

    def browse(self) -> None:
        ask = qt.QFileDialog.getOpenFileName  # of CTK, where files may be chosen, too
        if not self._h_filters & self.Files:
            ask = qt.QFileDialog.getExistingDirectory
        chosen = ask(self, "Select a file")
        if chosen:
            self.setCurrentPath(chosen)

    def comboBox(self) -> Any:
        return self._h_edit

    def setCurrentPath(self, path: str) -> None:
        self._h_edit.setEditText(str(path))

    def addCurrentPathToHistory(self) -> None:
        path = self._h_edit.currentText
        if path and self._h_edit.findText(path) < 0 and Path(path).exists():
            self._h_edit.insertItem(0, path)

    currentPath = Property(str, lambda self: self._h_edit.currentText, setCurrentPath)
    settingKey = Property(
        str, lambda self: self._h_key, lambda self, key: setattr(self, "_h_key", key)
    )
    filters = Property(
        int, lambda self: self._h_filters, lambda self, v: setattr(self, "_h_filters", v)
    )
    nameFilters = Property("QStringList", lambda self: [], lambda self, v: None)
    showBrowseButton = Property(
        bool, lambda self: True, lambda self, v: self._h_browse.setVisible(v)
    )


class ctkMessageBox(qt.QMessageBox):
    """A message box with "don't show again"."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._h_key, self._h_again = "", False

    def exec_(self) -> int:
        settings = qt.QSettings()
        known = settings.value(self._h_key) if self._h_key else None
        if known not in (None, "", 0, "0"):
            return int(known)
        result = super().exec_()
        if self._h_key and self._h_again:
            settings.setValue(self._h_key, result)
        return result

    exec = exec_
    dontShowAgainSettingsKey = Property(
        str, lambda self: self._h_key, lambda self, key: setattr(self, "_h_key", key)
    )
    dontShowAgain = Property(
        bool, lambda self: self._h_again, lambda self, v: setattr(self, "_h_again", v)
    )
    dontShowAgainVisible = Property(bool, lambda self: True, lambda self, v: None)


class ctkComboBox(qt.QComboBox):
    """A combo box with a text for "nothing chosen"."""

    defaultText = Property(
        str, lambda self: self.placeholderText, lambda self, v: self.setPlaceholderText(v)
    )


class ctkDoubleSpinBox(qt.QDoubleSpinBox):
    pass


class ctkPushButton(qt.QPushButton):
    pass


class ctkCheckBox(qt.QCheckBox):
    pass


class ctkExpandableWidget(qt.QFrame):
    pass


class ctkFittedTextBrowser(qt.QTextBrowser):
    pass


class ctkMenuButton(qt.QPushButton):
    pass


def make() -> types.ModuleType:
    module = types.ModuleType("ctk", __doc__)
    for name, value in list(globals().items()):
        if name.startswith("ctk"):
            setattr(module, name, plain(value))
    return module
