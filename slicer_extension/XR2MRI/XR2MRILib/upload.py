"""What of a radiograph is sent to the server: its DICOM file, or its pixels alone."""

from __future__ import annotations

from pathlib import Path
from typing import Union

import numpy as np
import slicer

from . import nrrd
from .errors import BadRadiograph
from .scene import dicom_source
from .scene.picture import frame_of, pixels_of, problem

Upload = Union[bytes, Path]


def upload_of(node: slicer.vtkMRMLVolumeNode, pixels_only: bool = False) -> Upload:
    """A radiograph as the server takes it.

    A radiograph from the DICOM database goes as its file, from which the server takes the patient
    and study of a DICOM export; everything else, and anything if `pixels_only`, goes as pixels
    with their spacing and nothing that tells of the patient.

    Raises:
        BadRadiograph: the node is no radiograph.
    """
    why_not = problem(node)
    if why_not:
        raise BadRadiograph(why_not)
    if not pixels_only and holds_patient_data(node):
        return dicom_source.file_of(node)
    picture = pixels_of(node)
    if dicom_source.value(node, dicom_source.PHOTOMETRIC) == "MONOCHROME1":
        picture = _inverted(picture)
    return nrrd.encode(picture, frame_of(node).spacing)


def holds_patient_data(node: slicer.vtkMRMLVolumeNode) -> bool:
    """Whether a DICOM file would be sent: there is one, and the node still shows its picture."""
    if dicom_source.file_of(node) is None:
        return False
    frame = frame_of(node)
    told = (dicom_source.value(node, tag) for tag in (dicom_source.ROWS, dicom_source.COLUMNS))
    return tuple(told) == (str(frame.rows), str(frame.columns))


def _inverted(picture: np.ndarray) -> np.ndarray:
    """Dark bone made bright, in the same range of the same type."""
    return (picture.max() - picture) + picture.min()
