"""The words "synthetic, not for diagnosis" in every view that shows a generated volume.

Slicer's own corner annotations are written anew by the Data Probe whenever a view changes, so this
text is an actor of its own. It follows what the views show, not what this module does: a scene
that was saved and is opened again is marked as well.
"""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from slicer.util import VTKObservationMixin

from xr2mri_client.texts import tr as _

from .attributes import is_synthetic

_COLOUR = (1.0, 0.55, 0.1)
_ROLE = "XR2MRINotice"
_WATCHED = (
    "vtkMRMLSliceCompositeNode",
    "vtkMRMLSliceNode",
    "vtkMRMLVolumeRenderingDisplayNode",
)


def start() -> SyntheticNotice | None:
    """Watch the views from now on, once an application; None where there are no views."""
    running = getattr(slicer.modules, _ROLE, None)
    if running is not None:
        running.stop()  # of a module that has been reloaded
    if slicer.app.layoutManager() is None:
        return None
    setattr(slicer.modules, _ROLE, SyntheticNotice())
    return getattr(slicer.modules, _ROLE)


class SyntheticNotice(VTKObservationMixin):
    """Keeps the notice in the views up to date until `stop`."""

    def __init__(self) -> None:
        VTKObservationMixin.__init__(self)
        self._actors: dict[str, vtk.vtkTextActor] = {}
        self._renderers: dict[str, vtk.vtkRenderer] = {}
        self._in_space: list[Any] = []  # slices that 3-D views showed at the last look
        scene = slicer.mrmlScene
        for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent):
            self.addObserver(scene, event, self._on_node)
        self.addObserver(scene, scene.EndCloseEvent, self._on_change)
        self.addObserver(scene, scene.EndImportEvent, self._on_change)
        for node in _watched():
            self._watch(node)
        self.update()

    def stop(self) -> None:
        """Take every notice away and look no more."""
        self.removeObservers()
        for name, actor in self._actors.items():
            self._renderers[name].RemoveViewProp(actor)
        self._actors, self._renderers = {}, {}

    def update(self) -> None:
        """Show the notice where a generated volume is shown, hide it elsewhere."""
        manager = slicer.app.layoutManager()
        if manager is None:
            return
        for name in manager.sliceViewNames():
            widget = manager.sliceWidget(name)
            if widget is not None:
                shown = _shows_synthetic(widget.sliceLogic().GetSliceCompositeNode())
                self._set(name, widget.sliceView(), shown)
        rendered = [node for node in _renderings() if is_synthetic(node.GetDisplayableNode())]
        self._in_space = _in_space()
        composites = {node.GetLayoutName(): node for node in _composites()}
        slices = [
            node
            for node in self._in_space
            if _shows_synthetic(composites.get(node.GetLayoutName()))
        ]
        for index in range(manager.threeDViewCount):
            view = manager.threeDWidget(index).threeDView()
            view_node = view.mrmlViewNode()
            view_id = view_node.GetID()
            shown = any(
                node.GetVisibility() and node.IsDisplayableInView(view_id) for node in rendered
            ) or any(node.IsDisplayableInThreeDView(view_id) for node in slices)
            self._set(view_id, view, shown)

    def shown_in(self, name: str) -> bool:
        """Whether the notice is on in a slice view, e.g. `Red`, or in the 3-D view of a node."""
        actor = self._actors.get(name)
        return actor is not None and bool(actor.GetVisibility())

    def _set(self, name: str, view, shown: bool) -> None:
        actor = self._actors.get(name)
        if actor is None and not shown:
            return
        renderer = view.renderWindow().GetRenderers().GetFirstRenderer()
        if actor is None or self._renderers[name] is not renderer:
            actor = self._actors[name] = _text_actor()
            self._renderers[name] = renderer
            renderer.AddViewProp(actor)
        elif bool(actor.GetVisibility()) == shown:
            return
        actor.SetVisibility(shown)
        view.scheduleRender()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_node(self, _scene, _event, node) -> None:
        if any(map(node.IsA, _WATCHED)):
            self._watch(node)
            self.update()

    def _watch(self, node) -> None:
        changed = self._on_slice if node.IsA("vtkMRMLSliceNode") else self._on_change
        if not self.hasObserver(node, vtk.vtkCommand.ModifiedEvent, changed):
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, changed)

    def _on_change(self, *_arguments) -> None:
        self.update()

    def _on_slice(self, *_arguments) -> None:
        """It changes with each turn of the mouse's wheel, which changes nothing here."""
        if _in_space() != self._in_space:
            self.update()


def _shows_synthetic(composite: slicer.vtkMRMLSliceCompositeNode | None) -> bool:
    if composite is None:
        return False
    ids = composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID()
    return any(is_synthetic(slicer.mrmlScene.GetNodeByID(id_)) for id_ in ids if id_)


def _watched() -> list[Any]:
    return [node for kind in _WATCHED for node in slicer.util.getNodesByClass(kind)]


def _composites() -> list[Any]:
    return slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")


def _in_space() -> list[Any]:
    """The nodes of the slices that are shown in 3-D views."""
    nodes = slicer.util.getNodesByClass("vtkMRMLSliceNode")
    return [node for node in nodes if node.GetSliceVisible()]


def _renderings() -> list[Any]:
    return slicer.util.getNodesByClass("vtkMRMLVolumeRenderingDisplayNode")


def _text_actor() -> vtk.vtkTextActor:
    """Small letters in the lower right corner, which Slicer's annotations leave free."""
    actor = vtk.vtkTextActor()
    actor.SetInput(_("SYNTHETIC - not for diagnosis"))
    text = actor.GetTextProperty()
    text.SetFontSize(14)
    text.SetBold(True)
    text.SetColor(*_COLOUR)
    text.SetShadow(True)
    text.SetJustificationToRight()
    text.SetVerticalJustificationToBottom()
    coordinate = actor.GetPositionCoordinate()
    coordinate.SetCoordinateSystemToNormalizedViewport()
    coordinate.SetValue(0.98, 0.02)
    return actor
