"""Widgets that show nodes of the scene: `slicer.qMRML...`."""

from __future__ import annotations

from typing import Any, ClassVar

import ctk
import qt
import slicer
from PySide6.QtCore import Property, Signal
from shiboken6 import isValid

from .pythonqt import plain

CHANGED = ("NodeAddedEvent", "NodeRemovedEvent", "EndCloseEvent", "EndImportEvent")


class qMRMLWidget(qt.QWidget):
    """A panel that tells its children of the scene."""

    mrmlSceneChanged = Signal(object)
    SIGNATURES: ClassVar[dict] = {"mrmlSceneChanged": ("mrmlSceneChanged(vtkMRMLScene*)",)}

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._h_scene = None

    def mrmlScene(self) -> Any:
        return self._h_scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is not self._h_scene:
            self._h_scene = scene
            self.mrmlSceneChanged.emit(scene)


def _flag(name: str, kind: Any) -> Property:
    """A property of the combo box that decides what it lists."""

    def get(self: Any) -> Any:
        return self._h_flags[name]

    def put(self: Any, value: Any) -> None:
        self._h_flags[name] = list(value) if kind == "QStringList" else value
        self._refresh()

    return Property(kind, get, put)


def _setter(name: str) -> Any:
    return lambda self, value: self.setProperty(name, value)


FLAGS = {"nodeTypes": "QStringList", "hideChildNodeTypes": "QStringList", "noneDisplay": str}
FLAGS |= {"baseName": str, "interactionNodeSingletonTag": str}
FLAGS |= dict.fromkeys(("noneEnabled", "addEnabled", "removeEnabled", "renameEnabled"), bool)
FLAGS |= dict.fromkeys(("editEnabled", "showHidden", "showChildNodeTypes"), bool)
FLAGS |= {"selectNodeUponCreation": bool}


class qMRMLNodeComboBox(qt.QWidget):
    """Chooses one of the nodes of some classes."""

    currentNodeChanged = Signal(object)
    currentNodeIDChanged = Signal(str)
    nodeActivated = Signal(object)
    nodeAddedByUser = Signal(object)
    nodeAboutToBeRemoved = Signal(object)
    SIGNATURES: ClassVar[dict] = {
        "currentNodeChanged": ("currentNodeChanged(vtkMRMLNode*)",),
        "nodeActivated": ("nodeActivated(vtkMRMLNode*)",),
        "nodeAddedByUser": ("nodeAddedByUser(vtkMRMLNode*)",),
        "nodeAboutToBeRemoved": ("nodeAboutToBeRemoved(vtkMRMLNode*)",),
    }

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._h_scene, self._h_tags, self._h_node_tags = None, [], {}
        self._h_id, self._h_attributes = "", []
        self._h_flags: dict[str, Any] = {
            "nodeTypes": ["vtkMRMLNode"],
            "hideChildNodeTypes": [],
            "noneEnabled": False,
            "noneDisplay": "None",
            "addEnabled": True,
            "removeEnabled": True,
            "renameEnabled": False,
            "editEnabled": False,
            "showHidden": False,
            "showChildNodeTypes": True,
            "selectNodeUponCreation": True,
            "baseName": "",
            "interactionNodeSingletonTag": "",
        }
        self._h_combo = qt.QComboBox()
        row = qt.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._h_combo)
        self._h_combo.activated.connect(self._chosen)
        self.setFocusProxy(self._h_combo)

    # --- the scene ------------------------------------------------------------------------------

    def mrmlScene(self) -> Any:
        return self._h_scene

    def setMRMLScene(self, scene: Any) -> None:
        if self._h_scene is scene:
            return
        self._unobserve()
        self._h_scene = scene
        if scene is not None:
            for event in CHANGED:
                number = getattr(slicer.vtkMRMLScene, event)
                self._h_tags.append(scene.AddObserver(number, self._refresh))
        self._refresh()

    def _unobserve(self) -> None:
        for tag in self._h_tags:
            self._h_scene.RemoveObserver(tag)
        for node, tag in self._h_node_tags.values():
            node.RemoveObserver(tag)
        self._h_tags, self._h_node_tags = [], {}

    def nodes(self) -> list[Any]:
        """The nodes that can be chosen."""
        scene = self._h_scene
        if scene is None:
            return []
        count = scene.GetNumberOfNodes()
        return [node for node in map(scene.GetNthNode, range(count)) if self._fits(node)]

    def nodeCount(self) -> int:
        return len(self.nodes())

    def addAttribute(self, node_type: str, name: str, value: Any = None) -> None:
        self._h_attributes.append((node_type, name, value))
        self._refresh()

    def removeAttribute(self, node_type: str, name: str) -> None:
        self._h_attributes = [a for a in self._h_attributes if a[:2] != (node_type, name)]
        self._refresh()

    def _fits(self, node: Any) -> bool:
        flags = self._h_flags
        if node.GetHideFromEditors() and not flags["showHidden"]:
            return False
        if flags["showChildNodeTypes"]:
            if not any(node.IsA(kind) for kind in flags["nodeTypes"]):
                return False
        elif node.GetClassName() not in flags["nodeTypes"]:
            return False
        if any(node.IsA(kind) for kind in flags["hideChildNodeTypes"]):
            return False
        for kind, name, value in self._h_attributes:
            if node.IsA(kind):
                found = node.GetAttribute(name)
                if found is None or (value is not None and found != str(value)):
                    return False
        return True

    def _refresh(self, *_: Any) -> None:
        """Bring the list up to date with the scene."""
        if not isValid(self):  # Qt has deleted the widget: then Slicer's observes no more
            return self._unobserve()
        nodes = self.nodes()
        for node, tag in self._h_node_tags.values():
            node.RemoveObserver(tag)
        self._h_node_tags = {
            n.GetID(): (n, n.AddObserver("ModifiedEvent", self._renamed)) for n in nodes
        }
        blocked = self._h_combo.blockSignals(True)
        self._h_combo.clear()
        if self._h_flags["noneEnabled"]:
            self._h_combo.addItem(self._h_flags["noneDisplay"], "")
        for node in nodes:
            self._h_combo.addItem(node.GetName() or "", node.GetID())
        wanted = self._h_id if self._h_id in self._h_node_tags else ""
        if not wanted and nodes and not self._h_flags["noneEnabled"]:
            wanted = nodes[0].GetID()
        self._h_combo.setCurrentIndex(self._h_combo.findData(wanted))
        self._h_combo.blockSignals(blocked)
        self._select(wanted)

    def _renamed(self, *_: Any) -> None:
        if not isValid(self):
            return self._unobserve()
        for index in range(self._h_combo.count):
            entry = self._h_node_tags.get(self._h_combo.itemData(index))
            if entry is not None and self._h_combo.itemText(index) != entry[0].GetName():
                self._h_combo.setItemText(index, entry[0].GetName() or "")

    # --- the choice -----------------------------------------------------------------------------

    def currentNode(self) -> Any:
        return self._h_scene.GetNodeByID(self._h_id) if self._h_scene and self._h_id else None

    def setCurrentNode(self, node: Any) -> None:
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    def setCurrentNodeID(self, node_id: str | None) -> None:
        node_id = node_id or ""
        if node_id and node_id not in self._h_node_tags:
            self._refresh()  # it may have got the attribute that is asked for since it was added
            node_id = node_id if node_id in self._h_node_tags else ""
        self._h_combo.setCurrentIndex(self._h_combo.findData(node_id))
        self._select(node_id)

    def addNode(self, class_name: str | None = None) -> Any:
        """What "Create new ..." does."""
        name = self._h_flags["baseName"] or "Node"
        kind = class_name or self._h_flags["nodeTypes"][0]
        node = self._h_scene.AddNewNodeByClass(kind, self._h_scene.GenerateUniqueName(name))
        self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self) -> None:
        node = self.currentNode()
        if node is not None:
            self.nodeAboutToBeRemoved.emit(node)
            self._h_scene.RemoveNode(node)

    def _chosen(self, index: int) -> None:
        self._select(self._h_combo.itemData(index) or "")
        self.nodeActivated.emit(self.currentNode())

    def _select(self, node_id: str) -> None:
        if node_id == self._h_id:
            return
        self._h_id = node_id
        self.currentNodeChanged.emit(self.currentNode())
        self.currentNodeIDChanged.emit(node_id)

    currentNodeID = Property(str, lambda self: self._h_id, setCurrentNodeID)
    for _name, _kind in FLAGS.items():
        vars()[_name] = _flag(_name, _kind)
        vars()[f"set{_name[0].upper()}{_name[1:]}"] = _setter(_name)


class qMRMLTableView(qt.QTableView):
    """Shows a table node."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._h_node, self._h_tag = None, None

    def setMRMLScene(self, scene: Any) -> None:
        pass

    def mrmlTableNode(self) -> Any:
        return self._h_node

    def setMRMLTableNode(self, node: Any) -> None:
        if self._h_node is not None:
            self._h_node.RemoveObserver(self._h_tag)
        self._h_node = node
        if node is not None:
            self._h_tag = node.AddObserver("ModifiedEvent", self._show)
        self._show()

    def _show(self, *_: Any) -> None:
        if not isValid(self):
            return
        model = qt.QStandardItemModel(self)
        node = self._h_node
        if node is not None:
            for column in range(node.GetNumberOfColumns()):
                model.setHorizontalHeaderItem(column, qt.QStandardItem(node.GetColumnName(column)))
                for row in range(node.GetNumberOfRows()):
                    text = node.GetCellText(row, column)
                    model.setItem(row, column, qt.QStandardItem(text))
        self.setModel(model)


class qMRMLSliderWidget(ctk.ctkSliderWidget):
    def setMRMLScene(self, scene: Any) -> None:
        pass


def install() -> None:
    """Put the widgets into `slicer`."""
    for kind in (qMRMLWidget, qMRMLNodeComboBox, qMRMLTableView, qMRMLSliderWidget):
        setattr(slicer, kind.__name__, plain(kind))
