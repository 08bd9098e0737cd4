"""What of a radiograph is sent to the server: its DICOM file, or its pixels alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Union

import numpy as np
import slicer
from numpy.typing import NDArray

from xr2mri_client.errors import BadRadiograph

from . import nrrd
from .scene import dicom_source
from .scene.picture import frame_of, pixels_of, problem

Upload = Union[Path, Callable[[], bytes]]
"""A file, or what a thread calls for the content of one."""


def upload_of(node: slicer.vtkMRMLVolumeNode | None, pixels_only: bool = False) -> Upload:
    """A radiograph as the server takes it.

    A radiograph from the DICOM database goes as its file, from which the server takes the patient
    and study of a DICOM export; everything else, and anything if `pixels_only`, goes as pixels
    with their spacing and nothing that tells of the patient. The pixels of a large radiograph take
    a while to be written down: the thread that sends them does it.

    Raises:
        BadRadiograph: the node is no radiograph.
    """
    why_not = problem(node)
    if why_not or node is None:
        raise BadRadiograph(why_not)
    file = dicom_source.file_of(node)
    if not pixels_only and file is not None and _as_filed(node):
        return file
    negative = dicom_source.value(node, dicom_source.PHOTOMETRIC) == "MONOCHROME1"
    source = source_of(node) if negative else None
    lies = dicom_source.value(node, dicom_source.PATIENT_ORIENTATION) if _as_filed(node) else ""
    return partial(_encoded, pixels_of(node), frame_of(node).spacing, negative, source, lies)


def source_of(node: slicer.vtkMRMLVolumeNode) -> Path | str | None:
    """The DICOM file that a node's picture was loaded from; None or empty where it has gone."""
    return dicom_source.file_of(node) or dicom_source.loose_file_of(node)


def holds_patient_data(node: slicer.vtkMRMLVolumeNode) -> bool:
    """Whether a DICOM file would be sent: there is one, and the node still shows its picture."""
    return dicom_source.file_of(node) is not None and _as_filed(node)


def _as_filed(node: slicer.vtkMRMLVolumeNode) -> bool:
    """Whether a node has the size of its DICOM picture: it was not cropped or resampled since."""
    frame = frame_of(node)
    size = (dicom_source.value(node, tag) for tag in (dicom_source.ROWS, dicom_source.COLUMNS))
    return tuple(size) == (str(frame.rows), str(frame.columns))


def _encoded(
    picture: NDArray[Any],
    spacing: tuple[float, float],
    negative: bool,
    source: Path | str | None,
    orientation: str = "",
) -> bytes:
    """The file of a picture, in which bone is bright.

    Args:
        picture, spacing: see `nrrd.encode`.
        negative: whether bone is dark in the DICOM file that the picture was loaded from.
        source: that file; None where it has gone.
        orientation: how the picture lies, see `nrrd.encode`.
    """
    picture = nrrd.common(picture)
    if negative and as_stored(picture, source):
        picture = (picture.max() - picture) + picture.min()
    return nrrd.encode(picture, spacing, orientation)


def as_stored(picture: NDArray[Any], source: Path | str | None) -> bool:
    """Whether a picture has the values of its DICOM file. Of Slicer's readers DCMTK turns a
    MONOCHROME1 picture into a positive and GDCM does not, so that the file is looked at."""
    try:
        import pydicom  # Slicer brings it

        stored = np.asarray(pydicom.dcmread(str(source)).pixel_array)
    except Exception:  # it has gone, or is compressed in a way that pydicom alone does not know
        return True
    if stored.shape != picture.shape:
        return True
    step = max(1, min(stored.shape) // 256)
    pair = (image[::step, ::step].astype(np.float64) for image in (stored, picture))
    a, b = (values - values.mean() for values in pair)
    return float((a * b).sum()) >= 0
