"""A generated volume beside a real MRI of the same knee: maps and a table in the scene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import slicer
from numpy.typing import NDArray

from xr2mri_client.events import Final, Returned
from xr2mri_client.tasks import Computation
from xr2mri_client.texts import tr as _
from xr2mri_client.volume import Volume, measure

from .activity import Activity, Steps
from .metrics import Comparison, NotComparable, compare
from .scene import attributes, display, result
from .scene.picture import ijk_to_world
from .states import State


@dataclass(frozen=True, eq=False)
class Compared:
    """Result of a comparison.

    Attributes:
        volume: node of the generated volume.
        difference, edges: nodes of the maps, generated minus real.
        table: node with PSNR and SSIM of each slice.
        psnr, ssim: figures of the whole volume.
    """

    volume: slicer.vtkMRMLScalarVolumeNode
    difference: slicer.vtkMRMLScalarVolumeNode
    edges: slicer.vtkMRMLScalarVolumeNode
    table: slicer.vtkMRMLTableNode
    psnr: float
    ssim: float


class _Maps:
    """What the thread makes: the comparison, and its maps ready to be shown."""

    def __init__(self, found: Comparison, affine: NDArray[np.float64]) -> None:
        self.found = found
        self.difference, self.edges = Volume(found.difference, affine), Volume(found.edges, affine)
        measure(self.difference, self.edges)


class RealComparison(Activity):
    """Compares two volume nodes; returns `Compared`.

    Args:
        generated: node of a volume of intensities in [0, 1].
        real: node of the real one.
        align_centres: see `metrics.compare`.

    Raises:
        NotComparable: one of them is no volume of several slices, or its place is no matrix.
    """

    state = importing = State.COMPARING

    def __init__(
        self,
        generated: slicer.vtkMRMLScalarVolumeNode,
        real: slicer.vtkMRMLScalarVolumeNode,
        align_centres: bool,
    ) -> None:
        for node in (generated, real):
            _check(node)
        self._ids = generated.GetID(), real.GetID()
        a, b = result.volume_of(generated), result.volume_of(real)
        self._place, real_place = _place_of(generated), _place_of(real)

        def work(check: Callable[[], None]) -> _Maps:
            found = compare(a.array, self._place, b.array, real_place, align_centres, check)
            return _Maps(found, a.affine)

        self.worker = Computation(work)

    def needs(self, node_id: str) -> bool:
        return node_id in self._ids

    def steps(self, event: Final) -> Steps:
        assert isinstance(event, Returned)
        maps: _Maps = event.value
        found = maps.found
        generated, real = map(slicer.mrmlScene.GetNodeByID, self._ids)
        difference = self._add_map(generated, _("{a} minus {b}"), "difference", maps.difference)
        generated.SetNodeReferenceID(attributes.REAL_DIFFERENCE, difference.GetID())
        yield
        edges = self._add_map(generated, _("{a} minus {b}, edges"), "edges", maps.edges)
        generated.SetNodeReferenceID(attributes.EDGES, edges.GetID())
        yield
        table = _add_table(generated, real, found, self._place)
        generated.SetNodeReferenceID(attributes.TABLE, table.GetID())
        return Compared(generated, difference, edges, table, found.volume_psnr, found.volume_ssim)

    def _add_map(
        self, generated: slicer.vtkMRMLScalarVolumeNode, name: str, kind: str, values: Volume
    ) -> slicer.vtkMRMLScalarVolumeNode:
        real = slicer.mrmlScene.GetNodeByID(self._ids[1])
        name = name.format(a=generated.GetName(), b=real.GetName())
        node = result.add_volume(name, kind, values, generated)
        node.SetAndObserveTransformNodeID(generated.GetTransformNodeID())
        record = attributes.read_json(generated, attributes.RECORD)
        result.describe(node, record, generated.GetNodeReference(attributes.RADIOGRAPH))
        display.coloured(node, display.DIFFERENCE, values.top)
        return node


def _check(node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Whether a node is a volume that can be compared; raises NotComparable."""
    image = node.GetImageData()
    flat = image is None or min(image.GetDimensions()) < 2
    if flat or image.GetNumberOfScalarComponents() != 1:
        raise NotComparable(_("{name} is no grey volume.").format(name=node.GetName()))


def _place_of(node: slicer.vtkMRMLScalarVolumeNode) -> NDArray[np.float64]:
    """(4, 4), voxels of a node to the RAS mm in which views show it; raises NotComparable."""
    place = ijk_to_world(node)
    if place is None:
        message = _("{name} lies under a transform that is not linear.")
        raise NotComparable(
            message.format(name=node.GetName()),
            _("Harden the transform: right-click the volume in the module Data."),
        )
    return place


def _add_table(
    generated: slicer.vtkMRMLNode,
    real: slicer.vtkMRMLNode,
    found: Comparison,
    affine: NDArray[np.float64],
) -> slicer.vtkMRMLTableNode:
    """PSNR and SSIM of each coronal slice, those of the volume as attributes."""
    name = _("{a} against {b}").format(a=generated.GetName(), b=real.GetName())
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", name)
    slices = np.arange(len(found.psnr), dtype=float)
    position = affine[1, 3] + slices * affine[1, 1]
    columns = (slices + 1, position, found.psnr, found.ssim)
    names = (_("Slice"), _("Position A (mm)"), _("PSNR (dB)"), _("SSIM"))
    slicer.util.updateTableFromArray(table, columns, names)
    table.SetAttribute(attributes.PSNR, f"{found.volume_psnr:.3f}")
    table.SetAttribute(attributes.SSIM, f"{found.volume_ssim:.4f}")
    return table
