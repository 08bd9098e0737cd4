"""Generated volumes as nodes: made beside their radiograph, filled as slices come, described."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from xr2mri_client.volume import Volume

from ..request import Request
from . import attributes
from .picture import ijk_to_ras


def add_volume(
    name: str, kind: str, volume: Volume, beside: slicer.vtkMRMLNode | None
) -> slicer.vtkMRMLScalarVolumeNode:
    """A scalar volume node of generated anatomy, in the subject hierarchy next to another node.

    Args:
        name: made unique.
        kind: see `attributes.KIND`.
        volume: voxels and their place; the node takes their memory over.
        beside: node whose parent it gets.
    """
    node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScalarVolumeNode")
    node.UnRegister(None)
    node.SetName(slicer.mrmlScene.GenerateUniqueName(name))
    node.SetAttribute(attributes.SYNTHETIC, "1")  # before it is added: selectors look then
    node.SetAttribute(attributes.KIND, kind)
    node = slicer.mrmlScene.AddNode(node)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(volume.affine))
    # before the voxels come: for automatic levels Slicer would look at each of them, here and now
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().AutoWindowLevelOff()
    put(node, volume)
    if beside is not None:
        _put_beside(node, beside)
    return node


def put(node: slicer.vtkMRMLScalarVolumeNode, volume: Volume) -> None:
    """Show these voxels in a node, in the place of those that it has.

    Nothing is copied: VTK gets the memory of the NumPy array, and keeps the array alive.
    """
    voxels = np.asfortranarray(volume.array, np.float32)
    scalars = numpy_to_vtk(voxels.T.reshape(-1), deep=False)
    scalars.SetName("ImageScalars")
    image = vtk.vtkImageData()
    image.SetDimensions(voxels.shape)
    image.GetPointData().SetScalars(scalars)
    node.SetAndObserveImageData(image)


def describe(
    node: slicer.vtkMRMLScalarVolumeNode,
    record: Mapping[str, Any],
    radiograph: slicer.vtkMRMLNode | None,
    request: Request | None = None,
    server: str = "",
) -> None:
    """Write on a node what it was made from; on the volume itself nothing of patient and server.

    Args:
        node: node of a volume that shows generated anatomy.
        record: record of the server.
        radiograph: the radiograph that it was made from, if it is still there.
        request: the request that it is the answer to; None for what was derived from a volume.
        server: its address.
    """
    public = {name: record[name] for name in attributes.PUBLIC if name in record}
    model = public.get("model")
    if isinstance(model, Mapping):  # which weights, and not where the server has them
        public["model"] = {"sha256": model.get("sha256")}
    node.SetAttribute(attributes.NOTICE, str(record.get("notice", "")))
    node.SetAttribute(attributes.RECORD, json.dumps(public))
    attributes.keep(node, attributes.RECORD, json.dumps(record))
    if request is not None:
        node.SetAttribute(attributes.REQUEST, replace(request, demographics={}).to_json())
        attributes.keep(node, attributes.REQUEST, request.to_json())
        attributes.keep(node, attributes.SERVER, server)
    if radiograph is not None:
        node.SetNodeReferenceID(attributes.RADIOGRAPH, radiograph.GetID())


def volume_of(node: slicer.vtkMRMLScalarVolumeNode) -> Volume:
    """The voxels of a node and where they lie. Nothing is copied: the memory stays while the array
    is held, whatever becomes of the node."""
    return Volume(slicer.util.arrayFromVolume(node).T, ijk_to_ras(node))


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
