"""What the header of a .nrrd file tells of a radiograph, as attributes of its node.

Keys of the header (`XR2MRI.Laterality:=R`) bring the side and the features along with a picture.
Slicer makes attributes of them for RGB pictures only; for grey ones this does, as soon as the node
knows its file, whoever loads it: Sample Data, a script, or a file that is dropped onto Slicer.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import slicer
import vtk
from slicer.util import VTKObservationMixin

from . import attributes

_KEYS = (attributes.LATERALITY, attributes.FEATURES)
_ENDINGS = (".nrrd", ".nhdr")
_LONGEST_HEADER = 1 << 16
_ROLE = "XR2MRIFileKeys"


def start() -> None:
    """Watch the scene from now on, once an application."""
    running = getattr(slicer.modules, _ROLE, None)
    if running is not None:
        running.removeObservers()  # of a module that has been reloaded
    setattr(slicer.modules, _ROLE, _Watch())


def read(path: Path) -> dict[str, str]:
    """The keys of this module in the header of a file; empty where there are none."""
    if path.suffix.lower() not in _ENDINGS:
        return {}
    try:
        with path.open("rb") as file:
            start = file.read(_LONGEST_HEADER)
    except OSError:
        return {}
    header = start.replace(b"\r\n", b"\n").partition(b"\n\n")[0].decode("utf-8", "replace")
    if not header.startswith("NRRD"):
        return {}
    pairs = (line.partition(":=") for line in header.split("\n"))
    return {key: value for key, _between, value in pairs if key in _KEYS and _valid(key, value)}


def take(node: slicer.vtkMRMLVolumeNode) -> None:
    """Give a node the keys of its file, those that it has not got yet."""
    storage = node.GetStorageNode()
    path = storage.GetFileName() if storage is not None else None
    for key, value in (read(Path(path)) if path else {}).items():
        if not attributes.kept(node, key):
            node.SetAttribute(key, value)


def _valid(key: str, value: str) -> bool:
    if key == attributes.LATERALITY:
        return value in ("R", "L")
    with suppress(ValueError, RecursionError):
        return isinstance(json.loads(value), dict)
    return False


class _Watch(VTKObservationMixin):
    """Takes the keys of every volume whose file is known only after it has entered the scene, as
    that of all that is read is; a scene brings the attributes itself."""

    def __init__(self) -> None:
        VTKObservationMixin.__init__(self)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.NodeAddedEvent, self._on_added)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_added(self, _scene, _event, node: slicer.vtkMRMLNode) -> None:
        if node.IsA("vtkMRMLScalarVolumeNode") and node.GetStorageNode() is None:
            _take_once(node)


def _take_once(node: slicer.vtkMRMLNode) -> None:
    """Take the keys when the node gets its file. Nothing here holds the node: volumes come and
    go without ever having a file, and their memory must go with them."""
    tags: list[int] = []

    def referenced(caller: slicer.vtkMRMLVolumeNode, _event: str) -> None:
        if caller.GetStorageNode() is not None and tags:  # asking may tell once more
            caller.RemoveObserver(tags.pop())
            take(caller)

    tags.append(node.AddObserver(node.ReferenceAddedEvent, referenced))
