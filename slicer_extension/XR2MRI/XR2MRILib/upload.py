"""What of a radiograph is sent to the server: its DICOM file, or its pixels alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Union

import numpy as np
import slicer

from . import nrrd
from .errors import BadRadiograph
from .scene import dicom_source
from .scene.picture import frame_of, pixels_of, problem

Upload = Union[Path, Callable[[], bytes]]
"""A file, or what a thread calls for the content of one."""


def upload_of(node: slicer.vtkMRMLVolumeNode, pixels_only: bool = False) -> Upload:
    """A radiograph as the server takes it.

    A radiograph from the DICOM database goes as its file, from which the server takes the patient
    and study of a DICOM export; everything else, and anything if `pixels_only`, goes as pixels
    with their spacing and nothing that tells of the patient. The pixels of a large radiograph take
    a while to be written down: the thread that sends them does it.

    Raises:
        BadRadiograph: the node is no radiograph.
    """
    why_not = problem(node)
    if why_not:
        raise BadRadiograph(why_not)
    if not pixels_only and holds_patient_data(node):
        return dicom_source.file_of(node)
    inverted = dicom_source.value(node, dicom_source.PHOTOMETRIC) == "MONOCHROME1"
    return partial(_encoded, pixels_of(node), frame_of(node).spacing, inverted)


def holds_patient_data(node: slicer.vtkMRMLVolumeNode) -> bool:
    """Whether a DICOM file would be sent: there is one, and the node still shows its picture."""
    if dicom_source.file_of(node) is None:
        return False
    frame = frame_of(node)
    told = (dicom_source.value(node, tag) for tag in (dicom_source.ROWS, dicom_source.COLUMNS))
    return tuple(told) == (str(frame.rows), str(frame.columns))


def _encoded(picture: np.ndarray, spacing: tuple[float, float], inverted: bool) -> bytes:
    """The file of a picture; `inverted` where bone is dark in it, which is made bright then, in
    the same range of the same type."""
    if inverted:
        picture = (picture.max() - picture) + picture.min()
    return nrrd.encode(picture, spacing)
