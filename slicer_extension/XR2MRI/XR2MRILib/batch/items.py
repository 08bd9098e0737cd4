"""Radiographs of a batch: from a folder, from the DICOM database, from the subject hierarchy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import slicer
import vtk

from xr2mri_client.errors import BadRadiograph
from xr2mri_client.radiograph_folder import radiographs_of, without_ending
from xr2mri_client.texts import tr as _

from ..form import FeatureForm
from ..scene import known
from ..scene.picture import problem
from ..upload import sends_file
from .forms import Form, forms_of

MOST = 1000
"""Radiographs in a table: what is more goes to `xr2mri generate --folder`."""


class Standing(str, Enum):
    """State of one radiograph of a batch."""

    WAITING = "waiting"
    GENERATING = "generating"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(eq=False)
class Item:
    """One radiograph and what comes of it.

    Attributes:
        name: name to show.
        load: brings it into the scene; its nodes, mostly one.
        form: its features and demographics; None where no file or table has any.
        whole: whether a DICOM file with the patient's name may be sent.
        standing, detail: how far it is, and a word more.
        radiograph, volume: ids of nodes, once there are any.
        of_scene: whether it came from the scene, and cannot be loaded again.
    """

    name: str
    load: Callable[[], list[slicer.vtkMRMLVolumeNode]]
    form: Form | None = None
    whole: bool = False
    standing: Standing = Standing.WAITING
    detail: str = ""
    radiograph: str = ""
    volume: str = ""
    warnings: list[str] = field(default_factory=list)
    of_scene: bool = False

    def nodes(self) -> list[slicer.vtkMRMLVolumeNode]:
        """Its node, if it is in the scene still, or those that `load` brings."""
        node = self._node
        return [node] if node is not None else self.load()

    @property
    def own_grades(self) -> Mapping[str, Any]:
        """The grades that the radiograph itself knows, once it is in the scene."""
        node = self._node
        return known.features(node) if node is not None else {}

    @property
    def _node(self) -> slicer.vtkMRMLVolumeNode | None:
        return slicer.mrmlScene.GetNodeByID(self.radiograph) if self.radiograph else None

    @property
    def volume_node(self) -> slicer.vtkMRMLScalarVolumeNode | None:
        """What was generated; None where it is not there, or not there any more."""
        return slicer.mrmlScene.GetNodeByID(self.volume) if self.volume else None

    @property
    def done(self) -> bool:
        """Whether its volume is in the scene."""
        return self.standing is Standing.DONE and self.volume_node is not None


def of_folder(folder: str | Path, form: FeatureForm) -> tuple[list[Item], list[str]]:
    """The radiographs of a folder and of those below it, in the order of their paths.

    Args:
        folder: hidden files and folders in it are passed over.
        form: the server's form.

    Returns:
        The items, and what of the tables of forms belongs to none of them, a line each.

    Raises:
        BadRadiograph: there are none, or more than `MOST`.
    """
    folder = Path(folder)
    paths = []
    for path in radiographs_of(folder):
        paths.append(path.relative_to(folder).as_posix())
        if len(paths) > MOST:
            message = _("{folder} has more than {n} radiographs.").format(folder=folder, n=MOST)
            raise BadRadiograph(message)
    if not paths:
        raise BadRadiograph(_("There is no radiograph in {folder}.").format(folder=folder))
    forms, notes = forms_of(folder, paths, form)
    return [_of_file(folder / path, path, forms.get(path)) for path in paths], notes


def of_series(series: Iterable[str]) -> list[Item]:
    """The series of the DICOM database with these UIDs."""
    return [_of_series(uid) for uid in series]


def selected_series() -> list[str]:
    """UIDs of the series that are selected in the browser of the module DICOM.

    Slicer has two of them from 5.8 on. Each keeps a selection of its own, so only that of the one
    which the user has chosen counts: the other's may be of another patient.

    Raises:
        BadRadiograph: the visual browser is the chosen one and does not tell what is selected, as
            in Slicer 5.8 and 5.10.
    """
    browser = getattr(getattr(slicer.modules, "DICOMWidget", None), "browserWidget", None)
    if browser is not None and _is_visual(browser):
        visual = browser.dicomVisualBrowser
        if not hasattr(visual, "patientView"):
            raise BadRadiograph(
                _("The visual DICOM browser of this Slicer does not tell its selection."),
                _("Switch back to the usual one in the module DICOM, and select the series there."),
            )
        return list(dict.fromkeys(map(str, visual.patientView().selectedSeriesInstanceUIDs())))
    lists = getattr(browser, "fileLists", None) or []
    found = (slicer.dicomDatabase.seriesForFile(files[0]) for files in lists if files)
    return [uid for uid in dict.fromkeys(found) if uid]


def _is_visual(browser: Any) -> bool:
    """Whether the visual browser is the one that the user has chosen. Whether it is in sight does
    not tell: Slicer closes the browser when the module DICOM is left."""
    names = ("useVisualDICOMBrowser", "useExpertimentalVisualDICOMBrowser")  # from 5.12; before it
    return any(getattr(browser, name, False) for name in names)


def of_hierarchy(parent: int) -> list[Item]:
    """The radiographs below an item of the subject hierarchy."""
    return [of_node(node) for node in radiographs_below(parent)]


def folders() -> list[tuple[str, int]]:
    """Names and items of all folders, patients and studies with radiographs below them."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    if hierarchy is None:
        return []
    found = []
    for item in _below(hierarchy, hierarchy.GetSceneItemID()):
        if hierarchy.GetItemDataNode(item) is None and radiographs_below(item):
            found.append((_path_of(hierarchy, item), item))
    return found


def radiographs_below(parent: int) -> list[slicer.vtkMRMLVolumeNode]:
    """The radiographs below an item of the subject hierarchy."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    nodes = (hierarchy.GetItemDataNode(item) for item in _below(hierarchy, parent))
    return [node for node in nodes if is_radiograph(node)]


def is_radiograph(node: Any) -> bool:
    """Whether a node, or None, may be generated from."""
    volume = node is not None and node.IsA("vtkMRMLScalarVolumeNode")
    return volume and not node.IsA("vtkMRMLLabelMapVolumeNode") and not problem(node)


# --- each of them ---------------------------------------------------------------------------------


def _of_file(path: Path, name: str, form: Form | None) -> Item:
    def load() -> list[slicer.vtkMRMLVolumeNode]:
        options = {"singleFile": True, "show": False, "name": without_ending(name)}
        try:
            node = slicer.util.loadVolume(str(path), options)
        except RuntimeError:
            node = None
        if node is None:
            raise BadRadiograph(_("{path} cannot be read.").format(path=path))
        return [node]

    return Item(name, load, form)


def _of_series(uid: str) -> Item:
    name = slicer.dicomDatabase.descriptionForSeries(uid) or uid

    def load() -> list[slicer.vtkMRMLVolumeNode]:
        from DICOMLib import DICOMUtils

        nodes = map(slicer.mrmlScene.GetNodeByID, DICOMUtils.loadSeriesByUID([uid]))
        volumes = [n for n in nodes if n is not None and n.IsA("vtkMRMLScalarVolumeNode")]
        if not volumes:
            raise BadRadiograph(_("{name} has no picture.").format(name=name))
        return volumes

    return Item(name, load, whole=True)


def of_node(node: slicer.vtkMRMLVolumeNode, form: Form | None = None) -> Item:
    """A radiograph of the scene; its own grades count where no form is given."""
    name = node.GetName()

    def load() -> list[slicer.vtkMRMLVolumeNode]:
        raise BadRadiograph(_("{name} has gone.").format(name=name))

    return Item(name, load, form, sends_file(node), radiograph=node.GetID(), of_scene=True)


def _below(hierarchy: Any, parent: int) -> list[int]:
    ids = vtk.vtkIdList()
    hierarchy.GetItemChildren(parent, ids, True)
    return [ids.GetId(index) for index in range(ids.GetNumberOfIds())]


def _path_of(hierarchy: Any, item: int) -> str:
    names = []
    while item and item != hierarchy.GetSceneItemID():
        names.append(hierarchy.GetItemName(item))
        item = hierarchy.GetItemParent(item)
    return " / ".join(reversed(names))
