"""`slicer.app.coreIOManager()`: reads and writes volumes, pictures, tables and scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import slicer

from .own_time import slicers_own

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
STORED = {
    "vtkMRMLVolumeNode": "vtkMRMLVolumeArchetypeStorageNode",
    "vtkMRMLTableNode": "vtkMRMLTableStorageNode",
    "vtkMRMLMarkupsNode": "vtkMRMLMarkupsJsonStorageNode",
}

FORMATS = {
    "vtkMRMLVolumeNode": {"NRRD": ".nrrd", "NIfTI": ".nii.gz", "MetaImage": ".mha"},
    "vtkMRMLTableNode": {"Comma-separated values": ".csv"},
    "vtkMRMLMarkupsNode": {"Markups JSON": ".mrk.json"},
}


class Files:
    """What the core IO manager does for the kinds of file that a radiograph or a volume is in."""

    def fileType(self, name: str) -> str:
        return "SceneFile" if str(name).endswith((".mrml", ".mrb")) else "VolumeFile"

    def fileWriterFileType(self, node: Any) -> str:
        return "NodeFile"

    @slicers_own
    def loadNodes(self, kind: str, properties: dict, loaded: Any, messages: Any = None) -> bool:
        path = Path(properties["fileName"])
        if not path.exists():
            return False
        if kind == "SceneFile":
            return self._load_scene(path)
        if kind == "TableFile":
            node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", path.stem)
            node.AddDefaultStorageNode(str(path))
            done = bool(node.GetStorageNode().ReadData(node))
        elif path.suffix.lower() in PICTURES:
            node = _read_picture(path)
            done = node is not None
        else:
            logic = slicer.modules.volumes.logic()
            name = properties.get("name") or path.name.split(".")[0]
            options = 4 * bool(properties.get("singleFile"))  # vtkSlicerVolumesLogic::SingleFile
            node = logic.AddArchetypeVolume(str(path), name, options)
            done = node is not None
        if done:
            if properties.get("name"):
                node.SetName(properties["name"])
            loaded.AddItem(node)
            if properties.get("show", True) and node.IsA("vtkMRMLVolumeNode"):
                slicer.app.applicationLogic().GetSelectionNode().SetActiveVolumeID(node.GetID())
                slicer.util.setSliceViewerLayers(background=node, fit=True)
        return done

    @slicers_own
    def saveNodes(self, kind: str, properties: dict, messages: Any = None) -> bool:
        path = str(properties["fileName"])
        scene = slicer.mrmlScene
        if kind == "SceneFile":
            return self._save_scene(Path(path))
        node = scene.GetNodeByID(properties["nodeID"])
        return _write(node, path, keep=True)

    def exportNodes(self, ids: Any, names: Any, *_: Any) -> bool:
        nodes = map(slicer.mrmlScene.GetNodeByID, ids)
        return all(_write(node, name, keep=False) for node, name in zip(nodes, names, strict=True))

    def extractKnownExtension(self, name: str, node: Any = None) -> str:
        known = (e for kind in FORMATS.values() for e in kind.values() if str(name).endswith(e))
        return max(known, key=len, default="")

    def fileWriterExtensions(self, node: Any) -> tuple[str, ...]:
        fitting = (formats for kind, formats in FORMATS.items() if node.IsA(kind))
        return tuple(f"{name} ({ending})" for kind in fitting for name, ending in kind.items())

    def registeredFileReaderCount(self, kind: str) -> int:
        return 1

    def _load_scene(self, path: Path) -> bool:
        scene = slicer.mrmlScene
        if path.suffix == ".mrb":
            return bool(scene.ReadFromMRB(str(path), False))
        scene.SetURL(str(path))
        return bool(scene.Import())

    def _save_scene(self, path: Path) -> bool:
        scene = slicer.mrmlScene
        if path.suffix == ".mrb":
            return bool(scene.WriteToMRB(str(path), None))
        scene.SetRootDirectory(str(path.parent))
        return bool(scene.Commit(str(path)))


def _read_picture(path: Path) -> Any:
    """A picture as Slicer reads it: one slice, 1 mm, rows downwards, colours as a vector."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            pixels = np.asarray(image)
    except UnidentifiedImageError:
        return None
    kind = "vtkMRMLVectorVolumeNode" if pixels.ndim == 3 else "vtkMRMLScalarVolumeNode"
    directions = np.diag([-1.0, -1.0, 1.0, 1.0])
    node = slicer.util.addVolumeFromArray(pixels[None], directions, path.stem, kind)
    node.CreateDefaultDisplayNodes()
    return node


def _write(node: Any, path: str, keep: bool) -> bool:
    kinds = [value for kind, value in STORED.items() if node.IsA(kind)]
    if not kinds:
        return False
    storage = node.GetStorageNode() if keep else None
    if storage is None:
        storage = slicer.mrmlScene.AddNewNodeByClass(kinds[0])
        if keep:
            node.SetAndObserveStorageNodeID(storage.GetID())
    storage.SetFileName(path)
    done = bool(storage.WriteData(node))
    if not keep:
        slicer.mrmlScene.RemoveNode(storage)
    return done
