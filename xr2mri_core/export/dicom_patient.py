"""Patient and study of a radiograph: what a series takes over of its header, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.config import RAISE
from pydicom.datadict import tag_for_keyword
from pydicom.multival import MultiValue
from pydicom.uid import UID
from pydicom.valuerep import IS, DSfloat, PersonName, validate_value

from xr2mri_core.errors import RadiographError, shown
from xr2mri_core.transforms.dicom_file import is_dicom, read_header
from xr2mri_core.transforms.dicom_text import settle_character_set

log = logging.getLogger("xr2mri")

_IDENTIFIERS = ("PatientID", "PatientName", "AccessionNumber")
MANDATORY = (*_IDENTIFIERS, "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
              "ReferringPhysicianName", "StudyID")  # fmt: skip
OPTIONAL = (
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


def header_of(source: Dataset | Path | str | None) -> Dataset | None:
    """The header of a DICOM radiograph; None for none and for a file of another format."""
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
    for keyword in (*MANDATORY, *OPTIONAL):
        value = attribute(source, keyword)
        if value and _extent(value) <= _LONGEST_VALUE:
            setattr(kept, keyword, value)
    for keyword in _UIDS:
        if uid := identifier(source, keyword):
            setattr(kept, keyword, uid)
    return kept


def patient_as_text(source: Dataset) -> dict[str, Any]:
    """`patient_and_study` by keywords, as texts and lists, for JSON."""
    return _as_text(patient_and_study(source))


def patient_from_text(values: Mapping[str, Any]) -> Dataset:
    """The way back; what a series does not take over, or is against the rules, is left out.

    Raises:
        TypeError, ValueError: the text is no such patient.
    """
    return patient_and_study(_from_text(values))


def _as_text(dataset: Dataset) -> dict[str, Any]:
    return {
        element.keyword: [_as_text(item) for item in element.value]
        if element.VR == "SQ"
        else _text_of(element.value)
        for element in dataset
    }


def _text_of(value: Any) -> str:
    """A value as DICOM writes it; several, which a backslash in an identifier makes, joined."""
    if isinstance(value, MultiValue):
        return "\\".join(map(_text_of, value))
    return str(value.original_string if isinstance(value, DSfloat | IS) else value)


def _from_text(values: object) -> Dataset:
    if not isinstance(values, dict):
        raise TypeError("no attributes")
    dataset = Dataset()
    for keyword, value in values.items():
        if tag_for_keyword(keyword) is None or not isinstance(value, str | list):
            raise ValueError(f"no attribute: {shown(keyword)}")
        items = isinstance(value, list)
        setattr(dataset, keyword, [_from_text(item) for item in value] if items else value)
    return dataset


def _extent(value: Any) -> int:
    """Characters of a value, those of a sequence's items in all."""
    return len(value if isinstance(value, str) else str(value))


def attribute(source: Dataset, keyword: str) -> Any:
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
            value = attribute(item, element.keyword)
            if value:
                setattr(done, element.keyword, value)
    return done


def identifier(source: Dataset, keyword: str) -> UID | None:
    """A UID as the PACS knows it, also one with leading zeros; None if it is missing or no UID."""
    with suppress(Exception):
        text = str(source[keyword].value).strip()
        if 0 < len(text) <= 64 and set(text) <= set("0123456789."):
            return UID(text)
    return None
