"""The views: radiograph, coronal, sagittal, axial and 3-D, and what is shown in each."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer

from xr2mri_client.texts import tr as _

from .picture import ijk_to_ras

LAYOUT_ID = 59043
"""Of the layout among all that modules register; any number that nobody else took."""
RADIOGRAPH_VIEW = "XR2MRIRadiograph"
VOLUME_VIEWS = ("Green", "Yellow", "Red")
"""Coronal, sagittal, axial."""
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
    """Show a volume in the coronal, sagittal and axial views, with an overlay added to it."""
    for tag in VOLUME_VIEWS:
        composite = _composite(tag)
        if composite is None:
            continue
        composite.SetBackgroundVolumeID(node.GetID() if node is not None else None)
        composite.SetForegroundVolumeID(overlay.GetID() if overlay is not None else None)
        composite.SetLabelVolumeID(None)
        _straighten(tag)
        composite.SetCompositing(composite.Add if overlay is not None else composite.Alpha)
        composite.SetForegroundOpacity(1.0 if overlay is not None else 0.0)
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


def fit_solid() -> None:
    """Centre the 3-D views on what they show."""
    manager = slicer.app.layoutManager()
    for index in range(manager.threeDViewCount if manager is not None else 0):
        view = manager.threeDWidget(index).threeDView()
        view.resetFocalPoint()
        view.resetCamera()


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
    if widget is not None:
        widget.sliceLogic().FitSliceToAll()
