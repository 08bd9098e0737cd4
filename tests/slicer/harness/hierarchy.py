"""The subject hierarchy: every node that a user would see there has its item, while it is there.

In Slicer a Qt plugin does this, so the wheel lacks it.
"""

from __future__ import annotations

from typing import Any

import slicer
import vtk

SHOWN = ("vtkMRMLVolumeNode", "vtkMRMLModelNode", "vtkMRMLMarkupsNode", "vtkMRMLTableNode")


class HierarchyKeeper:
    """Adds items for nodes as they come into the scene."""

    def __init__(self) -> None:
        scene = slicer.mrmlScene
        scene.AddObserver(scene.NodeAddedEvent, self._on_added)
        scene.AddObserver(scene.NodeAboutToBeRemovedEvent, self._on_removed)
        scene.AddObserver(scene.EndImportEvent, self._on_imported)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_added(self, scene: Any, _event: str, node: Any) -> None:
        if not scene.IsImporting():  # the file brings the items with it
            self._add(node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_removed(self, scene: Any, _event: str, node: Any) -> None:
        hierarchy = scene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode")
        item = hierarchy.GetItemByDataNode(node) if hierarchy is not None else 0
        if item:
            hierarchy.RemoveItem(item, False, False)

    def _on_imported(self, scene: Any, _event: str) -> None:
        for index in range(scene.GetNumberOfNodes()):
            self._add(scene.GetNthNode(index))

    def _add(self, node: Any) -> None:
        if node.GetHideFromEditors() or not any(node.IsA(kind) for kind in SHOWN):
            return
        hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
        if hierarchy is not None and not hierarchy.GetItemByDataNode(node):
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
