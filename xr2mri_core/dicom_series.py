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
series declares none either, and keeps the radiograph's bytes (:mod:`.transforms.dicom_text`).

**UIDs** are hashes of the content: the same volume of the same radiograph is the same instance, so
that storing it twice leaves one copy, and any other content has other UIDs. For the same reason no
clock is read: SeriesDate and the like are absent, study date and time are the radiograph's.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom import Dataset
from pydicom.config import RAISE
from pydicom.dataelem import DataElement
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage, generate_uid
from pydicom.valuerep import DSfloat, PersonName, validate_value

from xr2mri_core import __version__
from xr2mri_core.errors import InputError, RadiographError, VolumeError, shown
from xr2mri_core.files import atomic_files
from xr2mri_core.geometry import SLICE_MM, Laterality, volume_to_slices
from xr2mri_core.volume import KINDS, NOTICE

if TYPE_CHECKING:
    from xr2mri_core.volume import GeneratedVolume

log = logging.getLogger("xr2mri")

LEVELS = 4095
"""The stored value of intensity 1."""
MANUFACTURER = "XR2MRI"
FIRST_SERIES_NUMBER = 9001
"""High, so that the series comes after those that a scanner made."""

_UNDECLARED = (
    "the radiograph declares no character set that fits its text, which is kept byte for byte"
)
_IMPLEMENTATION_UID = generate_uid(entropy_srcs=["xr2mri"])
_IDENTIFIERS = ("PatientID", "PatientName", "AccessionNumber")
_MANDATORY = (*_IDENTIFIERS, "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
              "ReferringPhysicianName", "StudyID")  # fmt: skip
_OPTIONAL = (
    "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "PatientAge", "PatientSize",
    "PatientWeight", "PatientComments", "QualityControlSubject", "PatientIdentityRemoved",
    "DeidentificationMethod", "DeidentificationMethodCodeSequence", "StudyDescription",
    "IssuerOfAccessionNumberSequence", "TimezoneOffsetFromUTC",
)  # fmt: skip
_UIDS = ("StudyInstanceUID", "SOPClassUID", "SOPInstanceUID")
_LONGEST_VALUE = 20_000
"""Characters of one attribute that is taken over; a comment may have 10,240."""
_ENUMERATED = {
    "PatientSex": ("M", "F", "O"),
    "QualityControlSubject": ("YES", "NO"),
    "PatientIdentityRemoved": ("YES", "NO"),
}
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
    """Write :func:`dicom_series` into ``folder``, all files or none.

    Files are named by their content, e.g. ``volume_41877305_0001.dcm``: another volume in the same
    folder is another series beside the first, never mixed up with it.

    Returns:
        The files, in the order of :func:`dicom_series`.

    Raises:
        OutputError: nothing was written.
        RadiographError, VolumeError: see :func:`dicom_series`.
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
    header = _header(generated, _source(generated.source if source is None else source))
    content = _content(header, generated.affine, stored)
    header.FrameOfReferenceUID = _uid(content, "frame of reference")
    header.PositionReferenceIndicator = ""
    return {
        kind: _slices(header, pixels, kind, generated, content) for kind, pixels in stored.items()
    }


# --- grey values, content, UIDs -------------------------------------------------------------------


def _stored(volume: np.ndarray) -> np.ndarray:
    """A volume (W, n, H) in [0, 1] as pictures (n, H, W), little-endian uint16 in 0..4095."""
    if volume.ndim != 3 or 0 in volume.shape or not np.isfinite(volume).all():
        raise VolumeError(
            f"a volume of shape {volume.shape} with values that may not be numbers cannot become "
            "DICOM: accepted is (W, n, H) in [0, 1]"
        )
    return np.rint(volume_to_slices(np.clip(volume, 0, 1)) * LEVELS).astype("<u2")


def _content(header: Dataset, affine: np.ndarray, stored: Mapping[str, np.ndarray]) -> str:
    """A digest of everything that the files will say."""
    digest = sha256(header.to_json().encode())
    digest.update(np.ascontiguousarray(affine, np.float64).tobytes())
    for kind, pixels in stored.items():
        digest.update(f"{kind}{pixels.shape}".encode() + pixels.tobytes())
    return digest.hexdigest()


def _uid(*content: str) -> UID:
    return generate_uid(entropy_srcs=["xr2mri dicom series", *content])


# --- what all slices share ------------------------------------------------------------------------


def _header(generated: GeneratedVolume, source: Dataset | None) -> Dataset:
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 192"
    header.SOPClassUID = MRImageStorage
    radiograph = sha256(np.ascontiguousarray(generated.radiograph, np.float32).tobytes())
    if source is None:
        _describe_new_study(header, radiograph.hexdigest())
    else:
        _describe_source(header, source, radiograph.hexdigest())
    copied = set(header.keys())
    keeps_bytes = source is not None and _is_undeclared(header, source)
    _describe_equipment(header, generated.record)
    _describe_derivation(header, generated.record)
    _describe_grey_values(header)
    header.Modality = "MR"
    header.BodyPartExamined = "KNEE"
    header.Laterality = _side(generated.record)
    for unknown in ("PatientPosition", "ScanOptions", "MRAcquisitionType", "RepetitionTime",
                    "EchoTime", "EchoTrainLength"):  # fmt: skip
        setattr(header, unknown, None)
    header.ScanningSequence, header.SequenceVariant = "RM", "NONE"
    if keeps_bytes:
        log.warning("the radiograph declares no character set that fits: its text is kept as it is")
        del header.SpecificCharacterSet
        header.ImageComments = f"{header.ImageComments}; {_UNDECLARED}"
        for tag in set(header.keys()) - copied:
            _make_ascii(header[tag])
    return header


def _is_undeclared(header: Dataset, source: Dataset) -> bool:
    """Whether what was copied is bytes of an unknown character set, read as Latin-1."""
    text = "".join(str(element.value) for element in header.iterall() if element.VR != "SQ")
    if text.isascii() or source.get("SpecificCharacterSet"):
        return False
    return all(ord(letter) < 256 for letter in text)  # others were set in memory, and are true


def _make_ascii(element: DataElement) -> None:
    """Spell what is not ASCII in our own words, beside text of an unknown character set."""
    if element.VR == "SQ":
        for inner in (inner for item in element.value for inner in item):
            _make_ascii(inner)
    elif isinstance(element.value, str) and not element.value.isascii():
        element.value = element.value.encode("ascii", "backslashreplace").decode()


def _describe_new_study(header: Dataset, radiograph: str) -> None:
    """A study for each radiograph, so that what is generated from one lies together."""
    for keyword in _MANDATORY:
        setattr(header, keyword, "")
    header.PatientID = f"SYNTHETIC-{radiograph[:12]}"
    header.PatientName = "Synthetic^Knee"
    header.PatientComments = f"{NOTICE}; the radiograph named no patient"
    header.StudyDescription = f"XR2MRI: {NOTICE}"
    header.StudyInstanceUID = _uid("study", radiograph)


def _describe_source(header: Dataset, source: Dataset, radiograph: str) -> None:
    for keyword in _MANDATORY:
        setattr(header, keyword, _value(source, keyword) or "")
    for keyword in _OPTIONAL:
        if value := _value(source, keyword):
            setattr(header, keyword, value)
    if header.get("PatientIdentityRemoved") == "YES" and not (
        "DeidentificationMethod" in header or "DeidentificationMethodCodeSequence" in header
    ):
        header.DeidentificationMethod = "not stated by the radiograph"
    study = _identifier(source, "StudyInstanceUID")
    header.StudyInstanceUID = study or _uid("study", str(header.PatientID), radiograph)
    sop_class, instance = (_identifier(source, f"SOP{name}UID") for name in ("Class", "Instance"))
    if sop_class and instance:
        reference = Dataset()
        reference.ReferencedSOPClassUID = sop_class
        reference.ReferencedSOPInstanceUID = instance
        reference.SpatialLocationsPreserved = "NO"
        reference.PurposeOfReferenceCodeSequence = [
            _code("121322", "DCM", "Source image for image processing operation")
        ]
        header.SourceImageSequence = [reference]


def _describe_equipment(header: Dataset, record: Mapping[str, Any]) -> None:
    model = record.get("model") or {}
    name = str(model.get("bundle") or "unknown model")
    header.Manufacturer = MANUFACTURER
    header.ManufacturerModelName = name[:64]
    header.SoftwareVersions = str((record.get("versions") or {}).get("xr2mri", __version__))
    equipment = Dataset()
    equipment.PurposeOfReferenceCodeSequence = [_code("109100", "DCM", "Synthesizing Equipment")]
    equipment.Manufacturer = MANUFACTURER
    equipment.ManufacturerModelName = name[:64]
    equipment.SoftwareVersions = header.SoftwareVersions
    equipment.ContributionDescription = _text(
        1024,
        f"Generated the image with model {name}",
        f"size {model.get('size')}" if model.get("size") else "",
        f"weights sha256 {model.get('sha256', 'unknown')}",
    )
    header.ContributingEquipmentSequence = [equipment]


def _describe_derivation(header: Dataset, record: Mapping[str, Any]) -> None:
    header.ContentQualification = "RESEARCH"
    header.BurnedInAnnotation = "NO"
    features = dict(record.get("features") or {})
    names = ("seed", "sampler", "steps", "guidance", "noise_length", "samples", "slices")
    header.DerivationDescription = _text(
        1024,
        "Synthetic coronal knee MRI, generated by a latent diffusion model from one radiograph "
        f"and {len(features)} radiographic features; no MR signal was acquired",
        *(f"{name} {record[name]}" for name in names if name in record),
    )
    header.DerivationCodeSequence = [_code("123110", "DCM", "Artificial Intelligence")]
    header.ImageComments = _text(
        10240,
        NOTICE,
        f"intensity in [0, 1] is the stored value / {LEVELS}",
        "features " + (" ".join(f"{name}={grade}" for name, grade in features.items()) or "none"),
        *map(str, record.get("warnings") or ()),
    )


def _describe_grey_values(header: Dataset) -> None:
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, 12, 11
    header.PixelRepresentation = 0
    mapping = Dataset()
    mapping.add_new(Tag("RealWorldValueFirstValueMapped"), "US", 0)
    mapping.add_new(Tag("RealWorldValueLastValueMapped"), "US", LEVELS)
    mapping.RealWorldValueIntercept, mapping.RealWorldValueSlope = 0.0, 1 / LEVELS
    mapping.LUTExplanation, mapping.LUTLabel = "Intensity in [0, 1]", "INTENSITY"
    mapping.MeasurementUnitsCodeSequence = [_code("1", "UCUM", "no units")]
    header.RealWorldValueMappingSequence = [mapping]


def _side(record: Mapping[str, Any]) -> str:
    """R, L, or empty where it is unknown."""
    with suppress(InputError):
        return str(Laterality.parse(record.get("laterality")) or "")
    return ""


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _text(longest: int, *parts: str) -> str:
    text = "; ".join(" ".join(part.split()) for part in parts if part)
    return text if len(text) <= longest else text[: longest - 3] + "..."


# --- one slice ------------------------------------------------------------------------------------


def _slices(
    header: Dataset, pixels: np.ndarray, kind: str, generated: GeneratedVolume, content: str
) -> list[Dataset]:
    """The slices of one series: ``pixels`` (n, H, W), posterior first, become anterior first."""
    shared = copy.deepcopy(header)
    number = list(_KINDS).index(kind)
    shared.SeriesInstanceUID = _uid(content, kind)
    shared.SeriesNumber = FIRST_SERIES_NUMBER + number
    samples = generated.record.get("samples", "all")
    what = f"{_KINDS[kind]} {samples} samples" if number else generated.kind
    knee = f"{MANUFACTURER} knee {shared.Laterality}".strip()
    shared.SeriesDescription = f"{knee}, {what}: {NOTICE}"
    value = kind if number else generated.kind
    shared.ImageType = ["DERIVED", "SECONDARY", "OTHER", "SYNTHETIC", value.upper()]
    told = what if number else f"{what}, {KINDS[generated.kind]}"
    shared.DerivationDescription = _text(1024, told, shared.DerivationDescription)
    if value == "mean":
        shared.DerivationCodeSequence.append(_code("113049", "DCM", "Pixel by pixel mean"))
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
        dataset = _file(_uid(content, kind, str(instance)))
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
    affine: np.ndarray, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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


# --- the radiograph -------------------------------------------------------------------------------


def _source(source: Dataset | Path | str | None) -> Dataset | None:
    """The header of a DICOM radiograph; None for none and for a file of another format."""
    from xr2mri_core.transforms.dicom_file import is_dicom, read_header  # brings MONAI
    from xr2mri_core.transforms.dicom_text import settle_character_set

    if source is None:
        return None
    if isinstance(source, Dataset):
        settle_character_set(source)
        return source

    path = Path(source)
    try:
        with path.open("rb") as stream:
            head = stream.read(132)
        dataset = read_header(path) if is_dicom(head) else None
        if dataset is not None and not len(dataset):
            raise EOFError("the file is cut short")
        return dataset
    except RadiographError:
        raise
    except Exception as error:
        raise RadiographError(
            f"the patient and study of '{path.name}' cannot be read ({shown(error)}); "
            "give the DICOM file that the volume was generated from"
        ) from error


def patient_and_study(source: Dataset) -> Dataset:
    """The attributes of a radiograph's header that a series takes over, and nothing else of it.

    So a generated volume is not followed around by whatever a file had in its private attributes.
    Texts are decoded: the character set of the result is UTF-8, or none where the file has none.
    """
    kept = Dataset()
    if source.get("SpecificCharacterSet"):
        kept.SpecificCharacterSet = "ISO_IR 192"
    for keyword in (*_MANDATORY, *_OPTIONAL):
        value = _value(source, keyword)
        if value and _extent(value) <= _LONGEST_VALUE:
            setattr(kept, keyword, value)
    for keyword in _UIDS:
        if uid := _identifier(source, keyword):
            setattr(kept, keyword, uid)
    return kept


def _extent(value: Any) -> int:
    """Characters of a value, those of a sequence's items in all."""
    return len(value if isinstance(value, str) else str(value))


def _value(source: Dataset, keyword: str) -> Any:
    """An attribute of the radiograph, or None where it is missing or against DICOM's rules."""
    try:
        element = source[keyword]
        value = element.value
        if element.VR == "SQ":
            return [_public(item) for item in value]
        if isinstance(value, PersonName | str):
            value = str(value)  # decoded here, encoded anew when it is written
        if keyword in _IDENTIFIERS:
            return value
        plain = value if isinstance(value, str) else str(value.original_string)  # DS
        validate_value(element.VR, plain, RAISE)
        breaks = "\r\n" if element.VR in ("LT", "ST") else ""
        if any(ord(letter) < 32 and letter not in breaks for letter in plain):
            raise ValueError("control characters")
        if plain not in _ENUMERATED.get(keyword, (plain,)):
            raise ValueError("not an accepted value")
        return value
    except KeyError:
        return None
    except Exception:  # whatever a damaged or odd file does to the parser
        log.info("the radiograph's %s is against the rules of DICOM: left out", keyword)
        return None


def _public(item: Dataset) -> Dataset:
    """A sequence's item with its valid, public, plain attributes, encoded anew."""
    done = Dataset()
    for element in item:
        if element.keyword and element.keyword != "SpecificCharacterSet":
            value = _value(item, element.keyword)
            if value:
                setattr(done, element.keyword, value)
    return done


def _identifier(source: Dataset, keyword: str) -> UID | None:
    """A UID as the PACS knows it, also one with leading zeros; None if it is missing or no UID."""
    with suppress(Exception):
        text = str(source[keyword].value).strip()
        if 0 < len(text) <= 64 and set(text) <= set("0123456789."):
            return UID(text)
    return None
