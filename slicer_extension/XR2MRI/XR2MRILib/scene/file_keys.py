"""What the header of a file tells of a radiograph or a generated volume, as attributes of its node.

Keys of a .nrrd file (`XR2MRI.Laterality:=R`) bring the side and the features along with a picture,
and that a volume is synthetic, which other files tell in ways of their own (`synthetic_files`).
Slicer makes attributes of keys for RGB pictures only; for grey ones this does, as soon as the node
knows its file, whoever loads it: Sample Data, a script, the DICOM browser, or a file that is
dropped onto Slicer.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import slicer
import vtk
from slicer.util import VTKObservationMixin

from xr2mri_client.synthetic_files import says_synthetic

from . import attributes, dicom_source

_KEYS = (attributes.LATERALITY, attributes.FEATURES, attributes.SYNTHETIC)
_LONGEST_HEADER = 1 << 16
_ROLE = "XR2MRIFileKeys"


def start() -> None:
    """Watch the scene from now on, once an application."""
    running = getattr(slicer.modules, _ROLE, None)
    if running is not None:
        running.removeObservers()  # of a module that has been reloaded
    setattr(slicer.modules, _ROLE, _Watch())


def read(path: Path) -> dict[str, str]:
    """The keys of this module in the header of a file, with that of being synthetic where it says
    so in another way; empty where there are none."""
    try:
        keys = _keys_of(path)
    except OSError:
        return {}
    found = {key: value for key, value in keys.items() if key in _KEYS and _valid(key, value)}
    if says_synthetic(path):
        found[attributes.SYNTHETIC] = "1"
    return found


def _keys_of(path: Path) -> dict[str, str]:
    """All keys of a .nrrd file."""
    if not path.name.lower().endswith((".nrrd", ".nhdr")):
        return {}
    with path.open("rb") as file:
        start = file.read(_LONGEST_HEADER)
    header = start.replace(b"\r\n", b"\n").partition(b"\n\n")[0].decode("utf-8", "replace")
    if not header.startswith("NRRD"):
        return {}
    pairs = (line.partition(":=") for line in header.split("\n"))
    return {key: value for key, between, value in pairs if between}


def take(node: slicer.vtkMRMLVolumeNode) -> None:
    """Give a node the keys of its file, those that it has not got yet."""
    if dicom_source.is_generated(node):
        node.SetAttribute(attributes.SYNTHETIC, "1")
    storage = node.GetStorageNode()
    path = storage.GetFileName() if storage is not None else None
    for key, value in (read(Path(path)) if path else {}).items():
        if not attributes.kept(node, key):
            node.SetAttribute(key, value)


def _valid(key: str, value: str) -> bool:
    if key == attributes.SYNTHETIC:
        return value == "1"
    if key == attributes.LATERALITY:
        return value in ("R", "L")
    with suppress(ValueError, RecursionError):
        return isinstance(json.loads(value), dict)
    return False


class _Watch(VTKObservationMixin):
    """Takes the keys of every volume whose file is known only after it has entered the scene, as
    that of all that is read is; a scene brings the attributes itself, as does what is generated."""

    def __init__(self) -> None:
        VTKObservationMixin.__init__(self)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.NodeAddedEvent, self._on_added)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_added(self, _scene, _event, node: slicer.vtkMRMLNode) -> None:
        volume = node.IsA("vtkMRMLScalarVolumeNode") and not attributes.is_synthetic(node)
        if volume and node.GetStorageNode() is None:
            _take_once(node)


def _take_once(node: slicer.vtkMRMLNode) -> None:
    """Take the keys when the node gets its file, or its instances of the DICOM database: one of
    Slicer's DICOM readers makes no storage node. Nothing here holds the node: volumes come and go
    without ever having a file, and their memory must go with them."""
    tags: list[int] = []

    def told(caller: slicer.vtkMRMLVolumeNode, _event: str) -> None:
        known = caller.GetStorageNode() is not None or caller.GetAttribute("DICOM.instanceUIDs")
        if known and tags:  # asking may tell once more
            while tags:
                caller.RemoveObserver(tags.pop())
            take(caller)

    for event in (node.ReferenceAddedEvent, vtk.vtkCommand.ModifiedEvent):
        tags.append(node.AddObserver(event, told))
