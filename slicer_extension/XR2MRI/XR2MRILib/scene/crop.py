"""The box around the knee: proposed, shown as an ROI on the radiograph, and read back."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray

from .picture import Frame

CROP_MM = 140.0
"""Side of the square that the server takes where nobody gives a box."""
THICKNESS_MM = 10.0
"""Of the ROI across the picture, so that slice views cut it."""

Box = tuple[int, int, int, int]
"""Top, left, bottom, right in pixels of the picture; bottom and right exclusive."""


def written(box: Box) -> str:
    """A box as it is kept: `top left bottom right`."""
    return " ".join(map(str, box))


def proposal(frame: Frame) -> Box:
    """The box that the server takes where none is sent: the middle 140 mm of the picture where
    the spacing is known, else the largest middle square."""
    if frame.spacing_known:
        row, column = frame.spacing
        height, width = CROP_MM / row, CROP_MM / column
    else:
        height = width = float(min(frame.rows, frame.columns))
    height, width = max(1, round(height)), max(1, round(width))
    top = math.floor(frame.rows / 2 - height / 2 + 0.5)
    left = math.floor(frame.columns / 2 - width / 2 + 0.5)
    return top, left, top + height, left + width


def place(roi: slicer.vtkMRMLMarkupsROINode, frame: Frame, box: Box) -> None:
    """Put an ROI around a box of a picture, its sides along the picture's."""
    top, left, bottom, right = box
    centre = frame.to_ras @ [(left + right - 1) / 2, (top + bottom - 1) / 2, 0, 1]
    row, column = frame.spacing
    matrix = np.eye(4)
    matrix[:3, :3] = frame.to_ras[:3, :3] / np.linalg.norm(frame.to_ras[:3, :3], axis=0)
    matrix[:3, 3] = centre[:3]
    changes = roi.StartModify()
    roi.SetSize((right - left) * column, (bottom - top) * row, THICKNESS_MM)
    roi.SetAndObserveObjectToNodeMatrix(_vtk_matrix(matrix))
    roi.EndModify(changes)


def box_of(roi: slicer.vtkMRMLMarkupsROINode, frame: Frame) -> Box:
    """The pixels that an ROI encloses, wherever the user has moved and turned it."""
    to_node = slicer.util.arrayFromVTKMatrix(roi.GetObjectToNodeMatrix())
    halves = np.array(roi.GetSize()) / 2
    corners = np.array([[*(halves * signs), 1.0] for signs in product((-1, 1), repeat=3)]).T
    columns, rows = (np.linalg.inv(frame.to_ras) @ to_node @ corners)[:2]
    edges = rows.min(), columns.min(), rows.max(), columns.max()
    # a pixel reaches half a step to each side
    top, left, bottom, right = (math.floor(edge + 1.0) for edge in edges)
    return top, left, bottom, right


def add_roi(radiograph: slicer.vtkMRMLVolumeNode, name: str) -> slicer.vtkMRMLMarkupsROINode:
    """An ROI node for a radiograph, moved with it by the same transform."""
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
    roi.CreateDefaultDisplayNodes()
    roi.SetAndObserveTransformNodeID(radiograph.GetTransformNodeID())
    roi.SetNodeReferenceID("XR2MRI.radiograph", radiograph.GetID())
    display = roi.GetDisplayNode()
    display.SetFillOpacity(0.05)
    display.SetPropertiesLabelVisibility(False)
    display.SetHandlesInteractive(True)
    display.SetRotationHandleVisibility(False)
    display.SetTranslationHandleVisibility(True)
    display.SetScaleHandleVisibility(True)
    return roi


def _vtk_matrix(array: NDArray[np.float64]) -> vtk.vtkMatrix4x4:
    return slicer.util.vtkMatrixFromArray(array)
