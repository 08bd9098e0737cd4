"""How generated volumes look: window and level, colours of overlays, volume rendering."""

from __future__ import annotations

import numpy as np
import slicer
import vtk

DIFFERENCE, UNCERTAINTY = "XR2MRIDifference", "XR2MRIUncertainty"
"""Names of the colour tables. Both are black where there is nothing to show, so that an overlay
only dims the picture below it there."""

DIVERGING = ((0.0, (0.25, 0.65, 1.0)), (0.5, (0.0, 0.0, 0.0)), (1.0, (1.0, 0.45, 0.1)))
_SHADES = 256
HEAT = ((0.0, (0, 0, 0)), (0.4, (0.6, 0.1, 0.1)), (0.75, (1.0, 0.6, 0.0)), (1.0, (1.0, 1.0, 0.7)))


def grey(node: slicer.vtkMRMLScalarVolumeNode, top: float = 1.0) -> None:
    """Interpolated grey from 0 up.

    Args:
        node: node of a volume.
        top: the intensity that is white; that of the whole range while slices are missing.
    """
    _show(node, slicer.mrmlScene.GetNodeByID("vtkMRMLColorTableNodeGrey"), 0.0, max(top, 0.05))


def coloured(node: slicer.vtkMRMLScalarVolumeNode, kind: str, top: float) -> None:
    """The colours of an overlay up to `top`: `DIFFERENCE`, about 0, or `UNCERTAINTY`, from 0."""
    top = max(top, 1e-3)
    _show(node, _colour_node(kind), -top if kind == DIFFERENCE else 0.0, top)


def _show(
    node: slicer.vtkMRMLScalarVolumeNode,
    colours: slicer.vtkMRMLColorNode | None,
    low: float,
    high: float,
) -> None:
    display = node.GetDisplayNode()
    changes = display.StartModify()
    if colours is not None:
        display.SetAndObserveColorNodeID(colours.GetID())
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(low, high)
    display.InterpolateOn()
    display.EndModify(changes)


def render(node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Show a volume of intensities in [0, 1] in the 3-D views, where Slicer can render volumes."""
    module = getattr(slicer.modules, "volumerendering", None)
    if module is None:
        return
    logic = module.logic()
    display = logic.GetFirstVolumeRenderingDisplayNode(node)
    if display is None:
        display = _rendering(logic, node)
    _, top = _range(node)
    volume_property = display.GetVolumePropertyNode().GetVolumeProperty()
    volume_property.SetScalarOpacity(_opacity(top))
    volume_property.SetColor(_greys(top))
    volume_property.ShadeOn()
    volume_property.SetAmbient(0.25)
    volume_property.SetDiffuse(0.8)
    display.SetVisibility(True)


def _rendering(logic, node: slicer.vtkMRMLScalarVolumeNode):
    """Nodes of the volume's rendering. The logic's own ways to fill them are not taken: they look
    at each voxel, a quarter of a second long in 500 slices, for colours that are not wanted."""
    display = logic.CreateVolumeRenderingDisplayNode()
    display.UnRegister(logic)
    display.SetVisibility(False)
    display = slicer.mrmlScene.AddNode(display)
    name = f"{node.GetName()} volume property"
    look = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVolumePropertyNode", name)
    display.SetAndObserveVolumePropertyNodeID(look.GetID())
    node.AddAndObserveDisplayNodeID(display.GetID())
    return display


def _range(node: slicer.vtkMRMLScalarVolumeNode) -> tuple[float, float]:
    display = node.GetDisplayNode()
    return display.GetWindowLevelMin(), display.GetWindowLevelMax()


def _opacity(top: float) -> vtk.vtkPiecewiseFunction:
    """Air and dark tissue clear, fat and marrow solid."""
    opacity = vtk.vtkPiecewiseFunction()
    for share, value in ((0.0, 0.0), (0.18, 0.0), (0.45, 0.12), (0.75, 0.5), (1.0, 0.9)):
        opacity.AddPoint(share * top, value)
    return opacity


def _greys(top: float) -> vtk.vtkColorTransferFunction:
    colours = vtk.vtkColorTransferFunction()
    points = ((0.0, (0.1, 0.05, 0.05)), (0.4, (0.55, 0.4, 0.35)), (1.0, (1.0, 0.97, 0.9)))
    for share, colour in points:
        colours.AddRGBPoint(share * top, *colour)
    return colours


def _colour_node(name: str) -> slicer.vtkMRMLColorTableNode:
    """The scene's colour table of this name, made when it is first needed.

    No singleton: one that was there already may lose its colours when a scene is opened.
    """
    for found in slicer.util.getNodesByClass("vtkMRMLColorTableNode"):
        if found.GetName() == name and found.GetNumberOfColors() == _SHADES:
            return found
    node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLColorTableNode")
    node.UnRegister(None)
    node.SetName(name)
    node.SetTypeToUser()
    node.SetNumberOfColors(_SHADES)
    at, colours = zip(*(DIVERGING if name == DIFFERENCE else HEAT))
    shades = np.array(colours, float)
    for index, share in enumerate(np.linspace(0, 1, _SHADES)):
        rgb = [float(np.interp(share, at, shades[:, channel])) for channel in range(3)]
        node.SetColor(index, f"{share:.3f}", *rgb, 1.0)
    return slicer.mrmlScene.AddNode(node)
