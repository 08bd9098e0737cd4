"""A volume node as the radiograph that it holds: one picture, its spacing, its place in space."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray

from xr2mri_client.texts import tr as _

from ..modalities import is_radiograph
from . import attributes, dicom_source

_Lie = tuple[tuple[int, int], tuple[bool, bool]]
"""Of the axes of a picture the one along which its columns follow each other, and that of its rows;
and whether each runs against the display, which has the patient's right on the left and the head,
or what is anterior, above."""
_UPRIGHT: _Lie = ((0, 1), (False, False))
"""As pictures lie that have no place in space, which is ITK's identity."""


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
    frame, (axes, flips) = _layout_of(node)
    array = slicer.util.arrayFromVolume(node)  # (k, j, i), colours last
    array = np.moveaxis(array, (2 - axes[1], 2 - axes[0]), (0, 1))
    array = array.reshape(frame.rows, frame.columns, -1)
    picture = array[:: -1 if flips[1] else 1, :: -1 if flips[0] else 1]
    return picture[..., 0] if picture.shape[-1] == 1 else picture


def as_filed(node: slicer.vtkMRMLVolumeNode) -> bool:
    """Whether a node shows the picture of its DICOM file as readers show that: it was not cropped,
    resampled, mirrored or turned since."""
    columns, rows, _one = node.GetImageData().GetDimensions()
    size = (dicom_source.value(node, tag) for tag in (dicom_source.ROWS, dicom_source.COLUMNS))
    return tuple(size) == (str(rows), str(columns)) and _lie(_shown(node)[:, :2]) == _filed(node)


def orientation_of(node: slicer.vtkMRMLVolumeNode) -> str:
    """DICOM's Patient Orientation of the pixels of a node; empty where it is unknown, and where
    they have been turned, or lie, upright."""
    if not as_filed(node):
        return ""
    stated = dicom_source.value(node, dicom_source.PATIENT_ORIENTATION)
    if stated or _filed(node) == _UPRIGHT:
        return stated
    axes, (mirrored, upended) = _filed(node)
    letters = "LR"[mirrored], "FH"[upended]
    return "\\".join(letters if axes == (0, 1) else letters[::-1])


def _layout_of(node: slicer.vtkMRMLVolumeNode) -> tuple[Frame, _Lie]:
    """The frame, and how the picture lies in the voxels.

    A picture is turned as views show it, and as the server turns such files. In the order of the
    voxels stay those of DICOM files, which the server turns itself, and those of a positive
    diagonal at the origin, as scripts write it, who state nothing by it.
    """
    to_ras = ijk_to_ras(node)
    dimensions = node.GetImageData().GetDimensions()
    across = next(axis for axis in (2, 1, 0) if dimensions[axis] == 1)
    plane = [axis for axis in range(3) if axis != across]
    order, flips = _lie(_shown(node)[:, plane])
    if across == 2 and (order, flips) != _UPRIGHT and (_is_silent(node) or as_filed(node)):
        order, flips = _UPRIGHT
    axes = plane[order[0]], plane[order[1]]
    matrix = np.eye(4)
    corner = to_ras[:3, 3].copy()
    for position, (axis, flipped) in enumerate(zip(axes, flips)):
        step = to_ras[:3, axis]
        corner += step * (dimensions[axis] - 1) * flipped
        matrix[:3, position] = -step if flipped else step
    normal = np.cross(matrix[:3, 0], matrix[:3, 1])
    matrix[:3, 2], matrix[:3, 3] = normal / np.linalg.norm(normal), corner
    return Frame(dimensions[axes[1]], dimensions[axes[0]], matrix), (axes, flips)


def _lie(steps: NDArray[np.float64]) -> _Lie:
    """How a picture lies whose two axes run towards parts of the patient.

    Args:
        steps: (3, 2), a step along each axis in RAS, of any length.
    """
    cosines = steps / np.linalg.norm(steps, axis=0)
    sizes = np.abs(cosines)
    nearest = max(permutations(range(3), 2), key=lambda pair: sizes[pair[0], 0] + sizes[pair[1], 1])
    axes = (1, 0) if nearest[0] > nearest[1] else (0, 1)  # the later one of R, A and S is upward
    column, row = (bool(cosines[nearest[axis], axis] > 0) for axis in axes)
    return axes, (column, row)


def _filed(node: slicer.vtkMRMLVolumeNode) -> _Lie:
    """How the picture lies in the DICOM file of a node; as it is stored where that tells nothing,
    as with most radiographs."""
    text = dicom_source.value(node, dicom_source.IMAGE_ORIENTATION)
    try:
        cosines = np.array(text.split("\\"), float).reshape(2, 3)
    except ValueError:
        return _UPRIGHT
    return _lie((cosines * np.array((-1.0, -1.0, 1.0))).T)


def _is_silent(node: slicer.vtkMRMLVolumeNode) -> bool:
    """Whether nobody has said where a picture lies: its voxels are at the positive diagonal."""
    to_ras = ijk_to_ras(node)
    alone = node.GetParentTransformNode() is None
    return alone and np.array_equal(to_ras, np.diag(np.abs(np.diag(to_ras))))


def _shown(node: slicer.vtkMRMLVolumeNode) -> NDArray[np.float64]:
    """(3, 3), steps along the axes of the voxels as views show them, in RAS; those of the node
    where no matrix tells it, since the transform is not linear."""
    to_world = ijk_to_world(node)
    return (ijk_to_ras(node) if to_world is None else to_world)[:3, :3]


def ijk_to_ras(node: slicer.vtkMRMLVolumeNode) -> NDArray[np.float64]:
    """(4, 4), voxels of a volume node to its RAS mm."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def ijk_to_world(node: slicer.vtkMRMLVolumeNode) -> NDArray[np.float64] | None:
    """(4, 4), voxels of a volume node to the RAS mm in which views show it; None where a transform
    that is not linear lies between."""
    parent = node.GetParentTransformNode()
    if parent is None:
        return ijk_to_ras(node)
    if not parent.IsTransformToWorldLinear():
        return None
    matrix = vtk.vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix) @ ijk_to_ras(node)
