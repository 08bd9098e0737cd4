"""A phantom's volume as files of a scanner: classic MR Image Storage, a file for each slice.

What OAI's files have and readers of them rely on, and no more: de-identified patient,
SeriesDescription with the side and no laterality tag, plane geometry, echo time. The same content
gives the same bytes. Every file says that no patient was imaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from xr2mri_core import __version__
from xr2mri_core.geometry import volume_to_slices
from xr2mri_core.phantom.dicom import NOTICE


@dataclass(frozen=True)
class Acquisition:
    """What the files of a series say besides their pictures.

    Attributes:
        participant: PatientID.
        description: SeriesDescription.
        number: number of the series.
        date: date of the study, yyyymmdd.
        echo_ms: EchoTime.
        slice_mm: SliceThickness.
    """

    participant: str
    description: str
    number: str
    date: str
    echo_ms: float = 7.57
    slice_mm: float = 1.5


@dataclass(frozen=True)
class Plane:
    """One picture and where it lies.

    Attributes:
        pixels: uint16 (rows, columns), 12 bits.
        row, column: directions along a row and down a column, in DICOM's LPS frame.
        corner: centre of the first pixel, LPS, mm.
        spacing: spacing of rows and of columns, mm.
        echo_ms: EchoTime of this picture; None takes that of the series.
    """

    pixels: NDArray[np.uint16]
    row: tuple[float, float, float]
    column: tuple[float, float, float]
    corner: tuple[float, float, float]
    spacing: tuple[float, float]
    echo_ms: float | None = None


def coronal_planes(volume: NDArray[np.uint16], affine: NDArray[np.float64]) -> list[Plane]:
    """Cut a RAS volume (X, n, Z) into coronal pictures, anterior slice first, as scanners do.

    Args:
        volume: voxels of 0 to 4095.
        affine: (4, 4), without rotation.
    """
    spacing = np.diag(affine)[:3]
    right, _, top = affine[:3, 3] + spacing * (np.array(volume.shape) - 1)
    pictures = volume_to_slices(volume).astype(np.uint16)
    planes = [
        Plane(
            picture,
            (1.0, 0.0, 0.0),
            (0.0, 0.0, -1.0),
            (-float(right), -float(affine[1, 3] + index * spacing[1]), float(top)),
            (float(spacing[2]), float(spacing[0])),
        )
        for index, picture in enumerate(pictures)
    ]
    return planes[::-1]


def write_mr_series(
    folder: Path, planes: Sequence[Plane], acquisition: Acquisition, names: Sequence[str] = ()
) -> None:
    """Write the pictures of one series as ``001``, ``002``, ... or under other names."""
    folder.mkdir(parents=True)
    names = names or [f"{index:03d}" for index in range(1, len(planes) + 1)]
    series = f"{acquisition.participant}{acquisition.number}"
    for index, (name, plane) in enumerate(zip(names, planes, strict=True), 1):
        dataset = _dataset(plane, acquisition, series, index)
        dataset.save_as(folder / name, write_like_original=False)


def _dataset(plane: Plane, acquisition: Acquisition, series: str, index: int) -> FileDataset:
    content = sha256(np.ascontiguousarray(plane.pixels).tobytes()).hexdigest()
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = _uid(series, str(index), content)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _uid("implementation")
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\x00" * 128)
    ds.is_little_endian, ds.is_implicit_VR = True, False
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = MRImageStorage, meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID = _uid("study", acquisition.participant, acquisition.date)
    ds.SeriesInstanceUID = _uid("series", series)
    ds.FrameOfReferenceUID = _uid("frame", acquisition.participant, acquisition.date)
    ds.PatientID, ds.PatientName = acquisition.participant, f"Phantom^{acquisition.participant}"
    ds.PatientBirthDate, ds.PatientSex = "", "O"
    ds.PatientComments, ds.QualityControlSubject = NOTICE, "YES"
    ds.PatientIdentityRemoved = "YES"
    ds.Manufacturer, ds.SoftwareVersions = "XR2MRI phantom", __version__
    ds.Modality, ds.BodyPartExamined = "MR", "KNEE"
    ds.StudyDate, ds.StudyTime, ds.StudyID = acquisition.date, "120000", "1"
    ds.AccessionNumber, ds.ReferringPhysicianName = "", ""
    ds.StudyDescription = "OAI^MR^KNEE (synthetic phantom)"
    ds.SeriesDescription = acquisition.description
    ds.SeriesNumber, ds.InstanceNumber = int(acquisition.number[-3:]), index
    ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions = "GR", "SP", ""
    ds.MRAcquisitionType, ds.PatientPosition = "3D", "FFS"
    ds.RepetitionTime, ds.FlipAngle, ds.EchoTrainLength = "20", "12", "1"
    ds.EchoTime = f"{plane.echo_ms or acquisition.echo_ms:g}"
    ds.SliceThickness = f"{acquisition.slice_mm:g}"
    ds.ImageOrientationPatient = [f"{value:g}" for value in (*plane.row, *plane.column)]
    ds.ImagePositionPatient = [f"{value + 0.0:.10g}" for value in plane.corner]
    ds.PixelSpacing = [f"{value:.10g}" for value in plane.spacing]
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = plane.pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PixelData = plane.pixels.astype("<u2").tobytes()
    return ds


def _uid(*content: str) -> UID:
    return generate_uid(entropy_srcs=["xr2mri phantom mr", *content])
