"""A generated volume as a DICOM MR series, for a PACS beside the radiograph that it came from.

    series = dicom_series(generated)  # datasets, ready for STOW-RS
    write_dicom_series(generated, "out/series")

**Which object.** Classic MR Image Storage, one file per slice. Enhanced MR would fit a derived
image better on paper (it asks for no acquisition parameter of a derived image and has
ContentQualification), but many PACS and viewers still open only the classic object, 3D Slicer's
and SimpleITK's series readers are at home with it, and the server's clients can fetch one slice.
The classic object forces two attributes that a generated volume cannot know, and both have a value
that claims nothing: ScanningSequence RM ("research mode") and SequenceVariant NONE. The others
(EchoTime, RepetitionTime, EchoTrainLength, MRAcquisitionType, ScanOptions, PatientPosition) may be
empty and are: no MR signal was acquired. ContentQualification RESEARCH is not in this object's
definition; the standard lets an object carry further attributes ("Standard Extended SOP Class").
SyntheticData (0008,001C) would say best what this is, but is so new that ``dciodvfy`` of today's
Debian takes it for an error; the purpose code of the contributing equipment, 109100 "Synthesizing
Equipment", says the same in coded form.

**Grey values.** Stored values are round(4095 * intensity), 12 of 16 bits, so intensity is known to
1/8190. There is no RescaleSlope: the classic MR object has no modality LUT, so that readers
disagree on whether the window is meant before or after it, and a window of width 1 over rescaled
values in [0, 1] is a threshold by the formula of the standard. The way back to [0, 1] is a
RealWorldValueMapping (slope 1/4095), which leaves the display alone; readers that do not know it
(ITK, Slicer) show 0 to 4095.

**Geometry.** Coronal slices, rows from superior to inferior, columns from the patient's right to
left, as a radiologist looks at a knee; instance 1 is the most anterior slice, for then the order of
instances is that of positions along the slice normal, by which readers sort. SliceThickness is
that of the slices that the model learnt from, whatever their spacing. The frame of reference is
new: the generated knee is not registered to any scanner.

**Text** is UTF-8, with the radiograph's letters, where its header says what they are, or where they
can only be UTF-8. Where it declares no character set that fits, nobody can know them: then the
series declares none either, and keeps the radiograph's bytes (`transforms/dicom_text.py`);
``dciodvfy`` finds fault with those letters, as with the radiograph's, and with nothing else.

**UIDs** are hashes of the content: the same volume of the same radiograph is the same instance, so
that storing it twice leaves one copy, and any other content has other UIDs. For the same reason no
clock is read: SeriesDate and the like are absent, study date and time are the radiograph's.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage, generate_uid
from pydicom.valuerep import DSfloat

from xr2mri_core import __version__
from xr2mri_core.errors import VolumeError
from xr2mri_core.export.dicom_header import (
    LEVELS,
    MANUFACTURER,
    code,
    common_header,
    joined,
    series_uid,
)
from xr2mri_core.export.dicom_patient import header_of
from xr2mri_core.files import atomic_files
from xr2mri_core.geometry import SLICE_MM, volume_to_slices
from xr2mri_core.volume import KINDS, NOTICE, GeneratedVolume

FIRST_SERIES_NUMBER = 9001
"""High, so that the series comes after those that a scanner made."""

_IMPLEMENTATION_UID = generate_uid(entropy_srcs=["xr2mri"])
_KINDS = {"volume": "", "mean": "mean of", "std": "std of"}


def dicom_series(
    generated: GeneratedVolume, source: Dataset | Path | str | None = None
) -> list[Dataset]:
    """Return the volume, and its mean and std where it has them, as one dataset per slice.

    Args:
        generated: what was generated; ``record`` may lack entries, which are then not stated.
        source: the radiograph, as a dataset or a file; by default ``generated.source``. Patient
            and study are those of a DICOM radiograph, and every slice refers to it; what breaks
            DICOM's rules in it (a sex "Male", a date "1999.01.01") is left out, but for the
            identifiers that a PACS matches by. Without one, or with a file that is not DICOM,
            there is a new study of a patient "SYNTHETIC-..." for each radiograph.

    Returns:
        Datasets with file meta, anterior slice first: the slices of the volume, then those of mean
        and std, which are series of their own (SeriesInstanceUID) in the same study and frame of
        reference. Character set UTF-8, or none where the radiograph's is unknown; no private
        attributes.

    Raises:
        RadiographError: the file of the radiograph cannot be read.
        VolumeError: the volume is not 3-D or has values that are not numbers.
    """
    return [dataset for series in _series(generated, source).values() for dataset in series]


def write_dicom_series(
    generated: GeneratedVolume, folder: Path | str, source: Dataset | Path | str | None = None
) -> list[Path]:
    """Write `dicom_series` into ``folder``, all files or none.

    Files are named by their content, e.g. ``volume_41877305_0001.dcm``: another volume in the same
    folder is another series beside the first, never mixed up with it.

    Returns:
        The files, in the order of `dicom_series`.

    Raises:
        OutputError: nothing was written.
        RadiographError, VolumeError: see `dicom_series`.
    """
    folder = Path(folder)
    slices = {
        folder
        / f"{kind}_{dataset.SeriesInstanceUID[-8:]}_{dataset.InstanceNumber:04d}.dcm": dataset
        for kind, series in _series(generated, source).items()
        for dataset in series
    }
    is_new = not folder.exists()
    try:
        with atomic_files(folder) as files:
            for path, dataset in slices.items():
                dataset.save_as(files.path(path), write_like_original=False)
    except BaseException:
        if is_new:
            with suppress(OSError):
                folder.rmdir()
        raise
    return list(slices)


def _series(
    generated: GeneratedVolume, source: Dataset | Path | str | None
) -> dict[str, list[Dataset]]:
    volumes = {kind: getattr(generated, kind) for kind in _KINDS}
    stored = {kind: _stored(volume) for kind, volume in volumes.items() if volume is not None}
    header = common_header(generated, header_of(generated.source if source is None else source))
    content = _content(header, generated.affine, stored)
    header.FrameOfReferenceUID = series_uid(content, "frame of reference")
    header.PositionReferenceIndicator = ""
    return {
        kind: _slices(header, pixels, kind, generated, content) for kind, pixels in stored.items()
    }


# --- grey values, content, UIDs -------------------------------------------------------------------


def _stored(volume: NDArray[np.float32]) -> NDArray[np.uint16]:
    """A volume (W, n, H) in [0, 1] as pictures (n, H, W), little-endian uint16 in 0..4095."""
    if volume.ndim != 3 or 0 in volume.shape or not np.isfinite(volume).all():
        raise VolumeError(
            f"a volume of shape {volume.shape} with values that may not be numbers cannot become "
            "DICOM: accepted is (W, n, H) in [0, 1]"
        )
    return np.rint(volume_to_slices(np.clip(volume, 0, 1)) * LEVELS).astype("<u2")


def _content(
    header: Dataset, affine: NDArray[np.float64], stored: Mapping[str, NDArray[np.uint16]]
) -> str:
    """A digest of everything that the files will say."""
    digest = sha256(header.to_json().encode())
    digest.update(np.ascontiguousarray(affine, np.float64).tobytes())
    for kind, pixels in stored.items():
        digest.update(f"{kind}{pixels.shape}".encode() + pixels.tobytes())
    return digest.hexdigest()


# --- one slice ------------------------------------------------------------------------------------


def _slices(
    header: Dataset, pixels: NDArray[np.uint16], kind: str, generated: GeneratedVolume, content: str
) -> list[Dataset]:
    """The slices of one series: ``pixels`` (n, H, W), posterior first, become anterior first."""
    shared = copy.deepcopy(header)
    number = list(_KINDS).index(kind)
    shared.SeriesInstanceUID = series_uid(content, kind)
    shared.SeriesNumber = FIRST_SERIES_NUMBER + number
    samples = generated.record.get("samples", "all")
    what = f"{_KINDS[kind]} {samples} samples" if number else generated.kind
    knee = f"{MANUFACTURER} knee {shared.Laterality}".strip()
    shared.SeriesDescription = f"{knee}, {what}: {NOTICE}"
    value = kind if number else generated.kind
    shared.ImageType = ["DERIVED", "SECONDARY", "OTHER", "SYNTHETIC", value.upper()]
    derivation = what if number else f"{what}, {KINDS[generated.kind]}"
    shared.DerivationDescription = joined(1024, derivation, shared.DerivationDescription)
    if value == "mean":
        shared.DerivationCodeSequence.append(code("113049", "DCM", "Pixel by pixel mean"))
    highest = LEVELS if kind != "std" else max(1, int(pixels.max()))  # std is dark without
    shared.WindowCenter, shared.WindowWidth = f"{(highest + 1) / 2:g}", f"{highest + 1}"

    orientation, positions, spacing = _planes(generated.affine, generated.volume.shape)
    normal = np.cross(orientation[:3], orientation[3:])
    locations = positions @ normal
    shared.ImageOrientationPatient = [_decimal(value) for value in orientation]
    shared.PixelSpacing = [_decimal(spacing[2]), _decimal(spacing[0])]
    shared.SliceThickness = _decimal(SLICE_MM)
    shared.SpacingBetweenSlices = _decimal(spacing[1])
    shared.Rows, shared.Columns = pixels.shape[1:]

    datasets: list[Dataset] = []
    for instance, index in enumerate(np.argsort(locations), start=1):
        dataset = _file(series_uid(content, kind, str(instance)))
        dataset.update(copy.deepcopy(shared))
        dataset.InstanceNumber = instance
        dataset.ImagePositionPatient = [_decimal(value) for value in positions[index]]
        dataset.SliceLocation = _decimal(locations[index])
        dataset.PixelData = pixels[index].tobytes()
        datasets.append(dataset)
    return datasets


def _file(instance: UID) -> FileDataset:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = instance
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _IMPLEMENTATION_UID
    meta.ImplementationVersionName = f"XR2MRI_{__version__}"[:16]
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\x00" * 128)
    dataset.is_little_endian, dataset.is_implicit_VR = True, False
    dataset.SOPInstanceUID = instance
    return dataset


def _planes(
    affine: NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Where the pictures of a RAS volume (W, n, H) lie in DICOM's space, which is LPS.

    Returns:
        Directions (6,) along a row, then along a column; the centre (n, 3) of the first pixel of
        each picture, posterior first; the spacing (3,) of the volume's axes, in mm.
    """
    width, count, height = shape
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    along_row, along_column = -lps[:3, 0] / spacing[0], -lps[:3, 2] / spacing[2]
    corners = np.stack(
        [np.full(count, width - 1), np.arange(count), np.full(count, height - 1), np.ones(count)]
    )
    return np.concatenate([along_row, along_column]), (lps @ corners)[:3].T, spacing


def _decimal(value: float) -> DSfloat:
    """A decimal string of at most 16 characters, without -0."""
    return DSfloat(round(float(value), 12) + 0.0, auto_format=True)
