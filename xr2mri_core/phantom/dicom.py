"""The phantom's radiograph as a DICOM file: Digital X-Ray Image Storage - For Presentation.

The file carries what a real one has, says in five places that it is synthetic
(QualityControlSubject, Manufacturer, PatientComments, ImageComments, DerivationDescription), and is
the same, byte by byte, for the same content.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from xr2mri_core import __version__
from xr2mri_core.errors import InputError, OutputError
from xr2mri_core.export.dicom_header import code
from xr2mri_core.geometry import Laterality

from .radiograph import Beam

DX_FOR_PRESENTATION = UID("1.2.840.10008.5.1.4.1.1.1.1.1")
_IMPLEMENTATION_UID = generate_uid(entropy_srcs=["xr2mri"])
_BITS = 12
_WHITE = (1 << _BITS) - 1
_SHOWN_PERCENT = (1, 99.5)  # of the pixels lie below the window's ends
NOTICE = "SYNTHETIC PHANTOM, not a patient. For research, never for diagnosis."


def write_radiograph_dicom(
    path: str | Path,
    pixels: NDArray[Any],
    spacing_mm: float,
    *,
    patient_id: str,
    laterality: str = "R",
    exposure: Mapping[str, Any] | None = None,
    demographics: Mapping[str, Any] | None = None,
    photometric: str = "MONOCHROME2",
) -> Path:
    """Writes one radiograph.

    Args:
        path: the file to write.
        pixels: uint16 (H, W), 12 bits, bone bright, as a radiologist sees it (patient right on
            image left).
        spacing_mm: pixel size at the detector.
        patient_id: also seeds the UIDs, together with the pixels.
        laterality: R or L.
        exposure: `kvp`, `mas`, `source_to_detector_mm`, `focal_spot_mm` and `magnification`
            (PixelSpacing stays that of the detector), e.g. `Beam.to_dict()`; more is passed over.
        demographics: `sex` (F or M), `age` in years, `height_cm`, `bmi`.
        photometric: MONOCHROME2, or MONOCHROME1 with the pixels stored inverted.

    Returns:
        The path.

    Raises:
        InputError: for pixels, a spacing or a photometric interpretation that are not accepted.
        OutputError: if the file cannot be written.
    """
    path, pixels = Path(path), np.asarray(pixels)
    _check(pixels, spacing_mm, photometric)
    side = Laterality.parse(laterality) or Laterality.RIGHT
    stored = pixels if photometric == "MONOCHROME2" else _WHITE - pixels

    uid = _uids(patient_id, stored)
    ds = FileDataset(str(path), {}, file_meta=_meta(uid("instance")), preamble=b"\x00" * 128)
    ds.is_little_endian, ds.is_implicit_VR = True, False
    _describe_patient(ds, patient_id, demographics or {})
    _describe_study(ds, uid)
    _describe_view(ds, side, photometric)
    _describe_exposure(ds, spacing_mm, exposure or {})
    _set_pixels(ds, stored, photometric)
    try:
        ds.save_as(path, write_like_original=False)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}): "
            "choose a folder with space that you may write to"
        ) from error
    return path


def _check(pixels: NDArray[Any], spacing_mm: float, photometric: str) -> None:
    if pixels.ndim != 2 or pixels.dtype != np.uint16 or pixels.max(initial=0) > _WHITE:
        raise InputError(
            f"pixels {pixels.dtype} {pixels.shape}: a 12-bit uint16 picture (H, W) is accepted"
        )
    if not spacing_mm > 0:
        raise InputError(f"pixel spacing {spacing_mm} mm: a positive number is accepted")
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise InputError(f"{photometric!r}: MONOCHROME1 and MONOCHROME2 are accepted")


def _meta(instance: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = DX_FOR_PRESENTATION
    meta.MediaStorageSOPInstanceUID = UID(instance)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _IMPLEMENTATION_UID
    meta.ImplementationVersionName = f"XR2MRI_{__version__}"[:16]
    return meta


def _uids(patient_id: str, pixels: NDArray[Any]) -> Callable[[str], str]:
    """UIDs of study, series and instance that depend on nothing but the content."""
    content = sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()

    def uid(level: str) -> str:
        return generate_uid(entropy_srcs=["xr2mri phantom", patient_id, content, level])

    return uid


def _describe_patient(ds: Dataset, patient_id: str, person: Mapping[str, Any]) -> None:
    ds.PatientName = f"Phantom^{patient_id}"
    ds.PatientID = patient_id
    ds.PatientBirthDate = ""
    ds.PatientSex = str(person.get("sex", "O"))
    if "age" in person:
        ds.PatientAge = f"{int(person['age']):03d}Y"
    if "height_cm" in person:
        height = float(person["height_cm"]) / 100
        ds.PatientSize = f"{height:.3f}"
        if "bmi" in person:
            ds.PatientWeight = f"{float(person['bmi']) * height**2:.1f}"
    ds.QualityControlSubject = "YES"
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = "There never was a patient"
    ds.PatientComments = NOTICE


def _describe_study(ds: Dataset, uid: Callable[[str], str]) -> None:
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = DX_FOR_PRESENTATION
    ds.SOPInstanceUID = uid("instance")
    ds.StudyInstanceUID = uid("study")
    ds.SeriesInstanceUID = uid("series")
    for level in ("Study", "Series", "Acquisition", "Content"):
        setattr(ds, f"{level}Date", "20040101")  # any fixed date: a phantom has none
        setattr(ds, f"{level}Time", "120000")
    ds.AccessionNumber = ""
    ds.ReferringPhysicianName = ""
    ds.StudyID = "1"
    ds.SeriesNumber = 1
    ds.AcquisitionNumber = 1
    ds.InstanceNumber = 1
    ds.Manufacturer = "XR2MRI phantom"
    ds.ManufacturerModelName = "Parametric knee"
    ds.SoftwareVersions = __version__
    ds.InstitutionName = "None (synthetic)"
    ds.StudyDescription = "Synthetic knee"
    ds.SeriesDescription = "PA Fixed Flexion Knee (synthetic phantom)"


def _describe_view(ds: Dataset, side: Laterality, photometric: str) -> None:
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.Modality = "DX"
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.BodyPartExamined = "KNEE"
    ds.ViewPosition = "PA"
    ds.ImageLaterality = str(side)
    ds.PatientOrientation = ["L", "F"]  # columns run to the patient's left, rows to the feet
    ds.PatientPosition = ""
    ds.AnatomicRegionSequence = [code("72696002", "SCT", "Knee region")]
    ds.ViewCodeSequence = [code("272479007", "SCT", "Postero-anterior")]
    ds.ViewCodeSequence[0].ViewModifierCodeSequence = []
    ds.BurnedInAnnotation = "NO"
    ds.LossyImageCompression = "00"
    ds.DerivationDescription = "Beer-Lambert projection of a parametric knee; no patient was imaged"
    ds.ImageComments = NOTICE
    ds.PresentationLUTShape = "IDENTITY" if photometric == "MONOCHROME2" else "INVERSE"


def _describe_exposure(ds: Dataset, spacing_mm: float, exposure: Mapping[str, Any]) -> None:
    magnification = float(exposure.get("magnification", 1.0))
    exposure = {**Beam().to_dict(), **exposure}
    ds.KVP = f"{exposure['kvp']:g}"
    mas = float(exposure["mas"])
    ds.Exposure = round(mas)
    ds.ExposureInuAs = round(mas * 1000)
    distance = float(exposure["source_to_detector_mm"])
    ds.DistanceSourceToDetector = f"{distance:g}"
    ds.DistanceSourceToPatient = f"{distance / magnification:.1f}"
    ds.EstimatedRadiographicMagnificationFactor = f"{magnification:.4f}"
    ds.FocalSpots = f"{float(exposure['focal_spot_mm']):.2f}"
    ds.DetectorType = "STORAGE"
    ds.DetectorConfiguration = "AREA"
    ds.ImagerPixelSpacing = [f"{spacing_mm:.6g}"] * 2
    ds.PixelSpacing = [f"{spacing_mm:.6g}"] * 2
    ds.FieldOfViewShape = "RECTANGLE"


def _set_pixels(ds: Dataset, pixels: NDArray[Any], photometric: str) -> None:
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = photometric
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, _BITS, _BITS - 1
    ds.PixelRepresentation = 0
    ds.PixelIntensityRelationship = "LOG"
    ds.PixelIntensityRelationshipSign = -1 if photometric == "MONOCHROME2" else 1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
    low, high = np.percentile(pixels, _SHOWN_PERCENT)
    ds.WindowCenter = f"{(low + high) / 2:.0f}"
    ds.WindowWidth = f"{max(high - low, 1):.0f}"
    ds.PixelData = pixels.astype("<u2").tobytes()
