"""A volume node as the radiograph that it holds: one picture, its spacing, its place in space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray

from xr2mri_client.texts import tr as _

from ..modalities import is_radiograph
from . import attributes, dicom_source


@dataclass(frozen=True, eq=False)
class Frame:
    """Where the pixels of a radiograph lie.

    Attributes:
        rows, columns: size of the picture as it is displayed, rows from superior to inferior.
        to_ras: (4, 4), (column, row, 0) of a pixel's centre to RAS mm of the node; the third
            column is the normal of the picture, of length 1.
    """

    rows: int
    columns: int
    to_ras: NDArray[np.float64]

    @property
    def spacing(self) -> tuple[float, float]:
        """Spacing of rows and of columns in mm; 1 and 1 where none was set."""
        steps = np.linalg.norm(self.to_ras[:3, :2], axis=0)
        return float(steps[1]), float(steps[0])

    @property
    def spacing_known(self) -> bool:
        return self.spacing != (1.0, 1.0)


def problem(node: slicer.vtkMRMLVolumeNode | None) -> str:
    """Why a volume node cannot be a radiograph; empty where it can."""
    if node is None:
        return _("Choose a radiograph.")
    if attributes.is_synthetic(node):  # one of a single slice would pass for a radiograph
        return _("{name} is a generated volume, not a radiograph.").format(name=node.GetName())
    image = node.GetImageData()
    if image is None or 0 in image.GetDimensions():
        return _("{name} has no image.").format(name=node.GetName())
    if image.GetNumberOfScalarComponents() not in (1, 3, 4):
        return _("{name} is neither grey nor RGB.").format(name=node.GetName())
    dimensions = sorted(image.GetDimensions())
    if dimensions[0] != 1:
        message = _("{name} is a volume of {n} slices; a radiograph is one picture.")
        return message.format(name=node.GetName(), n=image.GetDimensions()[2])
    if dimensions[1] < 16:
        return _("{name} is too small for a radiograph.").format(name=node.GetName())
    modality = dicom_source.value(node, dicom_source.MODALITY)
    if not is_radiograph(modality):
        message = _("{name} is no radiograph: its DICOM modality is {modality}.")
        return message.format(name=node.GetName(), modality=modality)
    return ""


def frame_of(node: slicer.vtkMRMLVolumeNode) -> Frame:
    """The frame of a node without `problem`."""
    return _layout_of(node)[0]


def pixels_of(node: slicer.vtkMRMLVolumeNode) -> NDArray[Any]:
    """The picture, (rows, columns) or (rows, columns, 3 or 4): a view of the node's memory."""
    frame, axes, flips = _layout_of(node)
    array = slicer.util.arrayFromVolume(node)  # (k, j, i), colours last
    array = np.moveaxis(array, (2 - axes[1], 2 - axes[0]), (0, 1))
    array = array.reshape(frame.rows, frame.columns, -1)
    picture = array[:: -1 if flips[1] else 1, :: -1 if flips[0] else 1]
    return picture[..., 0] if picture.shape[-1] == 1 else picture


def _layout_of(
    node: slicer.vtkMRMLVolumeNode,
) -> tuple[Frame, tuple[int, int], tuple[bool, bool]]:
    """The frame, the (column, row) axes of IJK, and whether each runs against the display.

    A picture in the plane of its file (k singleton) is taken in the order of the file, which is
    that of display. A coronal slice of a volume is turned so that the head is up and the
    patient's right is on the left, as the server does with such files.
    """
    to_ras = ijk_to_ras(node)
    dimensions = node.GetImageData().GetDimensions()
    across = next(axis for axis in (2, 1, 0) if dimensions[axis] == 1)
    first, second = (axis for axis in range(3) if axis != across)
    axes, flips = (first, second), (False, False)
    if across != 2:
        if abs(to_ras[2, first]) > abs(to_ras[2, second]) * _steps(to_ras, first, second):
            axes = (second, first)
        flips = (bool(to_ras[0, axes[0]] > 0), bool(to_ras[2, axes[1]] > 0))
    matrix = np.eye(4)
    corner = to_ras[:3, 3].copy()
    for position, (axis, flipped) in enumerate(zip(axes, flips)):
        step = to_ras[:3, axis]
        corner += step * (dimensions[axis] - 1) * flipped
        matrix[:3, position] = -step if flipped else step
    normal = np.cross(matrix[:3, 0], matrix[:3, 1])
    matrix[:3, 2], matrix[:3, 3] = normal / np.linalg.norm(normal), corner
    return Frame(dimensions[axes[1]], dimensions[axes[0]], matrix), axes, flips


def _steps(to_ras: NDArray[np.float64], first: int, second: int) -> float:
    """Ratio of the voxel's sides, so that directions are compared and not lengths."""
    return float(np.linalg.norm(to_ras[:3, first]) / np.linalg.norm(to_ras[:3, second]))


def ijk_to_ras(node: slicer.vtkMRMLVolumeNode) -> NDArray[np.float64]:
    """(4, 4), voxels of a volume node to its RAS mm."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)
