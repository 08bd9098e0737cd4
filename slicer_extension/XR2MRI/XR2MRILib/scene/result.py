"""Generated volumes as nodes: made beside their radiograph, filled as slices come, described."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import slicer

from ..volume import Volume
from . import attributes
from .picture import ijk_to_ras


def add_volume(
    name: str, kind: str, volume: Volume, beside: slicer.vtkMRMLNode | None
) -> slicer.vtkMRMLScalarVolumeNode:
    """A scalar volume node of generated anatomy, in the subject hierarchy next to another node.

    Args:
        name: made unique.
        kind: see `attributes.KIND`.
        volume: voxels and their place.
        beside: node whose parent it gets.
    """
    node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScalarVolumeNode")
    node.UnRegister(None)
    node.SetName(slicer.mrmlScene.GenerateUniqueName(name))
    node.SetAttribute(attributes.SYNTHETIC, "1")  # before it is added: selectors look then
    node.SetAttribute(attributes.KIND, kind)
    node = slicer.mrmlScene.AddNode(node)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(volume.affine))
    slicer.util.updateVolumeFromArray(node, volume.array.T)
    node.CreateDefaultDisplayNodes()
    if beside is not None:
        _put_beside(node, beside)
    return node


def fill(node: slicer.vtkMRMLScalarVolumeNode, volume: Volume, start: int, stop: int) -> None:
    """Copy the coronal slices `start` to `stop` of a volume into its node: no more than came."""
    target = slicer.util.arrayFromVolume(node)
    target[:, start:stop, :] = volume.array[:, start:stop, :].T
    slicer.util.arrayFromVolumeModified(node)


def describe(
    node: slicer.vtkMRMLScalarVolumeNode,
    record: Mapping[str, Any],
    radiograph: slicer.vtkMRMLNode | None,
    **more: str,
) -> None:
    """Write on a node what it was made from.

    Args:
        node: of a volume that shows generated anatomy.
        record: of the server.
        radiograph: that it was made from, if it is still there.
        more: further attributes, by their name in `attributes`.
    """
    node.SetAttribute(attributes.NOTICE, str(record.get("notice", "")))
    node.SetAttribute(attributes.RECORD, json.dumps(record))
    for name, text in more.items():
        node.SetAttribute(getattr(attributes, name), text)
    if radiograph is not None:
        node.SetNodeReferenceID(attributes.RADIOGRAPH, radiograph.GetID())


def volume_of(node: slicer.vtkMRMLScalarVolumeNode) -> Volume:
    """The voxels of a node, not copied, and where they lie."""
    return Volume(slicer.util.arrayFromVolume(node).T, ijk_to_ras(node))


def same_grid(a: slicer.vtkMRMLScalarVolumeNode, b: slicer.vtkMRMLScalarVolumeNode) -> bool:
    """Whether two volumes can be subtracted voxel by voxel."""
    same_size = a.GetImageData().GetDimensions() == b.GetImageData().GetDimensions()
    return same_size and np.allclose(ijk_to_ras(a), ijk_to_ras(b), atol=1e-3)


def _put_beside(node: slicer.vtkMRMLNode, other: slicer.vtkMRMLNode) -> None:
    """The same parent in the subject hierarchy: the study of a radiograph from DICOM."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    if hierarchy is None:
        return
    parent = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(other))
    if parent:
        item = hierarchy.GetItemByDataNode(node)
        if item:
            hierarchy.SetItemParent(item, parent)
        else:  # nobody has made one, as without the application
            hierarchy.CreateItem(parent, node)
