"""How generated volumes look: window and level, colours of overlays, volume rendering."""

from __future__ import annotations

import numpy as np
import slicer
import vtk

DIFFERENCE, UNCERTAINTY = "XR2MRIDifference", "XR2MRIUncertainty"
"""Singleton tags of the colour tables. Both are black where there is nothing to show, so that an
overlay that is added to the picture below leaves it as it is there."""

_DIVERGING = ((0.0, (0.25, 0.65, 1.0)), (0.5, (0.0, 0.0, 0.0)), (1.0, (1.0, 0.45, 0.1)))
_HEAT = ((0.0, (0, 0, 0)), (0.4, (0.6, 0.1, 0.1)), (0.75, (1.0, 0.6, 0.0)), (1.0, (1.0, 1.0, 0.7)))


def grey(node: slicer.vtkMRMLScalarVolumeNode, final: bool = True) -> None:
    """Interpolated grey over the volume's own range of intensities in [0, 1].

    Args:
        node: of a volume.
        final: whether all slices have come; until then the whole range is shown.
    """
    top = 1.0
    if final:
        sample = slicer.util.arrayFromVolume(node)[::4, ::2, ::4]
        top = max(float(np.percentile(sample, 99.5)), 0.05)
    display = node.GetDisplayNode()
    changes = display.StartModify()
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(0.0, top)
    display.InterpolateOn()
    display.EndModify(changes)


def coloured(node: slicer.vtkMRMLScalarVolumeNode, kind: str) -> None:
    """An overlay's colours: `DIFFERENCE`, symmetric about 0, or `UNCERTAINTY`, from 0 up."""
    sample = np.abs(slicer.util.arrayFromVolume(node)[::4, ::2, ::4])
    top = max(float(np.percentile(sample, 99.5)), 1e-3)
    display = node.GetDisplayNode()
    changes = display.StartModify()
    display.SetAndObserveColorNodeID(_colour_node(kind).GetID())
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(-top if kind == DIFFERENCE else 0.0, top)
    display.InterpolateOn()
    display.EndModify(changes)


def render(node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Show a volume of intensities in [0, 1] in the 3-D views, where Slicer can render volumes."""
    module = getattr(slicer.modules, "volumerendering", None)
    if module is None:
        return
    display = module.logic().CreateDefaultVolumeRenderingNodes(node)
    _, top = _range(node)
    volume_property = display.GetVolumePropertyNode().GetVolumeProperty()
    volume_property.SetScalarOpacity(_opacity(top))
    volume_property.SetColor(_greys(top))
    volume_property.ShadeOn()
    volume_property.SetAmbient(0.25)
    volume_property.SetDiffuse(0.8)
    display.SetVisibility(True)


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


def _colour_node(tag: str) -> slicer.vtkMRMLColorTableNode:
    """The colour table of this tag, made when it is first needed."""
    found = slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLColorTableNode")
    if found is not None:
        return found
    node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLColorTableNode")
    node.UnRegister(None)
    node.SetName(tag)
    node.SetSingletonTag(tag)
    node.SetTypeToUser()
    node.SetNumberOfColors(256)
    at, colours = zip(*(_DIVERGING if tag == DIFFERENCE else _HEAT))
    shades = np.array(colours, float)
    for index, share in enumerate(np.linspace(0, 1, 256)):
        rgb = [float(np.interp(share, at, shades[:, channel])) for channel in range(3)]
        node.SetColor(index, f"{share:.3f}", *rgb, 1.0)
    return slicer.mrmlScene.AddNode(node)
