"""`slicer.app.layoutManager()`: views after the layout node's description."""

from __future__ import annotations

import xml.etree.ElementTree as xml
from typing import Any

import qt
import slicer
import vtk
from PySide6.QtCore import Property, Signal

from .own_time import slicers_own
from .views import make_widget


class LayoutManager(qt.QObject):
    """Makes the views of a layout, and keeps them for the next.

    Attributes:
        area: the widget that holds the views.
    """

    layoutChanged = Signal(int)

    def __init__(self, logic: Any) -> None:
        super().__init__()
        self._logic = logic
        self._slices: dict[str, Any] = {}
        self._threed: dict[str, Any] = {}
        self._tables: dict[str, Any] = {}
        self._shown: set[str] = set()
        self.area = qt.QWidget()
        self._box = qt.QVBoxLayout(self.area)
        self._box.setContentsMargins(0, 0, 0, 0)
        self._built = None
        self._layouts = slicer.vtkMRMLLayoutLogic()
        self._layouts.SetMRMLScene(slicer.mrmlScene)
        self._node = self._layouts.GetLayoutNode()
        self._node.AddObserver("ModifiedEvent", self._arrange)
        self._node.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
        self._arrange()

    # --- as in Slicer ---------------------------------------------------------------------------

    def layoutLogic(self) -> Any:
        return self._layouts

    def setLayout(self, layout: int) -> None:
        if layout != self.layout:
            self._node.SetViewArrangement(layout)

    layout = Property(int, lambda self: self._node.GetViewArrangement(), setLayout)

    def sliceViewNames(self) -> tuple[str, ...]:
        return tuple(self._slices)

    def sliceWidget(self, name: str) -> Any:
        return self._slices.get(name)

    def threeDWidget(self, which: int | str) -> Any:
        if isinstance(which, str):
            return self._threed.get(which)
        widgets = list(self._threed.values())
        return widgets[which] if which < len(widgets) else None

    def tableWidget(self, which: int) -> Any:
        return None

    threeDViewCount = Property(int, lambda self: len(self._threed))
    tableViewCount = Property(int, lambda self: 0)
    plotViewCount = Property(int, lambda self: 0)

    def mrmlSliceLogics(self) -> Any:
        logics = vtk.vtkCollection()
        for widget in self._slices.values():
            logics.AddItem(widget.sliceLogic())
        return logics

    def resetSliceViews(self) -> None:
        for widget in self._slices.values():
            widget.fitSliceToBackground()

    def resetThreeDViews(self) -> None:
        for widget in self._threed.values():
            widget.threeDView().resetFocalPoint()
            widget.threeDView().resetCamera()

    def viewport(self) -> Any:
        return self.area

    # --- of the harness -------------------------------------------------------------------------

    def shown(self) -> list[Any]:
        """The widgets of the views that the layout shows, by their place in it."""
        every = {**self._slices, **self._threed}
        return [widget for name, widget in every.items() if name in self._shown]

    def finish(self) -> None:
        for widget in (*self._slices.values(), *self._threed.values()):
            widget.view.finish()

    @slicers_own
    def _arrange(self, *_: Any) -> None:
        description = self._node.GetCurrentLayoutDescription()
        if not description or description == self._built:
            return
        self._built = description
        for widget in self._all():
            widget.setParent(None)
        while self._box.count():
            self._box.takeAt(0).widget().deleteLater()
        self._shown = set()
        self._box.addWidget(self._build(xml.fromstring(description)))
        for widget in self._all():
            widget.setVisible(widget.view_name in self._shown)
            widget.view.mrmlViewNode().SetMappedInLayout(widget.view_name in self._shown)
        self.layoutChanged.emit(self._node.GetViewArrangement())

    def _all(self) -> list[Any]:
        return [*self._slices.values(), *self._threed.values()]

    def _build(self, element: xml.Element) -> Any:
        """The widget of a `layout` or `view` element."""
        if element.tag == "view":
            return self._view(element)
        kind = element.get("type", "horizontal")
        if kind == "grid":
            box = qt.QWidget()
            grid = qt.QGridLayout(box)
            grid.setContentsMargins(0, 0, 0, 0)
            for item in element.findall("item"):
                place = (int(item.get(key, 0)) for key in ("row", "column"))
                grid.addWidget(self._build(item[0]), *place)
            return box
        splitter = qt.QSplitter(qt.Qt.Vertical if kind == "vertical" else qt.Qt.Horizontal)
        for item in element.findall("item"):
            splitter.addWidget(self._build(item[0]))
        splitter.setSizes([1000] * splitter.count())
        return splitter

    def _view(self, element: xml.Element) -> Any:
        kind, name = element.get("class", ""), element.get("singletontag", "")
        group = {"vtkMRMLSliceNode": self._slices, "vtkMRMLViewNode": self._threed}.get(kind)
        if group is None:
            return qt.QLabel(f"{kind} {name}")
        if name not in group:
            node = slicer.mrmlScene.GetSingletonNode(name, kind)
            if node is None:
                raise LookupError(f"the layout logic made no node for view {name}")
            _describe(node, {p.get("name"): p.text for p in element.findall("property")})
            node.SetInteractionNode(self._logic.GetInteractionNode())
            group[name] = make_widget(node, self._logic)
        self._shown.add(name)
        return group[name]


def _describe(node: Any, given: dict[str | None, str | None]) -> None:
    """Give a view node the properties that its layout states."""
    if given.get("orientation") and node.IsA("vtkMRMLSliceNode"):
        node.SetOrientation(given["orientation"])
    if given.get("viewlabel"):
        node.SetLayoutLabel(given["viewlabel"])
    if given.get("viewcolor"):
        node.SetLayoutColor(*qt.QColor(given["viewcolor"]).getRgbF()[:3])
