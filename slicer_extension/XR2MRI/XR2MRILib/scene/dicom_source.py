"""What Slicer's DICOM database knows of a node that was loaded from it."""

from __future__ import annotations

from pathlib import Path

import slicer

from ..patient import from_tags
from . import attributes

IMAGE_LATERALITY, LATERALITY = "0020,0062", "0020,0060"
ROWS, COLUMNS = "0028,0010", "0028,0011"
PHOTOMETRIC = "0028,0004"
MODALITY, PATIENT_ORIENTATION = "0008,0060", "0020,0020"
PATIENT_AGE, PATIENT_SEX = "0010,1010", "0010,0040"


def file_of(node: slicer.vtkMRMLNode) -> Path | None:
    """The DICOM file that a node holds; None where it is none, or several, or has gone."""
    uid, database = _instance(node), _database()
    path = database.fileForInstance(uid) if uid and database else ""
    return Path(path) if path and Path(path).is_file() else None


def value(node: slicer.vtkMRMLNode, tag: str) -> str:
    """A DICOM element such as `0020,0062`; empty where the database has none."""
    uid, database = _instance(node), _database()
    return str(database.instanceValue(uid, tag) or "").strip() if uid and database else ""


def laterality(node: slicer.vtkMRMLNode) -> str:
    """`R` or `L` by what is written on the node, by the DICOM tags of the image, then by those of
    its series; empty where nothing tells."""
    told = node.GetAttribute(attributes.LATERALITY) or ""
    tags = (value(node, tag) for tag in (IMAGE_LATERALITY, LATERALITY))
    sides = (side.upper() for side in (told, *tags))
    return next((side for side in sides if side in ("R", "L")), "")


def demographics(node: slicer.vtkMRMLNode) -> dict[str, str]:
    """Age and sex by the DICOM tags, those of them that are there."""
    return from_tags(value(node, PATIENT_AGE), value(node, PATIENT_SEX))


def _instance(node: slicer.vtkMRMLNode) -> str:
    uids = (node.GetAttribute("DICOM.instanceUIDs") or "").split()
    return uids[0] if len(uids) == 1 else ""


def _database():
    """Slicer's DICOM database, if there is one and it is open."""
    database = getattr(slicer, "dicomDatabase", None)
    return database if database is not None and database.isOpen else None
