"""What the parts of the panel have in common."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import qt

from ..logic import XR2MRILogic
from ..parameters import XR2MRIParameterNode
from ..signals import Signal

_COLOURS = {"good": "#2e8b57", "bad": "#c0392b", "attention": "#b9770e", "plain": ""}


class Section:
    """One part of the panel: reacts to its widgets, and shows what there is.

    Args:
        ui: the widgets of the panel by name.
        logic: what does the work.

    Attributes:
        notes: names of labels that tell what has happened in a scene, and go with it: the next may
            be another patient's.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, ui: Any, logic: XR2MRILogic) -> None:
        self.ui, self.logic = ui, logic
        self._node: XR2MRIParameterNode | None = None
        self._heard: list[tuple[Signal, Callable[..., None]]] = []

    @property
    def bound(self) -> bool:
        """Whether there is a parameter node; there is none while the scene is being closed."""
        return self._node is not None

    @property
    def node(self) -> XR2MRIParameterNode:
        """The parameter node, where the section is `bound` to one."""
        assert self._node is not None
        return self._node

    def bind(self, node: XR2MRIParameterNode | None) -> None:
        """Show another parameter node, or none."""
        self._node = node
        if node is None:
            for name in self.notes:
                tell(getattr(self.ui, name), "")

    def listen(self, signal: Signal, listener: Callable[..., None]) -> None:
        """Have a listener called by a signal of the logic until `close`."""
        signal.connect(listener)
        self._heard.append((signal, listener))

    def update(self) -> None:
        """Show the state of the logic and of the parameter node."""

    def close(self) -> None:
        """Hear no more of the logic, whose life may be longer than the widgets'."""
        for signal, listener in self._heard:
            signal.disconnect(listener)
        self._heard = []


def tell(label: qt.QLabel, text: str, kind: str = "plain") -> None:
    """Show a text in a label, hidden when empty.

    Args:
        label: a QLabel.
        text: plain text, and shown as such: it may come from a server.
        kind: `good`, `bad`, `attention` or `plain`, which tells the colour.
    """
    colour = _COLOURS[kind]
    label.textFormat = qt.Qt.PlainText
    label.styleSheet = f"color: {colour};" if colour else ""
    label.text = text
    label.visible = bool(text)


def plain_label(text: str, bold: bool = False) -> qt.QLabel:
    """A label that shows a text as it stands; by itself Qt takes some texts for HTML."""
    label = qt.QLabel()
    label.textFormat = qt.Qt.PlainText
    label.text = text
    if bold:
        label.styleSheet = "font-weight: bold;"
    return label


def plain_tip(text: str) -> str:
    """What a tooltip has to be given to show a text as it stands: it has no plain format."""
    if "<" not in text:
        return text
    return "<qt>" + html.escape(text).replace("\n", "<br>") + "</qt>"


def select_data(combo: qt.QComboBox, value: Any) -> None:
    """Choose the item of a combo box that stands for a value, without telling anybody."""
    blocked = combo.blockSignals(True)
    combo.setCurrentIndex(max(0, combo.findData(value)))
    combo.blockSignals(blocked)


def selected_data(combo: qt.QComboBox) -> Any:
    """What the chosen item of a combo box stands for."""
    return combo.itemData(combo.currentIndex)


def set_items(combo: qt.QComboBox, items: list[tuple[str, Any]]) -> None:
    """Give a combo box these (text, value) pairs and keep what was chosen, if it is still there."""
    wanted = selected_data(combo)
    blocked = combo.blockSignals(True)
    combo.clear()
    for text, value in items:
        combo.addItem(text, value)
    combo.setCurrentIndex(max(0, combo.findData(wanted)) if items else -1)
    combo.blockSignals(blocked)
