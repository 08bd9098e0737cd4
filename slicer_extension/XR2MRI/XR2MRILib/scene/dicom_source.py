"""What DICOM tells of a node: by Slicer's database, by what was kept of that, by a loose file."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import slicer

from ..patient import from_tags
from . import attributes

IMAGE_LATERALITY, LATERALITY = "0020,0062", "0020,0060"
ROWS, COLUMNS = "0028,0010", "0028,0011"
PHOTOMETRIC = "0028,0004"
IMAGE_ORIENTATION = "0020,0037"
IMAGE_TYPE, MANUFACTURER = "0008,0008", "0008,0070"
MODALITY, PATIENT_ORIENTATION = "0008,0060", "0020,0020"
PATIENT_AGE, PATIENT_SEX = "0010,1010", "0010,0040"

_ASKED = {
    IMAGE_LATERALITY: "ImageLaterality",
    LATERALITY: "Laterality",
    ROWS: "Rows",
    COLUMNS: "Columns",
    PHOTOMETRIC: "PhotometricInterpretation",
    MODALITY: "Modality",
    PATIENT_AGE: "PatientAge",
    PATIENT_SEX: "PatientSex",
    IMAGE_TYPE: "ImageType",
    MANUFACTURER: "Manufacturer",
}
"""Without the orientation: how Slicer turns a picture that it reads as a mere file is not known."""
_LIE = (PATIENT_ORIENTATION, IMAGE_ORIENTATION)
_NO_DICOM = (".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd", ".png", ".jpg", ".jpeg", ".tif",
             ".tiff", ".bmp")  # fmt: skip


def file_of(node: slicer.vtkMRMLNode) -> Path | None:
    """The DICOM file that a node holds; None where it is none, or several, or has gone."""
    uid, database = _instance(node), _database()
    path = database.fileForInstance(uid) if uid and database else ""
    return Path(path) if path and Path(path).is_file() else None


def value(node: slicer.vtkMRMLVolumeNode, tag: str) -> str:
    """A DICOM element such as `0020,0062`: of the database, else as it was kept on the node, else
    of the file that the node was read from without a database; empty where there is none."""
    uid, database = _instance(node), _database()
    found = str(database.instanceValue(uid, tag) or "").strip() if uid and database else ""
    kept = {} if found else attributes.read_json(node, attributes.TAGS)
    if found or kept:
        return found or str(kept.get(tag, ""))
    path = loose_file_of(node)
    return _header(path).get(tag, "") if path else ""


def tags(node: slicer.vtkMRMLVolumeNode) -> dict[str, str]:
    """The elements that count, those of them that have a value."""
    found = {tag: value(node, tag) for tag in (*_ASKED, *_LIE)}
    return {tag: text for tag, text in found.items() if text}


def loose_file_of(node: slicer.vtkMRMLNode) -> str:
    """The file that a node was read from, where that may be a DICOM file of no database; else
    empty."""
    storage = node.GetStorageNode() if node.IsA("vtkMRMLStorableNode") else None
    path = (storage.GetFileName() or "") if storage is not None else ""
    return "" if path.lower().endswith(_NO_DICOM) else path


def _header(path: str) -> dict[str, str]:
    """What is asked for of a DICOM file, by tag; empty where it is none."""
    try:
        found = os.stat(path)
        return _header_of(path, found.st_mtime_ns, found.st_size)
    except Exception:  # no file, no DICOM, no pydicom: it tells nothing
        return {}


@lru_cache(maxsize=256)
def _header_of(path: str, _changed: int, _size: int) -> dict[str, str]:
    """`_header` of a file as it is now: the next patient's may be called the same. What it raises
    is not remembered."""
    import pydicom  # Slicer brings it

    data = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_ASKED.values()))
    found = {tag: data.get(keyword) for tag, keyword in _ASKED.items()}
    return {tag: str(value).strip() for tag, value in found.items() if value is not None}


def laterality(node: slicer.vtkMRMLVolumeNode) -> str:
    """`R` or `L` by what is written on the node, by the DICOM tags of the image, then by those of
    its series; empty where nothing tells."""
    stated = node.GetAttribute(attributes.LATERALITY) or ""
    tags = (value(node, tag) for tag in (IMAGE_LATERALITY, LATERALITY))
    sides = (side.upper() for side in (stated, *tags))
    return next((side for side in sides if side in ("R", "L")), "")


def demographics(node: slicer.vtkMRMLVolumeNode) -> dict[str, str]:
    """Age and sex by the DICOM tags, those of them that are there."""
    return from_tags(value(node, PATIENT_AGE), value(node, PATIENT_SEX))


def is_generated(node: slicer.vtkMRMLVolumeNode) -> bool:
    """Whether the DICOM files of a node, one or more, are a volume that a server has generated."""
    uids, database = _instances(node), _database()
    if uids and database:
        kind, maker = (database.instanceValue(uids[0], tag) for tag in (IMAGE_TYPE, MANUFACTURER))
    else:
        kind, maker = (value(node, tag) for tag in (IMAGE_TYPE, MANUFACTURER))
    return "SYNTHETIC" in (kind or "") and (maker or "").strip() == "XR2MRI"


def _instance(node: slicer.vtkMRMLNode) -> str:
    uids = _instances(node)
    return uids[0] if len(uids) == 1 else ""


def _instances(node: slicer.vtkMRMLNode) -> list[str]:
    return (node.GetAttribute("DICOM.instanceUIDs") or "").split()


def _database():
    """Slicer's DICOM database, if there is one and it is open."""
    database = getattr(slicer, "dicomDatabase", None)
    return database if database is not None and database.isOpen else None
