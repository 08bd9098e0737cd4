"""What all slices of a DICOM series share: patient and study, equipment, derivation, grey values.

See `dicom` for why each attribute is what it is.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.dataelem import DataElement
from pydicom.tag import Tag
from pydicom.uid import UID, MRImageStorage, generate_uid

from xr2mri_core import __version__
from xr2mri_core.errors import InputError
from xr2mri_core.export.dicom_patient import MANDATORY, OPTIONAL, attribute, identifier
from xr2mri_core.geometry import Laterality
from xr2mri_core.volume import NOTICE, GeneratedVolume

log = logging.getLogger("xr2mri")

LEVELS = 4095
"""The stored value of intensity 1."""
MANUFACTURER = "XR2MRI"

_UNDECLARED = (
    "the radiograph declares no character set that fits its text, which is kept byte for byte"
)


def common_header(generated: GeneratedVolume, source: Dataset | None) -> Dataset:
    """The attributes that do not differ between the slices of a generated volume."""
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
    for keyword in MANDATORY:
        setattr(header, keyword, "")
    header.PatientID = f"SYNTHETIC-{radiograph[:12]}"
    header.PatientName = "Synthetic^Knee"
    header.PatientComments = f"{NOTICE}; the radiograph named no patient"
    header.StudyDescription = f"XR2MRI: {NOTICE}"
    header.StudyInstanceUID = series_uid("study", radiograph)


def _describe_source(header: Dataset, source: Dataset, radiograph: str) -> None:
    for keyword in MANDATORY:
        setattr(header, keyword, attribute(source, keyword) or "")
    for keyword in OPTIONAL:
        if value := attribute(source, keyword):
            setattr(header, keyword, value)
    if header.get("PatientIdentityRemoved") == "YES" and not (
        "DeidentificationMethod" in header or "DeidentificationMethodCodeSequence" in header
    ):
        header.DeidentificationMethod = "not stated by the radiograph"
    study = identifier(source, "StudyInstanceUID")
    header.StudyInstanceUID = study or series_uid("study", str(header.PatientID), radiograph)
    sop_class, instance = (identifier(source, f"SOP{name}UID") for name in ("Class", "Instance"))
    if sop_class and instance:
        reference = Dataset()
        reference.ReferencedSOPClassUID = sop_class
        reference.ReferencedSOPInstanceUID = instance
        reference.SpatialLocationsPreserved = "NO"
        reference.PurposeOfReferenceCodeSequence = [
            code("121322", "DCM", "Source image for image processing operation")
        ]
        header.SourceImageSequence = [reference]


def _describe_equipment(header: Dataset, record: Mapping[str, Any]) -> None:
    model = record.get("model") or {}
    name = str(model.get("bundle") or "unknown model")
    header.Manufacturer = MANUFACTURER
    header.ManufacturerModelName = name[:64]
    header.SoftwareVersions = str((record.get("versions") or {}).get("xr2mri", __version__))
    equipment = Dataset()
    equipment.PurposeOfReferenceCodeSequence = [code("109100", "DCM", "Synthesizing Equipment")]
    equipment.Manufacturer = MANUFACTURER
    equipment.ManufacturerModelName = name[:64]
    equipment.SoftwareVersions = header.SoftwareVersions
    equipment.ContributionDescription = joined(
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
    # Of the knobs what shapes the image, in the order of the files that archives hold.
    names = ("seed", "sampler", "steps", "guidance", "noise_length", "samples", "slices")
    header.DerivationDescription = joined(
        1024,
        "Synthetic coronal knee MRI, generated by a latent diffusion model from one radiograph "
        f"and {len(features)} radiographic features; no MR signal was acquired",
        *(f"{name} {record[name]}" for name in names if name in record),
    )
    header.DerivationCodeSequence = [code("123110", "DCM", "Artificial Intelligence")]
    header.ImageComments = joined(
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
    mapping.MeasurementUnitsCodeSequence = [code("1", "UCUM", "no units")]
    header.RealWorldValueMappingSequence = [mapping]


def _side(record: Mapping[str, Any]) -> str:
    """R, L, or empty where it is unknown."""
    with suppress(InputError):
        return str(Laterality.parse(record.get("laterality")) or "")
    return ""


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """A coded concept, as an item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def joined(longest: int, *parts: str) -> str:
    """Parts of a text with semicolons between, cut off where it is too long."""
    text = "; ".join(" ".join(part.split()) for part in parts if part)
    return text if len(text) <= longest else text[: longest - 3] + "..."


def series_uid(*content: str) -> UID:
    """The UID of what is determined by some content."""
    return generate_uid(entropy_srcs=["xr2mri dicom series", *content])
