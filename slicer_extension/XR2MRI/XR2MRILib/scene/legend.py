"""The colour bar of an overlay in the views, and what its colours mean in words."""

from __future__ import annotations

from dataclasses import dataclass

import slicer

from xr2mri_client.texts import tr as _

from . import attributes, display, layout

_ROLE = "XR2MRI.legend"
_KIND = "vtkMRMLColorLegendDisplayNode"


@dataclass(frozen=True)
class Legend:
    """What the colours of an overlay mean.

    Attributes:
        title: short, for the views.
        low, high: texts at the ends of the bar.
        note: a sentence or two; may be empty.
        gradient: shares and colours (red, green, blue in [0, 1]) from the low end to the high one.
    """

    title: str
    low: str
    high: str
    note: str
    gradient: tuple[tuple[float, tuple[float, float, float]], ...]


def legend_of(overlay: slicer.vtkMRMLScalarVolumeNode, role: str, samples: int) -> Legend:
    """What an overlay shows.

    Args:
        overlay: a coloured node.
        role: role of the volume, such as `attributes.STD`.
        samples: number of samples of which it is the standard deviation.
    """
    top = overlay.GetDisplayNode().GetWindowLevelMax()
    if role == attributes.STD:
        note = _(
            "Standard deviation of {n} samples, where 1 is from black to white. Where it glows, the"
            " radiograph and the form leave open what is there. Where it is dark the samples agree,"
            " which does not prove them right."
        )
        return Legend(
            _("Deviation"),
            _("0: all agree"),
            _("{x:.2f}: they differ most").format(x=top),
            note.format(n=samples),
            display.HEAT,
        )
    ends = {
        attributes.DIFFERENCE: (_("darker than before"), _("brighter than before")),
        attributes.REAL_DIFFERENCE: (_("darker than the real MRI"), _("brighter")),
        attributes.EDGES: (_("weaker edges than the real MRI"), _("stronger")),
    }
    darker, brighter = ends[role]
    low, high = f"-{top:.2f}: {darker}", f"+{top:.2f}: {brighter}"
    return Legend(_("Difference"), low, high, "", display.DIVERGING)


def show(overlay: slicer.vtkMRMLScalarVolumeNode | None, title: str = "") -> None:
    """Show the colour bar of this overlay in the coronal view, and of no other one."""
    for node in slicer.util.getNodesByClass(_KIND):
        mine = overlay is not None and node.GetDisplayableNode() is overlay
        if node.GetAttribute(_ROLE) and not mine:
            node.SetVisibility(False)
    colours = getattr(slicer.modules, "colors", None)
    if overlay is None or colours is None:
        return
    node = _of(overlay)
    if node is None:
        node = colours.logic().AddDefaultColorLegendDisplayNode(overlay)
        _arrange(node)
    node.SetTitleText(title)
    view = layout.slice_node(layout.VOLUME_VIEWS[0])
    if view is not None:
        node.SetViewNodeIDs([view.GetID()])
    node.SetVisibility(True)


def _of(overlay: slicer.vtkMRMLScalarVolumeNode):
    nodes = map(overlay.GetNthDisplayNode, range(overlay.GetNumberOfDisplayNodes()))
    return next((node for node in nodes if node is not None and node.IsA(_KIND)), None)


def _arrange(node) -> None:
    """Narrow and at the right."""
    node.SetAttribute(_ROLE, "1")
    node.SetLabelFormat("%.2f")
    node.SetNumberOfLabels(3)
    node.SetMaxNumberOfColors(256)
    node.SetPosition(0.97, 0.5)
    node.SetSize(0.12, 0.5)
