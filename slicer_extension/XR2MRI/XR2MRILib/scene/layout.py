"""The views: radiograph, coronal, sagittal, axial and 3-D, and what is shown in each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import qt
import slicer

from xr2mri_client.texts import tr as _

from .picture import ijk_to_ras

LAYOUT_ID = 59043
"""Of the layout among all that modules register; any number that nobody else took."""
RADIOGRAPH_VIEW = "XR2MRIRadiograph"
VOLUME_VIEWS = ("Green", "Yellow", "Red")
"""Coronal, sagittal, axial."""
OVERLAY_OPACITY = 0.65
"""Of an overlay, whose colours outweigh the picture below: white fat under an overlay that has
nothing to show is darker than anything that it does show."""
_LOOKS, _BETWEEN_MS = 8, 150
"""At the sizes of views after a change of the layout or the panel: for a second, and longer where
Slicer is slow, which a mere second would not see through."""
_fitted: dict[str, tuple[Any, ...]] = {}
"""How each view was after it was fitted: its size, its height in mm, its centre."""
_ICON = Path(__file__).resolve().parents[2] / "Resources" / "Icons" / "XR2MRI.png"

_SLICE = """<item><view class="vtkMRMLSliceNode" singletontag="{tag}">
  <property name="orientation" action="default">{orientation}</property>
  <property name="viewlabel" action="default">{label}</property>
  <property name="viewcolor" action="default">{colour}</property>
</view></item>"""
_SOLID = """<item><view class="vtkMRMLViewNode" singletontag="1">
  <property name="viewlabel" action="default">1</property></view></item>"""


def _description() -> str:
    def view(tag: str, orientation: str, label: str, colour: str) -> str:
        return _SLICE.format(tag=tag, orientation=orientation, label=label, colour=colour)

    radiograph = view(RADIOGRAPH_VIEW, "Axial", "X", "#B0B0B0")
    coronal = view("Green", "Coronal", "G", "#6EB04B")
    sagittal = view("Yellow", "Sagittal", "Y", "#EDD54C")
    axial = view("Red", "Axial", "R", "#F34A33")
    top = f'<item><layout type="horizontal" split="true">{radiograph}{coronal}</layout></item>'
    bottom = f'<item><layout type="horizontal" split="true">{sagittal}{axial}{_SOLID}</layout>'
    return f'<layout type="vertical" split="true">{top}{bottom}</item></layout>'


def register() -> slicer.vtkMRMLLayoutNode | None:
    """Make the layout known to the application, before it opens a scene that was saved with it, and
    offer it in the menu of layouts; the node of layouts, None where there are no views."""
    manager = slicer.app.layoutManager()
    if manager is None:
        return None
    node = manager.layoutLogic().GetLayoutNode()
    if not node.IsLayoutDescription(LAYOUT_ID):
        node.AddLayoutDescription(LAYOUT_ID, _description())
    _offer()
    return node


def _offer() -> None:
    """Put the layout into the menu of Slicer's toolbar, once; Slicer itself does what an entry with
    a layout's number says."""
    bars = slicer.util.findChildren(slicer.util.mainWindow(), name="ViewToolBar")
    button = bars[0].widgetForAction(bars[0].actions()[0]) if bars and bars[0].actions() else None
    menu = button.menu() if button is not None and hasattr(button, "menu") else None
    if menu is None or any(entry.data() == LAYOUT_ID for entry in menu.actions()):
        return
    entry = menu.addAction(_("XR2MRI: radiograph and volume"))
    entry.setData(LAYOUT_ID)
    entry.setIcon(qt.QIcon(str(_ICON)))
    entry.setToolTip(_("Radiograph, coronal, sagittal and axial views, and the volume in 3-D"))


def show() -> None:
    """Switch to the layout."""
    node = register()
    if node is not None:  # not `setLayout`: that one trusts the number that a scene has brought
        node.SetViewArrangement(LAYOUT_ID)
        settle()


def settle(looks: int = _LOOKS) -> None:
    """Fit the views again that get another size now: Slicer keeps the height that a resized view
    shows, and so cuts off the sides of one that has become narrower. It tells of the size a turn of
    the event loop later, or several."""

    def look() -> None:
        _fit_resized()
        if looks > 1:
            settle(looks - 1)

    qt.QTimer.singleShot(_BETWEEN_MS, look)


def is_shown() -> bool:
    manager = slicer.app.layoutManager()
    return manager is not None and manager.layout == LAYOUT_ID


def show_radiograph(node: slicer.vtkMRMLVolumeNode | None, tag: str = RADIOGRAPH_VIEW) -> None:
    """Show a radiograph in its view or in another slice view, in the plane of its pixels."""
    composite = _composite(tag)
    if composite is None:
        return
    composite.SetBackgroundVolumeID(node.GetID() if node is not None else None)
    composite.SetForegroundVolumeID(None)
    composite.SetLabelVolumeID(None)
    view = slice_node(tag)
    if node is not None and view is not None:
        view.RotateToVolumePlane(node)
    _fit(tag)


def show_volume(
    node: slicer.vtkMRMLScalarVolumeNode | None,
    overlay: slicer.vtkMRMLScalarVolumeNode | None = None,
    fit: bool = True,
) -> None:
    """Show a volume in the coronal, sagittal and axial views, with an overlay blended over it."""
    for tag in VOLUME_VIEWS:
        composite = _composite(tag)
        if composite is None:
            continue
        composite.SetBackgroundVolumeID(node.GetID() if node is not None else None)
        composite.SetForegroundVolumeID(overlay.GetID() if overlay is not None else None)
        composite.SetLabelVolumeID(None)
        _straighten(tag)
        composite.SetCompositing(composite.Alpha)
        composite.SetForegroundOpacity(OVERLAY_OPACITY if overlay is not None else 0.0)
        if fit:
            _fit(tag)


def _straighten(tag: str) -> None:
    """Put a view back into its plane, from which a radiograph that it has shown had turned it."""
    view = slice_node(tag)
    wanted = dict(zip(VOLUME_VIEWS, ("Coronal", "Sagittal", "Axial")))[tag]
    if view is not None and view.GetOrientation() != wanted:
        view.SetOrientation(wanted)


def show_slice(node: slicer.vtkMRMLScalarVolumeNode, index: int) -> None:
    """Bring a coronal slice of a volume into the coronal view."""
    view = slice_node("Green")
    if view is not None:
        x, y, z = (count // 2 for count in node.GetImageData().GetDimensions())
        centre = ijk_to_ras(node) @ [x, min(index, 2 * y), z, 1]
        view.JumpSliceByCentering(*centre[:3])


def fit_solid(node: slicer.vtkMRMLScalarVolumeNode | None) -> None:
    """Centre the 3-D views on a volume, and have their box around it."""
    manager = slicer.app.layoutManager()
    with _images_elsewhere(node):
        for index in range(manager.threeDViewCount if manager is not None else 0):
            view = manager.threeDWidget(index).threeDView()
            view.resetFocalPoint()
            view.resetCamera()


@contextmanager
def _images_elsewhere(but: slicer.vtkMRMLScalarVolumeNode | None) -> Iterator[None]:
    """Slicer's box goes around every volume of the scene, also where a 3-D view shows none of it:
    around the radiograph, which lies elsewhere. So the others belong to no view for a moment, of
    which none hears. Their volume renderings still count."""
    nodes = slicer.util.getNodesByClass("vtkMRMLVolumeNode")
    displays = [node.GetDisplayNode() for node in nodes if node is not but]
    before = [(it, it.GetViewNodeIDs(), it.GetDisableModifiedEvent()) for it in displays if it]
    for display, _views, _silent in before:
        display.DisableModifiedEventOn()
        display.SetViewNodeIDs(["none"])
    try:
        yield
    finally:
        for display, views, silent in before:
            display.SetViewNodeIDs(views)
            display.SetDisableModifiedEvent(silent)


def slice_node(tag: str) -> slicer.vtkMRMLSliceNode | None:
    return _of_view("vtkMRMLSliceNode", tag)


def _composite(tag: str) -> slicer.vtkMRMLSliceCompositeNode | None:
    return _of_view("vtkMRMLSliceCompositeNode", tag)


def _of_view(kind: str, tag: str):
    nodes = slicer.util.getNodesByClass(kind)
    return next((node for node in nodes if node.GetLayoutName() == tag), None)


def _fit(tag: str) -> None:
    manager = slicer.app.layoutManager()
    widget = manager.sliceWidget(tag) if manager is not None else None
    view = slice_node(tag)
    if widget is not None and view is not None:
        widget.sliceLogic().FitSliceToAll()
        _fitted[tag] = _place(view)


def _fit_resized() -> None:
    """Fit those views again that have got another size, and that nobody has zoomed or moved."""
    for tag, (size, *frame) in list(_fitted.items()):
        view = slice_node(tag)
        if view is None:
            continue
        now, *framed = _place(view)
        if now != size and framed == frame:
            _fit(tag)


def _place(view: slicer.vtkMRMLSliceNode) -> tuple[Any, ...]:
    """Size in pixels, height in mm, centre."""
    return tuple(view.GetDimensions()[:2]), view.GetFieldOfView()[1], tuple(view.GetXYZOrigin()[:2])
